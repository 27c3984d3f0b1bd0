import tomllib

import pytest

from flows.config import AuditConfig, PipelineConfig
from flows.run_context import as_user_error
from tasks.core import errors
from tasks.core.errors import ConfigError
from tasks.core.settings import PROJECT_ROOT
from tasks.models.registry import check_installed, choose_models

ALL = tuple(errors.EXTRAS)


@pytest.fixture
def without(monkeypatch):
    """Have the modules of extras pass for not installed."""

    def leave_out(*names):
        missing = {module for name in names for module in errors.EXTRAS[name]}
        find = errors.find_spec
        monkeypatch.setattr(errors, "find_spec", lambda module: None if module in missing else find(module))

    return leave_out


def test_every_extra_is_one_of_the_project():
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(errors.EXTRAS) <= set(project["optional-dependencies"])
    (everything,) = project["optional-dependencies"]["all"]
    assert set(errors.EXTRAS) <= set(everything.partition("[")[2].rstrip("]").split(","))


def test_the_quick_preset_needs_no_extra(without):
    without(*ALL)
    assert PipelineConfig(preset="quick").models


def test_a_preset_that_needs_packages_says_which_models_want_them_and_how_to_get_them(without):
    without(*ALL)
    with pytest.raises(ConfigError) as refused:
        PipelineConfig(preset="full")
    assert str(refused.value) == (
        "logreg-word2vec, logreg-fasttext, minilm-title, minilm-fields, minilm-tuned, minilm-tuned-fields: needs "
        "packages that are not installed; run `make install`, or for this alone "
        "`python3 deployments/install.py encoders,vectors`"
    )


def test_models_that_need_none_can_be_chosen(without):
    without("encoders")
    check_installed(choose_models(["logreg-word2vec"]) if errors.is_installed("vectors") else [])
    check_installed(choose_models(["svm-*"]))
    with pytest.raises(ConfigError, match=r"install\.py encoders"):
        check_installed(choose_models(["minilm-title"]))


def test_an_audit_needs_cleanlab(without):
    without("audit")
    with pytest.raises(ConfigError, match=r"an audit of labels: needs packages.*install\.py audit"):
        AuditConfig(model="svm-title")


def test_an_import_that_fails_for_want_of_an_extra_is_told_and_another_keeps_its_traceback():
    told = as_user_error(ModuleNotFoundError("No module named 'torch'", name="torch.nn"))
    remedy = "run `make install`, or for this alone `python3 deployments/install.py encoders`"
    assert str(told) == f"torch is not installed; {remedy}"
    assert as_user_error(ModuleNotFoundError("No module named 'tasks.nothing'", name="tasks.nothing")) is None
