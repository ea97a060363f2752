"""The access log: who looked at which calls, when and why, as evidence in the archive.

Whoever is about to read something of a call has it written down first. A record is announced to the
chain of digests and written like a manifest, so it can be neither altered nor taken away without a
trace. Then it is noted in the ledger, by call and by month, where it is looked up. The steps of
legal holds are accesses too; their records lie with the holds.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

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
from legato.archive.layout import access_key, hold_key
from legato.errors import Refused, Retry
from legato.ledger import undigested
from legato.model import PROVIDERS, CallId, format_time, is_name, parse_time
from legato.ports import Access

if TYPE_CHECKING:
    from collections.abc import Iterable

    from legato.model import Json
    from legato.ports import Accesses, Archive, Clock, Notes

log = logging.getLogger(__name__)

ACTIONS = ("show", "restore", "get", "link", "export", "exported", "accesses")
WITHOUT_CALLS = ("export", "exported", "accesses")
"""What may be done without naming a call: a search that finds none is exported too."""
MOST_CALLS = 1000
MAX_BODY_BYTES = 256 * 1024
"""So that an access fits into an item of the ledger, which takes 400 KB."""
MAX_DETAILS_BYTES = 4096
SCHEMA_VERSION = 1
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """What a person is about to do. `by` is the ARN by which AWS knows that person.

    `calls` has each call once.
    """

    action: str
    calls: tuple[CallId, ...]
    by: str
    reason: str = ""
    details: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLog:
    """The access log: its records in the archive, and where they are looked up."""

    archive: Archive
    notes: Notes
    accesses: Accesses
    clock: Clock
    reason_required: bool = True

    def answer(self, body: bytes, *, by: str) -> Reply:
        """Answer a request. Whatever is answered 200 stands in the archive and in the ledger."""
        told: Json = {"by": by}
        try:
            asked = read(body, by=by, reason_required=self.reason_required)
            told |= {"action": asked.action, "calls": len(asked.calls)}
            done = self.record(asked)
        except Refused as error:
            return refused(error, told)
        except Retry as error:
            return unfinished(error, told)
        said = {"id": done.id, "at": format_time(done.at), "by": done.by, "key": done.key}
        return Reply(status=200, outcome="Done", body=said, logged=told | {"key": done.key})

    def record(self, asked: AccessRequest) -> Access:
        """Write an access down. Raises Retry, and then nothing may be read.

        Asked again it is another access: better one too many than one that nobody knows of.
        """
        content = {
            "schema_version": SCHEMA_VERSION,
            "legato_version": __version__,
            "id": uuid.uuid4().hex,
            "at": format_time(self.clock.now()),
            "by": asked.by,
            "action": asked.action,
            "calls": [call._asdict() for call in asked.calls],
            "reason": asked.reason,
            "details": asked.details,
        }
        access, body = of_record(content), _to_bytes(content)
        undigested.announce(access.key, self.notes, self.clock)
        undigested.written(self.archive.put_bytes(access.key, body, media_type=JSON), self.notes)
        self.accesses.note(access)
        return access


def read(body: bytes, *, by: str, reason_required: bool) -> AccessRequest:
    """Read a request. Raises Refused, naming the field, for what is none."""
    check_signed(by)
    if len(body) > MAX_BODY_BYTES:
        raise Refused(f"the body has more than {MAX_BODY_BYTES} bytes: name fewer calls at once")
    fields = read_json(body)
    action = text(fields, "action")
    if action not in ACTIONS:
        raise Refused(f"`action` is one of {', '.join(ACTIONS)}, not {action!r}")
    asked = AccessRequest(
        action=action,
        calls=_calls(fields.pop("calls", []), needed=action not in WITHOUT_CALLS),
        by=by,
        reason=text(fields, "reason", needed=reason_required),
        details=_details(fields.pop("details", {})),
    )
    nothing_else(fields)
    return asked


def rebuild(records: Iterable[bytes], accesses: Accesses) -> int:
    """Note anew what these records say, and return how many there were. Raises Retry.

    They are all that lies below `access/` and `holds/`, in any order, and noting them again changes
    nothing. What is no record is passed over and logged: `legato verify` says what became of it.
    """
    noted = 0
    for body in records:
        try:
            content = json.loads(body)
            access = of_step(content) if "step" in content else of_record(content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            sha256 = hashlib.sha256(body).hexdigest()
            log.error("no access record", extra={"sha256": sha256, "reason": str(error)})
            continue
        accesses.note(access)
        noted += 1
    return noted


def of_record(content: Json) -> Access:
    """Return the access that a record below `access/` describes."""
    return Access(
        id=content["id"],
        at=parse_time(content["at"]),
        by=content["by"],
        action=content["action"],
        calls=tuple(map(CallId.of, content["calls"])),
        reason=content["reason"],
        case="",
        details=content["details"],
        key=access_key(content["at"], content["id"]),
    )


def of_step(step: Json) -> Access:
    """Return the access that a step of a legal hold is.

    Its id follows from its record's key, so a step that is taken again is the same access.
    """
    call = CallId.of(step)
    key = hold_key(call, step["at"], step["step"])
    return Access(
        id=hashlib.sha256(key.encode()).hexdigest()[:32],
        at=parse_time(step["at"]),
        by=step["by"],
        action=step["action"],
        calls=(call,),
        reason=step["reason"],
        case=step["case"],
        details={},
        key=key,
    )


def to_json(access: Access) -> Json:
    calls = [call._asdict() for call in access.calls]
    return asdict(access) | {"at": format_time(access.at), "calls": calls}


def _calls(given: object, *, needed: bool) -> tuple[CallId, ...]:
    """Return the calls of a request, each once. Raises Refused."""
    if not isinstance(given, list):
        raise Refused("`calls` is not a list")
    if needed and not given:
        raise Refused("`calls` is missing")
    if len(given) > MOST_CALLS:
        raise Refused(f"`calls` has more than {MOST_CALLS} calls")
    return tuple(dict.fromkeys(_call(each) for each in given))


def _call(given: object) -> CallId:
    if not isinstance(given, dict):
        raise Refused("`calls` is a list of objects with `provider`, `account` and `call`")
    fields = dict(given)
    provider = fields.pop("provider", None)
    if provider not in PROVIDERS:
        raise Refused(f"`provider` is one of {', '.join(PROVIDERS)}, not {provider!r}")
    call = CallId(provider, text(fields, "account"), text(fields, "call"))
    if not all(map(is_name, call)):
        raise Refused("`account` and `call` are ids of at most 128 printable characters")
    nothing_else(fields)
    return call


def _details(given: object) -> Json:
    if not isinstance(given, dict):
        raise Refused("`details` is not a JSON object")
    try:
        size = len(json.dumps(given, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError) as error:
        # NaN and half a character are no JSON, though Python reads them.
        raise Refused("`details` is not a JSON object") from error
    if size > MAX_DETAILS_BYTES:
        raise Refused(f"`details` has more than {MAX_DETAILS_BYTES} bytes")
    return given


def _to_bytes(content: Json) -> bytes:
    try:
        return to_bytes(content)
    except RecursionError as error:
        raise Refused("`details` is nested too deeply") from error
