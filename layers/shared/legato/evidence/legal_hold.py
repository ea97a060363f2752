"""Hold calls for legal cases, and let go of them: by two people, with evidence of every step.

The ledger's note of a call is the truth: which cases hold it, and every step that led there. A
step is decided by writing it there. Then its record comes into the archive, and then the call's
objects are brought into line. What a run that dies leaves undone, the same request again makes up
for, and so does the next one. S3's legal hold of an object is one switch: it is on as long as there
is any case.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from legato import __version__
from legato.api_request import (
    Reply,
    check_signed,
    nothing_else,
    read_json,
    refused,
    text,
    unfinished,
)
from legato.archive.document import to_bytes
from legato.archive.layout import hold_key
from legato.catalogue import index
from legato.errors import Refused, Retry
from legato.evidence.access_log import of_step
from legato.evidence.cases import remember_case
from legato.ledger import undigested
from legato.ledger.accounts import meant
from legato.ledger.listings import records_key
from legato.ledger.notes import change
from legato.ledger.waiting import at_work
from legato.model import CallId, format_time, is_name, person

if TYPE_CHECKING:
    from collections.abc import Iterator

    from legato.catalogue.index import Catalogue
    from legato.model import Json, Note
    from legato.ports import Accesses, Archive, Clock, Ledger, Lists, Notes

ACTIONS = ("hold", "request-release", "confirm-release", "withdraw-release")
WITH_REASON = ("hold", "request-release")
SCHEMA_VERSION = 1
LIST = "holds"
_PREFIX = "hold#"
JSON = "application/json"
TRIES = 10
_IN_KEY = re.compile(r"(?:calls|holds)/([^/]+)/([^/]+)/(?:\d{4}/\d\d/\d\d/)?([^/]+)")


class UnknownCall(Refused):
    """Nobody knows such a call."""


class OutOfTurn(Refused):
    """Something else has to be done first, or was."""


class Alone(Refused):
    """It takes another person."""


STATUSES: dict[type[Refused], int] = {UnknownCall: 404, OutOfTurn: 409, Alone: 403}


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRequest:
    """What a person asks for. `by` is the ARN by which AWS knows that person.

    `call` is an address, `provider/account/call`; `provider/call` or the id alone will do where
    only one call has it. `force` holds a call that nobody knows.
    """

    action: str
    call: str
    case: str
    by: str
    reason: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalHolds:
    """The legal holds of all calls, and the steps by which they come and go."""

    archive: Archive
    ledger: Ledger
    notes: Notes
    clock: Clock
    accesses: Accesses
    catalogue: Catalogue

    def answer(self, body: bytes, *, by: str) -> Reply:
        """Answer a request. What is answered 200 stands in the ledger, the archive and on S3."""
        told: Json = {"by": by}
        try:
            asked = read(body, by=by)
            told |= {name: getattr(asked, name) for name in ("action", "call", "case")}
            done = self.hold(asked)
        except Refused as error:
            return refused(error, told, status=STATUSES.get(type(error), 400))
        except Retry as error:
            return unfinished(error, told)
        told |= {name: done[name] for name in ("provider", "account", "call")}
        told |= {name: done[name] for name in ("held", "objects", "repeated")}
        return Reply(status=200, outcome="Done", body=done, logged=told)

    def hold(self, asked: HoldRequest) -> Json:
        """Take a step, carry it out, and return how the call stands; `repeated` if it stood before.

        Raises Unknown, OutOfTurn, Alone, Refused; and Retry when it is decided but not carried out.
        """
        call = self._meant(asked)
        key, steps = _key(call), 0

        def taken(note: Note) -> Note:
            nonlocal steps
            steps = len(note.content.get("steps", ()))
            return _taken(asked, call, note, format_time(self.clock.now()))

        if asked.action == "hold":
            remember_case(asked.case, format_time(self.clock.now()), self.notes)
        repeated = len(change(key, taken, self.notes).content["steps"]) == steps
        objects = self._carry_out(call)
        cases = self.notes.read(key).content["cases"]
        return {
            **call._asdict(),
            "held": bool(cases),
            "cases": cases,
            "objects": objects,
            "repeated": repeated,
        }

    def _meant(self, asked: HoldRequest) -> CallId:
        """Return which call it is. Raises Unknown, with what may have been meant, or Refused."""
        known = known_calls(asked.call, self.ledger, self.notes)
        if len(known) == 1:
            return known[0]
        if known:
            addresses = ", ".join(map(str, known))
            raise Refused(f"{asked.call} is an id of several calls: name one of {addresses}")
        if not (asked.action == "hold" and asked.force):
            similar = self._similar(asked.call)
            hint = f"did you mean {', '.join(similar)}?" if similar else "is its id right?"
            force = "; `force` holds it all the same" if asked.action == "hold" else ""
            raise UnknownCall(f"there is no call {asked.call}: {hint}{force}")
        try:
            call = CallId.parse(asked.call)
        except Refused as error:
            raise Refused(f"there is no call {asked.call}: to hold it, give its address") from error
        if not all(map(is_name, call)):
            raise Refused(f"{asked.call} is not a valid address of a call")
        return call

    def _similar(self, call: str) -> list[str]:
        """Return what is known by an id that is easily mistaken for this one.

        In another case, with quotes or without its beginning, in a key of the archive, of another
        provider or account. The ledger finds a call by its whole id only.
        """
        text = call.strip(" \t\"'<>")
        if in_key := _IN_KEY.match(text):
            return [str(CallId(*map(unquote, in_key.groups())))]
        id_alone = unquote(text.rpartition("/")[2]).removeprefix("s-")
        spelt = {unquote(text)}
        for part in (id_alone, id_alone.lower(), id_alone.upper()):
            spelt |= {part, f"s-{part}"}
        similar = {one for spelling in spelt - {""} for one in meant(spelling, self.notes)}
        return [str(one) for one in sorted(similar) if _is_known(one, self.ledger, self.notes)]

    def _carry_out(self, call: CallId) -> int:
        """Do what is decided and not done: write the records, hold or release the objects."""
        key = _key(call)
        content = self.notes.read(key).content
        for step in content["steps"][content["carried_out"] :]:
            self._record(step)
        objects = self._apply(call)
        index.mark(call, self.catalogue, lambda: cases_of(call, self.notes))
        done = len(content["steps"])

        def carried_out(note: Note) -> Note:
            now = note.content | {"carried_out": max(done, note.content["carried_out"])}
            over = not now["cases"] and now["carried_out"] == len(now["steps"])
            return replace(note, content=now, listed=None if over else note.listed)

        change(key, carried_out, self.notes)
        return objects

    def _record(self, step: Json) -> None:
        key = hold_key(CallId.of(step), step["at"], step["step"])
        body = to_bytes(step)
        undigested.announce(key, self.notes, self.clock)
        undigested.written(self.archive.put_bytes(key, body, media_type=JSON), self.notes)
        self.accesses.note(of_step(step))

    def _apply(self, call: CallId) -> int:
        """Bring the objects into line with the ledger, until that says the same all the while."""
        for _ in range(TRIES):
            note, state = self.notes.read(_key(call)), self.ledger.load(call)
            on, prefix = bool(note.content.get("cases")), state.prefix
            if not on and at_work(state, self.clock.now()):
                # It may be writing under the hold that it saw.
                raise Retry(f"{call} is being archived, and stays held until that is done")
            objects = self.archive.hold(prefix, on=on) if prefix else 0
            if self.notes.read(note.key).content.get("cases") == note.content.get("cases"):
                return objects
        raise Retry(f"the holds of {call} change faster than they are carried out")


def read(body: bytes, *, by: str) -> HoldRequest:
    """Read a request. Raises Refused, naming the field, for what is none."""
    check_signed(by)
    fields = read_json(body)
    action = text(fields, "action")
    if action not in ACTIONS:
        raise Refused(f"`action` is one of {', '.join(ACTIONS)}, not {action!r}")
    force = fields.pop("force", False)
    if not isinstance(force, bool):
        raise Refused("`force` is true or false")
    asked = HoldRequest(
        action=action,
        call=text(fields, "call"),
        case=text(fields, "case"),
        reason=text(fields, "reason", needed=action in WITH_REASON),
        by=by,
        force=force,
    )
    nothing_else(fields)
    return asked


def held(call: CallId, notes: Notes) -> bool:
    """Say whether any case holds a call. Raises Retry."""
    return bool(cases_of(call, notes))


def cases_of(call: CallId, notes: Notes) -> list[str]:
    """Return the cases that hold a call. Raises Retry."""
    return list(notes.read(_key(call)).content.get("cases", ()))


@contextmanager
def inherited(call: CallId, *, archive: Archive, ledger: Ledger, notes: Notes) -> Iterator[Archive]:
    """Yield the archive for a call's new objects, which are held from the start if the call is.

    A hold that comes in between is looked for at the end, however that comes about: whose hold did
    not see an object yet has written the ledger before it is read here. Nothing is released here:
    who writes has a lease of the call, and its release waits for that.
    """
    before = held(call, notes)
    try:
        yield archive.holding() if before else archive
    finally:
        if held(call, notes):
            prefix = ledger.load(call).prefix
            if prefix:
                archive.hold(prefix, on=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A case that holds a call. `release` says who asked to let go of it, and why.

    What is `unfinished` was decided, and the same request again carries it out.
    """

    provider: str
    account: str
    call: str
    case: str
    reason: str
    by: str
    at: str
    release: Json | None = None
    unfinished: bool = False

    @property
    def id(self) -> CallId:
        return CallId(self.provider, self.account, self.call)

    def to_json(self) -> Json:
        return asdict(self)


