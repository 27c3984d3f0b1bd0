"""The named models, one line each: an input, transformers to vectors, and a classifier.

To add a model, add a line, or describe it under `own_models` in a preset. To change one for a run, use `model_params`
in a preset or on the command line.
"""

from typing import Final

from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from tasks.models.encoder.frozen import FrozenEncoder
from tasks.models.linear import (
    ClassifierChains,
    LinearSVM,
    LogisticRegression,
    NaiveBayes,
    NaiveBayesSVM,
    StackedLogisticRegression,
)
from tasks.models.multilabel import GradientBoosting, MultilayerPerceptron, NearestNeighbours
from tasks.models.spec import AnyModel, EnsembleSpec, FineTuning, Imbalance, InputSpec, ModelSpec, TransformerSpec
from tasks.models.vectorizers import BagOfWords, CharacterNgrams, SideFields
from tasks.models.word_vectors import WordVectors

IS_A_TABLE: Final = True  # see tasks.stage

DESCRIPTION: Final = InputSpec()
LEMMAS: Final = InputSpec(text="lemmas")
TITLE: Final = InputSpec(title=True)

COUNTS: Final = (BagOfWords(weighting="counts"),)
TFIDF: Final = (BagOfWords(),)
FREQUENT: Final = (BagOfWords(min_movies=5),)  # for trees and networks
PAIRS: Final = (BagOfWords(max_n=2, sublinear=True),)
WORD2VEC: Final = (WordVectors(algorithm="word2vec"),)
FASTTEXT: Final = (WordVectors(algorithm="fasttext"),)
CHARACTERS: Final = (*PAIRS, CharacterNgrams())
FIELDS: Final = (*PAIRS, SideFields())
COUNTS_FIELDS: Final = (*COUNTS, SideFields(weight=1))
MINILM: Final = (FrozenEncoder(),)
ALL: Final = (*PAIRS, CharacterNgrams(), SideFields())

ALL_FIELDS: Final = (
    "{title}[ ({year})].[ {certificate}.][ {runtime} min.][ Directed by {director}.][ With {star}.] {description}"
)

RARE: Final = Imbalance(balanced=True)
LOGREG: Final = LogisticRegression(C=4)
LOGREG_1: Final = LogisticRegression(C=1)
SVM: Final = LinearSVM()
TREE: Final = DecisionTreeClassifier(max_depth=20, min_samples_leaf=30)
FOREST: Final = RandomForestClassifier(100, max_depth=100, min_samples_leaf=2)

ENCODED: Final = ("minilm-fields", "minilm-tuned", "minilm-tuned-fields")

MODELS: Final[tuple[AnyModel, ...]] = (
    # The description alone.
    ModelSpec(name="logreg-counts", input=DESCRIPTION, representations=COUNTS, classifier=LogisticRegression()),
    ModelSpec(name="logreg-tfidf", input=DESCRIPTION, representations=TFIDF, classifier=LOGREG),
    ModelSpec(name="logreg-lemmas", input=LEMMAS, representations=TFIDF, classifier=LOGREG),
    ModelSpec(name="nb-counts", input=DESCRIPTION, representations=COUNTS, classifier=NaiveBayes()),
    # Title and description.
    ModelSpec(name="logreg-title", input=TITLE, representations=PAIRS, classifier=LOGREG),
    ModelSpec(name="svm-title", input=TITLE, representations=PAIRS, classifier=SVM),
    ModelSpec(name="svm-characters", input=TITLE, representations=CHARACTERS, classifier=SVM),
    ModelSpec(name="nbsvm-title", input=TITLE, representations=PAIRS, classifier=NaiveBayesSVM()),
    ModelSpec(name="cnb-title", input=TITLE, representations=COUNTS, classifier=NaiveBayes(variant="complement")),
    ModelSpec(name="knn-title", input=TITLE, representations=PAIRS, classifier=NearestNeighbours()),
    ModelSpec(name="tree-title", input=TITLE, representations=FREQUENT, classifier=TREE),
    ModelSpec(name="forest-title", input=TITLE, representations=FREQUENT, classifier=FOREST),
    ModelSpec(name="boosting-title", input=TITLE, representations=FREQUENT, classifier=GradientBoosting()),
    ModelSpec(name="mlp-title", input=TITLE, representations=FREQUENT, classifier=MultilayerPerceptron()),
    ModelSpec(name="logreg-word2vec", input=TITLE, representations=WORD2VEC, classifier=LogisticRegression()),
    ModelSpec(name="logreg-fasttext", input=TITLE, representations=FASTTEXT, classifier=LogisticRegression()),
    # Title, description and side fields.
    ModelSpec(name="logreg-fields", input=TITLE, representations=FIELDS, classifier=LOGREG),
    ModelSpec(name="logreg-fields-balanced", input=TITLE, representations=FIELDS, classifier=LOGREG_1, imbalance=RARE),
    ModelSpec(name="nb-fields", input=TITLE, representations=COUNTS_FIELDS, classifier=NaiveBayes()),
    ModelSpec(name="svm-fields", input=TITLE, representations=FIELDS, classifier=SVM),
    ModelSpec(name="svm-all", input=TITLE, representations=ALL, classifier=SVM),
    ModelSpec(name="chains-fields", input=TITLE, representations=FIELDS, classifier=ClassifierChains()),
    ModelSpec(name="stacked-fields", input=TITLE, representations=FIELDS, classifier=StackedLogisticRegression()),
    # Encoders. all-MiniLM-L6-v2 comes in a Python package; distilbert-base-uncased is downloaded from the hub.
    ModelSpec(name="minilm-title", input=TITLE, representations=MINILM, classifier=LogisticRegression(C=3)),
    ModelSpec(name="minilm-fields", input=TITLE, representations=(*FIELDS, *MINILM), classifier=LOGREG),
    TransformerSpec(name="minilm-tuned", encoder="minilm", training=FineTuning(epochs=2)),
    TransformerSpec(name="minilm-tuned-fields", encoder="minilm", template=ALL_FIELDS, training=FineTuning(epochs=2)),
    TransformerSpec(name="distilbert-tuned", training=FineTuning(learning_rate=5e-5)),
    EnsembleSpec(name="blend", members=("svm-all", "nb-fields", "logreg-word2vec")),
    EnsembleSpec(name="blend-tuned", members=("svm-all", "nb-fields", *ENCODED)),
)
