import os
import subprocess
import sys

import pytest

from deployments import install
from tasks.core.settings import PROJECT_ROOT


@pytest.mark.parametrize("version", [(3, 11, 5), (3, 12, 0), (3, 13, 9)])
def test_versions_that_the_pins_allow(version):
    assert install.wrong_python(version) is None


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 11, 4), (3, 14, 0)])
def test_other_versions_are_refused_with_the_remedy(version):
    found = ".".join(map(str, version))
    assert install.wrong_python(version) == (
        f"this is Python {found}, and genreflow runs on 3.11.5 or newer, under 3.14; name another, as in "
        "`make run PYTHON=python3.12`"
    )


def test_what_pip_was_told_is_handed_on_to_uv():
    configured = "\n".join(
        [
            ":env:.cert='/etc/ssl/own.pem'",
            ":env:.find-links='/one /two'",
            "global.extra-index-url='https://a.example/simple https://b.example/simple'",
            "global.index-url='https://c.example/simple'",
            "install.user='true'",
        ]
    )
    environment = install.uv_environment(configured, {"HOME": "/me", "UV_DEFAULT_INDEX": "https://mine.example"})
    assert environment == {
        "HOME": "/me",
        "SSL_CERT_FILE": "/etc/ssl/own.pem",
        "UV_DEFAULT_INDEX": "https://mine.example",  # set already
        "UV_EXTRA_INDEX_URL": "https://a.example/simple https://b.example/simple",
        "UV_FIND_LINKS": "/one,/two",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_torch_comes_without_cuda_unless_another_build_is_named_or_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert install.torch_options({}) == ["--torch-backend", "cpu"]
    assert install.torch_options({"TORCH": "cu130"}) == ["--torch-backend", "cu130"]
    (tmp_path / f"torch-2.13.0+cpu-cp3{sys.version_info[1]}-cp3-linux_x86_64.whl").touch()
    assert install.torch_options({"UV_FIND_LINKS": f"/nowhere,{tmp_path}"}) == []
    monkeypatch.setattr(sys, "platform", "darwin")
    assert install.torch_options({}) == []


def test_a_step_that_fails_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(install, "ENVIRONMENT", tmp_path / "environment")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "python").chmod(0o755)
    assert install.main([]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}/python -m venv {tmp_path}/environment ... failed, see above\n"


def test_everything_that_is_installed_has_its_hashes_but_torch():
    blocks = install.CONSTRAINTS.read_text(encoding="utf-8").split("\n")
    packages = [place for place, line in enumerate(blocks) if "==" in line and not line.startswith((" ", "#"))]
    bare = [blocks[place] for place in packages if not blocks[place + 1].startswith("    --hash=sha256:")]
    assert len(packages) > 250
    assert bare == ["torch==2.13.0"]


def test_the_version_is_checked_before_anything_is_made(tmp_path):
    copied = tmp_path / "deployments" / "install.py"
    copied.parent.mkdir()
    copied.write_text((PROJECT_ROOT / "deployments" / "install.py").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('requires-python = ">=3.98.1,<3.99"\n', encoding="utf-8")
    done = subprocess.run([sys.executable, str(copied)], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 1
    assert "genreflow runs on 3.98.1 or newer, under 3.99" in done.stderr
    assert not (tmp_path / ".venv").exists()
