"""transformers' Trainer with our loss, rates and settings. Owns these; the loop is transformers'."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState, ThreadLocalSharedDict
from torch import Tensor
from transformers import (
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from tasks.decision.calibration import Calibration, logistic
from tasks.decision.rules import ExpectedJaccardSet
from tasks.errors import ModelError
from tasks.models.encoder.batches import LabelledTokens, LengthBuckets, collate
from tasks.models.encoder.losses import LossFunction
from tasks.models.encoder.milestones import Milestones
from tasks.models.encoder.network import GenreNetwork, choose_device, layers_of, uses_bfloat16
from tasks.models.fine_tuning import FineTuning

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
