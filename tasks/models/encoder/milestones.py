"""What happens on the way through a training, and when: evaluations, checkpoints, the end, progress. Owns the times."""

import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tasks.models.encoder.checkpoints import PREFIX, note_spent_s, seal, spent_s
from tasks.models.fine_tuning import FineTuning
from tasks.progress import Progress

logger = logging.getLogger(__name__)


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
