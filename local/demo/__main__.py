"""`make demo`: calls are placed, archived by the real functions, and verified.

Ends with exit 0 if all is well. The recordings are left in `.local/demo/`, to be listened to.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from boto3.dynamodb.types import TypeDeserializer
from rich.console import Console
from rich.table import Table

from local import aws
from local.demo.calls import CALLS, DemoCall
from local.demo.evidence import Evidence, gather, save_recording
from local.processes import LocalError
from local.system import System, running

PATIENCE_SECONDS = 120
AT_REST = ("archived", "empty", "failed")

WIDTH_OF_A_FILE = 170

console = Console()
if not console.is_terminal:
    console = Console(width=WIDTH_OF_A_FILE)  # nobody's window decides where a log breaks


@dataclass(slots=True, kw_only=True)
class Placed:
    """A call of the demo, and what became of it."""

    call: DemoCall
    id: str
    entry: dict[str, Any]
    evidence: Evidence | None = None
    file: Path | None = None

    @property
    def faults(self) -> list[str]:
        """Say everything that is not as it should be."""
        status = self.entry.get("status", "unknown")
        if status != self.call.status:
            return [f"{status} instead of {self.call.status}: {self.entry.get('reason')}"]
        if self.evidence is None:
            return []
        how = self.evidence.manifest["recording"]["how"]
        faults = [f"{key} has other bytes" for key in self.evidence.wrong]
        if how != self.call.how:
            faults.append(f"joined by {how} instead of {self.call.how}")
        if len(self.evidence.manifest["legs"]) != len(self.call.legs):
            faults.append("not all legs are there")
        return faults


def main() -> int:
    """Run the demo."""
    console.print("[bold]Legato demo[/]: starting the local system (AWS, RingCentral, functions)…")
    try:
        with running() as system:
            placed = list(_place(system, CALLS))
            _wait(system, placed)
            _verify(system, placed)
    except LocalError as error:
        console.print(f"[red]demo: {error}[/]")
        return 1
    _show(placed)
    wrong = [(one, fault) for one in placed for fault in one.faults]
    for one, fault in wrong:
        console.print(f"[red]{one.call.title}: {fault}[/]")
    return 1 if wrong else 0


def _place(system: System, calls: Iterable[DemoCall]) -> Iterable[Placed]:
    ringex = system.endpoints.simulators["ringex"]
    for call in calls:
        console.print(f"  placing a call: {call.title}")
        if call.settings:
            httpx.post(f"{ringex}/_sim/settings", json=call.settings).raise_for_status()
        answer = httpx.post(f"{ringex}/_sim/calls", json=call.body(datetime.now(UTC)))
        answer.raise_for_status()
        yield Placed(call=call, id=answer.json()["telephonySessionId"], entry={})
        if call.settings:
            httpx.post(f"{ringex}/_sim/drain", timeout=30).raise_for_status()
            calm = {"shuffle": False, "duplicateShare": 0}
            httpx.post(f"{ringex}/_sim/settings", json=calm).raise_for_status()


def _wait(system: System, placed: list[Placed]) -> None:
    """Wait until every call is at rest, as the ledger says."""
    dynamodb = aws.client("dynamodb", system.endpoints.aws)
    until = time.monotonic() + PATIENCE_SECONDS
    waiting = list(placed)
    with console.status("") as status:
        while waiting and time.monotonic() < until:
            status.update(f"archiving: {len(placed) - len(waiting)} of {len(placed)} calls at rest")
            for one in list(waiting):
                one.entry = _entry(dynamodb, system.endpoints.table, one.id)
                if one.entry.get("status") in AT_REST:
                    waiting.remove(one)
                    console.print(f"  {one.entry['status']}: {one.call.title}")
            time.sleep(0.2)


def _entry(dynamodb: Any, table: str, call: str) -> dict[str, Any]:
    key = {"pk": {"S": f"call#ringex#{call}"}, "sk": {"S": "state"}}
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
            name = f"{number}-{one.call.title.replace(', ', '-').replace(' ', '-').lower()}"
            one.file = save_recording(
                s3, system.endpoints.bucket, one.evidence.manifest, folder, name
            )


def _show(placed: list[Placed]) -> None:
    table = Table(title="Archived", title_justify="left")
    for heading in ("call", "legs", "length", "how joined", "key", "SHA-256 verified"):
        table.add_column(heading, overflow="fold")
    for one in placed:
        if one.evidence is None:
            status = one.entry.get("status", "unknown")
            table.add_row(one.call.title, "0", "-", "-", f"({status} in the ledger)", "-")
            continue
        recording = one.evidence.manifest["recording"]
        good = one.evidence.checked - len(one.evidence.wrong)
        table.add_row(
            one.call.title,
            str(len(one.evidence.manifest["legs"])),
            f"{recording['duration_ms'] / 1000:.2f} s",
            recording["how"],
            recording["key"],
            f"{'NO' if one.evidence.wrong else 'yes'}: {good} of {one.evidence.checked} objects",
        )
    console.print(table)
    files = [one.file for one in placed if one.file is not None]
    if files:
        console.print(f"Listen to them in {files[0].parent}:")
        for path in files:
            console.print(f"  {path.name}")


if __name__ == "__main__":
    sys.exit(main())
