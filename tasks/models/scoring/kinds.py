"""Which class scores for which classifier. Owns the list; everything else asks here."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tasks.models.classifiers import Classifier
from tasks.models.scoring import boosting, chains, linear, neighbours, perceptron, stacked, trees
from tasks.models.scoring.scorer import Scorer

IS_A_TABLE: Final = True  # see tasks.source_code
# How a fitted classifier is read back, and the files it is stored in.
_STORED: Final[dict[str, tuple[Callable[[Path], Scorer], tuple[str, ...]]]] = {
    "logistic-regression": (linear.LinearScorer.load, linear.FILES),
    "linear-svm": (linear.LinearScorer.load, linear.FILES),
    "naive-bayes": (linear.LinearScorer.load, linear.FILES),
    "naive-bayes-svm": (linear.LinearScorer.load, linear.FILES),
    "nearest-neighbours": (neighbours.NeighbourScorer.load, neighbours.FILES),
    "decision-tree": (trees.ForestScorer.load, trees.FILES),
    "random-forest": (trees.ForestScorer.load, trees.FILES),
    "gradient-boosting": (boosting.BoostingScorer.load, boosting.FILES),
    "multilayer-perceptron": (perceptron.PerceptronScorer.load, perceptron.FILES),
    "classifier-chains": (chains.ChainScorer.load, chains.FILES),
    "stacked-logistic-regression": (stacked.StackedScorer.load, stacked.FILES),
}


def load_scorer(classifier: Classifier, folder: Path) -> Scorer:
    """Read a fitted classifier of this kind from its folder."""
    load, _ = _STORED[classifier.kind]
    return load(folder)


def code_file(classifier: Classifier) -> Path:
    """Return the module that scores for a classifier."""
    load, _ = _STORED[classifier.kind]
    return Path(inspect.getfile(load))


def scorer_files(classifier: Classifier) -> tuple[str, ...]:
    """Return the names of the files in which a fitted classifier of this kind is stored."""
    _, files = _STORED[classifier.kind]
    return files
