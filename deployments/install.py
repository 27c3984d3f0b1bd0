"""Create `.venv` and install the pinned packages with uv: `python3 deployments/install.py [EXTRA[,EXTRA] ...]`.

`make install` and `make run` call it. It runs before anything is installed, on whatever Python there is, so it needs
the standard library alone and checks the version itself.

uv does not read pip's configuration, so the indexes, local wheels, certificates and proxies that pip knows are passed
on; UV_* variables that are already set win. On Linux torch comes without CUDA unless TORCH names another build
(`make install TORCH=cu130`) or pip's find-links has a wheel of it.
"""

import ast
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
CONSTRAINTS = ROOT / "constraints.txt"

# pip's option, and uv's variable for it.
HANDED_ON = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "HTTPS_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}


def main(extras):
    """Install the project with these extras; return the exit code."""
    wrong = wrong_python(sys.version_info[:3])
    if wrong:
        sys.stderr.write(f"error: {wrong}\n")
        return 1
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    project = f".[{','.join(extras)}]" if extras else "."
    pip = [str(python), "-m", "pip"]
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        pinned_uv = re.search(r"^uv==.*(\n +--hash=.*)+", CONSTRAINTS.read_text("utf-8"), re.MULTILINE)
        with tempfile.TemporaryDirectory() as folder:
            requirement = pathlib.Path(folder, "uv.txt")
            requirement.write_text(pinned_uv.group(), "utf-8")
            quiet = ["--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "install", *quiet, "--require-hashes", "--requirement", str(requirement)], check=True)
        environment = uv_environment(subprocess.check_output([*pip, "config", "list"]).decode(), dict(os.environ))
        # Compiled at once on all cores, and not one by one at the first import, or at each where Python may not write.
        uv = [str(python), "-m", "uv", "pip", "install", "--python", str(python), "--compile-bytecode"]
        uv += ["--constraint", str(CONSTRAINTS)]
        subprocess.run([*uv, *torch_options(environment), "--editable", project], check=True, cwd=ROOT, env=environment)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"error: {' '.join(map(str, error.cmd[:5]))} ... failed, see above\n")
        return 1
    return 0


def wrong_python(version):
    """Return what is wrong with a Python version, given as three numbers; None where it is one that the pins allow."""
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    allowed = re.search(r'^requires-python = ">=([\d.]+),<([\d.]+)"', project, re.MULTILINE)
    lowest, beyond = (tuple(map(int, bound.split("."))) for bound in allowed.groups())
    if lowest <= tuple(version) < beyond:
        return None
    found, least, under = (".".join(map(str, numbers)) for numbers in (version, lowest, beyond))
    return (
        f"this is Python {found}, and genreflow runs on {least} or newer, under {under}; name another, as in "
        "`make run PYTHON=python3.12`"
    )


def uv_environment(pip_config, environment):
    """Return the environment for uv: the settings that `pip config list` printed, as the variables that uv reads."""
    result = dict(environment)
    for line in pip_config.splitlines():
        name, _, value = line.partition("=")
        variable = HANDED_ON.get(name.rpartition(".")[2])
        if variable and variable not in environment:
            words = str(ast.literal_eval(value)).split()
            result[variable] = ("," if variable == "UV_FIND_LINKS" else " ").join(words)
    if "UV_EXTRA_INDEX_URL" in result:
        result.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # as pip looks; the hashes say what is right
    return result


def torch_options(environment):
    """Return the options that choose the build of torch."""
    if environment.get("TORCH"):
        return ["--torch-backend", environment["TORCH"]]
    folders = [pathlib.Path(place) for place in environment.get("UV_FIND_LINKS", "").split(",") if place]
    own = f"torch-*-cp{sys.version_info[0]}{sys.version_info[1]}-*.whl"
    if not sys.platform.startswith("linux") or any(any(folder.glob(own)) for folder in folders):
        return []
    return ["--torch-backend", "cpu"]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
