"""What is put together for each provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from legato.errors import Barred
from legato.ingest.ports import as_it_is, one_job
from legato.providers.credentials import read_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from legato.discovery.sweep_all import Round
    from legato.model import Job, Json
    from legato.operations.backfill import Backfill
    from legato.operations.overview import Followed
    from legato.ports import Provider, Recorded, RecordingRemover
    from legato.settings import Limit, Limits
    from legato.tuning import Policy

JOB_SECONDS = 5
"""A job appears when the records of its call stand in the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiving:
    """What a provider brings to the processor; legato.ingest.ports describes the rest."""

    provider: Provider
    policy: Policy
    max_seconds: int
    """Of audio in one leg."""
    read: Callable[[str], Sequence[Job]] = one_job
    identified: Callable[[Job], Job] = as_it_is


class ProviderPart(Protocol):
    """One provider in one stack."""

    def sweeping(self) -> Round:
        """Return what the sweeper needs; without tails if the provider is not used."""
        ...

    def archiving(self) -> Archiving:
        """Return what the processor needs."""
        ...

    def source(self) -> RecordingRemover | None:
        """Return where recordings are removed, or None if the provider is not used."""
        ...

    def recorded(self, *, begin: datetime, end: datetime) -> Sequence[Recorded]:
        """Return who says what was recorded in this time; nobody if the provider is not used."""
        ...

    def backfill(
        self, *, begin: datetime, end: datetime | None = None, sources: Sequence[str] = ()
    ) -> Backfill:
        """Return what a backfill needs. Without `end` it goes up to the present.

        Without `sources` it is of all that the stack has. Raises Failed if the stack does not use
        the provider, Refused for what it cannot read, and Retry.
        """
        ...

    def followed(self, secret: Mapping[str, Json]) -> Followed | None:
        """Return what `legato status` looks at; None if the provider is not used.

        `secret` holds the credentials by provider, as far as they can be read. Raises Retry.
        """
        ...


def credential_ids(secret: Mapping[str, Json], provider: str) -> list[str]:
    """Return the names by which the gate knows a provider's credentials; none if it has none."""
    try:
        return [one.id for one in read_credentials(secret.get(provider, {}), provider)]
    except Barred:
        return []


def windows(gates: Mapping[str, Limits]) -> dict[str, tuple[Limit, ...]]:
    """Return the limits of each window of the gate, by its key."""
    return {
        f"{name}#{group}": limits
        for name, groups in gates.items()
        for group, limits in groups.items()
    }
