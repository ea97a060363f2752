"""The state of the whole system, from what the ledger, the queues and the bucket say of it.

Nothing is changed, and no provider is asked. What needs a person is told with what to do next.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from legato import digest, keep, witness
from legato.errors import LegatoError
from legato.gate import usage
from legato.hold import LIST as HOLDS
from legato.library import whole
from legato.model import Job, format_time, parse_time
from legato.restore.note import LIST as RESTORES
from legato.restore.note import THERE as RESTORED
from legato.rounds import URGENT_SHARE
from legato.sweep import tail_key
from legato.unarchived import oldest
from legato.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from legato.gate import Limit
    from legato.library import Library
    from legato.model import Json
    from legato.ports import Clock, Ledger, Lists

DIGEST_LATE = timedelta(hours=3)
WITNESS_LATE = timedelta(days=2)
RECONCILED = timedelta(days=2)
"""As the alarms of template.yaml have it, and so are the ages of the tails in the bootstrap."""
DAY = timedelta(days=1)
MANY = 1000
"""Lists are not counted any further."""
_EVER = "9999"


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How many messages a queue holds, about: to be taken, taken by somebody, to appear later."""

    waiting: int
    taken: int
    delayed: int


class Backlog(Protocol):
    """A queue, of which only its depth is of interest."""

    def depth(self) -> Depth:
        """Return how many messages it holds. Raises Retry."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A provider. `tails` and `watches` are the names of its tails and of what is to be archived.

    What was found is `late` when the newest knowledge is older. `kept_days` says by watch how long
    the provider keeps its recordings, `gates` the limits by the gate's keys.
    """

    provider: str
    tails: Sequence[str]
    kept_days: Mapping[str, float]
    late: timedelta
    jobs: Backlog
    dead_letters: Backlog
    gates: Mapping[str, tuple[Limit, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What is looked at of a stack. `keeper` is the name of a function, None where there is none.

    `unknown` is what could not be found out before, with the reason.
    """

    stack: str
    followed: Sequence[Followed]
    ledger: Ledger
    notes: Lists
    library: Library
    clock: Clock
    keeper: str | None = None
    witnessed: bool = False
    unknown: Mapping[str, LegatoError] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Status:
    """What was found, as JSON, what `needs` a person, with what to do, and what is `unknown`."""

    said: Json = field(default_factory=dict)
    needs: list[tuple[str, str]] = field(default_factory=list)
    unknown: dict[str, LegatoError] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Whether nobody has to do anything, as far as that is known."""
        return not self.needs and not self.unknown


def status(work: Overview) -> Status:
    """Look at everything once. What cannot be read is `unknown`, and does not hide the rest."""
    found = Status(unknown=dict(work.unknown))
    found.said = {
        "at": format_time(work.clock.now()),
        "providers": [_provider(one, work, found) for one in work.followed],
        "digests": _asked("digests", _digests, work, found),
        "time_stamps": _asked("time stamps", _stamps, work, found) if work.witnessed else None,
        "reconciliation": _asked("reconciliation", _reconciled, work, found),
        "holds": _asked("holds", lambda *_: _count(HOLDS, work), work, found),
        "restores": _asked(
            "restores",
            lambda *_: {"under_way": _count(RESTORES, work), "there": _count(RESTORED, work)},
            work,
            found,
        ),
    }
    return found


def _asked(what: str, ask: Callable[[Overview, Status], Any], work: Overview, found: Status) -> Any:
    try:
        return ask(work, found)
    except LegatoError as error:
        found.unknown[what] = error
        return None


def _provider(one: Followed, work: Overview, found: Status) -> Json:
    name = one.provider

    def part(what: str, ask: Callable[[], Any]) -> Any:
        return _asked(f"{name}: {what}", lambda *_: ask(), work, found)

    return {
        "provider": name,
        "subscription": part("subscription", lambda: _subscription(work, found))
        if name == "ringex" and work.keeper
        else None,
        "tails": part("tails", lambda: [_tail(tail, one, work, found) for tail in one.tails]),
        "unarchived": part("what is to be archived", lambda: _unarchived(one, work, found)),
        "queue": part("queue", lambda: _depth(one.jobs)),
        "dead_letters": part("dead letters", lambda: _dead(one, found)),
        "failed": part("failed calls", lambda: _failed(name, work, found)),
        "limits": part("limits", lambda: [_gate(*each, work) for each in one.gates.items()]),
    }


def _subscription(work: Overview, found: Status) -> Json:
    note = work.notes.read(keep.NOTE).content
    name, flaw = note.get("subscription"), note.get("flaw")
    if name is None or flaw:
        what = f"RingEX's subscription {name}: {flaw}" if name else "RingEX has no subscription"
        found.needs.append((what, f"aws lambda invoke --function-name {work.keeper} /dev/stdout"))
    return {"id": name, "made_at": note.get("made_at"), "flaw": flaw}


def _tail(key: str, one: Followed, work: Overview, found: Status) -> Json:
    content, now = work.notes.read(tail_key(key)).content, work.clock.now()
    read_to = content.get("read_to")
    known_at = read_to or content.get("began_at")
    age = now - parse_time(known_at) if known_at else None
    late = "#again-" not in key and (age is None or age > one.late)
    if late:
        since = (
            f"has not been read up to its end since {known_at}" if known_at else "was never read"
        )
        found.needs.append((f"{key} {since}", _logs(work, "SweeperFunction")))
    return {
        "tail": key,
        "read_to": read_to,
        "age_seconds": None if age is None else int(age.total_seconds()),
        "late": late,
    }


def _unarchived(one: Followed, work: Overview, found: Status) -> list[Json]:
    said = []
    for watch, days in one.kept_days.items():
        waiting = oldest(watch, work.notes, work.clock)
        if waiting is None:
            continue
        share = waiting.age / timedelta(days=days)
        if share >= URGENT_SHARE:
            what = f"{watch} deletes {waiting.call} soon, which is not archived: it is {share:.0%}"
            found.needs.append((f"{what} of {days:g} days old", "legato failed"))
        age = int(waiting.age.total_seconds())
        said.append({"watch": watch, "call": str(waiting.call), "age_seconds": age, "share": share})
    return said


def _depth(queue: Backlog) -> Json:
    depth = queue.depth()
    return {"waiting": depth.waiting, "taken": depth.taken, "delayed": depth.delayed}


def _dead(one: Followed, found: Status) -> int:
    depth = one.dead_letters.depth()
    many = depth.waiting + depth.taken + depth.delayed
    if many:
        what = f"{one.provider} has {counted(many, 'dead letter')}"
        found.needs.append((what, f"legato failed --provider {one.provider}"))
    return many


def _failed(provider: str, work: Overview, found: Status) -> int:
    """Count the calls that the ledger says failed, and that nobody has put into the queue again."""
    listed = work.notes.listed(f"failed#{provider}", until=_EVER)
    many = 0
    for note in islice(listed, MANY):
        job = Job.from_message(note.content["job"])
        state = work.ledger.load(job.id)
        many += state.status == "failed" and not note.content.get("retried_at")
    if many:
        what = f"{counted(many, 'call')} of {provider} failed"
        found.needs.append((what, f"legato failed --provider {provider}"))
    return many


def _gate(key: str, limits: tuple[Limit, ...], work: Overview) -> Json:
    now = usage(key, limits, work.notes, work.clock)
    return {
        "window": key,
        "used": [
            {"calls": used, "of": limit.calls, "seconds": limit.seconds} for used, limit in now.used
        ],
        "blocked_until": now.blocked_until and format_time(now.blocked_until),
    }


def _digests(work: Overview, found: Status) -> Json | None:
    head, now = work.notes.read(digest.HEAD).content, work.clock.now()
    if not head:
        return None
    behind = now - parse_time(head["to"])
    if behind > DIGEST_LATE:
        found.needs.append((f"no digest since {head['to']}", _logs(work, "AuditorFunction")))
    return {"to": head["to"], "key": head["key"], "behind_seconds": int(behind.total_seconds())}


def _stamps(work: Overview, found: Status) -> Json:
    content, now = work.notes.read(witness.NOTE).content, work.clock.now()
    waiting = content.get("waiting", ())
    behind = now - parse_time(waiting[0]) if waiting else timedelta()
    if behind > WITNESS_LATE:
        what = f"the day that ended at {waiting[0]} has no time stamp"
        found.needs.append((what, _logs(work, "AuditorFunction")))
    return {"days_without": len(waiting), "behind_seconds": int(behind.total_seconds())}


def _reconciled(work: Overview, found: Status) -> Json | None:
    """Read the newest report of the last days. There is none on a stack's first day."""
    now = work.clock.now()
    report = _newest_report(now, work.library)
    if report is None:
        return None
    said = {name: report[name] for name in ("from", "to", "ended_at", "recorded", "archived")}
    said |= {name: report[name] for name in ("waiting", "failed", "missing")}
    said |= {"missing_over_a_day": report["missing_over_a_day"], "not_asked": report["not_asked"]}
    if now - parse_time(report["ended_at"]) > RECONCILED:
        found.needs.append(
            (f"not reconciled since {report['ended_at']}", _logs(work, "AuditorFunction"))
        )
    if report["missing_over_a_day"]:
        what = f"{report['missing_over_a_day']} recordings have been missing for over a day"
        found.needs.append((what, f"legato reconcile --from {report['from'][:10]} --report-only"))
    return said


def _newest_report(now: datetime, library: Library) -> Json | None:
    for day in (now, now - DAY, now - 2 * DAY, now - 3 * DAY):
        keys = [one for one in library.listed(f"reports/{day:%Y/%m/%d}/") if _is_report(one.key)]
        if keys:
            newest = keys[-1]
            body = whole(library, newest.key, version_id=newest.version_id)
            report: Json = json.loads(body)
            return report
    return None


def _is_report(key: str) -> bool:
    return key.endswith(".json") and "/reconciliation-" in key


def _count(name: str, work: Overview) -> int:
    return sum(1 for _ in islice(work.notes.listed(name, until=_EVER), MANY))


def _logs(work: Overview, function: str) -> str:
    return f"sam logs --stack-name {work.stack} --name {function}"
