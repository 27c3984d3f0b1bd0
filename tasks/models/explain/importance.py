"""The stages that explain models: decisions on some movies, features, genres, and the picture of a decision tree."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import sparse
from sklearn.tree import DecisionTreeClassifier, plot_tree

from tasks.core.errors import DataError, ModelError
from tasks.core.figures import BLUE, SVG_ONLY, Form, drawable, new_figure, picture_files, write_picture
from tasks.core.files import hash_files
from tasks.core.predictions import truth_matrix
from tasks.core.schema import DEFAULT_SEED, IMPORTANCE
from tasks.core.settings import DataPaths
from tasks.models.explain.attribution import REST, decided_or_missed, explain, explain_decided, is_exact, is_linear
from tasks.models.explain.pieces import TEXTS, ExplainedMovies, Explanation
from tasks.models.features import build_features, read_genres, read_movies, train_rows
from tasks.models.genre_classifier import RULES_FILE, GenreClassifier
from tasks.models.inputs import RUNTIME_BOUNDS_MIN
from tasks.models.linear import StackedLogisticRegression
from tasks.models.pipeline import MODEL_FILE, GenreModel
from tasks.models.spec import FeaturesSpec, InputSpec
from tasks.models.train import MODEL_FOLDER, read_matrix
from tasks.models.vectorizers import CharacterNgrams, SideFields, TermVectorizer
from tasks.stage import Stage, StageResult, run_stage

EXPLANATIONS_FILE: Final = "explanations.parquet"
IMPORTANCE_FILE: Final = "importance.parquet"
READABLE: Final = ("linear-svm", "logistic-regression", "naive-bayes", "naive-bayes-svm", "stacked-logistic-regression")
PACKAGES: Final = ("captum", "numpy", "polars", "scikit-learn", "scipy", "torch", "transformers")
FEATURES: Final = FeaturesSpec(input=InputSpec(), representation={"kind": "bag-of-words"})  # those of logreg-tfidf
PROFILES: Final = pl.Schema(
    {"genre": pl.String, "other": pl.String, "tfidf_cosine": pl.Float64, "tfidf_excess_cosine": pl.Float64}
)
ZERO: Final = 1e-12  # a vector shorter than this is a rounding error
SAMPLE: Final = 100  # test movies to explain if a model is slow to explain
LEAST_MOVIES: Final = 3  # with a feature
KEPT: Final = 100  # features of a genre and kind, in each direction
# The labels of runtimes by `read_fields`, in minutes: "below 80" is 70 to 79 min.
RUNTIME_RANGES: Final = {
    **{f"below {end}": f"{start} to {end - 1} min" for start, end in pairwise(RUNTIME_BOUNDS_MIN)},
    f"below {RUNTIME_BOUNDS_MIN[0]}": f"below {RUNTIME_BOUNDS_MIN[0]} min",
    f"{RUNTIME_BOUNDS_MIN[-1]} or more": f"{RUNTIME_BOUNDS_MIN[-1]} min or more",
}
PICTURE: Final = "tree"
LEVELS: Final = 3  # of questions
OTHERS_SHOWN: Final = 2  # further genres named in each node
# plot_tree's words: True where a feature is not above the threshold, (...) where the tree continues below.
_WORDS: Final = {"True": "no", "False": "yes", "(...)": "…"}
_SHADES: Final = LinearSegmentedColormap.from_list("share", ["white", BLUE])


def write_genre_profiles(paths: DataPaths, seed: int) -> StageResult:
    """Write the similarity of every two genres to `genre_profiles.csv`, in both orders; errors as `build_features`.

    A genre's profile is the mean tf-idf vector of its train movies' descriptions. `tfidf_cosine` compares the profiles,
    `tfidf_excess_cosine` the profiles minus the mean of all train movies, so that common words do not count. A cosine
    is null if a vector is zero.
    """
    features = build_features(paths, FEATURES, seed)
    stage = Stage(
        name="genre_profiles",
        folder=paths.genre_profiles.parent,
        outputs=(paths.genre_profiles.name,),
        inputs=(paths.movies, paths.splits, paths.genres_json),
        config={"features": features.fingerprint},
        code=(Path(__file__),),
        packages=("numpy", "polars", "scipy"),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        movies, genres = read_movies(paths), read_genres(paths)
        train = train_rows(movies, "train")
        Y = truth_matrix(movies.get_column("genres").to_list(), genres)[train]
        plain, excess = profile_cosines(read_matrix(features.folder)[np.flatnonzero(train)], Y)
        pairs = permutations(range(len(genres)), 2)
        rows = [(genres[one], genres[other], plain[one, other], excess[one, other]) for one, other in pairs]
        table = pl.DataFrame(rows, schema=PROFILES, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None))
        table.write_csv(folder / paths.genre_profiles.name, float_precision=6)
        return {"genres": len(genres), "train_movies": int(train.sum())}

    return run_stage(stage, build)


def profile_cosines(X: sparse.csr_array, Y: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the cosines of the genres' mean vectors, and of these minus the mean of all rows, both (genres × genres).

    NaN if a vector is zero, and for a genre without a movie. X is (movies × terms), Y (movies × genres).
    """
    sizes = np.where(Y.any(axis=0), Y.sum(axis=0), np.nan)
    means = (sparse.csr_array(Y.T.astype(np.float64)) @ X.astype(np.float64)).toarray() / sizes[:, None]
    cosines = []
    for vectors in (means, means - np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()):
        lengths = np.linalg.norm(vectors, axis=1)
        unit = vectors / np.where(lengths > ZERO, lengths, np.nan)[:, None]
        cosines.append(np.asarray(unit @ unit.T))
    return cosines[0], cosines[1]


