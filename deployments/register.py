"""Tell the Prefect server at PREFECT_API_URL of this project: `python deployments/register.py --kind process`.

Registers the work pool `genreflow`, the deployments of `prefect.yaml` and the automations of `automations.yaml`; what
is there already is brought up to date. The address to notify of failed runs comes from GENREFLOW_NOTIFY_URL; the server
keeps it as a secret.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import yaml
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from tasks.core.logs import without_password
from tasks.core.settings import PROJECT_ROOT, settings

HERE = Path(__file__).resolve().parent
KINDS = sorted(path.stem for path in (HERE / "work_pools").glob("*.json"))
POOL = "genreflow"
BLOCK = "genreflow-notify"


def main() -> None:
    """Register everything, and say so."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", choices=KINDS, default="process", help="where runs take place (default: process)")
    parser.add_argument("--automations", type=Path, default=HERE / "automations.yaml", help="another file of them")
    options = parser.parse_args()
    if not PREFECT_API_URL.value():  # Prefect would start a server for this command alone, which nobody asks later
        sys.exit("error: set PREFECT_API_URL to the address of a Prefect server (make ui starts one)")
    try:
        with get_client(sync_client=True) as client:
            register_pool(client, options.kind)
            deploy = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
            # prefect.yaml takes the folder of the code from PWD, wherever this command is called.
            environment = {**os.environ, "PWD": str(PROJECT_ROOT)}
            subprocess.run(deploy, cwd=PROJECT_ROOT, env=environment, check=True)  # noqa: S603 - fixed words
            register_automations(client, options.automations)
    except httpx.TransportError as error:
        address = without_password(PREFECT_API_URL.value())
        sys.exit(f"error: no Prefect server answers at {address} ({error}); start it, or correct PREFECT_API_URL")


def register_pool(client: SyncPrefectClient, kind: str) -> None:
    """Create the work pool, or give it the present template; whether it is paused and its limit stay."""
    template = json.loads((HERE / "work_pools" / f"{kind}.json").read_text(encoding="utf-8"))
    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type=kind, base_job_template=template))
    else:
        if pool.type != kind:
            sys.exit(
                f"error: the work pool {POOL} is of kind {pool.type}, and its kind cannot change: register with "
                f"--kind {pool.type}, or delete it first (prefect work-pool delete {POOL})"
            )
        client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=template))
    sys.stdout.write(f"work pool: {POOL}, {kind}\n")


def register_automations(client: SyncPrefectClient, file: Path) -> None:
    """Create the automations of a file, or replace those of their names; those that notify only if there is whom."""
    block = webhook_block(client)
    for content in yaml.safe_load(file.read_text(encoding="utf-8"))["automations"]:
        name = content["name"]
        if block is None and any(action["type"] == "call-webhook" for action in content["actions"]):
            sys.stdout.write(f"left out: {name}: set GENREFLOW_NOTIFY_URL, or make the Webhook block {BLOCK}\n")
            continue
        automation = AutomationCore.model_validate(with_block(content, block))
        if same_name := client.read_automations_by_name(name):
            client.update_automation(same_name[0].id, automation)
        else:
            client.create_automation(automation)
        sys.stdout.write(f"automation: {name}\n")


def webhook_block(client: SyncPrefectClient) -> UUID | None:
    """Return the id of the block with the address to notify, made or renewed from the settings if they have one."""
    if url := settings().notify_url:
        webhook = Webhook(method="POST", url=url, headers={"Content-Type": "application/json"})
        webhook.save(BLOCK, overwrite=True)
    try:
        return client.read_block_document_by_name(BLOCK, "webhook").id
    except ObjectNotFound:
        return None


def with_block(content: dict[str, Any], block: UUID | None) -> dict[str, Any]:
    """Return an automation whose webhooks are called through a block."""
    actions = [
        {**action, "block_document_id": block} if action["type"] == "call-webhook" else action
        for action in content["actions"]
    ]
    return {**content, "actions": actions}


if __name__ == "__main__":
    main()
