"""Manifests of many calls of all providers, as the processor would seal them, without audio."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from legato.archive.layout import call_prefix
from legato.model import format_time
from tests.fakes import an_id

if TYPE_CHECKING:
    from collections.abc import Iterator

NEWEST = datetime(2026, 11, 20, 18, tzinfo=UTC)
COMPANY = "+15551000000"
"""The number of the company itself, which is in almost every call."""
STORAGE = {"ringex": "GLACIER_IR", "ringcx": "GLACIER", "kazoo": "GLACIER_IR"}
EVERY = timedelta(minutes=6)


def manifests(count: int, *, seed: int = 1) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the key and the manifest of so many calls, the newest first."""
    rng = random.Random(seed)
    for number in range(count):
        provider = rng.choice(tuple(STORAGE))
        started_at = NEWEST - number * EVERY - timedelta(seconds=rng.randrange(300))
        call, manifest = _MADE[provider](rng, started_at)
        yield f"{call_prefix(an_id(call, provider=provider), started_at)}manifest-1.json", manifest


def _ringex(rng: random.Random, started_at: datetime) -> tuple[str, dict[str, Any]]:
    call, outside, extension = f"s-{_hex(rng, 13)}z{_hex(rng, 9)}", _number(rng), _agent(rng)
    direction = rng.choice(("inbound", "outbound"))
    sides = [
        {"phoneNumber": outside, "name": f"Caller {outside[-4:]}"},
        {"phoneNumber": COMPANY, "extensionNumber": extension, "extensionId": f"62{extension}"},
    ]
    first, second = sides if direction == "inbound" else sides[::-1]
    recording = _digits(rng, 14)
    record = {
        "id": _hex(rng, 16),
        "sessionId": _digits(rng, 12),
        "telephonySessionId": call,
        "direction": direction.capitalize(),
        "from": first,
        "to": second,
        "recording": {"id": recording},
        "extension": {"id": f"62{extension}"},
        "legs": [{"partyId": f"p-{call[2:]}-1", "recording": {"id": recording}}],
    }
    parties = [
        _party("from", first.get("phoneNumber"), first.get("name"), first.get("extensionNumber")),
        _party("to", second.get("phoneNumber"), second.get("name"), second.get("extensionNumber")),
    ]
    legs = [_leg(rng, recording, started_at)]
    return call, _manifest("ringex", call, started_at, direction, parties, legs, [record])


def _ringcx(rng: random.Random, started_at: datetime) -> tuple[str, dict[str, Any]]:
    ms = int(started_at.timestamp() * 1000)
    call, contact = f"s-v-{_hex(rng, 12)}-{ms}", _number(rng)
    legs, records, parties = [], [], [_party("contact", contact), _party("channel", COMPANY)]
    for number in range(rng.choice((1, 2, 2, 3))):
        segment, agent = f"p-v-{_hex(rng, 12)}-{ms}-{number}", f"90{_agent(rng)}"
        legs.append(_leg(rng, segment, started_at + number * timedelta(minutes=1)))
        parties.append({**_party("agent"), "agent": agent})
        records.append(
            {
                "dialogId": call,
                "segmentId": segment,
                "interactionId": f"{ms}{_digits(rng, 17)}",
                "segmentParticipantId": agent,
                "contactEndpointAddress": contact,
                "channelEndpointAddress": COMPANY,
                "dialogOrigination": "INBOUND",
            }
        )
    manifest = _manifest("ringcx", call, started_at, "inbound", parties, legs, records)
    return call, manifest if len(legs) == 1 else {**manifest, "recording": None}


def _kazoo(rng: random.Random, started_at: datetime) -> tuple[str, dict[str, Any]]:
    seconds = int(started_at.timestamp()) + 62_167_219_200
    call, extension, outside = f"{seconds}-{_hex(rng, 8)}", _agent(rng), _number(rng)
    recording, sip = _hex(rng, 32), f"{_hex(rng, 24)}@10.0.0.{rng.randrange(255)}"
    direction = rng.choice(("inbound", "outbound"))
    record = {
        "id": recording,
        "call_id": sip,
        "cdr_id": f"{started_at:%Y%m}-{sip}",
        "interaction_id": call,
        "owner_id": f"owner{extension}",
        "caller_id_number": outside,
        "callee_id_number": extension,
        "from": f"{outside}@example.com",
        "to": f"{extension}@example.com",
    }
    parties = [_party("from", outside, "Somebody"), _party("to", extension)]
    legs = [_leg(rng, recording, started_at)]
    return call, _manifest("kazoo", call, started_at, direction, parties, legs, [record])


_MADE = {"ringex": _ringex, "ringcx": _ringcx, "kazoo": _kazoo}


def _manifest(
    provider: str,
    call: str,
    started_at: datetime,
    direction: str,
    parties: list[dict[str, Any]],
    legs: list[dict[str, Any]],
    records: list[dict[str, Any]],
) -> dict[str, Any]:
    prefix = call_prefix(an_id(call, provider=provider), started_at)
    for leg in legs:
        leg["key"] = f"{prefix}legs/{leg['id']}.mp3"
    return {
        "provider": provider,
        "account": "1",
        "call": call,
        "revision": 1,
        "started_at": format_time(started_at),
        "ended_at": format_time(started_at + timedelta(milliseconds=legs[-1]["duration_ms"])),
        "direction": direction,
        "parties": parties,
        "legs": legs,
        "recording": {**legs[0], "how": "single"},
        "provider_records": records,
    }


def _leg(rng: random.Random, name: str, started_at: datetime) -> dict[str, Any]:
    length = int(rng.expovariate(1 / 240_000)) + 1000
    return {
        "id": name,
        "started_at": format_time(started_at),
        "bytes": length * 4,
        "duration_ms": length,
        "channels": 1,
        "details": None,
        "heard_in": None,
        "parties": [],
    }


def _party(
    role: str, number: str | None = None, name: str | None = None, extension: str | None = None
) -> dict[str, Any]:
    return {"role": role, "number": number, "name": name, "extension": extension, "agent": None}


def _number(rng: random.Random) -> str:
    return f"+1555{_digits(rng, 7)}"


def _agent(rng: random.Random) -> str:
    return str(rng.randrange(100, 400))


def _hex(rng: random.Random, length: int) -> str:
    return f"{rng.getrandbits(4 * length):0{length}x}"


def _digits(rng: random.Random, length: int) -> str:
    return f"{rng.randrange(10**length):0{length}}"
