"""The state of the whole system, from what the ledger, the queues and the bucket say of it.

Nothing is changed, and no provider is asked. What needs a person is told with what to do next. A
sentence stays the same for as long as it is true, so that it can be told once.
"""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from legato.archive.library import whole
from legato.discovery import subscription
from legato.discovery.accounts import FORGOTTEN
from legato.discovery.sweep_all import URGENT_SHARE
from legato.errors import LegatoError
from legato.evidence import digest, safeguards, timestamp
from legato.evidence.legal_hold import LIST as HOLDS
from legato.format import counted
from legato.ledger import birthmark, provider_health, removals, undigested
from legato.ledger.gaps import gaps_of
from legato.ledger.listings import tail_key
from legato.ledger.rate_limit import usage
from legato.ledger.sweep_remains import last_remains
from legato.model import CallId, format_time, parse_time
from legato.operations import calls_in_need
from legato.operations.overview import (
    MANY,
    Status,
    in_short,
    logs_of,
    minute,
    of_each,
    second,
)
from legato.operations.report.reconciliation import DAILY
from legato.retrieval.restore.note import LIST as RESTORES
from legato.retrieval.restore.note import THERE as RESTORED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from legato.archive.library import Library
    from legato.model import CallState, Json
    from legato.operations.calls_in_need import Waits
    from legato.operations.overview import Followed, Overview
    from legato.ports import Backlog
    from legato.settings import Limit

DIGEST_LATE = timedelta(hours=3)
WITNESS_LATE = timedelta(days=2)
RECONCILED = timedelta(days=2)
COMPARED = timedelta(days=2)
UNHEALTHY = timedelta(minutes=30)
"""So long nobody may have seen the subscription healthy: it is looked at every ten minutes."""
UNKEPT = timedelta(minutes=15)
"""What fails once is over with the next look."""
DAY = timedelta(days=1)
FAILING = timedelta(minutes=2)
"""A fault that passes is over by the next sweep."""
SET_ASIDE = timedelta(minutes=10)
"""A credential that is still refused is set aside again by then."""


def status(work: Overview) -> Status:
    """Look at everything once. What cannot be read is `unknown`, and does not hide the rest."""
    found = Status(unknown=dict(work.unknown))
    part = partial(_part, found)
    providers = [_provider(one, work, found) for one in work.followed]
    tails = (tail for one in providers for tail in one["tails"] or ())
    # When the first of the providers was looked at for the first time.
    began = min((parse_time(tail["began_at"]) for tail in tails if tail["began_at"]), default=None)
    found.said = {
        "at": format_time(work.clock.now()),
        "providers": providers,
        "ledger_lost": part("ledger", lambda: _ledger(work, found)),
        "digests": part("digests", lambda: _digests(work, found)),
        "time_stamps": part("time stamps", lambda: _stamps(work, found))
        if work.witnessed
        else None,
        "reconciliation": part("reconciliation", lambda: _reconciled(began, work, found)),
        "safeguards": part("safeguards", lambda: _safeguards(began, work, found)),
        "holds": part("holds", lambda: _count(HOLDS, work)),
        "restores": part(
            "restores",
            lambda: {"under_way": _count(RESTORES, work), "there": _count(RESTORED, work)},
        ),
    }
    return found


def _part(found: Status, what: str, ask: Callable[[], Any]) -> Any:
    """Return what `ask` says, or None if it cannot be read, which is `unknown` then."""
    try:
        return ask()
    except LegatoError as error:
        found.unknown[what] = error
        return None


