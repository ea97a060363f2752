"""What reconciliation found wrong, since when, and how often that was seen.

A call's note is listed while anything of it is wrong, so that `legato status` and the next run know
of it: also when its day is not asked for any more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, get_args

from legato.ledger.notes import change
from legato.model import CallId, TroubleKind, format_time, parse_time
from legato.operations.report.reconciliation import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from legato.model import CallState, Json, Note
    from legato.operations.past import Classifier, Listed, Reconciling
    from legato.operations.report.reconciliation import Fate
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


def listed(provider: str, notes: Lists) -> Iterator[tuple[CallId, Json]]:
    """Yield the calls with which something is wrong, and what, by its name. Raises Retry."""
    for note in notes.listed(f"{_PREFIX}{provider}", until=_EVER):
        yield CallId.of(note.content), note.content["wrong"]


def mended(entry: Json, state: CallState) -> bool:
    """Say whether the call was sealed anew since, with what was missing."""
    whole = not entry["recording"] or entry["recording"] in state.legs
    return entry["kind"] not in OF_A_RUN and whole and state.revision > entry["revision"]


class Missing:
    """Remembers what is wrong with calls, since when, and how often that was seen.

    `over_a_day` counts the recordings that are missing for so long, `queued` those from before
    these days that were put into the queue again.
    """

    def __init__(self, work: Reconciling, classifier: Classifier, began_at: datetime) -> None:
        self._work = work
        self._classifier = classifier
        self._run = format_time(began_at)
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
        known = self._work.notes.read(_key(call)).content.get("wrong", {})
        others = {name: entry for name, entry in known.items() if name not in named}
        still = self._still(call, others)

        def becomes(entries: Json) -> None:
            for name in [*entries]:
                fate = named[name].fate if name in named else "archived"
                if name not in wrong and name not in still and fate == "archived":
                    del entries[name]
            for name, one in (still | wrong).items():
                entries[name] = self._entry(one, entries.get(name), again=name in wrong)

        entries = self._changed(call, becomes)
        day_ago = self._work.clock.now() - A_DAY
        since = (from_text(entry["missing_since"]) for entry in entries.values())
        self.over_a_day += sum(moment is not None and moment < day_ago for moment in since)
        missing = {name: one for name, one in still.items() if one.fate == "missing"}
        if missing and not self._work.report_only:
            began = min((one.began_at for one in missing.values() if one.began_at), default=None)
            recordings = {one.recording for one in missing.values()}
            self.queued += self._classifier.again(call, recordings, began_at=began, records={})
        told = [_with(one, entries[one.name]) if one.wrong else one for one in found]
        return told, [_with(one, entries[name]) for name, one in still.items() if one.wrong]

    def _still(self, call: CallId, entries: Json) -> dict[str, Found]:
        """Return what of this is still wrong, or is waited for."""
        if not entries:
            return {}
        state = self._work.ledger.load(call)
        wanted = {
            entry["recording"]: from_text(entry["began_at"])
            for entry in entries.values()
            if entry["recording"] and entry["kind"] not in OF_A_RUN | IN_LEDGER
        }
        verdicts, rest = self._classifier.verdicts(state, wanted)
        flaws = {flaw.kind: flaw for flaw in rest}
        still: dict[str, Found] = {}
        for name, entry in entries.items():
            one = _found(call, entry)
            fate: Fate = "archived"
            asked = self._work.begin.date() <= one.day < self._work.end.date()
            if entry["kind"] in (LIST_EMPTY, NOT_LISTED):
                kept = one.day >= self._work.oldest(call.provider).date()
                keeps = asked and call.provider not in self._whole
                # Somebody may delete a recording at the provider, but nobody a whole day.
                keeps |= entry["kind"] == LIST_EMPTY and not asked and kept
                fate = "failed" if keeps else "archived"
            elif entry["kind"] in IN_LEDGER:
                pass  # its own list says it
            elif entry["kind"] == SECOND_FOLDER:
                there = entry["where"] != state.prefix and self._work.archive.sizes(entry["where"])
                fate = "failed" if there else "archived"
            elif entry["recording"]:
                verdict = verdicts[entry["recording"]]
                fate = "archived" if verdict.kind in IN_LEDGER else verdict.fate
                kind, reason = verdict.kind or one.kind, verdict.reason or one.reason
                one = replace(one, kind=kind, reason=reason)
            else:
                fate = "failed" if entry["kind"] in flaws else "archived"
            if fate != "archived":
                still[name] = replace(one, fate=fate)
        return still

    def _entry(self, one: Found, known: Json | None, *, again: bool) -> Json:
        known = known or {"first": self._run, "times": 0, "run": "", "missing_since": None}
        since = known["missing_since"]
        if one.wrong:
            since = since or self._run if one.fate == "missing" else None
        return {
            "recording": one.recording,
            "kind": one.kind,
            "reason": one.reason,
            "fate": one.fate,
            "day": one.day.isoformat(),
            "began_at": to_text(one.began_at),
            "revision": one.revision,
            "where": one.where,
            "first": known["first"],
            "times": known["times"] + (again and known["run"] != self._run),
            "run": self._run if again else known["run"],
            "missing_since": since,
        }

    def _changed(self, call: CallId, act: Callable[[Json], None]) -> Json:
        """Change the entries of a call, and return them. Raises Retry."""

        def changed(note: Note) -> Note:
            known = note.content.get("wrong", {})
            entries: Json = {name: dict(entry) for name, entry in known.items()}
            act(entries)
            first = min((entry["first"] for entry in entries.values()), default=None)
            listing = (f"{_PREFIX}{call.provider}", first) if first else None
            return replace(note, content=call._asdict() | {"wrong": entries}, listed=listing)

        note = change(_key(call), changed, self._work.notes)
        entries: Json = note.content["wrong"]
        return entries


def _key(call: CallId) -> str:
    return f"{_PREFIX}{call}"


def _found(call: CallId, entry: Json) -> Found:
    plain = ("recording", "kind", "reason", "fate", "revision", "where")
    return Found(
        **call._asdict(),
        **{name: entry[name] for name in plain},
        day=parse_time(entry["day"]).date(),
        began_at=from_text(entry["began_at"]),
    )


def _with(one: Found, entry: Json) -> Found:
    return replace(one, first_seen=parse_time(entry["first"]), times_seen=entry["times"])


def to_text(moment: datetime | None) -> str | None:
    """Write a time that may be unknown."""
    return None if moment is None else format_time(moment)


def from_text(text: str | None) -> datetime | None:
    """Read what to_text has written."""
    return None if text is None else parse_time(text)
