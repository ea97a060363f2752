"""`make demo`: calls are placed, archived by the real functions, and verified.

Ends with exit 0 if all is well. The recordings are left in `.local/demo/`, to be listened to, with
a package of `legato export`, whose page plays them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from boto3.dynamodb.types import TypeDeserializer
from rich.console import Console

from local import aws
from local.demo.calls import CALLS, DemoCall
from local.demo.evidence import gather
from local.demo.placed import Placed
from local.demo.recordings import save
from local.demo.summary import WIDTH, summary
from local.processes import LocalError
from local.system import System, running

PATIENCE_SECONDS = 120
AT_REST = ("archived", "empty", "failed")


console = Console(width=WIDTH)  # nobody's window decides where a line breaks


def main() -> int:
    """Run the demo."""
    console.print("[bold]Legato demo[/]: starting the local system (AWS, providers, functions)…")
    try:
        with running() as system:
            placed, package = archive_all(system)
    except LocalError as error:
        console.print(f"[red]demo: {error}[/]")
        return 1
    for line in summary(placed, package):
        # In one piece, so that an address can be copied.
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    return 0


def refuse_faults(placed: Iterable[Placed]) -> None:
    """Raise LocalError if something of a call is not as it should be, and name all of it."""
    if faults := [f"{one.call.title}: {fault}" for one in placed for fault in one.faults]:
        raise LocalError("\n".join(faults))


def archive_all(system: System) -> tuple[list[Placed], Path]:
    """Place the calls, and return what became of them and the folder of their export.

    Raises LocalError.
    """
    placed = list(_place(system, CALLS))
    _wait(system, placed)
    _verify(system, placed)
    refuse_faults(placed)
    return placed, _export(system, placed)


def _place(system: System, calls: Iterable[DemoCall]) -> Iterable[Placed]:
    for call in calls:
        simulator = system.endpoints.simulators[call.provider]
        console.print(f"  placing a call: {call.title}")
        if call.settings:
            httpx.post(f"{simulator}/_sim/settings", json=call.settings).raise_for_status()
        body = call.body(datetime.now(UTC))
        if call.pushed:
            [url, *_] = system.endpoints.kazoo_push.values()
            body["push"] = {"url": url, "keeps": False}
        answer = httpx.post(f"{simulator}/_sim/calls", json=body)
        answer.raise_for_status()
        yield Placed(call=call, id=call.id_of(answer.json()), entry={})
        if call.settings:
            httpx.post(f"{simulator}/_sim/drain", timeout=30).raise_for_status()
            calm = {"shuffle": False, "duplicateShare": 0}
            httpx.post(f"{simulator}/_sim/settings", json=calm).raise_for_status()


def _wait(system: System, placed: list[Placed]) -> None:
    """Wait until every call is at rest, as the ledger says."""
    dynamodb = aws.client("dynamodb", system.endpoints.aws)
    until = time.monotonic() + PATIENCE_SECONDS
    waiting = list(placed)
    with console.status("") as status:
        while waiting and time.monotonic() < until:
            status.update(f"archiving: {len(placed) - len(waiting)} of {len(placed)} calls at rest")
            for one in list(waiting):
                one.entry = _entry(dynamodb, system.endpoints.table, one)
                if one.entry.get("status") in AT_REST:
                    waiting.remove(one)
                    console.print(f"  {one.entry['status']}: {one.call.title}")
            time.sleep(0.2)


def _entry(dynamodb: Any, table: str, one: Placed) -> dict[str, Any]:
    key = {"pk": {"S": f"call#{one.id}"}, "sk": {"S": "state"}}
    item = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
    return {name: TypeDeserializer().deserialize(value) for name, value in item.items()}


def _verify(system: System, placed: list[Placed]) -> None:
    s3 = aws.client("s3", system.endpoints.aws)
    folder = system.directory / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, one in enumerate(placed, start=1):
        if "manifest" in one.entry:
            one.evidence = gather(s3, system.endpoints.bucket, one.entry)
            one.file = save(
                s3, system.endpoints.bucket, one.manifest, folder, f"{number}-{one.call.file_name}"
            )


def _export(system: System, placed: list[Placed]) -> Path:
    """Export the archived calls as an operator does. Raises LocalError."""
    folder = system.directory / "demo" / "export"
    command = Path(sys.executable).with_name("legato")
    calls = [str(one.id) for one in placed if one.evidence is not None]
    asked = ["export", *calls, "--name", "demo", "--reason", "demo", "--out", str(folder)]
    ended = subprocess.run(
        [str(command), "--local", *asked, "--json"],
        env=os.environ | {"LEGATO_LOCAL_DIR": str(system.directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise LocalError(f"`legato export` ended with {ended.returncode}: {ended.stderr}")
    return Path(json.loads(ended.stdout)["packages"][0]["folder"])


if __name__ == "__main__":
    sys.exit(main())