def _provider(one: Followed, work: Overview, found: Status) -> Json:
    name = one.provider
    troubled: dict[CallId, CallState] = {}
    gapped, watches = _worth_asking(one, work)
    waiting: list[Waits] = []

    def part(what: str, ask: Callable[[], Any]) -> Any:
        return _part(found, f"{name}: {what}", ask)

    return {
        "provider": name,
        "subscription": part("subscription", lambda: _subscription(work, found))
        if name == "ringex" and work.keeps_subscription
        else None,
        "accounts": _accounts(one, work) if one.accounts else None,
        "credentials_refused": part("credentials", lambda: _credentials(name, work, found)),
        "tails": part("tails", lambda: _tails(one, work, found)),
        "gaps": part("gaps", lambda: sum(_of_each(gapped, _gaps, one, work, found))),
        "queue": part("queue", lambda: _depth(one.jobs)),
        "failed": part("failed calls", lambda: calls_in_need.troubled(name, troubled, work, found)),
        "strays": part("records of no call", lambda: calls_in_need.strays(one, work, found)),
        "dead_letters": part("dead letters", lambda: _dead(one, troubled, found)),
        "wrong": part("findings", lambda: calls_in_need.findings(name, troubled, work, found)),
        "unarchived": part(
            "what is to be archived", lambda: _unarchived(one, watches, waiting, work, found)
        ),
        "stuck": part(
            "calls that are stuck", lambda: calls_in_need.stuck(one, waiting, troubled, work, found)
        ),
        "removal": part("removal", lambda: _removal(one, work, found)) if one.removes else None,
        "limits": part(
            "limits", lambda: of_each(one.gates.items(), lambda each: _gate(*each, work))
        ),
    }


def _of_each[T](
    tails: Sequence[str],
    ask: Callable[[str, Followed, Overview, Status], T],
    one: Followed,
    work: Overview,
    found: Status,
) -> list[T]:
    """Ask for each tail, and take what needs a person in their order."""

    def asked(tail: str) -> tuple[T, Status]:
        part = Status()
        return ask(tail, one, work, part), part

    answers = of_each(tails, asked)
    for _, part in answers:
        found.needs += part.needs
    return [said for said, _ in answers]


def _worth_asking(one: Followed, work: Overview) -> tuple[Sequence[str], Sequence[str]]:
    """Return the tails that may have gaps, and the watches under which something may be listed.

    The last sweep has seen which, unless that is long ago.
    """
    watches = list(one.kept_days)
    with suppress(LegatoError):
        if left := last_remains(one.provider, work.notes, work.clock):
            watches = [watch for watch in watches if watch in left.unarchived]
            return [tail for tail in one.tails if tail in left.gaps], watches
    return one.tails, watches


def _accounts(one: Followed, work: Overview) -> Json:
    """Say of the accounts that the provider lists which ones are new, and which are gone."""
    listed, now = one.accounts.items(), work.clock.now()
    there = {name: each.since for name, each in listed if each.gone_since is None}
    gone = {name: each.gone_since for name, each in listed if each.gone_since is not None}
    return {
        "listed": len(there),
        "new": {name: format_time(at) for name, at in there.items() if now - at < DAY},
        "gone": {name: format_time(at) for name, at in gone.items() if now - at < FORGOTTEN},
    }


def _subscription(work: Overview, found: Status) -> Json:
    content, now = work.notes.read(subscription.NOTE).content, work.clock.now()
    name, flaw = content.get("subscription"), content.get("flaw")
    known_at = content.get("healthy_at") or content.get("made_at")
    seen = parse_time(known_at) if known_at else None
    failing, since = content.get("failing", ""), content.get("failing_since")
    what = ""
    if name is None:
        what = "RingEX has no subscription"
    elif flaw:
        what = f"RingEX's subscription {name}: {flaw}"
    elif seen is not None and now - seen > UNHEALTHY:
        what = f"RingEX's subscription {name} was not seen to be healthy since {minute(seen)}"
    elif since is not None and now - parse_time(since) > UNKEPT:
        seen, what = parse_time(since), f"RingEX's subscription {name} cannot be looked after"
    if what:
        found.need(
            "subscription",
            f"{what}: {in_short(failing)}" if failing and not flaw else what,
            f"sam remote invoke --stack-name {work.stack} KeeperFunction",
            provider="ringex",
            since=seen,
            reason=failing,
        )
    return {"id": name, "made_at": content.get("made_at"), "flaw": flaw}


