"""The named models, one line each. Owns names and defaults; fits nothing.

To add a model, add a line, or describe it under `own_models` in a preset. To change one for a run, use `model_params`
in a preset or on the command line.
"""

from typing import Final

from tasks.models.classifiers import LinearSVM, LogisticRegression, NaiveBayes, NearestNeighbours
from tasks.models.representations import BagOfWords, CharacterNgrams, SideFields
from tasks.models.spec import AnyModel, EnsembleSpec, InputSpec, ModelSpec

DESCRIPTION: Final = InputSpec()
LEMMAS: Final = InputSpec(text="lemmas")
TITLE: Final = InputSpec(title=True)

COUNTS: Final = (BagOfWords(weighting="counts"),)
TFIDF: Final = (BagOfWords(),)
BIGRAMS: Final = (BagOfWords(max_n=2, sublinear=True),)
WITH_FIELDS: Final = (*BIGRAMS, SideFields())
EVERYTHING: Final = (*BIGRAMS, CharacterNgrams(), SideFields())

MODELS: Final[tuple[AnyModel, ...]] = (
    ModelSpec(name="logreg-counts", input=DESCRIPTION, representations=COUNTS, classifier=LogisticRegression()),
    ModelSpec(name="logreg-tfidf", input=DESCRIPTION, representations=TFIDF, classifier=LogisticRegression()),
    ModelSpec(name="logreg-tfidf-lemmas", input=LEMMAS, representations=TFIDF, classifier=LogisticRegression(C=4)),
    ModelSpec(name="logreg-tfidf-title", input=TITLE, representations=BIGRAMS, classifier=LogisticRegression(C=4)),
    ModelSpec(name="logreg-fields", input=TITLE, representations=WITH_FIELDS, classifier=LogisticRegression(C=4)),
    ModelSpec(name="svm-tfidf-title", input=TITLE, representations=BIGRAMS, classifier=LinearSVM()),
    ModelSpec(name="svm-fields", input=TITLE, representations=WITH_FIELDS, classifier=LinearSVM()),
    ModelSpec(name="svm-everything", input=TITLE, representations=EVERYTHING, classifier=LinearSVM()),
    ModelSpec(name="nb-counts", input=DESCRIPTION, representations=COUNTS, classifier=NaiveBayes()),
    ModelSpec(name="knn-tfidf-title", input=TITLE, representations=BIGRAMS, classifier=NearestNeighbours()),
    EnsembleSpec(name="blend", members=("svm-everything", "nb-counts", "knn-tfidf-title")),
)
