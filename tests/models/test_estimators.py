"""Estimators in configuration: what is taken, what is refused, and what is stored of them."""

import json
import sys
import zipfile

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression as Logistic
from sklearn.linear_model import RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC

from tasks.core.errors import ConfigError, ModelError
from tasks.models.estimators import SHORT_NAMES, EstimatorSpec
from tasks.models.linear import LinearSVM
from tasks.models.pipeline import PIPELINE_FILE, TRUSTED, GenreModel, load_estimator, save_estimator
from tasks.models.registry import choose_models, with_params
from tasks.models.spec import ModelSpec, shown_params
from tasks.models.train import held_bytes
from tasks.models.vectorizers import BagOfWords

GENRES = ("Drama", "Horror", "Western")


def read(value):
    return EstimatorSpec.model_validate(value)


def test_an_estimator_and_its_plain_form_are_the_same():
    for plain, estimator in (
        ({"kind": "linear-svm", "C": 0.5}, LinearSVM(C=0.5)),
        ({"estimator": "sklearn.linear_model.RidgeClassifier", "alpha": 2}, RidgeClassifier(alpha=2)),
        ({"estimator": "sklearn.svm.LinearSVC", "params": {"C": 3.0}}, LinearSVC(C=3.0)),
    ):
        spec = read(plain)
        assert spec == read(estimator) == read(spec.model_dump()) == read(json.loads(spec.model_dump_json()))
        assert hash(spec) == hash(read(estimator))
        assert repr(spec.make()) == repr(estimator)


def test_estimators_within_estimators_are_kept():
    for estimator in (
        CalibratedClassifierCV(LinearSVC(C=2), cv=2),
        make_pipeline(MaxAbsScaler(), RidgeClassifier(alpha=3)),
        TfidfVectorizer(ngram_range=(1, 3), min_df=2),
    ):
        assert repr(read(json.loads(read(estimator).model_dump_json())).make()) == repr(estimator)


def test_every_part_that_draws_gets_the_seed():
    made = read(CalibratedClassifierCV(LinearSVC(), cv=2)).make(random_state=7)
    assert made.estimator.random_state == 7
    assert read(LinearSVM()).make(random_state=7).random_state == 7
    assert "random_state" not in read(RandomForestClassifier()).params


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "linear-svn"}, "no estimator is named 'linear-svn'; give one of bag-of-words, .*, or a path such as"),
        ({"estimator": "sklearn.nowhere.Nothing"}, "there is no estimator sklearn.nowhere.Nothing"),
        ({"estimator": "json.JSONDecoder"}, "json.JSONDecoder is not a scikit-learn estimator"),
        ({"kind": "linear-svm", "C": 0}, "parameter C: input should be greater than 0, not 0"),
        ({"kind": "linear-svm", "c": 1}, "parameter c: there is no such option; linear-svm has: C, calibration_folds"),
        ({"kind": "linear-svm", "random_state": 1}, "parameter random_state: there is no such option"),
        ({"estimator": "sklearn.linear_model.RidgeClassifier", "alfa": 1}, "RidgeClassifier has: alpha, fit_intercept"),
        (
            {"estimator": "sklearn.linear_model.RidgeClassifier", "alpha": np.arange(2)},
            "parameters must be texts, numbers",
        ),
        ({"C": 1}, "give `kind`, one of .*, or `estimator`, the path of a class"),
        (3, "expected an estimator's `kind` or `estimator`"),
    ],
)
def test_what_cannot_be_is_refused(value, message):
    with pytest.raises(ValidationError, match=message):
        read(value)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"classifier": {"estimator": "sklearn.linear_model.Ridge"}}, "sklearn.linear_model.Ridge is not a classifier"),
        ({"classifier": {"kind": "bag-of-words"}}, "bag-of-words is not a classifier"),
        (
            {"classifier": RidgeClassifier(), "representations": [RidgeClassifier()]},
            "is not a transformer",
        ),
        (
            {
                "classifier": {
                    "estimator": "sklearn.calibration.CalibratedClassifierCV",
                    "params": {"estimator": "sklearn.svm.LinearSVC"},
                }
            },
            "write a parameter that is an estimator as",
        ),
    ],
)
def test_a_part_that_cannot_do_its_work_is_refused(parts, message):
    with pytest.raises(ValidationError, match=message):
        ModelSpec(name="m", **parts)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"classifier": RidgeClassifier(alpha="lots")},
            "own model m: .* The 'alpha' parameter",
        ),
        ({"classifier": GaussianNB()}, "cannot be fitted on sparse vectors: .*[Ss]parse"),
        ({"classifier": RidgeClassifier(), "representations": [StandardScaler()]}, "cannot be fitted on texts"),
        ({"classifier": RidgeClassifier(), "representations": [TfidfVectorizer(ngram_range=3)]}, "'ngram_range' param"),
    ],
)
def test_what_an_estimator_would_say_later_is_found_at_once(parts, message):
    with pytest.raises(ConfigError, match=message):
        choose_models(["m"], own_models=[ModelSpec(name="m", **parts)])


