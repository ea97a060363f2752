"""Export calls as packages: fetched, verified, described, and only then given their names.

A package is made in `NAME.partial` beside its place. What breaks off goes on from there when the
same is asked for again. At its end it is verified as whoever receives it would: nothing that
`legato verify` would complain about leaves as a package.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.disk import prepare, refuse_lack_of_room
from legato.errors import Refused
from legato.retrieval.export.choose import choose, proven
from legato.retrieval.export.package import PARTIAL, Maker
from legato.retrieval.export.proofs import Proofs
from legato.retrieval.export.split import split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from legato.catalogue.index import Row
    from legato.retrieval.export.choose import ExportRequest
    from legato.retrieval.export.package import Exporting, Package


def export(
    rows: Sequence[Row], asked: ExportRequest, to: Path, ports: Exporting
) -> Iterator[Package]:
    """Export these calls into a folder, package by package.

    Who asks is written down before anything is read, and what left when it is complete. Raises
    Refused, Cold, Conflict for a byte that is not what was sealed, Full, Failed, Retry.
    """
    if not asked.name.strip():
        raise Refused("--name is empty")
    prepare(to)
    asked = _recorded(rows, asked, ports)
    makers = _makers(rows, asked, to, ports)
    done = [maker.done() for maker in makers]
    missing = [maker for maker, there in zip(makers, done, strict=True) if not there]
    refuse_lack_of_room(sum(maker.missing for maker in missing), ports.work.room(to), to)
    for maker, there in zip(makers, done, strict=True):
        yield there or maker.make()


def folder_name(name: str) -> str:
    """Return a name as every file system takes it."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "export"


def _recorded(rows: Sequence[Row], asked: ExportRequest, ports: Exporting) -> ExportRequest:
    """Write down who exports what, and return it with who that is."""
    details = {
        "name": asked.name,
        "all_revisions": asked.all_revisions,
        "query": asked.query,
    }
    done = ports.recorder.record(
        "export",
        [row.id for row in rows],
        reason=asked.reason,
        details={name: value for name, value in details.items() if value is not None},
    )
    return replace(asked, by=done["by"], recorded=tuple(done["keys"]))


def _makers(rows: Sequence[Row], asked: ExportRequest, to: Path, ports: Exporting) -> list[Maker]:
    """Look at all that belongs to the calls, and divide it into packages."""
    library, proofs = ports.work.library, Proofs(ports.work.library)
    chosen = choose(
        rows,
        library,
        ports.accesses,
        all_revisions=asked.all_revisions,
        tell=lambda done: ports.tell("looking", done, len(rows)),
    )

    def digest_size(digest: str) -> int:
        return sum(each.size for each in proofs.files([digest]).values())

    parts = split(proven(chosen, proofs), asked.max_size, digest_size=digest_size)
    return [
        Maker(
            asked=asked,
            chosen=part,
            proofs=proofs,
            folder=to / name,
            part=number,
            parts=len(parts),
            ports=ports,
        )
        for number, (part, name) in enumerate(
            zip(parts, _names(asked, to, len(parts)), strict=True), 1
        )
    ]


def _names(asked: ExportRequest, to: Path, parts: int) -> list[str]:
    """Return the names of the packages: of the day on which an unfinished one was begun."""
    begins = folder_name(asked.name)
    endings = [f"-part-{number}-of-{parts}" if parts > 1 else "" for number in range(1, parts + 1)]
    day = f"{asked.at:%Y%m%d}"
    yesterday = f"{asked.at - timedelta(days=1):%Y%m%d}"
    begun = any((to / f"{begins}-{yesterday}{ending}{PARTIAL}").is_dir() for ending in endings)
    return [f"{begins}-{yesterday if begun else day}{ending}" for ending in endings]