def holds(notes: Lists, clock: Clock, *, case: str | None = None) -> list[Held]:
    """Return all holds, or those of a case, by case and call. Raises Retry."""
    listed = notes.listed(LIST, until=format_time(clock.now()))
    found = [one for note in listed for one in _holds(note) if case in (None, one.case)]
    return sorted(found, key=lambda one: (one.case, one.id))


def holds_of(call: CallId, notes: Notes) -> list[Held]:
    """Return the holds of one call, by case. Raises Retry."""
    note = notes.read(_key(call))
    return sorted(_holds(note) if note.listed else (), key=lambda one: one.case)


def _holds(note: Note) -> Iterator[Held]:
    """Yield the holds that a listed note tells of."""
    call = CallId.parse(note.key.removeprefix(_PREFIX))
    last = note.content["steps"][-1]
    # A release that is not carried out yet: no case is left, and the objects are held.
    gone = {last["case"]: {name: last[name] for name in ("reason", "by", "at")}}
    unfinished = note.content["carried_out"] < len(note.content["steps"])
    for name, said in (note.content["cases"] or gone).items():
        yield Held(**call._asdict(), case=name, unfinished=unfinished, **said)


def known_calls(text: str, ledger: Ledger, notes: Notes) -> list[CallId]:
    """Return the calls that an address or an id may mean, archived or not yet. Raises Retry."""
    return [call for call in meant(text, notes) if _is_known(call, ledger, notes)]


