"""Fine-tuning: it learns, repeats itself, resumes where it was killed, and reports errors."""

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tasks.core.errors import ModelError
from tasks.core.files import HASHES_FILE
from tasks.models.encoder.frozen import QUANTISED_FILE
from tasks.models.encoder.model import new_network, write_quantised
from tasks.models.encoder.trainer import GenreTrainer, fine_tune, last_complete, spent_s, training_slot


class Killed(BaseException):
    """As a signal: nothing catches it."""


@dataclass(frozen=True)
class Run:
    """A training that can be repeated, changed and disturbed."""

    new_encoder: object
    job: object
    choices: object
    monkeypatch: pytest.MonkeyPatch

    def changed(self, **choices):
        return replace(self, choices=self.choices.model_copy(update=choices))

    def in_folder(self, name, **job):
        return replace(self, job=replace(self.job, folder=self.job.folder.with_name(name), **job))

    def train(self):
        with training_slot(self.choices.dropout, n_threads=1):
            return fine_tune(self.new_network(), self.job, self.choices)

    def new_network(self):
        dropout = self.choices.dropout
        return new_network(self.new_encoder(dropout), self.job.train.Y, dropout, self.job.seed)

    def strike(self, at_losses, error):
        """Raise an error where a loss is computed in training for the 1st, 2nd, ... time; return a list of all."""
        original, steps = GenreTrainer.compute_loss, []

        def struck(trainer, model, inputs, *args, **kwargs):
            if model.training:
                steps.append(trainer.state.global_step)
                if len(steps) in at_losses:
                    raise error
            return original(trainer, model, inputs, *args, **kwargs)

        self.monkeypatch.setattr(GenreTrainer, "compute_loss", struck)
        return steps

    def kill(self, at_loss):
        with self.monkeypatch.context() as patch:
            replace(self, monkeypatch=patch).strike({at_loss}, Killed())
            with pytest.raises(Killed):
                self.train()

    def find(self, jaccards):
        """Let the evaluation after each step find these."""
        original = GenreTrainer.evaluate

        def evaluate(trainer, *args, **kwargs):
            step = trainer.state.global_step
            trainer.compute_metrics = lambda _: {"jaccard": jaccards[step]}
            return original(trainer, *args, **kwargs)

        self.monkeypatch.setattr(GenreTrainer, "evaluate", evaluate)


@pytest.fixture
def run(new_encoder, job, choices, monkeypatch):
    return Run(new_encoder, job, choices, monkeypatch)


@pytest.fixture(scope="module")
def trained():
    return []


@pytest.fixture
def undisturbed(run, trained):
    """The training that nothing disturbs; once for all tests."""
    if not trained:
        trained.append(run.in_folder("undisturbed").train())
    return trained[0]


def weights_of(done):
    return {name: value.detach().cpu().numpy() for name, value in done.network.state_dict().items()}


def assert_same(done, expected, atol=0):
    for name, value in weights_of(expected).items():
        np.testing.assert_allclose(weights_of(done)[name], value, rtol=0, atol=atol, err_msg=name)


def evaluations(done):
    return [entry for entry in done.history if "eval_jaccard" in entry]


def test_a_toy_world_is_learnt(run):
    done = run.changed(epochs=8, head_rate=10.0, max_grad_norm=10.0).train()
    found = evaluations(done)
    assert found[-1]["eval_loss"] < 0.5 * found[0]["eval_loss"]
    assert found[-1]["eval_jaccard"] > 0.9 > found[0]["eval_jaccard"]
    assert done.counts["best_jaccard"] == pytest.approx(max(entry["eval_jaccard"] for entry in found), abs=1e-4)
    assert done.counts["steps"] == 64
    rates = [entry["learning_rate"] for entry in done.history if "learning_rate" in entry]
    assert rates[-1] < rates[1]


def test_the_same_seed_gives_the_same_weights_and_another_one_others(run, undisturbed):
    assert_same(run.train(), undisturbed)
    other = run.in_folder("other", seed=6).train()
    assert not np.array_equal(weights_of(other)["head.weight"], weights_of(undisturbed)["head.weight"])


def test_the_best_weights_are_kept_not_the_last(run):
    run.find({4: 0.5, 8: 0.9, 12: 0.2, 16: 0.1})
    done = run.train()
    assert done.counts["best_jaccard"] == 0.9
    best = load_file(run.job.folder / "checkpoint-8" / "model.safetensors")
    assert {name: value.tolist() for name, value in weights_of(done).items()} == {
        name: best[name].tolist() for name in best
    }


def test_trainings_in_parallel_are_as_each_alone(run):
    runs = [
        run.changed(dropout=dropout, epochs=1, accumulate=accumulate).in_folder(f"{seed}", seed=seed)
        for seed, accumulate, dropout in [(1, 1, 0.0), (2, 2, 0.0), (3, 1, 0.1)]
    ]
    alone = [each.train() for each in runs]
    for each in runs:
        shutil.rmtree(each.job.folder)
    with ThreadPoolExecutor(len(runs)) as pool:
        together = list(pool.map(Run.train, runs))
    for done, expected in zip(together, alone, strict=True):
        assert_same(done, expected)
        assert [entry["eval_loss"] for entry in evaluations(done)] == [e["eval_loss"] for e in evaluations(expected)]


