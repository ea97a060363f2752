"""The calls of the demo, as a person would tell them."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from legato.model import CallId

AUDIO = Path(__file__).parent / "audio"
LEG_SECONDS = 3
PEOPLE = ("401555105", "401555106", "401555107")
"""RingEX's extensions to which a call is transferred, one after the other."""


class _Names(NamedTuple):
    """What a simulator calls the account and id of a call, its legs, and the start of a leg."""

    account: str
    call: str
    legs: str
    start: str


_NAMES = {
    "ringex": _Names("accountId", "telephonySessionId", "legs", "startTime"),
    "ringcx": _Names("subAccountId", "dialogId", "segments", "startTime"),
    "kazoo": _Names("accountId", "interactionId", "recordings", "start"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCall:
    """`legs` are files of the folder `audio`; `how` and what follows is what must come of them."""

    title: str
    legs: tuple[str, ...]
    how: str | None
    status: str = "archived"
    storage_class: str = "GLACIER_IR"
    provider: Literal["ringex", "ringcx", "kazoo"] = "ringex"
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the simulator, while the call is placed."""
    order: dict[str, Any] = field(default_factory=dict)
    """More for `POST /_sim/calls`."""
    pushed: bool = False
    """Whether Kazoo sends the audio to Legato, and keeps none itself."""

    def id_of(self, placed: dict[str, Any]) -> CallId:
        """Return which call it is, by what the simulator answers."""
        names = _NAMES[self.provider]
        return CallId(self.provider, placed[names.account], placed[names.call])

    @property
    def file_name(self) -> str:
        """Return the title as a file's name, without what it ends in."""
        return re.sub(r"\W+", "-", self.title).lower()

    @property
    def sha256(self) -> list[str]:
        """Return the hash of each leg, as the provider sends it."""
        return [hashlib.sha256((AUDIO / name).read_bytes()).hexdigest() for name in self.legs]

    def body(self, now: datetime) -> dict[str, Any]:
        """Return the order for the simulator: the call ended just now, leg after leg."""
        start = now - timedelta(seconds=LEG_SECONDS * len(self.legs) + 2)
        names = _NAMES[self.provider]
        legs = []
        for number, name in enumerate(self.legs):
            audio = AUDIO / name
            kind = (
                {"type": "AGENT" if number else "IVR"}
                if self.provider == "ringcx"
                else {"format": audio.suffix.removeprefix(".")}
            )
            if self.provider == "ringex":
                kind["extensionId"] = PEOPLE[number]
            started_at = start + timedelta(seconds=LEG_SECONDS * number)
            legs.append(
                {
                    names.start: started_at.isoformat(timespec="milliseconds"),
                    "duration": LEG_SECONDS,
                    "audio": base64.b64encode(audio.read_bytes()).decode(),
                    **kind,
                }
            )
        return {names.legs: legs} | self.order


CALLS = (
    DemoCall(title="one leg, MP3", legs=("single.mp3",), how="single"),
    DemoCall(
        title="transferred twice, WAV",
        legs=("transfer-1.wav", "transfer-2.wav", "transfer-3.wav"),
        how="copy",
    ),
    DemoCall(title="MP3 and WAV mixed", legs=("mixed-1.mp3", "mixed-2.wav"), how="transcode"),
    DemoCall(title="never recorded", legs=(), how=None, status="empty"),
    DemoCall(
        title="notifications shuffled, doubled",
        legs=("single.mp3", "late.mp3"),
        how="copy",
        settings={"shuffle": True, "duplicateShare": 1},
    ),
    DemoCall(
        title="not ready at first",
        legs=("late.mp3",),
        how="single",
        order={"readyAfter": 6},
    ),
    DemoCall(
        title="RingCX: IVR, agent, second agent",
        legs=("dialog-ivr.wav", "dialog-agent.wav", "dialog-second-agent.wav"),
        how="apart",
        storage_class="GLACIER",
        provider="ringcx",
    ),
    DemoCall(
        title="Kazoo: two recordings, MP3",
        legs=("single.mp3", "late.mp3"),
        how="copy",
        provider="kazoo",
    ),
    DemoCall(
        title="Kazoo: pushed, and kept nowhere else",
        legs=("single.mp3",),
        how="single",
        provider="kazoo",
        pushed=True,
    ),
)
