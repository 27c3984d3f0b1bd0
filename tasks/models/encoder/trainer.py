"""Fine-tuning by transformers' Trainer: our batches, learning rates, checksummed checkpoints and time budget."""

import contextlib
import json
import logging
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState, ThreadLocalSharedDict
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from typing_extensions import override

from tasks.core.errors import ModelError
from tasks.core.files import check_hashes, write_hashes
from tasks.core.logs import Progress
from tasks.decision.calibration import Calibration, logistic
from tasks.decision.rules import ExpectedJaccardSet
from tasks.models.encoder.frozen import Tokens, choose_device, embed, pad, padding_id
from tasks.models.encoder.model import GenreNetwork, LossFunction, loss_function
from tasks.models.linear import FitLock, LogisticRegression
from tasks.models.spec import FineTuning, TransformerSpec
from tasks.stage import write_atomically

logger = logging.getLogger(__name__)

PREFIX, SPENT, PLAN_FILE = "checkpoint-", "spent_s.txt", "plan.json"  # in a training's folder
BATCHES_SORTED_TOGETHER: Final = 50
TIMED_BATCHES: Final = 5
OVERHEAD: Final = 1.1  # factor for the optimiser and the evaluations
NEVER: Final = 10**9  # steps: `EvaluateAndSave` decides instead

_TRAINING: Final = FitLock()  # every training seeds torch's global generator, which dropout draws from

# accelerate keeps one state per process: parallel trainings would cut each other's last batch and skip each other's
# steps. With one state per thread, as accelerate does on TPUs, they are independent.
for _state in (AcceleratorState, GradientState, PartialState):
    _state._shared_state = ThreadLocalSharedDict()  # noqa: SLF001 - no public way


@dataclass(frozen=True)
class LabelledTokens(Dataset[dict[str, Any]]):
    """Texts as ids with their genres, (texts × genres)."""

    tokens: Tokens
    Y: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"ids": self.tokens[row], "labels": self.Y[row]}


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
        order = generator.permutation(len(self))
        together, n_full = self.batch_size * BATCHES_SORTED_TOGETHER, len(self) // self.batch_size
        batches: list[NDArray[np.int64]] = []
        for rows in np.split(order, range(together, len(self), together)):
            by_length = rows[np.argsort(-self.lengths[rows], kind="stable")]
            batches += np.split(by_length, range(self.batch_size, len(rows), self.batch_size))
        shuffled = [batches[number] for number in generator.permutation(n_full)]
        yield from np.concatenate([*shuffled, *batches[n_full:]]).tolist()  # a short one last: it would cut the others


class EvaluateAndSave(TrainerCallback):
    """Evaluate and save several times per epoch; stop when out of patience, by the history; log progress."""

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
        values = (state.log_history[-1][name] for name in ("epoch", "eval_loss", "eval_jaccard"))
        logger.info("%s: epoch %.1f: validation loss %.4f, Jaccard %.4f", self.what, *values)

    @override
    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.progress.finish()

    def _is_out_of_patience(self, state: TrainerState) -> bool:
        jaccards = [entry["eval_jaccard"] for entry in state.log_history if "eval_jaccard" in entry]
        return bool(jaccards) and len(jaccards) - 1 - int(np.argmax(jaccards)) >= self.patience


