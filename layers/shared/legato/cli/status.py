"""`legato status`: the state of the whole system on one screen."""

from __future__ import annotations

import textwrap
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING

import typer

from legato.cli.command import command
from legato.cli.exit_codes import Exit
from legato.cli.options import AsJson
from legato.cli.output import in_short, moment, say, write_json
from legato.model import parse_time, provider_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from legato.model import Json
    from legato.operations.overview import Need, Status

SHOWN = 10
"""Of many needs that are alike. --json has all."""
FEW = 8
"""Of what each account of a provider has. --json has all."""
COLUMNS = 80

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "status",
    help="""Show the state of the whole system, and what needs a person.

    For each provider: how up to date discovery is, what is waiting to be archived, the queues,
    failures, and the provider's limits. Then the archive: digests, timestamps, the last
    reconciliation, legal holds, restores. The command changes nothing and asks no provider.

    \b
    Examples:
      legato status
      legato --stack archive --region eu-central-1 status --json
    """,
    ends=(Exit.NEEDS_PERSON,),
)
def show_status(context: typer.Context, as_json: AsJson = False) -> None:
    from legato.operations.status import status

    found = status(context.obj.overview())
    unknown = {what: in_short(error) for what, error in found.unknown.items()}
    if as_json:
        needs = [need.to_json() for need in found.needs]
        said = found.said | {"well": found.well, "needs": needs, "unknown": unknown}
        write_json(said)
    else:
        _show(found, unknown)
    if not found.well:
        raise typer.Exit(Exit.NEEDS_PERSON)


def _show(found: Status, unknown: dict[str, str]) -> None:
    said = found.said
    for one in said["providers"]:
        _part(provider_name(one["provider"]), _provider(one))
    if not said["providers"]:
        say("No provider is in use yet: fill in the secret CredentialsArn.")
    _part("Archive", _archive(said))
    if unknown:
        _part("Not known", (("", f"{what}: {reason}") for what, reason in unknown.items()))
    if found.needs:
        _needs(found.needs)
    elif not unknown:
        say("All is well.")


def _part(title: str, lines: Iterator[tuple[str, str]]) -> None:
    say(title)
    for name, words in lines:
        _say_wrapped(f"  {name:<15} " if name else "  ", words, hang=18 if name else 4)
    say()


def _say_wrapped(begins: str, words: str, *, hang: int) -> None:
    for line in textwrap.wrap(
        words,
        COLUMNS,
        initial_indent=begins,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        say(line)


def _needs(needs: Iterable[Need]) -> None:
    """Show each need with its next command, which is not folded: it is to be copied."""
    say("Needs a person")
    for alike, some in groupby(needs, key=lambda need: need.alike):
        listed = list(some)
        shown = listed[:SHOWN] if alike else listed
        for need in shown:
            words = f"{need.what} ({need.detail})" if need.detail else need.what
            _say_wrapped("  ", words, hang=4)
            say(f"    $ {need.do}")
        if more := len(listed) - len(shown):
            _say_wrapped("  ", f"and {more} more {alike}", hang=4)
            say(f"    $ {listed[-1].do_all}")
    say()


def _provider(one: Json) -> Iterator[tuple[str, str]]:
    yield from _accounts(one["accounts"] or {})
    yield from _tails(one["tails"] or ())
    if one["subscription"]:
        name, flaw = one["subscription"]["id"], one["subscription"]["flaw"]
        yield "subscription", f"{name or 'none'}{f': {flaw}' if flaw else ''}"
    for oldest in sorted(one["unarchived"] or (), key=lambda each: -each["share"])[:FEW]:
        share = f"{oldest['share']:.0%} of its retention time"
        yield "to be archived", f"oldest {oldest['call']}, {_age(oldest['age_seconds'])}, {share}"
    if one["unarchived"] == []:
        yield "to be archived", "nothing that was found"
    if queue := one["queue"]:
        words = (
            f"{queue['waiting']} waiting, {queue['taken']} in progress, {queue['delayed']} delayed"
        )
        yield "queue", words
    for part, name in (
        ("gaps", "gaps"),
        ("dead_letters", "dead letters"),
        ("failed", "in trouble"),
        ("strays", "of no call"),
        ("stuck", "stuck"),
    ):
        if one[part] or (one[part] == 0 and part in ("dead_letters", "failed")):
            yield name, f"{one[part]}"
    for window in _fullest(one["limits"] or ()):
        used = ", ".join(f"{u['calls']} of {u['of']} in {u['seconds']:g} s" for u in window["used"])
        until = window["blocked_until"]
        blocked = f", blocked until {moment(parse_time(until))}" if until else ""
        yield "limit", f"{window['window']}: {used}{blocked}"


def _accounts(accounts: Json) -> Iterator[tuple[str, str]]:
    if accounts:
        new = f"; new since yesterday: {_some(accounts['new'])}" if accounts["new"] else ""
        yield "accounts", f"{accounts['listed']} are listed{new}"
    if accounts and accounts["gone"]:
        yield "accounts", f"not listed any more: {_some(accounts['gone'])}"


def _tails(tails: Sequence[Json]) -> Iterator[tuple[str, str]]:
    if len(tails) <= FEW:
        for tail in tails:
            age = tail["age_seconds"]
            words = "was never read" if age is None else f"known up to {_age(age)} ago"
            yield "found", f"{tail['tail']}: {words}{' (late)' if tail['late'] else ''}"
            if since := tail["listed_since"]:
                yield "", f"in the call log, since {since}: the list of its changes is refused"
        return
    ages = [tail["age_seconds"] for tail in tails if tail["age_seconds"] is not None]
    words = f"{len(tails)} lists"
    if ages:
        words += f", known up to {_age(max(ages))} ago at the latest"
    if unread := len(tails) - len(ages):
        words += f", {unread} of them never read"
    yield "found", words


def _fullest(windows: Sequence[Json]) -> Sequence[Json]:
    """Return the windows that hold up most: all of a few."""

    def held_up(window: Json) -> tuple[bool, float]:
        used = (each["calls"] / each["of"] for each in window["used"])
        return bool(window["blocked_until"]), max(used, default=0)

    return windows if len(windows) <= FEW else sorted(windows, key=held_up, reverse=True)[:FEW]


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - FEW} more" if len(listed) > FEW else ""
    return ", ".join(listed[:FEW]) + more


def _archive(said: Json) -> Iterator[tuple[str, str]]:
    if digests := said["digests"]:
        yield (
            "digests",
            f"up to {moment(parse_time(digests['to']))}, {_age(digests['behind_seconds'])} ago",
        )
    else:
        yield "digests", "none yet"
    if stamps := said["time_stamps"]:
        days = stamps["days_without"]
        yield "time stamps", f"{days} days wait for one" if days else "every day has one"
    if last := said["reconciliation"]:
        fates = ", ".join(f"{last[name]} {name}" for name in ("archived", "waiting", "failed"))
        yield (
            "reconciled",
            f"{last['from'][:10]} to {last['to'][:10]}, at {moment(parse_time(last['ended_at']))}: "
            f"{last['missing']} missing of {last['recorded']} ({fates})",
        )
    else:
        yield "reconciled", "not in the last days"
    if said["holds"] is not None:
        yield "held calls", f"{said['holds']}"
    if restores := said["restores"]:
        yield "restores", f"{restores['under_way']} under way, {restores['there']} there"


def _age(seconds: int) -> str:
    hours = timedelta(seconds=seconds) / timedelta(hours=1)
    if hours < 1:
        return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"
    return f"{hours:.0f} h" if hours < 100 else f"{hours / 24:.0f} days"