def measure_importance(classifier: GenreClassifier, movies: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return `schema.IMPORTANCE`, measured on movies of the clean table, and the number of movies it is based on.

    - A linear classifier of terms and fields: its columns, on all movies. A stacked one counts as linear, which it is
      except for the clipping of its first level.
    - Any other: words and fields as in `attribution.explain`, including their n-grams and characters; on all movies if
      that is exact, else on `SAMPLE` random ones and their decided and missed genres.

    For each genre and kind, the `KEPT` strongest features in each direction are kept, the strongest first, by weight
    times the root of the number of movies, so that neither rare nor frequent features dominate. Features of fewer than
    `LEAST_MOVIES` movies are left out.
    """
    model = classifier.model
    if is_linear(model) and all(isinstance(each, TermVectorizer) for each in model.vectorizers):
        table = _of_columns(model, movies)
    else:
        asked = [list(range(len(model.genres)))] * movies.height
        if not is_exact(model):
            movies = movies[np.sort(np.random.default_rng(DEFAULT_SEED).permutation(movies.height)[:SAMPLE])]
            asked = decided_or_missed(classifier, movies)
        table = _of_pieces(model.genres, *explain(model, movies, asked))
    strength = pl.col("weight").abs() * pl.col("movies").sqrt()
    ranked = table.filter((pl.col("movies") >= LEAST_MOVIES) & (pl.col("weight") != 0)).sort(
        "genre", "kind", -strength, "feature"
    )
    return ranked.filter(pl.int_range(pl.len()).over("genre", "kind", pl.col("weight") > 0) < KEPT), movies.height


def _of_columns(model: GenreModel, movies: pl.DataFrame) -> pl.DataFrame:
    """Return the mean contribution of each column over the movies that have it, one row per column and genre."""
    weights: NDArray[np.float64] = model.classifier.coef_.T.astype(np.float64)
    if isinstance(model.classifier, StackedLogisticRegression):
        weights = weights @ model.classifier.second_coef_.T
    tables, at = [], 0
    for vectorizer, (_, reader) in zip(model.vectorizers, model.pipeline["vectors"].transformer_list, strict=True):
        X = reader.transform(movies).tocsc()
        counts = np.diff(X.indptr)
        often = np.flatnonzero(counts >= LEAST_MOVIES)
        means = np.asarray(X.sum(axis=0), dtype=np.float64).ravel()[often] / counts[often]
        names = [_column_name(vectorizer.vocabulary_[column], vectorizer) for column in often.tolist()]
        values = means[:, None] * weights[at : at + X.shape[1]][often]
        tables.append(_long(model.genres, names, values, np.tile(counts[often, None], len(model.genres))))
        at += X.shape[1]
    return pl.concat(tables)


def _column_name(name: str, vectorizer: TermVectorizer) -> tuple[str, str]:
    """Return the kind and the name of a column for people."""
    if isinstance(vectorizer, CharacterNgrams):
        return "characters", name.replace(" ", "␣")
    if not isinstance(vectorizer, SideFields):
        return "word", name
    field, value = name.split("=", 1)
    if field == "decade":
        return "field", f"{value}s"
    return "field", f"{field} {RUNTIME_RANGES[value] if field == 'runtime' else value}"


def _of_pieces(genres: Sequence[str], movies: ExplainedMovies, explanations: Sequence[Explanation]) -> pl.DataFrame:
    """Return the same for words and field values; contributions within a movie are summed first."""
    names = [
        [("word", p.text.lower()) if p.source in TEXTS else ("field", f"{p.source} {p.text}") for p in pieces]
        for pieces in movies.pieces
    ]
    number_of = {name: number for number, name in enumerate(dict.fromkeys(name for of in names for name in of))}
    sums, counts = (np.zeros((len(number_of), len(genres))) for _ in range(2))
    for of_movie, explanation, asked in zip(names, explanations, movies.asked, strict=True):
        features = np.array([number_of[name] for name in of_movie], dtype=np.int64)
        columns = np.array(asked, dtype=np.int64)
        np.add.at(sums, np.ix_(features, columns), explanation.contributions)
        counts[np.ix_(np.unique(features), columns)] += 1
    return _long(genres, list(number_of), sums / np.maximum(counts, 1), counts)


def _long(
    genres: Sequence[str], names: Sequence[tuple[str, str]], weights: NDArray[np.float64], counts: NDArray[Any]
) -> pl.DataFrame:
    """Return (features × genres) weights and counts as `schema.IMPORTANCE`."""
    columns = {
        "genre": [genre for genre in genres for _ in names],
        "kind": [kind for kind, _ in names] * len(genres),
        "feature": [feature for _, feature in names] * len(genres),
        "weight": weights.ravel("F"),
        "movies": counts.ravel("F").astype(np.int64),
    }
    return pl.DataFrame(columns, schema=IMPORTANCE)


def explain_movies(paths: DataPaths, model_folder: Path, movie_ids: Sequence[str]) -> StageResult:
    """Explain the genres that a model's chosen rule decides or misses for some movies (`schema.EXPLANATIONS`).

    Duplicate ids count once; a DataError if a movie does not exist.
    """
    ids = list(dict.fromkeys(movie_ids))

    def build(folder: Path) -> Mapping[str, Any]:
        wanted = pl.DataFrame({"movie_id": ids}, schema={"movie_id": pl.String})
        movies = wanted.join(pl.read_parquet(paths.movies), on="movie_id", how="left", maintain_order="left")
        missing = movies.filter(pl.col("description").is_null()).get_column("movie_id")
        if len(missing):
            raise DataError(f"{paths.movies} has no movie {missing[0]}; choose the movies to explain again")
        table = explain_decided(GenreClassifier.load(model_folder), movies)
        table.write_parquet(folder / EXPLANATIONS_FILE, compression="zstd")
        rest = table.filter(pl.col("source") == REST).get_column("contribution").abs()
        explained = table.get_column("movie_id").n_unique()
        return {"movies": explained, "nothing_decided": len(ids) - explained, "largest_rest": rest.max()}

    return run_stage(_stage("explain", paths, model_folder, EXPLANATIONS_FILE, {"movie_ids": ids}), build)


def write_importance(paths: DataPaths, model_folder: Path) -> StageResult:
    """Write to the model's folder what features add to each genre on the test movies; see `measure_importance`."""

    def build(folder: Path) -> Mapping[str, Any]:
        movies = read_movies(paths).filter(pl.col("part").cast(pl.String) == "test")
        importance, explained = measure_importance(GenreClassifier.load(model_folder), movies)
        importance.write_parquet(folder / IMPORTANCE_FILE, compression="zstd")
        return {"explained_movies": explained, "features": importance.select("kind", "feature").n_unique()}

    return run_stage(_stage("importance", paths, model_folder, IMPORTANCE_FILE, {}), build)


def _stage(name: str, paths: DataPaths, model_folder: Path, output: str, config: Mapping[str, Any]) -> Stage:
    return Stage(
        name=name,
        folder=model_folder,
        outputs=(output,),
        inputs=(paths.movies, paths.splits, model_folder / RULES_FILE),
        # The members of an ensemble have files of the same names, so the config has a hash of all files.
        config={**config, "model": hash_files(_model_files(model_folder))},
        code=(Path(__file__),),
        packages=PACKAGES,
    )


def _model_files(model_folder: Path) -> list[Path]:
    return sorted(path for path in (model_folder / MODEL_FOLDER).rglob("*") if path.is_file())


def read_exhibits(path: Path, role: str | None = None) -> list[str]:
    """Return the ids of the movies chosen for display (`schema.EXHIBITS`), all or those of one role, in order."""
    try:
        exhibits = pl.read_parquet(path, columns=["movie_id", "role"])
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read ({error}); choose the movies to explain again") from error
    chosen = exhibits if role is None else exhibits.filter(pl.col("role") == role)
    return chosen.get_column("movie_id").to_list()


def most_readable(model_folders: Sequence[Path]) -> Path:
    """Return the first model explained by its weights, exactly and fast; if there is none, the first model."""
    for folder in model_folders:
        classifier, representations = _read_description(folder)
        if classifier.get("kind") in READABLE and "frozen-encoder" not in representations:
            return folder
    return model_folders[0]


def _read_description(model_folder: Path) -> tuple[dict[str, Any], set[str]]:
    """Return the classifier and the kinds of representations that a stored model names."""
    path = model_folder / MODEL_FOLDER / MODEL_FILE
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return dict(stored.get("classifier", {})), {each.get("kind") for each in stored.get("representations", ())}
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} is missing or damaged ({error!r}); train the model again") from error


