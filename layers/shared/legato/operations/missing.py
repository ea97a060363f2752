"""What reconciliation found wrong, since when, and how often that was seen.

A call's note is listed while anything of it is wrong, so that `legato status` and the next run know
of it: also when its day is not asked for any more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, get_args

from legato.ledger.notes import change
from legato.model import CallId, TroubleKind, format_time
from legato.operations.report.reconciliation import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from legato.archive.folder import Fate
    from legato.model import CallState, Note
    from legato.operations.past import Classifier, Listed, Reconciling
    from legato.ports import Lists

A_DAY = timedelta(days=1)
IN_LEDGER = frozenset({"failed", *get_args(TroubleKind.__value__)})
"""Kinds that the ledger itself says of a call, in a list of its own."""
LIST_EMPTY, NOT_LISTED, SECOND_FOLDER = "list empty", "not listed", "second folder"
STRAY = "stray"
OF_A_RUN = frozenset({LIST_EMPTY, NOT_LISTED, SECOND_FOLDER})
"""Kinds that only a reconciliation can find mended."""
_PREFIX = "absent#"
_EVER = "9999"


def listed(provider: str, notes: Lists) -> Iterator[tuple[CallId, list[Found]]]:
    """Yield the calls with which something is wrong, and what. Raises Retry."""
    for note in notes.listed(f"{_PREFIX}{provider}", until=_EVER):
        wrong = _entries(note)
        yield CallId.of(note.content), [wrong[name] for name in sorted(wrong)]


def mended(one: Found, state: CallState) -> bool:
    """Say whether the call was sealed anew since, with what was missing."""
    whole = not one.recording or one.recording in state.legs
    return one.kind not in OF_A_RUN and whole and state.revision > one.revision


class MissingRecordings:
    """Remembers what is wrong with calls, since when, and how often that was seen.

    `over_a_day` counts the recordings that are missing for so long, `queued` those from before
    these days that were put into the queue again.
    """

    def __init__(self, work: Reconciling, classifier: Classifier, began_at: datetime) -> None:
        self._work = work
        self._classifier = classifier
        self._began_at = began_at
        self._whole: set[str] = set()
        self.over_a_day = 0
        self.queued = 0

    def taken(
        self, listed_by: Mapping[str, Listed], found: Sequence[Found]
    ) -> tuple[list[Found], list[Found]]:
        """Take in all that a run has found.

        Returns it with since when it is wrong, and what was wrong before, still is, and was not
        asked for now. Raises Retry.
        """
        self._whole = {name for name, one in listed_by.items() if one.whole}
        calls: dict[CallId, list[Found]] = {}
        for one in found:
            calls.setdefault(one.id, []).append(one)
        before = {call for name in listed_by for call, _ in listed(name, self._work.notes)}
        told: list[Found] = []
        earlier: list[Found] = []
        for call, ours in calls.items():
            if call in before or any(one.wrong and one.kind != STRAY for one in ours):
                now, still = self._updated(call, ours)
                told += now
                earlier += still
            else:
                told += ours
        for call in sorted(before - calls.keys()):
            earlier += self._updated(call, [])[1]
        return told, earlier

    def _updated(self, call: CallId, found: Sequence[Found]) -> tuple[list[Found], list[Found]]:
        named = {one.name: one for one in found}
        wrong = {name: one for name, one in named.items() if one.wrong}
        known = _entries(self._work.notes.read(_key(call)))
        others = {name: one for name, one in known.items() if name not in named}
        still = self._still(call, others)

        def becomes(entries: dict[str, Found]) -> None:
            for name in [*entries]:
                fate = named[name].fate if name in named else "archived"
                if name not in wrong and name not in still and fate == "archived":
                    del entries[name]
            for name, one in (still | wrong).items():
                entries[name] = self._seen(one, entries.get(name), again=name in wrong)

        entries = self._changed(call, becomes)
        day_ago = self._work.clock.now() - A_DAY
        since = [one.missing_since for one in entries.values() if one.missing_since]
        self.over_a_day += sum(moment < day_ago for moment in since)
        missing = [one for one in still.values() if one.fate == "missing"]
        if missing:
            self.queued += self._classifier.again(missing, records={})
        told = [entries[one.name] if one.wrong else one for one in found]
        return told, [entries[name] for name, one in still.items() if one.wrong]

    def _still(self, call: CallId, before: Mapping[str, Found]) -> dict[str, Found]:
        """Return what of this is still wrong, or is waited for."""
        if not before:
            return {}
        state = self._work.ledger.load(call)
        wanted = {
            one.recording: one.began_at
            for one in before.values()
            if one.recording and one.kind not in OF_A_RUN | IN_LEDGER
        }
        verdicts, rest = self._classifier.verdicts(state, wanted)
        flaws = {flaw.kind: flaw for flaw in rest}
        still: dict[str, Found] = {}
        for name, one in before.items():
            now = one
            fate: Fate = "archived"
            asked = self._work.begin.date() <= one.day < self._work.end.date()
            if one.kind in (LIST_EMPTY, NOT_LISTED):
                kept = one.day >= self._work.oldest(call.provider).date()
                keeps = asked and call.provider not in self._whole
                # Somebody may delete a recording at the provider, but nobody a whole day.
                keeps |= one.kind == LIST_EMPTY and not asked and kept
                fate = "failed" if keeps else "archived"
            elif one.kind in IN_LEDGER:
                pass  # its own list says it
            elif one.kind == SECOND_FOLDER:
                there = one.where != state.prefix and self._work.archive.sizes(one.where)
                fate = "failed" if there else "archived"
            elif one.recording:
                verdict = verdicts[one.recording]
                fate = "archived" if verdict.kind in IN_LEDGER else verdict.fate
                kind, reason = verdict.kind or one.kind, verdict.reason or one.reason
                now = replace(one, kind=kind, reason=reason)
            else:
                fate = "failed" if one.kind in flaws else "archived"
            if fate != "archived":
                still[name] = replace(now, fate=fate)
        return still

    def _seen(self, one: Found, known: Found | None, *, again: bool) -> Found:
        """Return it with since when it is wrong; `again` if it was asked for and found by us."""
        known = known or one
        since = known.missing_since
        if one.wrong:
            since = since or self._began_at if one.fate == "missing" else None
        return replace(
            one,
            first_seen=known.first_seen or self._began_at,
            last_seen=self._began_at if again else known.last_seen,
            times_seen=known.times_seen + (again and known.last_seen != self._began_at),
            missing_since=since,
        )

    def _changed(self, call: CallId, act: Callable[[dict[str, Found]], None]) -> dict[str, Found]:
        """Change the entries of a call, and return them. Raises Retry."""

        def changed(note: Note) -> Note:
            entries = _entries(note)
            act(entries)
            seen = [one.first_seen for one in entries.values() if one.first_seen]
            listing = (f"{_PREFIX}{call.provider}", format_time(min(seen))) if seen else None
            wrong = {name: one.to_note() for name, one in entries.items()}
            return replace(note, content=call._asdict() | {"wrong": wrong}, listed=listing)

        return _entries(change(_key(call), changed, self._work.notes))


def _key(call: CallId) -> str:
    return f"{_PREFIX}{call}"


def _entries(note: Note) -> dict[str, Found]:
    """Return what is wrong with a note's call, by its name."""
    return {name: Found.of(one) for name, one in note.content.get("wrong", {}).items()}
