"""Tell people what changed of what needs a person, and keep the state for whoever looks later.

A finding is the same for as long as it is true, whatever its sentence says or counts. It is told at
once if it says since when it is true, else when a second run sees it too. It is over when it was
absent in three runs: what comes and goes sends no mail each time. Each time that it comes back
within a day, it has to stay away for twice as long.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from legato.errors import LegatoError
from legato.model import format_time, parse_time
from legato.operations.overview import minute
from legato.operations.status import status
from legato.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from legato.model import Json, Note
    from legato.operations.overview import Need, Overview, Status
    from legato.ports import Mail

NOTE = "status"
TOLD_AFTER = 2
GONE_AFTER = 3
REMEMBERED = 288
"""Runs: a day of them."""
FEW = 10
"""So many that are alike are told one by one. Of more, a mail names as many and counts the rest."""
COLUMNS = 72
SUBJECT = 100
"""Characters that SNS takes. https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"""
MOST = 100
"""Findings that a part of a mail names: SNS takes 256 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNeed:
    """What needs a person, as the runs have seen it.

    `seen` and `absent` count runs, `returned` how often it came back within a day. `dated`: it says
    since when it is true. `told`: a mail has said that it is there, and none since that it is over.
    """

    what: str
    do: str
    since: str
    detail: str = ""
    alike: str = ""
    do_all: str = ""
    told_by_others: bool = False
    dated: bool = False
    seen: int = 0
    absent: int = 0
    returned: int = 0
    told: bool = False

    @classmethod
    def of(cls, noted: Json) -> KnownNeed:
        """Read what another version may have written."""
        return cls(**{name: noted[name] for name in cls.__slots__ if name in noted})

    @property
    def is_sure(self) -> bool:
        """Whether it is there, and was before this run."""
        return (self.dated or self.seen >= TOLD_AFTER) and not self.absent

    @property
    def stands(self) -> bool:
        """Whether it counts as true, also if it was absent a moment ago."""
        return self.absent < min(GONE_AFTER << self.returned, REMEMBERED)

    def ended(self) -> KnownNeed:
        """Return it as it is remembered when it was told that it is over."""
        return replace(self, told=False, seen=0, returned=self.returned + 1)


@dataclass(slots=True, kw_only=True)
class HealthReport:
    """What a run found. `unknown` is what could not be read, `fault` why the run did not end."""

    needs: int = 0
    unknown: Mapping[str, LegatoError] = field(default_factory=dict)
    new: int = 0
    over: int = 0
    mailed: bool = False
    fault: LegatoError | None = None


def check(overview: Overview, *, mail: Mail | None) -> HealthReport:
    """Look at everything, tell by mail what is new or over, and then keep what was told.

    Without `mail` nobody is told. A mail that cannot be sent is sent by the next run: what was told
    is written down after it.
    """
    found = status(overview)
    report = HealthReport(needs=len(found.needs), unknown=found.unknown)
    try:
        _tell(found, overview, mail, report)
    except LegatoError as error:
        report.fault = error
    return report


def _tell(found: Status, overview: Overview, mail: Mail | None, report: HealthReport) -> None:
    notes, now = overview.notes, overview.clock.now()
    note = notes.read(NOTE)
    findings = _findings(note, found, now)
    new = {n: one for n, one in findings.items() if not one.told and one.is_sure}
    over = {n: one for n, one in findings.items() if one.told and not one.stands}
    standing = {n: one for n, one in findings.items() if one.told and one.stands}
    still = list(standing.values())
    report.new, report.over = len(new), len(over)
    if mail is not None and (_is_news(new.values(), still) or _is_news(over.values(), still)):
        parts = {"New": list(new.values()), "Over": list(over.values()), "Still": still}
        mail.send(*letter(parts, found, stack=overview.stack, now=now))
        report.mailed = True
        findings |= {name: replace(one, told=True) for name, one in new.items()}
        findings |= {name: one.ended() for name, one in over.items()}
    content = {
        "at": format_time(now),
        "findings": {name: asdict(one) for name, one in findings.items()},
        "result": found.to_json(),
    }
    notes.write(replace(note, content=content))


