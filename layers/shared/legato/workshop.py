"""What a processor works with: the ports of one provider, and the policy, bundled once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from legato.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from legato.model import Job
    from legato.policy import Policy
    from legato.ports import Archive, Clock, Jobs, Ledger, Notes, Provider, Stitcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """`scratch` is a folder for audio on its way; nothing in it outlives a call."""

    provider: Provider
    jobs: Jobs
    ledger: Ledger
    notes: Notes
    archive: Archive
    stitcher: Stitcher
    clock: Clock
    policy: Policy
    scratch: Path

    def check(self, job: Job) -> None:
        """Raise Refused for a job that belongs into another provider's queue."""
        if job.provider != self.provider.name:
            raise Refused(f"a job of {job.provider} in the queue of {self.provider.name}")
