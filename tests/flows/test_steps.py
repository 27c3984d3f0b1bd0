"""In which order the steps of models are submitted, and what an ensemble is given of its members."""

from dataclasses import dataclass, field

from flows.config import TrainConfig
from flows.steps import BEHIND, ModelChain, Steps, submit_staggered
from tasks.models.choose import choose_models
from tasks.models.spec import EnsembleSpec

SUBMITTED: list[str] = []


@dataclass
class RecordedChain(ModelChain):
    """A chain whose tasks do not run: their futures are the tasks' names."""

    given: dict = field(default_factory=dict)

    def submit(self, task, **arguments):
        SUBMITTED.append(f"{task.name} {self.model.name}")
        self.futures.append(f"{task.name} {self.model.name}")
        self.given[task.name] = arguments


def steps_of(*names):
    own = (EnsembleSpec(name="both", members=("nb-counts", "minilm-title")),)
    chosen = choose_models(names, {}, own)
    chains = {model.name: RecordedChain(model, "run", [f"features {model.name}"]) for model in chosen}
    return Steps(TrainConfig(), None, chains), chains


def test_an_ensemble_waits_for_the_fits_of_its_members_whatever_came_after_them():
    steps, chains = steps_of("both")
    for name in ("nb-counts", "minilm-title"):
        steps.fit(chains[name])
        steps.evaluate(chains[name])
        steps.log(chains[name])
    steps.fit(chains["both"])
    assert chains["both"].given["train ensemble"]["trained"] == ["train model nb-counts", "train model minilm-title"]
    assert not any("log" in future for future in chains["both"].futures)


def test_a_step_follows_the_one_before_it_some_models_later_and_none_is_left_out():
    SUBMITTED.clear()
    steps, chains = steps_of("logreg-*")
    submit_staggered(list(chains.values()), (steps.fit, steps.evaluate, steps.log))
    names = list(chains)
    assert len(SUBMITTED) == 3 * len(names) == len(set(SUBMITTED))
    for place, name in enumerate(names):
        before = SUBMITTED[: SUBMITTED.index(f"evaluate {name}")]
        assert f"train model {name}" in before
        assert {f"train model {other}" for other in names[place + 1 : place + BEHIND]} <= set(before)