def write_tree_picture(model_folder: Path, forms: Sequence[Form] = SVG_ONLY) -> StageResult | None:
    """Draw the first levels of a model's decision tree into its folder; None for any other model.

    Nodes are shaded by the share of the most frequent genre in train, the first on ties. The counts contain it, the
    first question, and a sentence about both.
    """
    classifier, _ = _read_description(model_folder)
    if not str(classifier.get("estimator", "")).endswith(f".{DecisionTreeClassifier.__name__}"):
        return None
    stage = Stage(
        name=f"draw-{PICTURE}",
        folder=model_folder,
        outputs=picture_files([PICTURE], forms),
        inputs=tuple(_model_files(model_folder)),
        config={},
        code=(Path(__file__),),
        packages=("matplotlib", "scikit-learn"),
        removes_old=True,
    )

    def build(folder: Path) -> Mapping[str, Any]:
        tree = FittedTree(GenreModel.load(model_folder / MODEL_FOLDER))
        genre = tree.genres[int(tree.shares[0].argmax())]
        write_picture(folder, PICTURE, lambda: draw_tree(tree, genre), forms)
        return {"genre": genre, "asks_first": tree.question(0), "finding": describe_tree(tree, genre)}

    return run_stage(stage, build)


class FittedTree:
    """A decision tree with features and genres; per node the number of train `movies` and their genres' `shares`."""

    def __init__(self, model: GenreModel) -> None:
        self.tree: DecisionTreeClassifier = model.classifier.estimators_[0]
        self.genres = model.genres
        self._columns = [
            (str(name), isinstance(each, TermVectorizer))
            for each in model.vectorizers
            for name in each.get_feature_names_out()
        ]
        varying = model.classifier.varying_
        nodes = self.tree.tree_
        self.movies = nodes.n_node_samples
        self.shares = np.tile(model.classifier.constant_.astype(np.float64), (nodes.node_count, 1))
        self.shares[:, varying] = nodes.value[:, :, 1] if len(varying) > 1 else nodes.value[:, 0, 1:]

    def question(self, node: int) -> str:
        """Return the feature that a node splits on; "" for a leaf."""
        column = self.tree.tree_.feature[node]
        return self._columns[column][0] if column >= 0 else ""

    def children(self, node: int) -> list[tuple[int, str]]:
        """Return a node's children, each with its condition in words."""
        nodes = self.tree.tree_
        if nodes.feature[node] < 0:
            return []
        name, is_term = self._columns[nodes.feature[node]]
        if is_term:  # a term is above the threshold only in texts that contain it
            conditions = (f"with little or no “{name}”", f"with “{name}”")
        else:
            conditions = (f"{name} at most {nodes.threshold[node]:.2g}", f"{name} above {nodes.threshold[node]:.2g}")
        return list(zip((int(nodes.children_left[node]), int(nodes.children_right[node])), conditions, strict=True))


