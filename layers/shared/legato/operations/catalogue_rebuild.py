"""Make the catalogue anew from the manifests in the bucket, which is the truth."""

from __future__ import annotations

import hashlib
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import batched, chain, groupby
from typing import TYPE_CHECKING

from legato.archive.layout import folder_of, newest_revision
from legato.archive.library import whole
from legato.catalogue.index import Query, enter, every, row_of
from legato.errors import LegatoError
from legato.evidence import access_log
from legato.evidence.legal_hold import cases_of
from legato.model import PROVIDERS, CallId, StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from legato.archive.library import Library, Stored
    from legato.catalogue.index import Catalogue
    from legato.ports import Accesses, Notes

log = logging.getLogger(__name__)

AT_ONCE = 16
FOLDERS = 64


@dataclass(frozen=True, slots=True)
class Days:
    """Days in UTC, the `first` and the `last` one included."""

    first: date
    last: date

    def __iter__(self) -> Iterator[date]:
        """Yield each of them."""
        return (self.first + timedelta(days) for days in range((self.last - self.first).days + 1))


@dataclass(slots=True, kw_only=True)
class Rebuilt:
    """What came of it: so many `calls`, so many folders `unsealed`, and those `unread`, with why.

    `removed` were in the catalogue, and are not in the bucket.
    """

    calls: int = 0
    unsealed: int = 0
    removed: int = 0
    unread: dict[str, str] = field(default_factory=dict)


def rebuild(
    library: Library,
    catalogue: Catalogue,
    notes: Notes,
    *,
    days: Days | None = None,
    tell: Callable[[Rebuilt], None] = lambda _: None,
) -> Rebuilt:
    """Write every call of the bucket into the catalogue, and take out what is not there.

    With `days` only the calls that began then: a large archive takes longer than many an operator's
    credentials last. May be run at any time beside everything else, and again. Raises Retry.
    """
    report, known = Rebuilt(), set[CallId]()
    look = partial(_enter, library=library, catalogue=catalogue, notes=notes)
    folders = groupby(_listed(library, _calls(days, library)), lambda stored: folder_of(stored.key))
    calls = ((folder, list(stored)) for folder, stored in folders)
    with ThreadPoolExecutor(AT_ONCE) as workers:
        for batch in batched(calls, FOLDERS, strict=False):
            for (folder, _), found in zip(batch, workers.map(look, batch), strict=True):
                if isinstance(found, CallId):
                    known.add(found)
                    report.calls += 1
                elif found:
                    report.unread[folder] = found
                else:
                    report.unsealed += 1
            tell(report)
    if not report.unread:
        report.removed = _forget(known, days, library, catalogue)
    return report


def rebuild_accesses(library: Library, accesses: Accesses, *, days: Days | None = None) -> int:
    """Note the records of the access log again, and return how many there are. Raises Retry.

    With `days` those that were written then, and all of holds.
    """

    def read(stored: Stored) -> bytes:
        return whole(library, stored.key, version_id=stored.version_id)

    written = ["access/"] if days is None else [f"access/{day:%Y/%m/%d}/" for day in days]
    records = _listed(library, [*written, "holds/"])
    noted = 0
    with ThreadPoolExecutor(AT_ONCE) as workers:
        for batch in batched(records, FOLDERS, strict=False):
            noted += access_log.rebuild(workers.map(read, batch), accesses)
    return noted


def _enter(
    call: tuple[str, Sequence[Stored]], *, library: Library, catalogue: Catalogue, notes: Notes
) -> CallId | str:
    """Write a call; return which it is, why its manifest cannot be read, or nothing if unsealed."""
    folder, objects = call
    newest = newest_revision(stored.key for stored in objects)
    sealed = next((each for each in objects if each.key == f"{folder}manifest-{newest}.json"), None)
    if sealed is None:
        return ""
    try:
        body = whole(library, sealed.key, version_id=sealed.version_id)
        manifest = json.loads(body)
        described = StoredObject(
            key=sealed.key,
            version_id=sealed.version_id,
            size=sealed.size,
            sha256=hashlib.sha256(body).hexdigest(),
        )
        row = row_of(manifest, described, storage_class=_class_of(folder, objects))
        cases = partial(cases_of, row.id, notes)
        enter(row, catalogue, cases, again=True)
    except (LegatoError, ValueError, KeyError, TypeError) as error:
        log.error("manifest not read", extra={"key": sealed.key, "reason": str(error)})
        return f"{type(error).__name__}: {error}"
    return row.id


def _calls(days: Days | None, library: Library) -> Iterable[str]:
    """Return the folders to list: everything, or of each account those of the days."""
    if days is None:
        return ["calls/"]
    providers = (f"calls/{name}/" for name in PROVIDERS)
    accounts = chain.from_iterable(map(library.folders, providers))
    return (f"{account}{day:%Y/%m/%d}/" for account in accounts for day in days)


def _listed(library: Library, prefixes: Iterable[str]) -> Iterator[Stored]:
    return chain.from_iterable(map(library.listed, prefixes))


def _forget(known: set[CallId], days: Days | None, library: Library, catalogue: Catalogue) -> int:
    """Take out of the catalogue what is not in the bucket; it may have come there meanwhile."""
    query = Query()
    if days is not None:
        after = days.last + timedelta(days=1)
        query = Query(begin=_midnight(days.first), end=_midnight(after))
    gone = [
        row
        for row in every(query, catalogue)
        if row.id not in known and next(iter(library.listed(row.prefix)), None) is None
    ]
    for row in gone:
        catalogue.remove(row)
    return len(gone)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _class_of(folder: str, objects: Sequence[Stored]) -> str:
    """Return the storage class of a call's audio; its manifests and peaks are in STANDARD."""
    audio = (f"{folder}legs/", f"{folder}recording-")
    classes = {each.storage_class for each in objects if each.key.startswith(audio)}
    return min(classes - {"STANDARD"} or classes, default="STANDARD")