def test_few_rows_are_no_reason_to_refuse():
    parts = (KNeighborsClassifier(500), RandomForestClassifier(min_samples_leaf=99), TfidfVectorizer(min_df=50))
    *classifiers, vectorizer = parts
    own = [ModelSpec(name=f"m{n}", classifier=each, representations=[vectorizer]) for n, each in enumerate(classifiers)]
    assert len(choose_models(["m*"], own_models=own)) >= 2


def test_parameters_of_any_estimator_can_be_replaced():
    model = ModelSpec(name="ridge", classifier=RidgeClassifier())
    changed = with_params(model, {"alpha": 5, "max_n": 2, "sklearn.linear_model.RidgeClassifier.tol": 0.1})
    assert changed.classifier.params == {"alpha": 5, "tol": 0.1}
    assert changed.representations[0].params["max_n"] == 2


def test_everything_that_has_a_short_name_is_trusted():
    assert set(SHORT_NAMES.values()) <= set(TRUSTED)


def test_any_vectorizer_and_classifier_make_a_model(movies, tmp_path):
    model = ModelSpec(
        name="mine",
        representations=(HashingVectorizer(n_features=2**10), {"kind": "bag-of-words"}),
        classifier=make_pipeline(MaxAbsScaler(), RidgeClassifier()),
    )
    fitted = GenreModel(model, GENRES, 1).fit(movies)
    truth = np.column_stack([movies.get_column("genres").list.contains(genre).to_numpy() for genre in GENRES])
    assert ((fitted.scores(movies) >= 0.5) == truth).mean() > 0.9
    fitted.save(tmp_path)
    np.testing.assert_array_equal(GenreModel.load(tmp_path).scores(movies), fitted.scores(movies))


@pytest.mark.parametrize(
    "classifier",
    [
        SGDClassifier(),
        MLPClassifier((5,), max_iter=20),
        SVC(),
        CalibratedClassifierCV(LinearSVC(), cv=3),
        GridSearchCV(Logistic(), {"C": [1, 2]}, cv=2),
        VotingClassifier([("a", Logistic()), ("b", MultinomialNB())], voting="soft"),
        GradientBoostingClassifier(n_estimators=5),
        ClassifierChain(Logistic()),
        MultiOutputClassifier(Logistic()),
        RandomForestClassifier(5),
    ],
    ids=lambda each: type(each).__name__,
)
@pytest.mark.filterwarnings("ignore")  # of fits that are stopped early here
def test_classifiers_of_scikit_learn_are_fitted_shown_measured_stored_and_read(classifier, movies, tmp_path):
    model = ModelSpec(name="m", classifier=classifier)
    (model,) = choose_models(["m"], own_models=[model])
    json.dumps(shown_params(model))
    fitted = GenreModel(model, GENRES, 1).fit(movies)
    assert held_bytes(fitted) > 1000
    fitted.save(tmp_path)
    np.testing.assert_array_equal(GenreModel.load(tmp_path).scores(movies), fitted.scores(movies))


class Lengths(TransformerMixin, BaseEstimator):
    """A user's own transformer of texts, which learns nothing."""

    def fit(self, X, y=None):  # noqa: ARG002 - as scikit-learn calls it
        return self

    def transform(self, X):
        return np.array([[len(text)] for text in X], dtype=np.float32)


def test_a_transformer_that_learns_nothing_is_stored_and_read(movies, tmp_path):
    model = ModelSpec(name="mine", representations=(BagOfWords(), Lengths()), classifier=LinearSVM())
    fitted = GenreModel(model, GENRES, 1).fit(movies)
    fitted.save(tmp_path)
    np.testing.assert_array_equal(GenreModel.load(tmp_path).scores(movies), fitted.scores(movies))


def test_classes_within_other_estimators_are_known_too(movies, tmp_path):
    nested = ModelSpec(name="mine", classifier=OneVsRestClassifier(Majority()))
    assert nested.classifier.classes == [OneVsRestClassifier, Majority]
    fitted = GenreModel(nested, GENRES, 1).fit(movies)
    fitted.save(tmp_path)
    np.testing.assert_array_equal(GenreModel.load(tmp_path).scores(movies), fitted.scores(movies))