def _findings(note: Note, found: Status, now: datetime) -> dict[str, KnownNeed]:
    """Return what is known of each finding, this run included.

    While something cannot be read, nothing is known to be over.
    """
    noted = note.content.get("findings", {})
    known = {name: KnownNeed.of(one) for name, one in noted.items()}
    findings: dict[str, KnownNeed] = {}
    for need in found.needs:
        if need.identity not in findings:
            findings[need.identity] = _seen(need, known.get(need.identity), now)
    for name, one in known.items():
        if name not in findings:
            absent = one if found.unknown else replace(one, absent=one.absent + 1)
            if absent.told or absent.absent < (REMEMBERED if one.returned else GONE_AFTER):
                findings[name] = absent
    return findings


def _seen(need: Need, known: KnownNeed | None, now: datetime) -> KnownNeed:
    began = known.since if known and known.seen else format_time(need.since or now)
    said = ("what", "do", "detail", "alike", "do_all", "told_by_others")
    return KnownNeed(
        **{name: getattr(need, name) for name in said},
        since=began,
        dated=need.since is not None,
        seen=known.seen + 1 if known else 1,
        returned=known.returned if known else 0,
        told=known.told if known else False,
    )


def _is_news(changed: Iterable[KnownNeed], standing: Iterable[KnownNeed]) -> bool:
    """Say whether a change is worth a mail: one more, or less, of many alike is not.

    That they have become twice as many is, and that half of them are left.
    """
    changed = [one for one in changed if not one.told_by_others]
    changes, many = (Counter(one.alike for one in some) for some in (changed, standing))
    return any(not alike or many[alike] < FEW or changes[alike] >= many[alike] for alike in changes)


def letter(
    parts: Mapping[str, Sequence[KnownNeed]], found: Status, *, stack: str, now: datetime
) -> tuple[str, str]:
    """Return subject and words of a mail: what is new, what is over, and what stands still."""
    numbers = [f"{len(some)} {title.lower()}" for title, some in parts.items() if some]
    subject = f"Legato: {', '.join(numbers)} in {stack}"
    lines = [f"Stack {stack}, {minute(now)}"]
    for title, some in parts.items():
        if some:
            lines += ["", f"{title}:", *_part(some, stack, over=title == "Over")]
    if found.unknown:
        lines += ["", "Could not be read:"]
        for what, error in found.unknown.items():
            lines += ["", *_wrapped(f"{what}: {error}")]
    lines += ["", "All of it:", f"    $ {_command('legato status', stack)}", ""]
    return subject[:SUBJECT], "\n".join(lines)


def _part(some: Sequence[KnownNeed], stack: str, *, over: bool) -> Iterator[str]:
    shown: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for one in some:
        if shown.total() >= MOST or (one.alike and shown[one.alike] >= FEW):
            left[one.alike] += 1
            continue
        shown[one.alike] += 1
        yield ""
        yield from _wrapped(one.what)
        detail = f" ({one.detail})" if one.detail and not over else ""
        yield from _wrapped(f"since {minute(parse_time(one.since))}{detail}", "    ")
        if not over:
            yield from _folded(_command(one.do, stack))
    commands = {one.alike: one.do_all for one in some}
    for alike, many in left.items():
        yield ""
        yield from _wrapped(f"and {many} more {alike}".rstrip())
        if not over and commands[alike]:
            yield from _folded(_command(commands[alike], stack))


def _wrapped(words: str, indent: str = "* ") -> list[str]:
    return textwrap.wrap(
        printable(words),
        COLUMNS,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _command(do: str, stack: str) -> str:
    """Return a command of ours with the stack that it is about, unless it is the default."""
    ours = do.startswith("legato ") and stack != "legato"
    return f"legato --stack {stack} {do.removeprefix('legato ')}" if ours else do


def _folded(command: str) -> Iterator[str]:
    """Fold a command so that it can still be copied into a shell."""
    lines = textwrap.wrap(command, COLUMNS - 10, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines, start=1):
        yield f"    {'$' if number == 1 else ' '} {line}{' \\' if number < len(lines) else ''}"