@pytest.mark.parametrize("at_loss", [2, 6, 11, 16])
def test_a_killed_training_ends_where_it_would_have_ended(run, undisturbed, caplog, at_loss):
    run.kill(at_loss)
    with caplog.at_level(logging.INFO):
        done = run.train()
    assert ("resuming from checkpoint-" in caplog.text) == (at_loss > 4)
    assert_same(done, undisturbed)
    assert evaluations(done)[-1]["eval_loss"] == evaluations(undisturbed)[-1]["eval_loss"]
    assert done.counts == undisturbed.counts


def test_a_training_killed_after_its_last_step_is_not_trained_again(run, undisturbed):
    run.train()
    steps = run.strike((), None)
    assert_same(run.train(), undisturbed)
    assert not steps


def test_patience_is_kept_over_a_kill(run):
    run.find({4: 0.5, 8: 0.4, 12: 0.3, 16: 0.9})  # the third ends the training
    patient = run.changed(patience=2, epochs=4)
    expected = patient.in_folder("undisturbed").train()
    assert expected.counts["steps"] == 12
    patient.kill(10)
    assert_same(patient.train(), expected)
    again = patient.train()  # as if killed after the last checkpoint
    assert_same(again, expected)
    assert again.counts == expected.counts


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "trainer_state.json", HASHES_FILE])
def test_training_resumes_from_the_checkpoint_before_a_damaged_one(run, undisturbed, caplog, name):
    run.kill(10)
    file = run.job.folder / "checkpoint-8" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with caplog.at_level(logging.INFO):
        done = run.train()
    assert "checkpoint-8 is damaged or incomplete" in caplog.text
    assert "resuming from checkpoint-4" in caplog.text
    assert_same(done, undisturbed)


def test_a_damaged_best_checkpoint_is_not_what_a_training_ends_with(run, caplog):
    run.find({4: 0.9, 8: 0.4, 12: 0.3, 16: 0.2})
    expected = run.in_folder("undisturbed").train()
    run.kill(10)
    best = run.job.folder / "checkpoint-4" / "model.safetensors"
    best.write_bytes(best.read_bytes()[:-8])
    assert_same(run.train(), expected)
    assert "checkpoint-4 is damaged" in caplog.text


def test_training_resumes_in_a_moved_folder(run):
    run.find({4: 0.9, 8: 0.4, 12: 0.3, 16: 0.2})
    expected = run.in_folder("undisturbed").train()
    run.kill(14)
    moved = run.in_folder("moved")
    run.job.folder.rename(moved.job.folder)
    assert_same(moved.train(), expected)


def test_no_complete_checkpoint_is_none(tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-best").mkdir()
    assert last_complete(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-best"]
    assert last_complete(tmp_path / "nowhere") is None


def test_a_loss_that_is_not_finite_stops_the_training_and_keeps_its_checkpoints(run):
    times = []

    def loss(logits, labels):
        times.append(logits.requires_grad)
        return run.job.loss(logits, labels) * (np.nan if sum(times) > 6 else 1)

    with pytest.raises(ModelError, match=r"the loss became nan in step 7; lower learning_rate"):
        replace(run, job=replace(run.job, loss=loss)).train()
    assert last_complete(run.job.folder).name == "checkpoint-4"


@pytest.mark.parametrize(
    ("at_loss", "error"),
    [
        (1, MemoryError()),
        (3, torch.OutOfMemoryError("CUDA out of memory")),
        (7, RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")),
    ],
    ids=["at once", "in step 3", "in step 7"],
)
def test_out_of_memory_halves_the_batch_once_and_changes_nothing_else(run, caplog, at_loss, error):
    certain = run.changed(dropout=0.0, epochs=1)  # with dropout the halves would draw differently
    expected = certain.in_folder("undisturbed").train()
    certain.strike({at_loss}, error)
    with caplog.at_level(logging.INFO):
        done = certain.train()
    assert "out of memory with 16 movies at a time: trying half as many" in caplog.text
    assert ("resuming from checkpoint-4" in caplog.text) == (at_loss > 4)
    assert (done.counts["accumulate"], done.counts["steps"]) == (2, 8)
    assert_same(done, expected, atol=1e-3)


def test_out_of_memory_with_half_a_batch_is_an_error_with_a_remedy(run):
    run.strike({3, 4}, MemoryError())
    with pytest.raises(ModelError, match="out of memory with 8 movies at a time; lower batch_size or max_tokens"):
        run.train()


def test_other_errors_stay_what_they_are(run):
    run.strike({1}, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        run.train()


def test_training_in_bfloat16_leaves_a_network_that_scores_in_float32(run, tmp_path):
    """What accelerate puts around a network would change its scores, and torch cannot export it."""
    network = run.changed(precision="bfloat16", dropout=0.0).train().network.to("cpu").eval()
    ids = torch.arange(5, 25).reshape(2, 10)
    mask = torch.ones_like(ids)
    fresh = run.changed(dropout=0.0).new_network().eval()
    fresh.load_state_dict(network.state_dict())
    with torch.inference_mode():
        assert torch.equal(network(ids, mask), fresh(ids, mask))
    write_quantised(network, tmp_path)
    assert (tmp_path / QUANTISED_FILE).is_file()


def test_the_time_of_a_killed_training_counts(run):
    run.kill(at_loss=10)
    before = spent_s(run.job.folder)
    assert before > 0
    run.train()
    assert spent_s(run.job.folder) > before
