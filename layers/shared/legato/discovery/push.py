"""Take a recording that Kazoo pushes: verify, store it in the inbox, answer. Calls no provider.

Kazoo signs nothing, so its address carries a token, which is made of the account and a key of the
secret: there is no list of tokens, and nobody can make one for another account.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl, urlencode

from legato.api_request import Reply, among, body_of, texts_of
from legato.errors import NotAudio, Retry
from legato.model import MEDIA_TYPES, is_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from legato.model import Json

# Fields of the inbound tokens. While addresses are changed, Kazoo uses the one or the other.
KAZOO_PUSH_KEY = "kazooPushKey"
KAZOO_PREVIOUS_PUSH_KEY = "kazooPreviousPushKey"
MAC_DIGITS = 40
MAX_FIELDS = 100
IDS = ("account_id", "recording_id", "call_id", "interaction_id", "cdr_id")
NUMBERS = ("start", "duration_ms")
FACTS = (
    *IDS,
    *NUMBERS,
    "owner_id",
    "from",
    "to",
    "caller_id_number",
    "caller_id_name",
)
"""What is kept of a push, what tells most of it first. An id or a number that is none is left out.

The recording is kept all the same: who it is, Kazoo itself may still say.
"""
MAX_FACT_CHARACTERS = 200
MAX_FACTS_BYTES = 1900
"""An object's metadata have 2,048. What does not fit any more is left out.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
"""

_ACCOUNT = re.compile(r"[0-9A-Za-z]{1,100}")
# One version of Kazoo writes the dot in front of the extension twice.
_NAME = re.compile(r"call_recording_(.+?)\.+(?:mp3|mp4|wav)$")


class PushStore(Protocol):
    """Where pushes are stored."""

    def put(self, key: str, body: bytes, *, media_type: str, facts: str) -> bool:
        """Store an object; say whether it is new. What the key holds stays. Raises Retry."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A request of Kazoo's. `name` is the path behind the token, `query` as it was sent."""

    token: str = field(repr=False)
    name: str = ""
    query: str = ""
    body: bytes = field(repr=False)

    @classmethod
    def of(cls, event: Json) -> Push:
        """Return the push of an API Gateway event (payload 2.0), which has decoded the path."""
        path, query = texts_of(event, "pathParameters"), event.get("rawQueryString")
        return cls(
            token=path.get("token", ""),
            name=path.get("name", ""),
            query=query if isinstance(query, str) else "",
            body=body_of(event),
        )


def push(
    pushed: Push,
    *,
    keys: Callable[..., Sequence[str]],
    recognise: Callable[[bytes], str],
    inbox: PushStore,
) -> Reply:
    """Answer one push. `keys` returns the push keys; with `fresh=True` it reads them anew.

    `recognise` returns `mp3` or `wav`, or raises NotAudio. Whatever is answered 200 is in the
    inbox. Kazoo repeats everything else for an hour, and a 503 is worth it.
    """
    try:
        account = account_of(pushed.token, keys)
    except Retry as error:
        return Reply(status=503, outcome="Refused", logged={"reason": str(error)})
    if account is None:
        return Reply(status=401, outcome="Unauthorized")
    told: Json = {"account": account, "size": len(pushed.body)}
    try:
        facts = _facts(account, pushed)
    except ValueError:
        return Reply(
            status=400, outcome="Malformed", body={"message": "too many parameters"}, logged=told
        )
    told |= {name: facts[name] for name in ("call_id", "recording_id") if name in facts}
    if facts["account_id"] != account:
        advice = "this address belongs to another account: give each account its own"
        return Reply(status=403, outcome="OtherAccount", body={"message": advice}, logged=told)
    if not pushed.body:
        return Reply(status=400, outcome="Empty", body={"message": "there is no body"}, logged=told)
    try:
        extension = recognise(pushed.body)
    except NotAudio as error:
        told["reason"] = str(error)
        advice = f"{error}: push the recording as it is, not as multipart and not in Base64"
        return Reply(status=415, outcome="NotAudio", body={"message": advice}, logged=told)
    described = _described(facts)
    # Without the facts a recording of silence would be the same push as any other one.
    digest = hashlib.sha256(described.encode() + b"\n" + pushed.body).hexdigest()
    key = f"push/{account}/{digest}.{extension}"
    told["key"] = key
    try:
        new = inbox.put(key, pushed.body, media_type=MEDIA_TYPES[extension], facts=described)
    except Retry as error:
        return Reply(
            status=503,
            outcome="Refused",
            body={"message": "it cannot be stored now, send it again"},
            logged={**told, "reason": str(error)},
        )
    if not new:
        return Reply(
            status=200, outcome="Repeated", body={"message": "it was stored before"}, logged=told
        )
    return Reply(status=200, outcome="Stored", body={"message": "stored"}, logged=told)


def token_of(account: str, key: str) -> str:
    """Return the token of an account: its id, and a proof that who made it had the key."""
    mac = hmac.new(key.encode(), account.encode(), hashlib.sha256).hexdigest()
    return f"{account}-{mac[:MAC_DIGITS]}"


def account_of(token: str, keys: Callable[..., Sequence[str]]) -> str | None:
    """Return whose token this is, or None if it is nobody's. Compares in constant time."""
    account = token.rpartition("-")[0]
    if not _ACCOUNT.fullmatch(account):
        return None
    for fresh in (False, True):
        expected = [token_of(account, key) for key in keys(fresh=fresh) if key]
        if among(token.encode(errors="surrogatepass"), expected):
            return account
    return None


def _facts(account: str, pushed: Push) -> dict[str, str]:
    """Return what the address says of the recording. Raises ValueError if it says too much.

    https://github.com/2600hz/kazoo/blob/master/core/kazoo_attachments/src/kz_att_http.erl
    """
    query = dict(parse_qsl(pushed.query, max_num_fields=MAX_FIELDS))
    name = pushed.name or query.get("recording") or _name_among(query)
    found = {"account_id": account, **query}
    if "call_id" not in found and (named := _NAME.search(name)):
        found["call_id"] = named[1]
    return {fact: found[fact] for fact in FACTS if _is_fact(fact, found.get(fact, ""))}


def _is_fact(name: str, value: str) -> bool:
    if name == "account_id":
        return True  # whatever it is, it is compared
    if name in (*IDS, "owner_id"):
        return is_id(value)
    if name in NUMBERS:
        return value.isascii() and value.isdecimal()
    return bool(value)


def _name_among(query: Mapping[str, str]) -> str:
    """Return the file name that Kazoo has put behind the last parameter of its address, if any."""
    return next((value for value in query.values() if _NAME.match(value)), "")


def _described(facts: Mapping[str, str]) -> str:
    """Write facts as a form, which is ASCII, as long as there is room."""
    kept: dict[str, str] = {}
    for name, value in facts.items():
        longer = {**kept, name: value[:MAX_FACT_CHARACTERS]}
        if len(_form(longer)) <= MAX_FACTS_BYTES:
            kept = longer
    return _form(kept)


def _form(facts: Mapping[str, str]) -> str:
    return urlencode(facts, errors="replace")