def test_a_model_whose_module_is_gone_says_so(movies, tmp_path):
    GenreModel(ModelSpec(name="mine", classifier=Majority()), GENRES, 1).fit(movies).save(tmp_path)
    file = tmp_path / "model.json"
    file.write_text(file.read_text().replace("test_estimators.Majority", "nowhere.Majority"))
    with pytest.raises(ModelError, match=r"needs code that is not installed: .*nowhere\.Majority.*PYTHONPATH"):
        GenreModel.load(tmp_path)


class Majority(ClassifierMixin, BaseEstimator):
    """A user's own classifier, one label at a time; scikit-learn and skops know nothing of it."""

    def fit(self, X, y):  # noqa: ARG002 - as scikit-learn calls it
        self.classes_ = np.unique(y)
        self.share_ = float(np.mean(y))
        return self

    def predict_proba(self, X):
        return np.full((X.shape[0], 2), [1 - self.share_, self.share_])


class Hoarder(Majority):
    """One that keeps an object of a type that nobody knows."""

    def fit(self, X, y):
        self.kept_ = Majority()
        return super().fit(X, y)


def test_a_classifier_of_ones_own_is_stored_and_read(movies, tmp_path):
    fitted = GenreModel(ModelSpec(name="mine", classifier=Majority()), GENRES, 1).fit(movies)
    shares = [movies.get_column("genres").list.contains(genre).mean() for genre in GENRES]
    np.testing.assert_allclose(fitted.scores(movies.head(1)), [shares], atol=1e-6)
    fitted.save(tmp_path)
    np.testing.assert_array_equal(GenreModel.load(tmp_path).scores(movies), fitted.scores(movies))


def test_a_type_that_is_not_known_is_refused_by_name_when_stored_and_when_read(movies, tmp_path):
    hoarding = GenreModel(ModelSpec(name="mine", classifier=Hoarder()), GENRES, 1).fit(movies)
    with pytest.raises(ModelError, match=r"cannot be stored: it holds tests\..*Majority, and only NumPy"):
        hoarding.save(tmp_path)
    assert not (tmp_path / PIPELINE_FILE).exists()
    save_estimator(Majority(), tmp_path / "mine.skops", [read(Majority())])
    with pytest.raises(ModelError, match=r"is refused: it holds types .*test_estimators\.Majority"):
        load_estimator(tmp_path / "mine.skops", [])


def test_what_another_scikit_learn_stored_is_read_with_a_warning_or_refused_with_a_remedy(tmp_path, caplog):
    file = tmp_path / "ridge.skops"
    save_estimator(RidgeClassifier(), file, [])
    load_estimator(file, [], "0.1.2")
    assert "was stored with scikit-learn 0.1.2" in caplog.text
    with zipfile.ZipFile(file) as stored:
        schema = stored.read("schema.json").decode()
    with zipfile.ZipFile(file, "w") as changed:
        changed.writestr("schema.json", schema.replace("RidgeClassifier", "BridgeClassifier"))
    with pytest.raises(ModelError, match=r"BridgeClassifier|cannot read; install scikit-learn==0\.1\.2"):
        load_estimator(file, [], "0.1.2")


def test_nothing_that_a_file_names_is_run(tmp_path):
    file = tmp_path / "evil.skops"
    save_estimator(RidgeClassifier(), file, [])
    with zipfile.ZipFile(file) as stored:
        schema = json.loads(stored.read("schema.json"))
    schema["__class__"], schema["__module__"] = "Popen", "subprocess"
    with zipfile.ZipFile(file, "w") as changed:
        changed.writestr("schema.json", json.dumps(schema))
    with pytest.raises(ModelError, match=r"subprocess\.Popen"):
        load_estimator(file, [])


def test_a_model_reads_frames_of_polars_and_pandas_and_texts(movies):
    fitted = GenreModel(ModelSpec(name="m", classifier=LinearSVM()), GENRES, 1).fit(movies)
    expected = fitted.pipeline.predict_proba(movies)
    np.testing.assert_array_equal(fitted.pipeline.predict_proba(movies.to_pandas()), expected)
    np.testing.assert_array_equal(fitted.pipeline.predict_proba(movies["description"].to_list()), expected)
    assert isinstance(movies, pl.DataFrame)
    assert "torch" not in {name for name in sys.modules if name.startswith("sklearn.externals.array_api_compat.torch")}