def _credentials(provider: str, work: Overview, found: Status) -> int:
    """Say which credentials are set aside, or were until a moment ago: they are tried again.

    Others are in use, and the provider serves them nothing. Where only the list of changes is
    refused, nothing is missed.
    """
    now = work.clock.now()
    refused: dict[tuple[str, str], float] = {}
    credentials = work.notes.read(f"credentials#{provider}").content.values()
    scoped = [
        entry
        for scopes in credentials
        for scope, entry in scopes.items()
        if scope != provider_health.CHANGES
    ]
    # Where there is no time, a recording or two were refused to it and it is in use.
    for entry in (entry for entry in scoped if "until" in entry):
        if now.timestamp() < entry["until"] + SET_ASIDE.total_seconds():
            key = (entry["credential"], entry["reason"])
            refused[key] = max(entry["until"], refused.get(key, 0))
    for (name, reason), until in refused.items():
        found.need(
            "credential",
            f"{provider} refuses the credential {name}: {in_short(reason)}",
            logs_of(work, "SweeperFunction"),
            provider=provider,
            about=name,
            reason=reason,
            detail=f"tried again at {minute(datetime.fromtimestamp(until, UTC))}",
        )
    set_aside = {name for name, _ in refused}
    unserved = provider_health.unserved(provider, work.notes, work.clock)
    for one in unserved:
        if one.credential not in set_aside:
            found.need(
                "credential",
                f"{provider} serves the credential {one.credential} nothing since "
                f"{minute(one.since)}, and serves another: {in_short(one.reason)}",
                logs_of(work, "ProcessorFunction"),
                provider=provider,
                about=one.credential,
                since=one.since,
                reason=one.reason,
            )
    return len(set_aside | {one.credential for one in unserved})


def _tails(one: Followed, work: Overview, found: Status) -> list[Json]:
    notes = work.notes.read_all(map(tail_key, one.tails))
    return [
        _tail(key, note.content, one, work, found)
        for key, note in zip(one.tails, notes, strict=True)
    ]


def _tail(key: str, content: Json, one: Followed, work: Overview, found: Status) -> Json:
    now, read_to = work.clock.now(), content.get("read_to")
    known_at = read_to or content.get("began_at")
    known = parse_time(known_at) if known_at else None
    age = now - known if known else None
    late = "#again-" not in key and (age is None or age > one.late)
    failing, failing_at = content.get("failing", ""), content.get("failing_since")
    since = parse_time(failing_at) if failing_at else None
    fails = since is not None and now - since > FAILING
    if late or fails:
        what = f"{key} was never read"
        if since and fails:
            what = f"{key} cannot be read since {minute(since)}: {in_short(failing)}"
        elif known:
            what = f"{key} has not been read up to its end since {minute(known)}"
        found.need(
            "tail",
            what,
            logs_of(work, "SweeperFunction"),
            provider=one.provider,
            about=key,
            since=since if fails else known,
            reason=failing,
            alike=f"that {one.provider} does not show",
        )
    return {
        "tail": key,
        "began_at": content.get("began_at"),
        "read_to": read_to,
        "age_seconds": None if age is None else int(age.total_seconds()),
        "late": late,
        "failing": failing,
        "failing_since": failing_at,
        "listed_since": content.get("cursor", {}).get("listed_since"),
    }


def _gaps(key: str, one: Followed, work: Overview, found: Status) -> int:
    """Say of what a tail has stepped over that it cannot be read; count it."""
    since = work.clock.now() - FAILING
    found_gaps = islice(gaps_of(key, work.notes), MANY)
    bad = [gap for gap in found_gaps if gap.lacks and gap.since < since]
    for gap in bad:
        days = f"--from {gap.begin:%Y-%m-%d} --to {gap.end:%Y-%m-%d} --zone UTC"
        found.need(
            "gap",
            f"{key} has a gap from {second(gap.begin)} to {second(gap.end)}, which cannot be read "
            f"since {minute(gap.since)}: {in_short(gap.reason)}",
            f"legato reconcile --provider {one.provider} {days}",
            provider=one.provider,
            # A gap is narrowed down in halves: since when it is bad tells it from others.
            about=f"{key} {format_time(gap.since)}",
            since=gap.since,
            reason=gap.reason,
            detail="asked for again, at least every hour",
            alike=f"in {key}",
        )
    return len(bad)


