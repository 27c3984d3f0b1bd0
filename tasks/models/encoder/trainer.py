"""transformers' Trainer for a `GenreNetwork`: our losses, batches, learning rates and checksummed checkpoints."""

import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState, ThreadLocalSharedDict
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import logsigmoid
from torch.utils.data import Dataset, Sampler
from transformers import (
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from typing_extensions import override

from tasks.core.errors import ModelError
from tasks.core.files import check_hashes, write_hashes
from tasks.core.logs import Progress
from tasks.decision.calibration import Calibration, logistic
from tasks.decision.rules import ExpectedJaccardSet
from tasks.models.encoder.network import (
    GenreNetwork,
    Tokens,
    choose_device,
    layers_of,
    pad,
    padding_id,
    training_precision,
)
from tasks.models.spec import Asymmetric, BinaryCrossEntropy, FineTuning, Focal, LogWeighted, Loss
from tasks.stage import write_atomically

logger = logging.getLogger(__name__)

PREFIX: Final = "checkpoint-"
SPENT: Final = "spent_s.txt"
BATCHES_SORTED_TOGETHER: Final = 50
NEVER: Final = 10**9  # steps: `EvaluateAndSave` decides instead

LossFunction = Callable[[Tensor, Tensor], Tensor]


def spent_s(folder: Path) -> float:
    """Return the seconds of training up to the last checkpoint in a folder, including earlier attempts."""
    try:
        return float((folder / SPENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0


def is_complete(checkpoint: Path) -> bool:
    """Return whether a checkpoint has its `hashes.json`, which is written last, and all files are intact."""
    try:
        check_hashes(checkpoint)
    except ModelError:
        return False
    return True


def last_complete(folder: Path) -> Path | None:
    """Return the newest complete checkpoint with a complete best one before it; damaged ones are removed."""
    steps = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal()]
    for checkpoint in sorted(steps, key=lambda path: int(path.name.removeprefix(PREFIX)), reverse=True):
        damaged = checkpoint
        if is_complete(checkpoint):
            best_step = TrainerState.load_from_json(str(checkpoint / "trainer_state.json")).best_global_step
            damaged = checkpoint.with_name(f"{PREFIX}{best_step}")
            if best_step is None or is_complete(damaged):
                return checkpoint
        logger.warning("%s is damaged or incomplete: removing %s", damaged.name, checkpoint)
        shutil.rmtree(checkpoint)
    return None


def loss_function(loss: Loss, genre_counts: Tensor, n_movies: int) -> LossFunction:
    """Return a function of logits and labels (0 or 1), both (movies × genres), to one number; counts are of train."""
    match loss:
        case BinaryCrossEntropy():
            return cross_entropy
        case LogWeighted():
            weights = log_weights(genre_counts, n_movies)
            return lambda logits, labels: cross_entropy(logits, labels, weight=weights.to(logits.device))
        case Focal():
            return partial(focal, alpha=loss.alpha, gamma=loss.gamma)
        case Asymmetric():
            return partial(asymmetric, loss=loss)


def log_weights(genre_counts: Tensor, n_movies: int) -> Tensor:
    """Return `log(N / (count + 1))` of each genre, divided by their mean; all 1 if the mean is not above 0."""
    weights = torch.log(n_movies / (genre_counts.double() + 1)).clamp(min=0)
    mean = weights.mean()
    return (weights / mean if mean > 0 else torch.ones_like(weights)).float()


def focal(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """Return the focal loss, computed from logits so that there is no logarithm of 0."""
    signed = torch.where(labels > 0.5, logits, -logits)  # of the true class
    factor = torch.where(labels > 0.5, alpha, 1 - alpha)
    return (-factor * fading(signed, gamma) * logsigmoid(signed)).mean()


def fading(logits: Tensor, gamma: float) -> Tensor:
    """Return `(1 - p)^gamma`; unlike a power's, its gradient is finite where p is 1 and gamma below 1."""
    return torch.exp(gamma * logsigmoid(-logits))


def asymmetric(logits: Tensor, labels: Tensor, loss: Asymmetric) -> Tensor:
    """Return the asymmetric loss."""
    positive = -fading(logits, loss.gamma_positive) * logsigmoid(logits)
    shifted = (torch.sigmoid(logits) - loss.margin).clamp(min=0)
    negative = -(shifted**loss.gamma_negative) * torch.log1p(-shifted.clamp(max=1 - 1e-7))
    return torch.where(labels > 0.5, positive, negative).mean()


@dataclass(frozen=True)
class LabelledTokens(Dataset[dict[str, Any]]):
    """Texts as ids with their genres, (texts × genres)."""

    tokens: Tokens
    Y: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"ids": self.tokens.of(row), "labels": self.Y[row]}


def collate(items: Sequence[dict[str, Any]], pad_id: int) -> dict[str, Tensor]:
    """Return items of a dataset as one batch, padded to the longest."""
    ids, mask = pad([item["ids"] for item in items], pad_id)
    labels = torch.from_numpy(np.stack([item["labels"] for item in items]).astype(np.float32))
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


class LengthBuckets(Sampler[int]):
    """Rows in batches of similar length, in a new order each epoch.

    Random sets of `BATCHES_SORTED_TOGETHER` batches are sorted by length, cut into batches, and these shuffled: little
    padding, and unlike with transformers' LengthGroupedSampler no drift from long to short texts.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order; called by the trainer."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(len(self.lengths))
        together = self.batch_size * BATCHES_SORTED_TOGETHER
        batches: list[NDArray[np.int64]] = []
        for rows in np.split(order, range(together, len(order), together)):
            by_length = rows[np.argsort(-self.lengths[rows], kind="stable")]
            batches += np.split(by_length, range(self.batch_size, len(rows), self.batch_size))
        full = [batch for batch in batches if len(batch) == self.batch_size]
        short = [batch for batch in batches if len(batch) < self.batch_size]  # last, so that no other batch is cut
        yield from np.concatenate([*(full[number] for number in generator.permutation(len(full))), *short]).tolist()


class EvaluateAndSave(TrainerCallback):
    """Evaluate and save several times per epoch; stop when out of patience, by the history; log progress."""

    progress: Progress
    start_step: int

    def __init__(self, folder: Path, n_movies: int, steps_per_epoch: int, choices: FineTuning) -> None:
        self.what, self.patience, self.steps_per_epoch = folder.name, choices.patience, steps_per_epoch
        self.movies_per_step = n_movies / steps_per_epoch
        self.steps = {math.ceil(steps_per_epoch * k / choices.evaluations) for k in range(1, choices.evaluations + 1)}
        self.start_s = time.perf_counter() - spent_s(folder)

    @override
    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.best_global_step:  # the folder may have been moved since
            state.best_model_checkpoint = str(Path(str(args.output_dir)) / f"{PREFIX}{state.best_global_step}")
        control.should_training_stop = self._is_out_of_patience(state)
        self.start_step = state.global_step
        self.progress = Progress(self.what, round((state.max_steps - state.global_step) * self.movies_per_step))

    @override
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        done = round((state.global_step - self.start_step) * self.movies_per_step)
        self.progress.advance(done - self.progress.done)
        if state.global_step < state.max_steps and control.should_training_stop:
            return  # was out of patience at the start, but the trainer takes one step before it stops
        if (state.global_step - 1) % self.steps_per_epoch + 1 in self.steps:
            control.should_evaluate = control.should_save = control.should_log = True

    @override
    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        folder = Path(str(args.output_dir))
        write_hashes(folder / f"{PREFIX}{state.global_step}")
        write_atomically(folder / SPENT, f"{time.perf_counter() - self.start_s}\n")

    @override
    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        control.should_training_stop = control.should_training_stop or self._is_out_of_patience(state)
        found = state.log_history[-1]
        values = (found["epoch"], found["eval_loss"], found["eval_jaccard"])
        logger.info("%s: epoch %.1f: validation loss %.4f, Jaccard %.4f", self.what, *values)

    @override
    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.progress.finish()

    def _is_out_of_patience(self, state: TrainerState) -> bool:
        jaccards = [entry["eval_jaccard"] for entry in state.log_history if "eval_jaccard" in entry]
        return bool(jaccards) and len(jaccards) - 1 - int(np.argmax(jaccards)) >= self.patience


# accelerate keeps one state per process: parallel trainings would cut each other's last batch and skip each other's
# steps. With one state per thread, as accelerate does on TPUs, they are independent.
for _state in (AcceleratorState, GradientState, PartialState):
    _state._shared_state = ThreadLocalSharedDict()  # noqa: SLF001 - no public way


@dataclass(frozen=True)
class Job:
    """Data, loss, folder of the checkpoints and seed of a training."""

    train: LabelledTokens
    validation: LabelledTokens
    loss: LossFunction
    folder: Path
    seed: int


class GenreTrainer(Trainer):
    """The trainer of a `GenreNetwork`; it ends with the weights that have the highest validation Jaccard."""

    def __init__(self, network: GenreNetwork, job: Job, choices: FineTuning) -> None:
        self.choices, self.loss = choices, job.loss
        on_gpu = choose_device().type == "cuda"
        piece = max(1, choices.batch_size // choices.accumulate)
        steps_per_epoch = math.ceil(len(job.train) / (piece * choices.accumulate))
        arguments = TrainingArguments(
            output_dir=str(job.folder),
            num_train_epochs=choices.epochs,
            per_device_train_batch_size=piece,
            per_device_eval_batch_size=64,
            gradient_accumulation_steps=choices.accumulate,
            learning_rate=choices.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=round(choices.warm_up * steps_per_epoch * choices.epochs),
            max_grad_norm=choices.max_grad_norm,
            bf16=training_precision(choices) == "bfloat16",
            eval_strategy="steps",
            eval_steps=NEVER,
            save_strategy="steps",
            save_steps=NEVER,
            save_total_limit=2,
            load_best_model_at_end=True,
            metric_for_best_model="jaccard",
            greater_is_better=True,
            logging_steps=NEVER,
            logging_nan_inf_filter=False,
            report_to="none",
            disable_tqdm=True,
            seed=job.seed,
            use_cpu=not on_gpu,
            remove_unused_columns=False,
            dataloader_pin_memory=on_gpu,
            label_names=["labels"],
        )
        super().__init__(
            model=network,
            args=arguments,
            train_dataset=job.train,
            eval_dataset=job.validation,
            data_collator=partial(collate, pad_id=padding_id(network.encoder)),
            compute_metrics=_jaccard,
            callbacks=[EvaluateAndSave(job.folder, len(job.train), steps_per_epoch, choices)],
        )
        self.remove_callback(PrinterCallback)  # `EvaluateAndSave` logs
        self.model_accepts_loss_kwargs = False  # the loss is a mean, so accumulation must divide it

    @override
    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of a batch.

        Raises:
            ModelError: it is not finite.
        """
        labels = inputs.pop("labels")
        logits = model(**inputs)
        loss = self.loss(logits, labels)
        if model.training and not torch.isfinite(loss):
            raise ModelError(
                f"the loss became {loss.item()} in step {self.state.global_step + 1}; lower learning_rate. Earlier "
                f"checkpoints, if any, are in {self.args.output_dir}"
            )
        return (loss, {"logits": logits}) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return AdamW with one learning rate per layer."""
        groups = rate_groups(model or self.model, self.choices)
        self.optimizer = torch.optim.AdamW(groups, lr=self.choices.learning_rate, fused=True)
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthBuckets:
        dataset: Any = train_dataset or self.train_dataset
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthBuckets(dataset.tokens.lengths, size, self.args.seed)


def rate_groups(network: Any, choices: FineTuning) -> list[dict[str, Any]]:
    """Return the trainable weights, grouped for the optimiser by learning rate and weight decay."""
    layers = layers_of(network.encoder)
    depth_of = {id(p): depth for depth, layer in enumerate(layers) for p in layer.parameters()}
    in_encoder = {id(p) for p in network.encoder.parameters()}
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for parameter in network.parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in in_encoder:  # those outside of layers, such as embeddings, count as below all layers
            rate = choices.learning_rate * choices.layer_decay ** (len(layers) - 1 - depth_of.get(id(parameter), -1))
        else:
            rate = choices.learning_rate * choices.head_rate
        groups.setdefault((rate, choices.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]


def _jaccard(prediction: EvalPrediction) -> dict[str, float]:
    """Return the mean Jaccard of the sets of highest expected Jaccard, by scores calibrated on the same movies."""
    scores = logistic(np.asarray(prediction.predictions, dtype=np.float64)).astype(np.float32)
    truth = np.asarray(prediction.label_ids) > 0.5
    calibration = Calibration.fit(scores, truth)
    decided = ExpectedJaccardSet(calibration.slopes, calibration.intercepts).decide(scores)
    both, either = (decided & truth).sum(axis=1), (decided | truth).sum(axis=1)
    return {"jaccard": float(np.where(either == 0, 1.0, both / np.maximum(either, 1)).mean())}


@dataclass(frozen=True)
class FineTuned:
    """A trained network, the trainer's log (one entry per evaluation and part), and counts for the stage."""

    network: GenreNetwork
    history: list[dict[str, float]]
    counts: dict[str, Any] = field(default_factory=dict)


def fine_tune(network: GenreNetwork, job: Job, choices: FineTuning) -> FineTuned:
    """Train a network and give it its best weights on validation.

    It resumes from the last complete checkpoint in the job's folder, and ends as it would have without interruption. If
    memory is insufficient, the size of the pieces of a batch is halved once.

    Raises:
        ModelError: the loss is not finite, or memory is insufficient for half a batch, too.
    """
    start = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    for accumulate in (choices.accumulate, choices.accumulate * 2):
        AcceleratorState._reset_state()  # noqa: SLF001 - no public way; it would keep the precision of the first training
        checkpoint = last_complete(job.folder)
        if checkpoint:
            logger.info("%s: resuming from %s", job.folder.name, checkpoint.name)
        trainer = GenreTrainer(network, job, choices.model_copy(update={"accumulate": accumulate}))
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            break
        except (RuntimeError, MemoryError) as error:
            no_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
            if not no_memory:
                raise
            piece = max(1, choices.batch_size // accumulate)
            if accumulate > choices.accumulate or piece == 1:
                message = f"out of memory with {piece} movies at a time; lower batch_size or max_tokens"
                raise ModelError(message) from error
            logger.warning("out of memory with %d movies at a time: trying half as many", piece)
        network.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        network.load_state_dict(start)
    trainer.accelerator.unwrap_model(network, keep_fp32_wrapper=False)  # accelerate's precision is for training only
    history = [dict(entry) for entry in trainer.state.log_history]
    evaluations = [entry for entry in history if "eval_jaccard" in entry]
    counts = {
        "steps": evaluations[-1]["step"],
        "best_jaccard": round(max(entry["eval_jaccard"] for entry in evaluations), 4),
        "device": str(trainer.args.device),
        "precision": training_precision(choices),
        "accumulate": accumulate,
    }
    return FineTuned(network, history, counts)
