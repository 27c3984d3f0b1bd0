"""What can be said of the files for servers without Docker or Kubernetes: their form, and what must not be in them."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
import yaml
from prefect.client.orchestration import PrefectClient
from prefect.events.schemas.automations import AutomationCore
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.core.settings import PROJECT_ROOT

DEPLOYMENTS = PROJECT_ROOT / "deployments"
KINDS = ("process", "docker", "kubernetes")


def read_yaml(name):
    return yaml.safe_load((DEPLOYMENTS / name).read_text(encoding="utf-8"))


def read_template(kind):
    return json.loads((DEPLOYMENTS / "work_pools" / f"{kind}.json").read_text(encoding="utf-8"))


def tool(name):
    path = shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/bin")
    if path is None:
        pytest.skip(f"{name} is not installed: it comes with the extra dev")
    return path


def assert_passes(*command):
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linter_has_nothing_to_say_of_the_image():
    assert_passes(tool("hadolint"), "deployments/Dockerfile")


@pytest.mark.parametrize(
    ("file", "schema"),
    [("compose.yaml", "vendor.compose-spec"), ("ci.example.yaml", "vendor.github-workflows")],
)
def test_files_have_the_form_of_their_specification(file, schema):
    assert_passes(tool("check-jsonschema"), "--builtin-schema", schema, str(DEPLOYMENTS / file))


def test_services_are_reached_from_this_machine_only():
    ports = [port for service in read_yaml("compose.yaml")["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_variable_is_in_the_example_and_no_password_has_a_value():
    variables = set(re.findall(r"\$\{(\w+)", (DEPLOYMENTS / "compose.yaml").read_text(encoding="utf-8")))
    lines = (DEPLOYMENTS / "env.example").read_text(encoding="utf-8").splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert variables - {"GENREFLOW_VERSION"} == set(example)
    assert {value for name, value in example.items() if name.endswith("PASSWORD")} == {""}
    assert subprocess.run(
        ["git", "check-ignore", "--quiet", "deployments/.env"], cwd=PROJECT_ROOT, check=False
    ).returncode in {0, 128}  # 128: no git here


def test_the_image_is_built_from_what_it_may_see():
    allowed = {line[1:] for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    dockerfile = (DEPLOYMENTS / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE) for word in line.split()[:-1]
    }
    assert {name.split("/")[0] for name in copied} == allowed
    assert all((PROJECT_ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("kind", KINDS)
def test_every_variable_of_a_template_is_used_and_declared(kind):
    template = read_template(kind)
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])


def test_runs_have_the_same_environment_wherever_they_take_place():
    shared = read_template("process")["variables"]["properties"]["env"]["default"]
    for kind in KINDS:
        environment = read_template(kind)["variables"]["properties"]["env"]["default"]
        assert shared.items() <= environment.items()


def test_docker_templates_make_a_container_of_this_project():
    worker = pytest.importorskip("prefect_docker.worker", reason="the extra docker is not installed")
    configuration = resolved(worker.DockerWorkerJobConfiguration, "docker")
    assert configuration.image == "genreflow:local"
    assert configuration.volumes == ["genreflow_data:/var/lib/genreflow"]
    assert configuration.env["GENREFLOW_DATA_DIR"] == "/var/lib/genreflow"
    compose = read_yaml("compose.yaml")
    assert configuration.networks == [compose["networks"]["genreflow"]["name"]]
    assert configuration.volumes[0].split(":")[0] == f"{compose['name']}_data"
    assert configuration.mem_limit == compose["services"]["worker"]["mem_limit"]


def test_kubernetes_templates_make_a_job_of_this_project():
    worker = pytest.importorskip("prefect_kubernetes.worker", reason="the extra kubernetes is not installed")
    configuration = resolved(worker.KubernetesWorkerJobConfiguration, "kubernetes")
    pod = configuration.job_manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "genreflow:local"
    assert container["envFrom"] == [{"secretRef": {"name": "genreflow", "optional": True}}]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "8Gi"}
    claim = pod["volumes"][0]["persistentVolumeClaim"]["claimName"]
    claims = [entry["metadata"]["name"] for entry in read_manifests() if entry["kind"] == "PersistentVolumeClaim"]
    assert [claim] == claims
    assert f"useradd --uid {pod['securityContext']['runAsUser']} " in (DEPLOYMENTS / "Dockerfile").read_text()


def resolved(configuration_type, kind):
    """What a worker makes of a template, without a run."""
    nobody = PrefectClient("http://127.0.0.1:9/api")  # no block is looked up

    async def resolve():
        return await configuration_type.from_template_and_values(read_template(kind), {}, client=nobody)

    return anyio.run(resolve)


def read_manifests():
    return list(yaml.safe_load_all((DEPLOYMENTS / "kubernetes.yaml").read_text(encoding="utf-8")))


def test_signs_of_life_are_looked_for_longer_than_they_may_be_missing():
    environment = read_template("process")["variables"]["properties"]["env"]["default"]
    contents = read_yaml("automations.yaml")["automations"]
    silent = next(entry for entry in contents if entry["trigger"]["posture"] == "Proactive")
    within_s = silent["trigger"]["within"]
    heartbeat_s = int(environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
    assert within_s >= 3 * heartbeat_s
    assert "PREFECT_FLOWS_DEFAULT_RETRIES" not in environment  # tasks try again what can heal, and nothing else


def test_automations_are_those_of_the_deployments_tag():
    deployments = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    assert all("genreflow" in entry["tags"] for entry in deployments)
    for content in read_yaml("automations.yaml")["automations"]:
        for action in content["actions"]:
            if action["type"] == "call-webhook":
                action["block_document_id"] = "00000000-0000-0000-0000-000000000000"
        automation = AutomationCore.model_validate(content)
        assert automation.trigger.match_related.model_dump()["prefect.resource.id"] == "prefect.tag.genreflow"


def test_every_flow_file_that_is_deployed_exists():
    deployments = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    assert {entry["entrypoint"] for entry in deployments} == {
        "flows/full_pipeline.py:full_pipeline",
        "flows/train.py:train",
        "flows/cross_validate.py:cross_validate",
        "flows/search.py:search",
        "flows/compare.py:compare",
        "flows/audit.py:audit",
        "flows/predict.py:predict",
    }
    for entry in deployments:
        path, flow = entry["entrypoint"].split(":")
        assert f"def {flow}(" in (PROJECT_ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (None, "error: set PREFECT_API_URL"),
        ("http://127.0.0.1:9/api", "no Prefect server answers at http://127.0.0.1:9/"),
    ],
)
def test_a_server_that_is_not_named_or_away_is_told(address, message, monkeypatch):
    monkeypatch.setattr("sys.argv", ["register.py"])
    own = {PREFECT_API_URL: address} if address else {}
    with temporary_settings(own, restore_defaults={PREFECT_API_URL}), pytest.raises(SystemExit, match=message):
        runpy.run_path(str(DEPLOYMENTS / "register.py"), run_name="__main__")
