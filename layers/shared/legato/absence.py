"""Since when recordings are missing from the archive, and how often that was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.model import CallId, format_time, parse_time
from legato.notes import change
from legato.report.reconciliation import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from legato.judge import Judge
    from legato.model import Json, Note
    from legato.reconcile import Reconciling

A_DAY = timedelta(days=1)
_PREFIX = "absent#"


class Absence:
    """Remembers since when recordings are not in the archive, and how often that was seen.

    A call's note is listed while one of its recordings is missing. `over_a_day` counts those that
    are for so long, `queued` those from before these days that were put into the queue again.
    """

    def __init__(self, work: Reconciling, judge: Judge, began_at: datetime) -> None:
        self._work = work
        self._judge = judge
        self._run = format_time(began_at)
        self.over_a_day = 0
        self.queued = 0

    def noted(self, one: Found) -> Found:
        """Return what was found with since when, and how often, it was seen not to be here."""
        if one.fate not in ("missing", "failed"):
            return one

        def seen(entries: Json) -> None:
            known = entries.get(one.recording, {"first": self._run, "times": 0, "run": ""})
            since = known.get("missing_since") or self._run
            entries[one.recording] = known | {
                "began_at": to_text(one.began_at),
                "times": known["times"] + (known["run"] != self._run),
                "run": self._run,
                "missing_since": since if one.fate == "missing" else None,
            }

        entry = self._changed(one.id, seen)[one.recording]
        return _with(one, entry)

    def earlier(
        self, providers: Iterable[str], found: Mapping[tuple[CallId, str], Found]
    ) -> list[Found]:
        """Look after all that was missing once; return what still is and was not asked for now."""
        still: list[Found] = []
        for provider in providers:
            until = format_time(self._work.clock.now())
            for note in self._work.notes.listed(f"{_PREFIX}{provider}", until=until):
                call = CallId.parse(note.key.removeprefix(_PREFIX))
                still += self._looked_after(call, note.content, found)
        return still

    def _looked_after(
        self, call: CallId, content: Json, found: Mapping[tuple[CallId, str], Found]
    ) -> list[Found]:
        missing = {name for name, one in content["recordings"].items() if one["missing_since"]}
        asked = {name: one.fate for name in missing if (one := found.get((call, name)))}
        others = {
            name: from_text(content["recordings"][name]["began_at"])
            for name in missing - asked.keys()
        }
        verdicts = self._judge.verdicts(call, others)
        fates = asked | {name: fate for name, (fate, _) in verdicts.items()}

        def settled(entries: Json) -> None:
            for name, fate in fates.items():
                if fate == "archived":
                    entries.pop(name, None)
                elif fate == "failed" and name in entries:
                    entries[name]["missing_since"] = None

        entries = self._changed(call, settled)
        day_ago = self._work.clock.now() - A_DAY
        since = (from_text(entry["missing_since"]) for entry in entries.values())
        self.over_a_day += sum(moment is not None and moment < day_ago for moment in since)
        still = {name for name, (fate, _) in verdicts.items() if fate == "missing"}
        if still and not self._work.report_only:
            began = min(filter(None, (others[name] for name in still)), default=None)
            again = self._judge.again(call, still, began_at=began, records={})
            self.queued += again
        return [
            _with(
                Found(
                    **call._asdict(),
                    recording=name,
                    day=(others[name] or self._work.begin).date(),
                    began_at=others[name],
                    fate="missing",
                    reason=verdicts[name][1],
                ),
                entries[name],
            )
            for name in sorted(still)
        ]

    def _changed(self, call: CallId, act: Callable[[Json], None]) -> Json:
        """Change the entries of a call's recordings, and return them. Raises Retry."""

        def changed(note: Note) -> Note:
            known = note.content.get("recordings", {})
            entries: Json = {name: dict(entry) for name, entry in known.items()}
            act(entries)
            since = [one["missing_since"] for one in entries.values() if one["missing_since"]]
            content = {"recordings": entries}
            listed = (f"{_PREFIX}{call.provider}", min(since)) if since else None
            return replace(note, content=content, listed=listed)

        note = change(f"{_PREFIX}{call}", changed, self._work.notes)
        entries: Json = note.content["recordings"]
        return entries


def _with(one: Found, entry: Json) -> Found:
    return replace(one, first_seen=parse_time(entry["first"]), times_seen=entry["times"])


def to_text(moment: datetime | None) -> str | None:
    """Write a time that may be unknown."""
    return None if moment is None else format_time(moment)


def from_text(text: str | None) -> datetime | None:
    """Read what to_text has written."""
    return None if text is None else parse_time(text)
