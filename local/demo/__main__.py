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

from legato.model import CallId
from local import aws
from local.demo.calls import CALLS, DemoCall
from local.demo.evidence import Evidence, gather
from local.demo.recordings import save
from local.processes import LocalError
from local.system import System, running

PATIENCE_SECONDS = 120
AT_REST = ("archived", "empty", "failed")

WIDTH_OF_A_FILE = 100

console = Console()
if not console.is_terminal:
    console = Console(width=WIDTH_OF_A_FILE)  # nobody's window decides where a log breaks


@dataclass(slots=True, kw_only=True)
class Placed:
    """A call of the demo, and what became of it."""

    call: DemoCall
    id: CallId
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
        faults = [f"{key} has other bytes" for key in self.evidence.wrong]
        if self.how != self.call.how:
            faults.append(f"joined by {self.how} instead of {self.call.how}")
        if self.storage_class != self.call.storage_class:
            faults.append(f"kept in {self.storage_class} instead of {self.call.storage_class}")
        if [leg["sha256"] for leg in self.legs] != self.call.sha256:
            faults.append("the legs are not what the provider sent")
        return faults

    @property
    def manifest(self) -> dict[str, Any]:
        """Return what was sealed; nothing where no call was recorded."""
        return {} if self.evidence is None else self.evidence.manifest

    @property
    def legs(self) -> list[dict[str, Any]]:
        """Return the legs of the manifest."""
        legs: list[dict[str, Any]] = self.manifest.get("legs", [])
        return legs

    @property
    def how(self) -> str:
        """Return how the legs were joined, if they were."""
        recording = self.manifest["recording"]
        return "apart" if recording is None else str(recording["how"])

    @property
    def key(self) -> str:
        """Return where the recording is in the bucket; where its legs are, if they lie apart."""
        recording = self.manifest["recording"]
        return f"{Path(self.legs[-1]['key']).parent}/" if recording is None else recording["key"]

    @property
    def storage_class(self) -> str:
        """Return where all of the audio is kept."""
        return ", ".join(sorted(self.evidence.classes)) if self.evidence else ""


def main() -> int:
    """Run the demo."""
    console.print("[bold]Legato demo[/]: starting the local system (AWS, providers, functions)…")
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


def _show(placed: list[Placed]) -> None:
    table = Table(title="Archived", title_justify="left")
    table.add_column("call")
    for heading in ("legs", "length", "joined", "kept in"):
        table.add_column(heading, no_wrap=True)
    table.add_column("SHA-256 verified")
    for one in placed:
        table.add_row(one.call.title, str(len(one.legs)), *_cells(one))
    console.print(table)
    if any(one.evidence and one.evidence.restored for one in placed):
        console.print(
            "Restored: an object in GLACIER cannot be read as it is, so a copy of it was ordered "
            "with restore_object. At AWS that takes minutes or hours; here it takes a moment."
        )
    console.print("Where they lie in the bucket, and where to listen to them:")
    for one in placed:
        if one.file is not None:
            # In one piece, so that it can be copied, however narrow the window.
            console.print(f"  {one.key}\n    {one.file}", soft_wrap=True, highlight=False)


def _cells(one: Placed) -> Iterable[str]:
    """Return what the table says of a call behind the number of its legs."""
    if one.evidence is None:
        return ("-", "-", "-", f"- ({one.entry.get('status', 'unknown')} in the ledger)")
    recording, last = one.manifest["recording"], one.legs[-1]
    length = (recording or last)["duration_ms"] + (0 if recording else last["offset_ms"])
    good = one.evidence.checked - len(one.evidence.wrong)
    restored = f", {one.evidence.restored} restored" if one.evidence.restored else ""
    return (
        f"{length / 1000:.2f} s",
        one.how,
        one.storage_class,
        f"{'NO' if one.evidence.wrong else 'yes'}: {good} of {one.evidence.checked}{restored}",
    )


if __name__ == "__main__":
    sys.exit(main())
