"""`legato show`: all that is known of one call."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

import typer

from legato.archive.manifest import audio_of
from legato.cli.command import command
from legato.cli.exit_codes import Exit
from legato.cli.find import storage
from legato.cli.options import AsJson, Reason
from legato.cli.output import console, say, write_json
from legato.cli.select import One, opened
from legato.cli.times import length, local_time, zone_name, zone_of
from legato.format import counted
from legato.model import Party, parse_time, person
from legato.parties import conversation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from legato.catalogue.index import Row
    from legato.cli.context import Stack
    from legato.evidence.legal_hold import Held
    from legato.model import Json
    from legato.ports import Access
    from legato.retrieval.show import Kept, Sealed, Shown

SEEN = 20
"""So many accesses are shown to people."""
LABEL = 29
"""Columns of a leg's line on the time line, beside its bar."""
WIDEST = 72
"""Columns of a bar, however wide the terminal is."""
GAP = timedelta(seconds=1)
"""A shorter silence between two legs is not named: recordings begin and end when they like."""

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "show",
    help="""Show everything that is known about one call.

    Its parties, its legs on a time line with gaps and overlaps, how it is stored and locked, which
    cases hold it, which digest proves it, its revisions, related calls, and who accessed it. The
    access is recorded in the access log first.

    \b
    Examples:
      legato show ringex/401555000/s-a0b1c2d3e4f5 --reason "complaint 4711"
      legato show 63962447024-1a2b --reason "audit" --json
      legato show --number +15551230000 --provider ringex --from 2026-11-19 --reason "audit"
    """,
    ends=(Exit.NOT_FOUND, Exit.TAMPERED),
)
def show_call(
    context: typer.Context,
    selection: One,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    from legato.clock import SystemClock
    from legato.retrieval.show import show

    where = zone_of(selection.zone)
    stack: Stack = context.obj
    calls = opened(stack, selection, "show", reason=reason)
    [row] = calls.rows
    shown = show(
        row,
        catalogue=stack.catalogue(),
        library=calls.library,
        holds=stack.holds_of(row.id),
        accesses=list(stack.accesses().of_call(row.id)),
        clock=SystemClock(),
    )
    if as_json:
        write_json(_to_json(shown))
    else:
        _show(shown, where)


def _show(shown: Shown, zone: tzinfo) -> None:
    row = shown.row
    _say(str(row.id), row.direction)
    if who := conversation(row.parties, row.direction):
        say(who)
    began = local_time(row.started_at, zone)
    ended = f" to {local_time(row.ended_at, zone)}" if row.ended_at else ""
    _say(f"{began}{ended} ({zone_name(zone)})", f"{length(row.duration_ms)} of audio")
    _list("Parties", _parties(shown.manifest["parties"]))
    _list("Legs", _timeline(shown.manifest, zone))
    _list("Missing legs", (f"{one['leg']}: {one['reason']}" for one in shown.manifest["missing"]))
    _list("Sound", [_levels(shown.manifest)])
    _list("Stored", (_stored(one, zone) for one in shown.objects))
    _list("Held", (_held(one) for one in shown.holds), none="by no case")
    _list("Sealed", (_sealed(one, zone) for one in shown.revisions))
    _list("Related calls", (_related(call, other, zone) for call, other in shown.related))
    _list("Seen", _seen(shown.accesses, zone))


def _say(*words: str | None) -> None:
    say(", ".join(filter(None, words)))


def _list(title: str, lines: Iterator[str] | Sequence[str], *, none: str = "") -> None:
    """Write a heading and what stands under it, or nothing if that is nothing."""
    found = list(lines) or ([none] if none else [])
    if found:
        say()
        say(title)
    for line in found:
        say(f"  {line}")


def _parties(parties: Sequence[Json]) -> Iterator[str]:
    for one in parties:
        labelled = [f"{name} {one[name]}" for name in ("extension", "agent") if one[name]]
        yield f"{one['role']}: " + ", ".join(filter(None, [one["name"], one["number"], *labelled]))


def _timeline(manifest: Json, zone: tzinfo) -> Iterator[str]:
    """Yield a line for each leg, in playing order, with what lies between them."""
    legs = manifest["legs"]
    starts = [parse_time(leg["started_at"]) for leg in legs]
    spans = [(begin, begin + _lasting(leg)) for begin, leg in zip(starts, legs, strict=True)]
    until = min(starts)
    for position, (leg, (begin, end)) in enumerate(zip(legs, spans, strict=True), 1):
        if begin - until >= GAP:
            yield f"     no recording for {_length(begin - until)}"
        at, lasts = f"{begin.astimezone(zone):%H:%M:%S}", length(leg["duration_ms"])
        doubt = ", at an unknown time" if leg["named_only"] else ""
        yield f"{position:>3}  {at}  {lasts:>8}  {_bar(begin, end, spans)}"
        spoke = (Party(**one) for one in leg["parties"])
        who = conversation(spoke, manifest["direction"])
        yield f"     {who + ', ' if who else ''}leg {leg['id']}{doubt}"
        if unheard := audio_of(leg).unheard:
            yield f"     {unheard}; the original is kept"
        if heard_in := leg["heard_in"]:
            other = next(at for at, one in enumerate(legs, 1) if one["id"] == heard_in["leg"])
            yield f"     heard in leg {other} ({heard_in['alike']:.0%} alike), not played again"
        until = max(until, end)
    numbers = {leg["id"]: position for position, leg in enumerate(legs, 1)}
    repeated = {leg["id"] for leg in legs if leg["heard_in"]}
    for one in manifest["overlaps"]:
        if repeated & set(one["legs"]):
            continue
        which = " and ".join(f"{numbers.get(leg, leg)}" for leg in one["legs"])
        overlap = _length(timedelta(milliseconds=one["overlap_ms"]))
        yield f"     legs {which} overlap by {overlap} and play one after the other"
    if manifest["recording"] is None:
        yield "     the legs are stored apart, and joined when they are downloaded"


def _bar(begin: datetime, end: datetime, spans: Sequence[tuple[datetime, datetime]]) -> str:
    """Draw where a leg lies in its call, as wide as the terminal has room for."""
    terminal = console()
    wide = max(10, min(WIDEST, terminal.width - LABEL))
    first, last = min(each for each, _ in spans), max(each for _, each in spans)
    whole = max(last - first, timedelta(milliseconds=1))
    start = min(int((begin - first) / whole * wide), wide - 1)
    stop = max(start + 1, round((end - first) / whole * wide))
    mark = "\N{BOX DRAWINGS HEAVY HORIZONTAL}" if "utf" in terminal.encoding else "="
    return f"|{mark * (stop - start):>{stop}}".ljust(wide + 1) + "|"


def _lasting(leg: Json) -> timedelta:
    return timedelta(milliseconds=leg["duration_ms"])


def _length(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds:.1f} s" if seconds < 10 else length(round(seconds * 1000))


def _levels(manifest: Json) -> str:
    levels = manifest["levels"]
    silence = _length(timedelta(milliseconds=levels["longest_silence_ms"]))
    if all(audio_of(leg).unsupported for leg in manifest["legs"]):
        return "not measured"
    if levels["peak_dbfs"] is None:
        return "only silence"
    return (
        f"peak {levels['peak_dbfs']:g} dBFS, loudness {levels['loudness_dbfs']:g} dBFS, "
        f"{levels['silent_share']:.0%} silent, longest silence {silence}"
    )


def _stored(one: Kept, zone: tzinfo) -> str:
    if one.state is None:
        return f"{one.name}: {one.problem}"
    state, words = one.state, []
    if state.restored_until is not None:
        words.append(f"restored until {local_time(state.restored_until, zone)}")
    elif state.restoring:
        words.append("being restored")
    elif not state.readable:
        words.append("cold: run `legato restore`")
    if state.lock is not None and state.locked_until is not None:
        words.append(f"locked ({state.lock}) until {local_time(state.locked_until, zone)}")
    if state.held:
        words.append("under legal hold")
    return ", ".join([f"{one.name}: {state.storage_class}", *words])


def _held(one: Held) -> str:
    asked = one.release and f", {person(one.release['by'])} requested the release"
    return f"for {one.case} since {one.at} by {person(one.by)}: {one.reason}{asked or ''}"


def _sealed(one: Sealed, zone: tzinfo) -> str:
    if one.digest is not None:
        proof = f"named by {one.digest}"
    elif one.young:
        proof = "not in a digest yet"
    else:
        proof = "in no digest: run `legato verify`"
    when = local_time(parse_time(one.sealed_at), zone)
    return f"revision {one.revision} on {when}, {counted(one.legs, 'leg')}, {proof}"


def _related(call: str, row: Row | None, zone: tzinfo) -> str:
    if row is None:
        return f"{call} (not in the catalogue)"
    return f"{call}, {local_time(row.started_at, zone)}, {length(row.duration_ms)}, {storage(row)}"


def _seen(accesses: Sequence[Access], zone: tzinfo) -> Iterator[str]:
    for one in accesses[:SEEN]:
        case = f" ({one.case})" if one.case else ""
        yield f"{local_time(one.at, zone)} {one.action} by {person(one.by)}: {one.reason}{case}"
    if len(accesses) > SEEN:
        yield f"and {len(accesses) - SEEN} more: see `legato accesses`"


def _to_json(shown: Shown) -> Json:
    from legato.evidence.access_log import to_json

    return {
        "call": shown.row.to_json() | {"storage": storage(shown.row)},
        "manifest": shown.manifest,
        "objects": [one.to_json() for one in shown.objects],
        "holds": [one.to_json() for one in shown.holds],
        "revisions": [one.to_json() for one in shown.revisions],
        "related": [
            {"call": call, "known": None if row is None else row.to_json()}
            for call, row in shown.related
        ],
        "accesses": [to_json(one) for one in shown.accesses],
    }
