"""What is put together for each provider."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from legato.app.adapters import stitcher
from legato.errors import Barred, Refused
from legato.ingest.ports import Ports, as_it_is, one_job
from legato.providers.credentials import read_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from legato.app.adapters import Adapters
    from legato.model import Job, Json
    from legato.ports import Provider
    from legato.settings import Limit, Limits
    from legato.tuning import Policy

AT_ONCE = 8
"""So many accounts of a provider are swept at the same time: each has limits of its own."""
LATE = timedelta(hours=1)
"""An account's tail that was not read for so long needs a person."""
JOB_SECONDS = 5
"""A job appears when the records of its call stand in the ledger."""


def processing(
    made: Adapters,
    provider: Provider,
    *,
    policy: Policy,
    max_seconds: int,
    read: Callable[[str], Sequence[Job]] = one_job,
    identified: Callable[[Job], Job] = as_it_is,
) -> Ports:
    """Return what ProcessorFunction needs for a provider; `max_seconds` is of audio in one leg."""
    from legato.disk import clear_scratch
    from legato.ledger.birthmark import Birthmark

    every = timedelta(seconds=made.config.tuning.retry_seconds)
    birthmark = Birthmark(made.archive(), made.ledger, made.clock, every=every)
    return Ports(
        provider=provider,
        jobs=made.jobs(provider.name),
        ledger=made.ledger,
        notes=made.ledger,
        archive=made.archive(made.config.retention.of(provider.name)),
        catalogue=made.catalogue,
        stitcher=stitcher(max_seconds),
        clock=made.clock,
        policy=policy,
        scratch=clear_scratch(Path(tempfile.gettempdir()) / "legato"),
        read=read,
        check_ledger=birthmark.check,
        identified=identified,
    )


def check_sources(sources: Sequence[str], known: Sequence[str], *, called: str) -> None:
    """Raise Refused for sources that the stack does not have; a source is `called` this."""
    if unknown := sorted(set(sources) - set(known)):
        has = ", ".join(known)
        raise Refused(f"the stack has no {called} {', '.join(unknown)}; it has {has}")


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