def _unarchived(
    one: Followed, watches: Sequence[str], waiting: list[Waits], work: Overview, found: Status
) -> list[Json]:
    """Say what the provider deletes soon. `waiting` takes in all that is not archived."""
    said, now = [], work.clock.now()
    waiting += calls_in_need.waiting(watches, work)
    oldest = {each.watch: each for each in reversed(waiting)}
    for watch in (watch for watch in watches if watch in oldest):
        call, began = oldest[watch].call, oldest[watch].began_at
        kept = timedelta(days=one.kept_days[watch])
        share = (now - began) / kept
        if share >= URGENT_SHARE:
            found.need(
                "deleted soon",
                f"{watch} deletes {call} on {began + kept:%Y-%m-%d}, and it is not archived",
                f"legato retry {shlex.quote(str(call))}",
                **call._asdict(),
                since=began,
                alike=f"that {one.provider} deletes soon",
                do_all="legato status --json",
            )
        age = int((now - began).total_seconds())
        said.append({"watch": watch, "call": str(call), "age_seconds": age, "share": share})
    return said


def _removal(one: Followed, work: Overview, found: Status) -> Json:
    """Say what the provider was not asked to remove, or refuses to."""
    note = work.notes.read(removals.remover_key(one.provider)).content
    logs, refused = logs_of(work, "RemoverFunction"), note.get("refused")
    if refused:
        found.need(
            "removal refused",
            f"{one.provider} removes nothing for us: {in_short(refused['reason'])}",
            logs,
            provider=one.provider,
            since=parse_time(refused["since"]),
            reason=refused["reason"],
        )
    unproven = note.get("unproven", {})
    for name, entry in sorted(unproven.items()):
        found.need(
            "not removed",
            f"{name} is archived and stays at the provider: {in_short(entry['reason'])}",
            "legato verify --deep",
            **CallId.parse(name)._asdict(),
            since=parse_time(entry["since"]),
            reason=entry["reason"],
            alike=f"not removed at {one.provider}",
            do_all=logs,
        )
    return {"refused": bool(refused), "unproven": len(unproven)}


def _depth(queue: Backlog) -> Json:
    depth = queue.depth()
    return {"waiting": depth.waiting, "taken": depth.taken, "delayed": depth.delayed}


def _dead(one: Followed, troubled: Mapping[CallId, CallState], found: Status) -> int:
    """Say how many dead letters there are. A call that failed, and a stray, is told by itself."""
    many = one.dead_letters.depth().all
    if many:
        strays = sum((need.kind, need.provider) == ("stray", one.provider) for need in found.needs)
        failed = sum(state.status == "failed" for state in troubled.values())
        found.need(
            "dead letters",
            f"{one.provider} has {counted(many, 'dead letter')}",
            f"legato failed --provider {one.provider}",
            provider=one.provider,
            told_by_others=many <= failed + strays,
        )
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


def _ledger(work: Overview, found: Status) -> bool:
    lost = birthmark.is_lost(work.library, work.notes)
    if lost:
        what, _, do = birthmark.LOST.partition("; run ")
        found.need("ledger", f"{what}, and nothing is sealed", do.strip("`"))
    return lost