def layers_of(encoder: Any) -> list[nn.Module]:
    """Return the encoder's layers from the bottom up, under any name of their attribute."""
    count = encoder.config.num_hidden_layers
    lists = [module for module in encoder.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
    return list(lists[0]) if lists else []


def training_precision(choices: FineTuning) -> str:
    """Return "float32" or "bfloat16": the chosen precision, for auto bfloat16 if the hardware multiplies in it."""
    if choices.precision != "auto":
        return choices.precision
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    processor = Path("/proc/cpuinfo")
    flags = processor.read_text(encoding="utf-8") if processor.is_file() else ""
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


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
        on_gpu = torch.cuda.is_available()
        piece = max(1, choices.batch_size // choices.accumulate)
        steps_per_epoch = math.ceil(len(job.train) / (piece * choices.accumulate))
        steps: Any = {"eval_strategy": "steps", "eval_steps": NEVER, "save_steps": NEVER, "logging_steps": NEVER}
        best: Any = {"load_best_model_at_end": True, "metric_for_best_model": "jaccard", "greater_is_better": True}
        silent: Any = {"report_to": "none", "disable_tqdm": True, "logging_nan_inf_filter": False}
        batches: Any = {"remove_unused_columns": False, "label_names": ["labels"], "dataloader_pin_memory": on_gpu}
        arguments = TrainingArguments(
            output_dir=str(job.folder),
            num_train_epochs=choices.epochs,
            per_device_train_batch_size=piece,
            per_device_eval_batch_size=64,
            gradient_accumulation_steps=choices.accumulate,
            learning_rate=choices.learning_rate,
            warmup_steps=round(choices.warm_up * steps_per_epoch * choices.epochs),
            max_grad_norm=choices.max_grad_norm,
            bf16=training_precision(choices) == "bfloat16",
            save_total_limit=2,
            seed=job.seed,
            use_cpu=not on_gpu,
            **(steps | best | silent | batches),
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
        """Return the loss of a batch; ModelError if it is not finite."""
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
        lengths = np.array([len(ids) for ids in dataset.tokens])
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthBuckets(lengths, size, self.args.seed)


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


def _jaccard(prediction: Any) -> dict[str, float]:
    """Return the mean Jaccard of the sets of highest expected Jaccard, by scores calibrated on the same movies."""
    scores = logistic(np.asarray(prediction.predictions, dtype=np.float64)).astype(np.float32)
    truth = np.asarray(prediction.label_ids) > 0.5
    calibration = Calibration.fit(scores, truth)
    decided = ExpectedJaccardSet(calibration.slopes, calibration.intercepts).decide(scores)
    both, either = (decided & truth).sum(axis=1), (decided | truth).sum(axis=1)
    return {"jaccard": float(np.where(either == 0, 1.0, both / np.maximum(either, 1)).mean())}


def spent_s(folder: Path) -> float:
    """Return the seconds of training up to the last checkpoint in a folder, over all attempts."""
    file = folder / SPENT
    return float(file.read_text(encoding="utf-8")) if file.is_file() else 0.0


def last_complete(folder: Path) -> Path | None:
    """Return the newest complete checkpoint with a complete best one before it; damaged ones are removed."""
    steps = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal()]
    for checkpoint in sorted(steps, key=lambda path: int(path.name.removeprefix(PREFIX)), reverse=True):
        checked = checkpoint
        try:
            check_hashes(checked)  # `hashes.json` is written last
            best_step = TrainerState.load_from_json(str(checkpoint / "trainer_state.json")).best_global_step
            if best_step is not None:
                checked = checkpoint.with_name(f"{PREFIX}{best_step}")
                check_hashes(checked)
        except ModelError:
            logger.warning("%s is damaged or incomplete: removing %s", checked.name, checkpoint)
            shutil.rmtree(checkpoint)
        else:
            return checkpoint
    return None


@dataclass(frozen=True)
class FineTuned:
    """A trained network, the trainer's log (one entry per evaluation and part), and counts for the stage."""

    network: GenreNetwork
    history: list[dict[str, float]]
    counts: dict[str, Any]


def fine_tune(network: GenreNetwork, job: Job, choices: FineTuning) -> FineTuned:
    """Train a network and give it its best weights on validation.

    It resumes from the last complete checkpoint in the job's folder, and ends as it would have without interruption. If
    memory is insufficient, the size of the pieces of a batch is halved once.

    A ModelError if the loss is not finite, or memory is insufficient for half a batch, too.
    """
    start = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    for accumulate in (choices.accumulate, choices.accumulate * 2):
        AcceleratorState._reset_state()  # noqa: SLF001 - no public way; it would keep the precision of the first training
        if checkpoint := last_complete(job.folder):
            logger.info("%s: resuming from %s", job.folder.name, checkpoint.name)
        trainer = GenreTrainer(network, job, choices.model_copy(update={"accumulate": accumulate}))
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            break
        except (RuntimeError, MemoryError) as error:
            is_for_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
            if not is_for_memory and "can't allocate memory" not in str(error):
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
    history = trainer.state.log_history
    evaluations = [entry for entry in history if "eval_jaccard" in entry]
    counts = {
        "steps": evaluations[-1]["step"],
        "best_jaccard": round(max(entry["eval_jaccard"] for entry in evaluations), 4),
        "device": str(trainer.args.device),
        "precision": training_precision(choices),
        "accumulate": accumulate,
    }
    return FineTuned(network, history, counts)


@contextlib.contextmanager
def training_slot(dropout: float, n_threads: int) -> Iterator[None]:
    """Wait until a training may run, alone if it has dropout, and set the number of threads."""
    with _TRAINING.exclusive() if dropout > 0 else _TRAINING.shared():
        torch.set_num_threads(n_threads)
        yield


@dataclass(frozen=True)
class Plan:
    """The number of epochs and the layers to train, and why."""

    epochs: int
    first_layer: int | None  # the lowest to train; 0: all and the embeddings, None: only the head
    why: str


def train_within_budget(
    network: GenreNetwork, parts: Sequence[LabelledTokens], model: TransformerSpec, folder: Path, seed: int
) -> FineTuned:
    """Train a network on (train, validation) as its specification says; errors as `fine_tune`."""
    train, validation, choices = *parts, model.training
    loss = loss_function(model.loss, torch.from_numpy(train.Y.sum(axis=0)), len(train))
    try:  # a resumed training keeps its plan, since new measurements may differ
        plan = Plan(**json.loads((folder / PLAN_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        plan = make_plan(network, train, choices, loss)
        write_atomically(folder / PLAN_FILE, json.dumps(asdict(plan)) + "\n")
    device_name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    logger.info("%s: %s; on %s, in %s", model.name, plan.why, device_name, training_precision(choices))
    if plan.first_layer is None:
        fit_head(network, train, seed)
        done = FineTuned(network, [], {"device": str(choose_device())})
    else:
        freeze_below(network, plan.first_layer)
        job = Job(train, validation, loss, folder, seed)
        done = fine_tune(network, job, choices.model_copy(update={"epochs": plan.epochs}))
    return replace(done, counts={"plan": plan.why, "epochs": plan.epochs, **done.counts})


def make_plan(network: GenreNetwork, train: LabelledTokens, choices: FineTuning, loss: LossFunction) -> Plan:
    """Return the best training that fits the budget: fewer epochs, then the upper half of the layers, then the head.

    The time of an epoch is measured on some batches, so with a budget the result depends on the machine.
    """
    if choices.budget_minutes is None:
        return Plan(choices.epochs, 0, "no time budget")
    budget_s = choices.budget_minutes * 60
    for first_layer in (0, (len(layers_of(network.encoder)) + 1) // 2):
        freeze_below(network, first_layer)
        epoch_s = measure_epoch_s(network, train, choices, loss)
        epochs = min(choices.epochs, math.floor(budget_s / epoch_s))
        which = "all layers" if first_layer == 0 else f"layers {first_layer} and above"
        logger.info("an epoch of %s takes about %.0f s, the budget is %.0f s", which, epoch_s, budget_s)
        if epochs:
            return Plan(epochs, first_layer, f"{epochs} of {choices.epochs} epochs of {which} fit {budget_s:.0f} s")
    return Plan(0, None, f"no epoch fits {budget_s:.0f} s: only the head is trained")


def freeze_below(network: GenreNetwork, first_layer: int) -> None:
    """Freeze the encoder below a layer; 0 freezes nothing."""
    network.encoder.requires_grad_(first_layer == 0)
    for layer in layers_of(network.encoder)[first_layer:]:
        layer.requires_grad_(True)


def measure_epoch_s(network: GenreNetwork, train: LabelledTokens, choices: FineTuning, loss: LossFunction) -> float:
    """Return the estimated seconds of an epoch, from batches of all lengths; the network is not changed."""
    device = choose_device()
    network.to(device).train()
    order = np.argsort([len(ids) for ids in train.tokens], kind="stable")
    size = min(choices.batch_size, len(order))
    n_batches = max(1, len(order) // size)
    chosen = np.linspace(0, n_batches - 1, min(TIMED_BATCHES, n_batches)).round().astype(int)
    warm_up = chosen if device.type == "cuda" else chosen[:1]  # a GPU compiles for each length
    use_bfloat16 = training_precision(choices) == "bfloat16"
    taken_s: list[float] = []
    for number in [*warm_up, *chosen]:
        items = [train[row] for row in order[number * size : (number + 1) * size]]
        batch = {name: value.to(device) for name, value in collate(items, 0).items()}
        start_s = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=use_bfloat16):
            logits = network(batch["input_ids"], batch["attention_mask"])
        torch.autograd.backward(loss(logits, batch["labels"]))
        network.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()  # a GPU computes asynchronously
        taken_s.append(time.perf_counter() - start_s)
    return float(np.mean(taken_s[len(warm_up) :])) * len(order) / size * OVERHEAD


def fit_head(network: GenreNetwork, train: LabelledTokens, seed: int) -> None:
    """Fit the head alone, as a logistic regression on the encoder's pooled output."""
    pooled = embed("embed for the head", network.encoder, train.tokens)
    fitted = LogisticRegression(random_state=seed).fit(pooled, train.Y)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(np.ascontiguousarray(fitted.coef_)))
        network.head.bias.copy_(torch.from_numpy(fitted.intercept_))
