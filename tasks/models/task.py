"""The Prefect tasks of the models."""

from collections.abc import Sequence
from pathlib import Path

from tasks.core.errors import DataError
from tasks.core.figures import SVG_ONLY, Form
from tasks.core.logs import log_to
from tasks.core.settings import data_paths
from tasks.core.storage import open_directory, split_address
from tasks.models import blend, predict, train
from tasks.models import features as feature_stage
from tasks.models.encoder import fine_tune
from tasks.models.explain import importance, page
from tasks.models.predict import Choices, FolderResult
from tasks.models.spec import EnsembleSpec, FeaturesSpec, ModelSpec, SingleModel, TransformerSpec
from tasks.models.train import TrainChoices
from tasks.prefect_task import stage_task
from tasks.stage import StageResult


@stage_task("build features", "features {features.name}")
def build_features(features: FeaturesSpec, seed: int, prepared: Sequence[StageResult] = ()) -> StageResult:
    """Fit one representation on train and write the vectors of all movies."""
    del prepared  # an argument so that Prefect draws the dependency
    return feature_stage.build_features(data_paths(), features, seed)


@stage_task("train model", "train {model.name}")
def train_model(model: ModelSpec, features: Sequence[StageResult], choices: TrainChoices) -> StageResult:
    """Fit one model on shared features and write its scores."""
    with log_to(data_paths().models / model.name / "train.log"):
        return train.train_model(data_paths(), model, features, choices)


@stage_task("fine-tune", "fine-tune {model.name}")
def train_transformer(model: TransformerSpec, choices: TrainChoices, n_threads: int) -> StageResult:
    """Fine-tune an encoder and write its scores."""
    with log_to(data_paths().models / model.name / "train.log"):
        return fine_tune.train_transformer(data_paths(), model, choices, n_threads)


@stage_task("train ensemble", "train {ensemble.name}")
def train_ensemble(
    ensemble: EnsembleSpec, members: Sequence[SingleModel], trained: Sequence[StageResult]
) -> StageResult:
    """Fit the weights of trained models on validation."""
    with log_to(data_paths().models / ensemble.name / "train.log"):
        return blend.train_ensemble(data_paths(), ensemble, members, trained)


@stage_task("train fold", "train {model.name} fold {fold}")
def train_fold(model: ModelSpec, features: Sequence[StageResult], fold: int, choices: TrainChoices) -> StageResult:
    """Fit one model on all movies outside a fold and score those inside."""
    with log_to(data_paths().cross_validation / model.name / f"fold-{fold}" / "train.log"):
        return train.train_fold(data_paths(), model, features, fold, choices)


@stage_task("gather folds", "gather folds {model.name}")
def gather_folds(model: ModelSpec, folds: Sequence[StageResult]) -> StageResult:
    """Combine the scores of all folds."""
    return train.gather_folds(data_paths(), model, folds)


@stage_task("blend folds", "blend folds {ensemble.name}")
def blend_folds(ensemble: EnsembleSpec, gathered: Sequence[StageResult]) -> StageResult:
    """Blend the out-of-fold scores of an ensemble's members."""
    return blend.blend_folds(data_paths(), ensemble, gathered)


@stage_task("train in", "train {model.name} in {root.name}")
def train_in(root: Path, model: ModelSpec, choices: TrainChoices) -> StageResult:
    """Fit one model on the train movies of another data folder and write its scores there."""
    with log_to(root / "train.log"):
        return train.train_in(root, model, choices)


@stage_task("score folds in", "score folds in {root.name}")
def score_folds_in(root: Path, model: ModelSpec, choices: TrainChoices) -> StageResult:
    """Score every movie of another data folder by models that were not fitted on it."""
    with log_to(root / "train.log"):
        return train.score_folds_in(root, model, choices)


@stage_task("score trial", "score {model.name}")
def score_trial(model: ModelSpec, features: Sequence[StageResult], choices: TrainChoices) -> Path:
    """Fit a trial's model and score it on validation; return the folder of the scores."""
    return train.score_trial(data_paths(), model, features, choices)


@stage_task("genre profiles")
def profile_genres(seed: int) -> StageResult:
    """Write the similarity of every two genres' descriptions."""
    return importance.write_genre_profiles(data_paths(), seed)


@stage_task("draw trees")
def draw_trees(model_folders: Sequence[Path], forms: Sequence[Form] = SVG_ONLY) -> list[StageResult]:
    """Draw the top of the models that are decision trees."""
    drawn = [importance.write_tree_picture(folder, forms) for folder in model_folders]
    return [result for result in drawn if result is not None]


@stage_task("predict file")
def predict_file(model_folder: Path, source: str, target: str, choices: Choices) -> int:
    """Predict a file; source and target are paths or addresses. Return the number of rows."""
    (folder, name), (target_folder, target_name) = split_address(source), split_address(target)
    if (folder, name) == (target_folder, target_name):
        raise DataError(f"{source} is both input and output; choose another output file")
    with folder.reading(name) as read, target_folder.writing(target_name) as written:
        return predict.predict_file(model_folder, read, written, choices)


@stage_task("predict folder")
def predict_folder(model_folder: Path, source: str, target: str, choices: Choices) -> FolderResult:
    """Predict the new and changed files of a folder; source and target are paths or addresses."""
    return predict.predict_folder(model_folder, open_directory(source), open_directory(target), choices)


@stage_task("explain file")
def explain_file(model_folder: Path, source: str, target: str, rule: str | None, n_rows: int) -> None:
    """Write a page that explains the genres of a file's first rows; source and target are paths or addresses."""
    (folder, name), (target_folder, target_name) = split_address(source), split_address(target)
    with folder.reading(name) as read, target_folder.writing(target_name) as written:
        page.explain_file(model_folder, read, written, rule, n_rows)


@stage_task("explain movies", "explain {model_folder.name}")
def explain_movies(model_folder: Path, exhibits: Path, role: str | None = None) -> StageResult:
    """Explain a model's decisions on the chosen movies, all or those of one role."""
    return importance.explain_movies(data_paths(), model_folder, importance.read_exhibits(exhibits, role))


@stage_task("measure importance")
def write_importance(model_folders: Sequence[Path]) -> StageResult:
    """Measure how features change each genre's score, by the first model that its weights explain."""
    return importance.write_importance(data_paths(), importance.most_readable(model_folders))
