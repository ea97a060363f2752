"""Make the catalogue anew from the manifests in the bucket, which is the truth."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import batched, chain, groupby
from typing import TYPE_CHECKING

from legato.archive.layout import folder_of, manifest_key, newest_revision
from legato.archive.library import document
from legato.catalogue.index import Query, enter, every, row_of
from legato.errors import LegatoError
from legato.evidence import access_log
from legato.evidence.legal_hold import cases_of
from legato.model import PROVIDERS, CallId

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
    looked = each_folder(library, _calls(days, library), look)
    for number, (folder, found) in enumerate(looked, start=1):
        if isinstance(found, CallId):
            known.add(found)
            report.calls += 1
        elif found:
            report.unread[folder] = found
        else:
            report.unsealed += 1
        if number % FOLDERS == 0:
            tell(report)
    if not report.unread:
        report.removed = _forget(known, days, library, catalogue)
    return report


def rebuild_accesses(library: Library, accesses: Accesses, *, days: Days | None = None) -> int:
    """Note the records of the access log again, and return how many there are. Raises Retry.

    With `days` those that were written then, and all of holds.
    """
    written = ["access/"] if days is None else [f"access/{day:%Y/%m/%d}/" for day in days]
    records = in_batches(partial(document, library), _listed(library, [*written, "holds/"]))
    return access_log.rebuild((body for _, body in records), accesses)


def each_folder[T](
    library: Library, prefixes: Iterable[str], look: Callable[[str, Sequence[Stored]], T]
) -> Iterator[tuple[str, T | str]]:
    """Yield what `look` makes of each folder, given its objects; or why it cannot be read."""

    def looked(folder: str, objects: Sequence[Stored]) -> tuple[str, T | str]:
        try:
            return folder, look(folder, objects)
        except (LegatoError, ValueError, KeyError, TypeError) as error:
            log.error("folder not read", extra={"folder": folder, "reason": str(error)})
            return folder, f"{type(error).__name__}: {error}"

    folders = groupby(_listed(library, prefixes), lambda stored: folder_of(stored.key))
    calls = ((folder, list(stored)) for folder, stored in folders)
    return in_batches(lambda call: looked(*call), calls)


def in_batches[T, R](look: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield what `look` returns for each item: several at a time, and few of them in memory."""
    with ThreadPoolExecutor(AT_ONCE) as workers:
        for batch in batched(items, FOLDERS, strict=False):
            yield from workers.map(look, batch)


def newest_manifest(folder: str, objects: Sequence[Stored]) -> Stored | None:
    """Return the manifest of a folder's newest revision; None if it is not sealed."""
    newest = newest_revision(stored.key for stored in objects)
    key = manifest_key(folder, newest)
    return next((each for each in objects if newest and each.key == key), None)


def _enter(
    folder: str, objects: Sequence[Stored], *, library: Library, catalogue: Catalogue, notes: Notes
) -> CallId | None:
    """Write a call; return which it is, or nothing if it is not sealed."""
    sealed = newest_manifest(folder, objects)
    if sealed is None:
        return None
    described, body = document(library, sealed)
    row = row_of(json.loads(body), described, storage_class=_class_of(folder, objects))
    enter(row, catalogue, partial(cases_of, row.id, notes), again=True)
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
