"""The calls of the demo, as a person would tell them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

AUDIO = Path(__file__).parent / "audio"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCall:
    """`legs` are files of the folder `audio`; `how` and `status` are what must come of them."""

    title: str
    legs: tuple[str, ...]
    how: str | None
    status: str = "archived"
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the simulator, while the call is placed."""
    order: dict[str, Any] = field(default_factory=dict)
    """More for `POST /_sim/calls`."""

    def body(self, now: datetime) -> dict[str, Any]:
        """Return the order for the simulator: the call ended just now, leg after leg."""
        seconds = [3] * len(self.legs)
        start = now - timedelta(seconds=sum(seconds) + 2)
        legs = []
        for name, length in zip(self.legs, seconds, strict=True):
            audio = AUDIO / name
            legs.append(
                {
                    "startTime": start.isoformat(timespec="milliseconds"),
                    "duration": length,
                    "format": audio.suffix.removeprefix("."),
                    "audio": base64.b64encode(audio.read_bytes()).decode(),
                }
            )
            start += timedelta(seconds=length)
        return {"legs": legs, "emit": True, **self.order}


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
)
