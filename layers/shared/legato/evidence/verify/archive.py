"""Proves that nothing of an archive is missing, and that nothing in it was altered.

Everything hangs on the chain of digests (digests.py): it names the documents, the documents name
the audio (call.py). What each kind of finding means, and what nobody can prove, is in
docs/evidence.md.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial
from itertools import batched, groupby
from itertools import chain as one_by_one
from operator import attrgetter
from typing import TYPE_CHECKING

from legato.archive.document import ACCESSES, HOLDS, REPORTS
from legato.archive.layout import CALLS, digest_key, folder_of
from legato.evidence.verify.call import LONG_AGO, Examined, examine
from legato.evidence.verify.digests import HOUR, LATE, Chain, ChainGap
from legato.evidence.verify.finding import Report, VerifyProgress
from legato.evidence.verify.named_documents import Named
from legato.evidence.verify.times import AHEAD
from legato.model import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from datetime import datetime

    from legato.archive.evidence import Evidence
    from legato.evidence.verify.call import Loose, Versions
    from legato.evidence.verify.finding import Scope, Tell
    from legato.evidence.verify.keys import PublicKey
    from legato.evidence.verify.timestamps import Authority
    from legato.model import Json

UNSEALED = timedelta(days=2)
"""So long a call may need until it is sealed."""
PREFIXES = (ACCESSES, REPORTS, HOLDS, CALLS)
AT_ONCE = 16
FOLDERS = 64
"""So many calls are in memory at the same time."""


def verify(
    evidence: Evidence,
    *,
    known: Sequence[PublicKey] = (),
    authorities: Sequence[Authority] = (),
    deep: bool = False,
    at: datetime | None = None,
    kept: Collection[str] = (),
    scope: Scope | None = None,
    only: Collection[str] | None = None,
    tell: Tell = lambda _: None,
) -> Report:
    """Look at everything, and report all that is wrong, each fault once.

    `known` are the public keys that are the stack's own whatever the archive says, `authorities`
    those whose time stamps count, `kept` the SHA-256 of digests that somebody has kept elsewhere.
    `deep` reads the audio to its end. `at` is when the evidence was complete; without it, the
    newest time that it names. With a `scope` it is a part of an archive, and nothing else has to be
    there. With `only` it is a whole archive, of which the chain and these folders are looked at.
    Raises Retry or Failed where it cannot be read.
    """
    report = Report()
    with closing(Named()) as named, ThreadPoolExecutor(AT_ONCE) as workers:
        chain = Chain(
            evidence=evidence,
            named=named,
            known=known,
            authorities=authorities,
            report=report,
            kept=set(kept),
            sparse=scope is not None,
        )
        chain.walk(at, tell, workers)
        look = partial(examine, evidence=evidence, deep=deep, scope=scope, at=at)
        found = _examined(evidence, named, report, look, scope, only, tell, workers)
        for key in named.rest():
            if _is_wanted(key, scope, only):
                found.absent.discard(key)
                report.blame(key, "missing", "it is not there")
        for key in found.absent:
            report.blame(key, "missing", "the package is to hold it, and it is not there")
    report.at = at or max(chain.written_at or LONG_AGO, found.newest)
    _judge(chain, found, report, report.at)
    report.findings.sort()
    return report


def _examined(
    evidence: Evidence,
    named: Named,
    report: Report,
    look: Callable[..., Examined],
    scope: Scope | None,
    only: Collection[str] | None,
    tell: Tell,
    workers: Executor,
) -> Examined:
    """Examine folder after folder; return what has to wait until the newest time is known."""
    found, total = Examined(), named.count()
    found.absent = set() if scope is None else scope.expected()
    # Holds come before the calls that they are compared with.
    prefixes = PREFIXES if only is None else sorted(only, key=lambda each: each.startswith(CALLS))
    batches = (batched(_folders(evidence, prefix), FOLDERS, strict=False) for prefix in prefixes)
    for batch in one_by_one.from_iterable(batches):
        folders, versions = zip(*batch, strict=True)
        documents = [_wanted(named.take(folder), there, scope) for folder, there in batch]
        held = [named.held(_call_in(folder)) for folder in folders]
        for there, wanted in zip(versions, documents, strict=True):
            found.absent -= there.keys() | wanted.keys()
        done = workers.map(look, folders, versions, documents, held)
        for folder, examined in zip(folders, done, strict=True):
            report.add(examined.report)
            _compare(folder, examined, named, report)
            found.unchained += examined.unchained
            found.unsealed += examined.unsealed
            found.newest = max(found.newest, examined.newest)
        tell(VerifyProgress(part="documents", done=min(report.documents, total), total=total))
    tell(VerifyProgress(part="documents", done=total, total=total))
    return found


def _is_wanted(key: str, scope: Scope | None, only: Collection[str] | None) -> bool:
    """Say whether a document that a digest names has to be there."""
    if only is not None:
        return folder_of(key) in only
    return scope is None or scope.covers(key)


def _wanted(named: dict[str, Json], there: Versions, scope: Scope | None) -> Mapping[str, Json]:
    """Leave out what a digest names in a folder beside what a package is to hold of it."""
    if scope is None:
        return named
    return {key: said for key, said in named.items() if key in there or scope.covers(key)}


def _folders(evidence: Evidence, prefix: str) -> Iterator[tuple[str, Versions]]:
    by_key = attrgetter("key")
    for folder, versions in groupby(
        evidence.listed(prefix), lambda version: folder_of(version.key)
    ):
        yield folder, {key: tuple(each) for key, each in groupby(versions, by_key)}


def _call_in(folder: str) -> str:
    """Return the call that a folder of a call, or of its holds, is of."""
    parts = folder.split("/")
    return "/".join((*parts[1:3], parts[-2]))


def _compare(folder: str, examined: Examined, named: Named, report: Report) -> None:
    """Compare what was found in a folder with what was found in others."""
    call = _call_in(folder)
    if examined.held is not None:
        named.hold(call, examined.held)
    if examined.sealed is not None and (other := named.folder_of(call, folder)) != folder:
        report.blame(examined.sealed, "duplicate", f"the call has another folder, {other}")


def _judge(chain: Chain, found: Examined, report: Report, at: datetime) -> None:
    """Tell what is not named yet from what should be, and what from that the chain is to blame."""
    gaps = list(chain.gaps)
    if cut := _cut(chain, report, at):
        gaps.append(cut)
    for loose in found.unchained:
        gap = next((gap for gap in gaps if gap.covers(loose.claimed)), None)
        if gap is not None:
            gap.documents += 1
        elif at - loose.since <= LATE:
            report.young += 1
            if chain.sparse:
                report.unproven.append(loose.key)
        else:
            report.blame(loose.key, "unchained", _since("no digest names it", loose))
    for loose in found.unsealed:
        if at - loose.since <= UNSEALED:
            report.unsealed += 1
        else:
            report.blame(loose.key, "unlisted", _since("no manifest names it", loose))
    for gap in gaps:
        gap.tell(report)


def _cut(chain: Chain, report: Report, at: datetime) -> ChainGap | None:
    """Return what is wrong with the newest end of the chain."""
    end = report.end
    if end is None:
        if chain.gaps or chain.sparse:
            return None
        return ChainGap(key="digests/", kind="chain-missing", problem="there is no digest at all")
    newest = digest_key(end - HOUR)
    if chain.written_at is not None and chain.written_at - AHEAD > at:
        report.blame(
            newest,
            "clock",
            f"it was written {format_time(chain.written_at)}, after {format_time(at)}",
        )
    if chain.sparse or at - end <= LATE:
        return None
    problem = f"it is the newest digest, and there is none from {format_time(end)} on"
    return ChainGap(key=newest, kind="chain-cut", problem=problem, begin=end)


def _since(problem: str, loose: Loose) -> str:
    known = (
        "" if loose.since == LONG_AGO else f", and it is there since {loose.since:%Y-%m-%d %H:%M}"
    )
    return f"{problem}{known}"
