"""A call of the demo, what became of it, and what is wrong with that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from legato.model import CallId
    from local.demo.calls import DemoCall
    from local.demo.evidence import Evidence


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
    def duration_ms(self) -> int:
        """Return how long the call plays."""
        if not self.legs:
            return 0
        recording, last = self.manifest["recording"], self.legs[-1]
        return int(
            recording["duration_ms"] if recording else last["offset_ms"] + last["duration_ms"]
        )

    @property
    def how(self) -> str:
        """Return how the legs were joined, if they were."""
        recording = self.manifest["recording"]
        return "apart" if recording is None else str(recording["how"])

    @property
    def storage_class(self) -> str:
        """Return where all of the audio is kept."""
        return ", ".join(sorted(self.evidence.classes)) if self.evidence else ""
