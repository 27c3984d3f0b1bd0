"""transformers' Trainer with our loss, rates and settings. Owns these; the loop is transformers'."""

import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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

from tasks.core.errors import ModelError
from tasks.core.files import hash_file
from tasks.core.logs import Progress
from tasks.decision.calibration import Calibration, logistic
from tasks.decision.rules import ExpectedJaccardSet
from tasks.models.encoder.network import GenreNetwork, Tokens, choose_device, layers_of, padded, uses_bfloat16
from tasks.models.spec import Asymmetric, BinaryCrossEntropy, FineTuning, Focal, LogWeighted, Loss
from tasks.stage import write_atomically

logger = logging.getLogger(__name__)

PREFIX: Final = "checkpoint-"
SEAL: Final = "complete.json"
SPENT: Final = "spent_s.txt"
STATE: Final = "trainer_state.json"  # the trainer's


def spent_s(folder: Path) -> float:
    """Return how long the trainings took that left a folder's checkpoints, until the last one of them was written."""
    try:
        return float((folder / SPENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0


def note_spent_s(folder: Path, seconds: float) -> None:
    """Note that for a training that goes on."""
    write_atomically(folder / SPENT, f"{seconds}\n")


def seal(checkpoint: Path) -> None:
    """Write the hashes of a finished checkpoint's files beside them."""
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file() and file.name != SEAL)
    hashes = {str(file.relative_to(checkpoint)): hash_file(file) for file in files}
    write_atomically(checkpoint / SEAL, json.dumps(hashes, indent=1) + "\n")


def is_whole(checkpoint: Path) -> bool:
    """Tell whether a checkpoint has all its files as they were written."""
    try:
        hashes: dict[str, str] = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        return bool(hashes) and all(hash_file(checkpoint / name) == value for name, value in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False


def last_whole(folder: Path) -> Path | None:
    """Return the newest whole checkpoint of a folder, or None; others are told and removed.

    One is of use only as long as the best one before it is whole, too.
    """
    steps = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal()]
    for checkpoint in sorted(steps, key=lambda path: int(path.name.removeprefix(PREFIX)), reverse=True):
        broken = [needed for needed in (checkpoint, *_best_before(checkpoint)) if not is_whole(needed)]
        if not broken:
            return checkpoint
        logger.warning(
            "%s is damaged or was not finished: %s is removed, the one before it is used", broken[0], checkpoint.name
        )
        shutil.rmtree(checkpoint)
    return None


def _best_before(checkpoint: Path) -> list[Path]:
    """Return the best checkpoint of a training so far, which it ends with if no better one comes."""
    try:
        step = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["best_global_step"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [] if step is None else [checkpoint.with_name(f"{PREFIX}{step}")]


LossFunction = Callable[[Tensor, Tensor], Tensor]


def loss_function(loss: Loss, genre_counts: Tensor, n_movies: int) -> LossFunction:
    """Return a function of logits and labels, both (movies × genres), labels 0 or 1, to one number.

    Args:
        loss: which.
        genre_counts: (genres,) how many train movies have each.
        n_movies: how many train movies there are.
    """
    match loss:
        case BinaryCrossEntropy():
            return cross_entropy
        case LogWeighted():
            weights = log_weights(genre_counts, n_movies)
            return lambda logits, labels: cross_entropy(logits, labels, weight=weights.to(logits.device))
        case Focal():
            return lambda logits, labels: focal(logits, labels, loss.alpha, loss.gamma)
        case Asymmetric():
            return lambda logits, labels: asymmetric(logits, labels, loss)


def log_weights(genre_counts: Tensor, n_movies: int) -> Tensor:
    """Return `log(N / (count + 1))` of each genre, divided by their mean; all 1 where that is not above 0."""
    weights = torch.log(n_movies / (genre_counts.double() + 1)).clamp(min=0)
    mean = weights.mean()
    return (weights / mean if mean > 0 else torch.ones_like(weights)).float()


def focal(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """Return the focal loss, computed from logits: no logarithm of 0, however sure the model is."""
    signed = torch.where(labels > 0.5, logits, -logits)  # of what is true
    factor = torch.where(labels > 0.5, alpha, 1 - alpha)
    return (-factor * fading(signed, gamma) * logsigmoid(signed)).mean()


def fading(logits: Tensor, gamma: float) -> Tensor:
    """Return `(1 - p)^gamma`; unlike that of a power, its gradient is finite where p is 1 and gamma below 1."""
    return torch.exp(gamma * logsigmoid(-logits))


def asymmetric(logits: Tensor, labels: Tensor, loss: Asymmetric) -> Tensor:
    """Return the asymmetric loss."""
    positive = -fading(logits, loss.gamma_positive) * logsigmoid(logits)
    shifted = (torch.sigmoid(logits) - loss.margin).clamp(min=0)  # of a false genre
    negative = -(shifted**loss.gamma_negative) * torch.log1p(-shifted.clamp(max=1 - 1e-7))
    return torch.where(labels > 0.5, positive, negative).mean()


BATCHES_SORTED_TOGETHER: Final = 50


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
    lengths = [len(item["ids"]) for item in items]
    tokens = Tokens(np.concatenate([item["ids"] for item in items]), np.concatenate([[0], np.cumsum(lengths)]), 0)
    ids, mask = padded(tokens, np.arange(len(items)), pad_id)
    labels = torch.from_numpy(np.stack([item["labels"] for item in items]).astype(np.float32))
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask), "labels": labels}


class LengthBuckets(Sampler[int]):
    """Rows in batches of like length, in an order drawn anew each epoch.

    Some batches' rows, drawn at random, are sorted by length and cut into batches, and these are shuffled: little
    padding, and no drift from long to short texts.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; the trainer calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(len(self.lengths))
        batches: list[NDArray[np.int64]] = []
        together = self.batch_size * BATCHES_SORTED_TOGETHER
        for start in range(0, len(order), together):
            rows = order[start : start + together]
            rows = rows[np.argsort(-self.lengths[rows], kind="stable")]
            batches += [rows[at : at + self.batch_size] for at in range(0, len(rows), self.batch_size)]
        short = [batch for batch in batches if len(batch) < self.batch_size]  # last, so that no other batch is cut
        full = [batch for batch in batches if len(batch) == self.batch_size]
        for number in generator.permutation(len(full)):
            yield from full[number].tolist()
        for batch in short:
            yield from batch.tolist()


class Milestones(TrainerCallback):
    """Evaluates and saves some times an epoch and at the end; seals checkpoints; stops in time; shows progress.

    It holds nothing that a training which goes on from a checkpoint would lack: when to stop is told by the history.
    """

    def __init__(self, folder: Path, n_movies: int, steps_per_epoch: int, choices: FineTuning) -> None:
        self.what, self.n_movies, self.steps_per_epoch = folder.name, n_movies, steps_per_epoch
        self.patience = choices.patience
        self.steps = {math.ceil(steps_per_epoch * k / choices.evaluations) for k in range(1, choices.evaluations + 1)}
        self.progress: Progress | None = None
        self.start_s, self.spent_before_s = time.perf_counter(), spent_s(folder)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Begin to count, where a training goes on as it was left there."""
        if state.best_global_step:  # the folder may have been moved meanwhile
            state.best_model_checkpoint = str(Path(str(args.output_dir)) / f"{PREFIX}{state.best_global_step}")
        control.should_training_stop = self._is_out_of_patience(state)
        left = (state.max_steps - state.global_step) / self.steps_per_epoch * self.n_movies
        self.progress = Progress(self.what, round(left))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Count a step and say what is due."""
        del args
        if self.progress:
            is_last = state.global_step >= state.max_steps
            each = round(self.n_movies / self.steps_per_epoch)
            left = (self.progress.total or 0) - self.progress.done
            self.progress.advance(left if is_last else min(max(1, each), left))
        if state.global_step < state.max_steps and control.should_training_stop:
            return  # stopped before it went on: the trainer ends only after a step, which does not count
        within = (state.global_step - 1) % self.steps_per_epoch + 1
        if within in self.steps or state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = control.should_log = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Seal the checkpoint that was written."""
        del control
        folder = Path(str(args.output_dir))
        seal(folder / f"{PREFIX}{state.global_step}")
        note_spent_s(folder, self.spent_before_s + time.perf_counter() - self.start_s)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Tell how well the network does, and stop if it gets no better."""
        del args
        control.should_training_stop = control.should_training_stop or self._is_out_of_patience(state)
        found = state.log_history[-1]
        logger.info(
            "%s: epoch %.1f: validation loss %.4f, Jaccard %.4f",
            *(self.what, found["epoch"], found["eval_loss"], found["eval_jaccard"]),
        )

    def _is_out_of_patience(self, state: TrainerState) -> bool:
        jaccards = [entry["eval_jaccard"] for entry in state.log_history if "eval_jaccard" in entry]
        return bool(jaccards) and len(jaccards) - 1 - int(np.argmax(jaccards)) >= self.patience

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Show the last line."""
        del args, state, control
        if self.progress:
            self.progress.finish()


NEVER: Final = 10**9  # steps; what happens when is said by `Milestones`

# accelerate keeps what a training does once a process: trainings side by side would have each other's last batch cut,
# and each other's steps left out. With a state a thread, as accelerate has it on TPUs, they do not know each other.
for _state in (AcceleratorState, GradientState, PartialState):
    _state._shared_state = ThreadLocalSharedDict()  # noqa: SLF001 - no public way


def forget_precision() -> None:
    """Let the next training choose its precision, which accelerate otherwise keeps as long as the process lives."""
    AcceleratorState._reset_state()  # noqa: SLF001 - no public way


@dataclass(frozen=True)
class Job:
    """What a training is given: movies, what to minimise on them, where its checkpoints go, and the seed."""

    train: LabelledTokens
    validation: LabelledTokens
    loss: LossFunction
    folder: Path
    seed: int


class GenreTrainer(Trainer):
    """The trainer of a `GenreNetwork`."""

    def __init__(self, choices: FineTuning, loss: LossFunction, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.choices, self.loss = choices, loss
        self.model_accepts_loss_kwargs = False  # the loss is a mean, so accumulation has to divide it

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,  # noqa: ARG002 - the base class's signature
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
                f"the loss became {loss.item()} in step {self.state.global_step + 1}; checkpoints before it, if any, "
                f"are kept in {self.args.output_dir}. Choose a lower learning_rate"
            )
        return (loss, {"logits": logits}) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Make AdamW with a rate of its own for each layer."""
        groups = rate_groups(model or self.model, self.choices)
        self.optimizer = torch.optim.AdamW(groups, lr=self.choices.learning_rate, fused=True)
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthBuckets:
        dataset: Any = train_dataset or self.train_dataset
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthBuckets(dataset.tokens.lengths, size, self.args.seed)


def rate_groups(network: Any, choices: FineTuning) -> list[dict[str, Any]]:
    """Return the weights that are trained, grouped for the optimiser by their rate and whether they decay."""
    layers = layers_of(network.encoder)
    depth_of = {id(p): depth for depth, layer in enumerate(layers) for p in layer.parameters()}
    in_encoder = {id(p) for p in network.encoder.parameters()}
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for parameter in network.parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in in_encoder:  # what is in no layer, such as embeddings, is below them all
            rate = choices.learning_rate * choices.layer_decay ** (len(layers) - 1 - depth_of.get(id(parameter), -1))
        else:
            rate = choices.learning_rate * choices.head_rate
        decay = choices.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]


def new_trainer(network: GenreNetwork, job: Job, choices: FineTuning) -> GenreTrainer:
    """Return a trainer of a network."""
    train, folder = job.train, job.folder
    pad_id = network.encoder.config.pad_token_id or 0
    on_gpu = choose_device().type == "cuda"
    piece = max(1, choices.batch_size // choices.accumulate)
    steps_per_epoch = math.ceil(len(train) / (piece * choices.accumulate))
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=choices.epochs,
        per_device_train_batch_size=piece,
        per_device_eval_batch_size=64,
        gradient_accumulation_steps=choices.accumulate,
        learning_rate=choices.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(choices.warm_up * steps_per_epoch * choices.epochs),
        max_grad_norm=choices.max_grad_norm,
        bf16=uses_bfloat16(choices),
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
    trainer = GenreTrainer(
        choices,
        job.loss,
        model=network,
        args=arguments,
        train_dataset=train,
        eval_dataset=job.validation,
        data_collator=partial(collate, pad_id=pad_id),
        compute_metrics=_jaccard,
        callbacks=[Milestones(folder, len(train), steps_per_epoch, choices)],
    )
    trainer.remove_callback(PrinterCallback)  # the log has it
    return trainer


def _jaccard(prediction: EvalPrediction) -> dict[str, float]:
    """Return the samples Jaccard of the sets of greatest expected Jaccard, by scores calibrated on the same movies."""
    scores = logistic(np.asarray(prediction.predictions, dtype=np.float64)).astype(np.float32)
    truth = np.asarray(prediction.label_ids) > 0.5
    calibration = Calibration.fit(scores, truth)
    decided = ExpectedJaccardSet(calibration.slopes, calibration.intercepts).decide(scores)
    both, either = (decided & truth).sum(axis=1), (decided | truth).sum(axis=1)
    return {"jaccard": float(np.where(either == 0, 1.0, both / np.maximum(either, 1)).mean())}