def describe_tree(tree: FittedTree, genre: str) -> str:
    """Return a sentence with the first question and the shown node that differs most from the root."""
    column = tree.genres.index(genre)
    overall = tree.shares[0, column]
    if not tree.question(0):
        return f"The tree has no splits: every movie gets {overall:.0%}, the share of {genre} in train, as its score."
    shown: list[tuple[int, tuple[str, ...]]] = [(0, ())]  # nodes of the picture, with the conditions that lead there
    for node, path in shown:
        if len(path) < LEVELS:
            shown += [(child, (*path, condition)) for child, condition in tree.children(node)]
    node, path = max(shown[1:], key=lambda each: abs(tree.shares[each[0], column] - overall))
    return (
        f"The tree first splits on “{tree.question(0)}”. {genre} is {overall:.0%} of all {tree.movies[0]:,} train "
        f"movies and {tree.shares[node, column]:.0%} of the {tree.movies[node]:,} {', '.join(path)}: the largest "
        "difference among the nodes shown."
    )


def draw_tree(tree: FittedTree, genre: str) -> Figure:
    """Draw the first levels: per node the question, the train movies, the genre's share and other frequent genres."""
    figure = new_figure(14, 5)
    FigureCanvasAgg(figure)  # plot_tree needs it to measure texts
    axes = figure.add_subplot()
    column = tree.genres.index(genre)
    drawn = plot_tree(tree.tree, max_depth=LEVELS, ax=axes, node_ids=True, label="none", impurity=False, fontsize=7)
    for annotation in drawn:
        text = annotation.get_text().strip()
        annotation.set_text(_WORDS.get(text, text))
        if number := re.match(r"#(\d+)", text):
            node = int(number[1])
            shares, question = tree.shares[node], tree.question(node)
            others = sorted(set(range(len(shares))) - {column}, key=lambda other: (-shares[other], other))
            lines = [f"“{question}”?" if question else "leaf", f"{tree.movies[node]:,} movies"]
            lines.append(f"{genre} {shares[column]:.0%}")
            lines += [
                f"{tree.genres[other]} {shares[other]:.0%}" for other in others[:OTHERS_SHOWN] if shares[other] > 0
            ]
            annotation.set_text("\n".join(drawable(line, 24) for line in lines))
            annotation.get_bbox_patch().set_facecolor(_SHADES(0.75 * float(shares[column])))
    return figure