def _is_known(call: CallId, ledger: Ledger, notes: Notes) -> bool:
    """Say whether the call was seen, by a sweep or by anybody else."""
    keys = (records_key(call), _key(call))
    return bool(ledger.load(call).version or any(notes.read(key).version for key in keys))


def _taken(asked: HoldRequest, call: CallId, note: Note, at: str) -> Note:
    """Return the note with one more step, or as it is if this was the last step of the case.

    Raises OutOfTurn, Alone.
    """
    content: Json = {"cases": {}, "steps": [], "carried_out": 0} | note.content
    said = {"reason": asked.reason, "by": asked.by, "at": at}
    cases = _stepped(asked, said, content["cases"], content["steps"])
    if cases is None:
        return replace(note, content=content)
    step = {
        "schema_version": SCHEMA_VERSION,
        "legato_version": __version__,
        **call._asdict(),
        "step": len(content["steps"]) + 1,
        "action": asked.action,
        "case": asked.case,
        **said,
        "held_by": sorted(cases),
    }
    return replace(
        note,
        content=content | {"cases": cases, "steps": [*content["steps"], step]},
        listed=note.listed or (LIST, at),
    )


def _stepped(asked: HoldRequest, said: Json, cases: Json, steps: list[Json]) -> Json | None:
    """Return the cases after a step, or None if it was taken before. Raises OutOfTurn, Alone."""
    case, release = cases.get(asked.case), (cases.get(asked.case) or {}).get("release")
    last = next((step for step in reversed(steps) if step["case"] == asked.case), {})
    if last.get("action") == asked.action and person(last["by"]) == person(asked.by):
        return None
    if asked.action == "hold":
        # Whoever holds it for the same case: it is held.
        return None if case else _after(asked.action, asked.case, said, cases)
    if case is None:
        held_by = f"held for {', '.join(sorted(cases))}" if cases else "not held"
        raise OutOfTurn(f"the case {asked.case} does not hold this call, which is {held_by}")
    if asked.action == "request-release":
        if release:
            raise OutOfTurn(f"{release['by']} requested this release: confirm or withdraw it")
    elif not release:
        raise OutOfTurn(f"no release from {asked.case} was requested: request it first")
    elif asked.action == "confirm-release" and person(release["by"]) == person(asked.by):
        raise Alone(f"{release['by']} requested this release: another person must confirm it")
    return _after(asked.action, asked.case, said, cases)


def _after(action: str, case: str, said: Json, cases: Json) -> Json:
    """Return the cases after a step that may be taken."""
    if action == "hold":
        return cases | {case: said | {"release": None}}
    if action == "confirm-release":
        return {name: other for name, other in cases.items() if name != case}
    return cases | {case: cases[case] | {"release": said if action == "request-release" else None}}


def remembered(steps: list[Json], notes: Notes) -> bool:
    """Write a call's steps into a ledger that has forgotten some; say whether it is held.

    `steps` are the records of all, in their order; each was carried out when it was taken. Raises
    Retry.
    """
    cases: Json = {}
    for step in steps:
        said = {name: step[name] for name in ("reason", "by", "at")}
        cases = _after(step["action"], step["case"], said, cases)
        if step["action"] == "hold":
            remember_case(step["case"], step["at"], notes)

    def written(note: Note) -> Note:
        if len(note.content.get("steps", ())) >= len(steps):
            return note
        content = {"cases": cases, "steps": steps, "carried_out": len(steps)}
        return replace(note, content=content, listed=(LIST, steps[0]["at"]) if cases else None)

    change(_key(CallId.of(steps[0])), written, notes)
    return bool(cases)


def _key(call: CallId) -> str:
    return f"{_PREFIX}{call}"
