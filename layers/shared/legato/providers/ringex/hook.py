"""RingCentral's webhook: the handshake, the token, and which notifications are of interest.

Rules: https://developers.ringcentral.com/guide/notifications/webhooks/creating-webhooks and
https://developers.ringcentral.com/guide/voice/telephony-session-notifications. The token arrives
in `Verification-Token`; the guide's page on receiving names another header, wrongly.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from legato.api_request import Reply, Request, among
from legato.model import MOST_NAMED, Job, Json, is_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

JSON = {"Content-Type": "application/json"}
ENDED = {"disconnected", "gone"}

# RingCentral reads at most 1,024 bytes of headers and body; the gateway adds about 200 of its own.
_VALIDATION_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")
_EVENT = re.compile(r"/restapi/v1\.0/account/(?P<account>[^/]+)/(?:.*/)?telephony/sessions\b")
MOST_PEERS = 10
"""Other sessions that one notification names. It is about one party."""


class RingexHook:
    """`tokens` returns the tokens that are accepted: two while one replaces the other.

    Asked with `fresh=True` it reads the secret anew.
    """

    def __init__(self, tokens: Callable[..., Sequence[str]]) -> None:
        self._tokens = tokens

    def handshake(self, request: Request) -> Reply | None:
        """Echo `Validation-Token`, but only for an empty body: a delivery is never answered so."""
        token = request.headers.get("validation-token")
        if request.body or token is None:
            return None
        if not _VALIDATION_TOKEN.fullmatch(token):
            reason = "the Validation-Token is not one"
            return Reply(status=400, outcome="Malformed", logged={"reason": reason})
        return Reply(status=200, outcome="Handshake", headers={**JSON, "Validation-Token": token})

    def authentic(self, request: Request) -> bool:
        """Compare `Verification-Token` in constant time; a rotated token is read once more."""
        given = request.headers.get("verification-token", "").encode(errors="surrogatepass")
        return any(among(given, self._tokens(fresh=fresh)) for fresh in (False, True))

    def job(self, notification: Json, *, now: datetime) -> Job | None:
        """Return a job if a party of a telephony session has hung up or moved on.

        Each notification carries only the party that changed, so nothing here can tell whether the
        whole call is over: the call log can. And one that names recordings makes a job while the
        call goes on (`ongoing`): that of the last party need not name them again.
        """
        event = notification.get("event")
        body = notification.get("body")
        matched = _EVENT.match(event) if isinstance(event, str) else None
        if matched is None or not is_id(matched["account"]) or not isinstance(body, dict):
            return None
        session = body.get("telephonySessionId")
        if not isinstance(session, str) or not is_id(session):
            return None
        parties = [party for party in _list(body.get("parties")) if isinstance(party, dict)]
        hints: Json = {}
        if recordings := _recordings(parties):
            hints["recordingIds"] = recordings
        if any(_status(party) in ENDED for party in parties):
            if peers := _peers(parties, session):
                hints["peers"] = peers[:MOST_PEERS]
        elif recordings:
            hints["ongoing"] = True
        else:
            return None
        return Job(
            provider="ringex", account=matched["account"], call=session, seen_at=now, hints=hints
        )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _status(party: Json) -> str:
    # Spelling varies between deliveries ("VoiceMail", "Voicemail"), so case does not count.
    status = party.get("status")
    code = status.get("code") if isinstance(status, dict) else None
    return code.lower() if isinstance(code, str) else ""


def _recordings(parties: list[Json]) -> list[str]:
    recordings = (item for party in parties for item in _list(party.get("recordings")))
    return _ids(item.get("id") for item in recordings if isinstance(item, dict))


def _peers(parties: list[Json], session: str) -> list[str]:
    statuses = (party["status"] for party in parties if isinstance(party.get("status"), dict))
    peers = (status.get("peerId") for status in statuses)
    ids = _ids(peer.get("telephonySessionId") for peer in peers if isinstance(peer, dict))
    return [name for name in ids if name != session]


def _ids(values: Iterable[object]) -> list[str]:
    """Return those that are ids, each once, and not more than are believed."""
    found = {name for name in values if isinstance(name, str) and is_id(name)}
    return sorted(found)[:MOST_NAMED]