def _digests(work: Overview, found: Status) -> Json | None:
    head, now = work.notes.read(digest.HEAD).content, work.clock.now()
    if not head:
        first = work.notes.first(undigested.UNDIGESTED)
        since = parse_time(first.listed[1]) if first is not None and first.listed else now
        if now - since > DIGEST_LATE:
            what = f"no digest was ever written, and evidence waits for one since {minute(since)}"
            found.need("digest", what, logs_of(work, "AuditorFunction"), since=since)
        return None
    since = parse_time(head["to"])
    behind = now - since
    if behind > DIGEST_LATE:
        what = f"no digest since {head['to']}"
        found.need("digest", what, logs_of(work, "AuditorFunction"), since=since)
    return {"to": head["to"], "key": head["key"], "behind_seconds": int(behind.total_seconds())}


def _stamps(work: Overview, found: Status) -> Json:
    content, now = work.notes.read(timestamp.NOTE).content, work.clock.now()
    waiting = content.get("waiting", ())
    since = parse_time(waiting[0]) if waiting else now
    behind = now - since
    if behind > WITNESS_LATE:
        what = f"the day that ended at {waiting[0]} has no time stamp"
        found.need("time stamp", what, logs_of(work, "AuditorFunction"), since=since)
    return {"days_without": len(waiting), "behind_seconds": int(behind.total_seconds())}


def _safeguards(began: datetime | None, work: Overview, found: Status) -> Json | None:
    """Say what guards the archive otherwise than it was deployed."""
    content, now = work.notes.read(safeguards.NOTE).content, work.clock.now()
    since = parse_time(content["at"]) if content else began
    if since is not None and now - since > COMPARED:
        what = f"what guards the archive was not compared since {minute(since)}"
        found.need("safeguards", what, logs_of(work, "AuditorFunction"), since=since)
    for difference in content.get("differences", ()):
        service = "kms" if "key" in difference else "s3"
        asked = f"AttributeKey=EventSource,AttributeValue={service}.amazonaws.com"
        do = f"aws cloudtrail lookup-events --lookup-attributes {asked}"
        found.need("safeguards", f"{difference} since the deployment", do, about=difference)
    return content or None


def _reconciled(began: datetime | None, work: Overview, found: Status) -> Json | None:
    """Read the newest report of the last days, and the newest one that nobody asked for."""
    now = work.clock.now()
    newest, daily = _newest_reports(now, work.library)
    ended_at = began if daily is None else parse_time(daily["ended_at"])
    if ended_at is not None and now - ended_at > RECONCILED:
        what = f"not reconciled since {minute(ended_at)}"
        found.need("reconciliation", what, logs_of(work, "AuditorFunction"), since=ended_at)
    if daily is not None:
        for gap in daily["not_asked"]:
            found.need(
                "not compared",
                f"{gap['what']} was not compared with its list: {in_short(gap['reason'])}",
                f"legato reconcile --provider {gap['provider']} --from {daily['from'][:10]}",
                provider=gap["provider"],
                about=gap["what"],
                since=ended_at,
                reason=gap["reason"],
                alike=f"not compared at {gap['provider']}",
            )
    if newest is None:
        return None
    said = {name: newest[name] for name in ("run", "from", "to", "ended_at", "recorded")}
    said |= {name: newest[name] for name in ("archived", "waiting", "failed", "missing")}
    return said | {
        "missing_over_a_day": newest["missing_over_a_day"],
        "not_asked": newest["not_asked"],
    }


def _newest_reports(now: datetime, library: Library) -> tuple[Json | None, Json | None]:
    newest: Json | None = None
    for day in (now, now - DAY, now - 2 * DAY, now - 3 * DAY):
        listed = [one for one in library.listed(f"reports/{day:%Y/%m/%d}/") if _is_report(one.key)]
        for one in reversed(listed):
            report: Json = json.loads(whole(library, one.key, version_id=one.version_id))
            newest = newest if newest is not None else report
            if report["run"] == DAILY:
                return newest, report
    return newest, None


def _is_report(key: str) -> bool:
    return key.endswith(".json") and "/reconciliation-" in key


def _count(name: str, work: Overview) -> int:
    return work.notes.count(name, most=MANY)
