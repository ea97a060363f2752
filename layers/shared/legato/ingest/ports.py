"""What a processor works with: the ports of one provider, and the policy, bundled once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from legato.errors import Refused
from legato.model import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from legato.catalogue.index import Catalogue
    from legato.ports import Archive, Clock, Ledger, Notes, Provider, ReceivedJobs, Stitcher
    from legato.tuning import Policy


def one_job(body: str) -> list[Job]:
    """Return the job that a message is. Raises Refused."""
    return [Job.from_message(body)]


def as_it_is(job: Job) -> Job:
    """Return a job of a provider whose jobs always name their account."""
    return job


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """`scratch` is a folder for audio on its way; nothing in it outlives a call.

    `read` returns the jobs of a message of the queue. Raises Refused. `identified` returns a job
    under the id of its account, where it may have come without. Raises Refused for an account that
    is none of ours, Wait, Barred, Retry.
    """

    provider: Provider
    jobs: ReceivedJobs
    ledger: Ledger
    notes: Notes
    archive: Archive
    catalogue: Catalogue
    stitcher: Stitcher
    clock: Clock
    policy: Policy
    scratch: Path
    read: Callable[[str], Sequence[Job]] = one_job
    check_ledger: Callable[[], None] = lambda: None
    """Raises Wait if the ledger knows less than the archive (legato.ledger.birthmark)."""
    identified: Callable[[Job], Job] = as_it_is

    def check(self, job: Job) -> None:
        """Raise Refused for a job that belongs into another provider's queue."""
        if job.provider != self.provider.name:
            raise Refused(f"a job of {job.provider} in the queue of {self.provider.name}")
