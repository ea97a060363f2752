"""Placing calls: what was ordered becomes a dialog of segments, each with its own recording.

A dialog can be placed again under its id; that adds segments to it, as when a call goes on.
"""

from __future__ import annotations

import re
import secrets
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from local.simulators.audio import Audio, Given, melody
from local.simulators.ringcx.config import Config
from local.simulators.settings import BadInput, Json
from local.simulators.times import Clock

CONTACT = "4155550142"
CHANNEL = "6505550100"
_AGENT = 449438
_VOICE = re.compile(r"s-v-([0-9a-f]{32}-\d{13})")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOrder:
    """One segment, as the control side asks for it. What is None is as the call says."""

    segment_id: str | None = None
    starts_at: float | None = None
    seconds: float
    type: Literal["AGENT", "IVR", "BOT"] = "AGENT"
    agent_id: str | None = None
    recorded: bool = True
    audio: bytes | None = None
    channels: int | None = None
    sample_rate: int | None = None
    ready_after: float | None = None
    listed_after: float | None = None
    recorded_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrder:
    """A call, as the control side asks for it. What is None is as the configuration says."""

    dialog_id: str | None = None
    sub_account: str | None = None
    interaction_id: str | None = None
    segments: tuple[SegmentOrder, ...] = ()
    origination: Literal["INBOUND", "OUTBOUND"] = "INBOUND"
    contact: str = CONTACT
    channel: str = CHANNEL
    channel_class: Literal["VOICE", "DIGITAL"] = "VOICE"
    channel_type: str | None = None
    ready_after: float = 0
    listed_after: float | None = None
    recorded_after: float = 0


@dataclass(slots=True, kw_only=True)
class Segment:
    """A stretch of a dialog with one participant. `audio` is None when it was not recorded."""

    id: str
    dialog: Dialog
    type: str
    agent: str | None
    starts_at: float
    ends_at: float
    listed_at: float
    recorded_at: float
    ready_at: float
    audio: Audio | None


@dataclass(slots=True, kw_only=True)
class Dialog:
    """Everything that belongs to one call of a contact."""

    id: str
    sub_account: str
    interaction_id: str
    order: CallOrder
    segments: list[Segment] = field(default_factory=list)

    @property
    def is_voice(self) -> bool:
        """Say whether it was a call and no message."""
        return self.order.channel_class == "VOICE"

    @property
    def starts_at(self) -> float:
        """Return when the first segment started."""
        return min(segment.starts_at for segment in self.segments)

    def ends_at(self, now: float) -> float:
        """Return when it ended, as far as is known now."""
        ended = [segment.ends_at for segment in self.segments if segment.ends_at <= now]
        return max(ended, default=self.starts_at)


_COMPARED: dict[str, Callable[[Segment], float]] = {
    "segmentEnd": lambda segment: segment.ends_at,
    "dialogStart": lambda segment: segment.dialog.starts_at,
}


class Calls:
    """Every dialog of the account."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self.dialogs: dict[str, Dialog] = {}
        self.segments: dict[str, Segment] = {}
        self._by_sub_account: defaultdict[str, list[Segment]] = defaultdict(list)
        self._ordered: dict[tuple[str, str], list[Segment]] = {}

    def place(self, order: CallOrder) -> tuple[Dialog, list[Segment]]:
        """Let a call have happened. Raises BadInput, and changes nothing, when it cannot.

        Returns the dialog and those of its segments that are new.
        """
        sub_account = self._sub_account(order)
        named = [each.segment_id for each in order.segments if each.segment_id]
        for name in named:
            if name in self.segments or named.count(name) > 1:
                raise BadInput(f"segments: {name} is there already")
        now = self._clock()
        dialog = self.dialogs.get(order.dialog_id or "") or self._dialog(order, sub_account, now)
        segments = self._segments(order, dialog, now)
        self.dialogs[dialog.id] = dialog
        dialog.segments.extend(segments)
        self.segments.update({segment.id: segment for segment in segments})
        self._by_sub_account[sub_account].extend(segments)
        self._ordered.clear()
        return dialog, segments

    def window(self, sub_account: str, begin: float, end: float) -> list[Segment]:
        """Return what is listed now and has its time in [begin, end), the earliest first."""
        compared = self._config.compared_by
        key = _COMPARED[compared]
        ordered = self._ordered.get((sub_account, compared))
        if ordered is None:
            ordered = sorted(self._by_sub_account[sub_account], key=key)
            self._ordered[sub_account, compared] = ordered
        found = ordered[bisect_left(ordered, begin, key=key) : bisect_left(ordered, end, key=key)]
        now = self._clock()
        return [segment for segment in found if segment.listed_at <= now]

    def find(self, sub_account: str, dialog: str, name: str) -> Segment | None:
        """Return a segment whether or not its recording is ready."""
        segment = self.segments.get(name)
        if segment and (segment.dialog.sub_account, segment.dialog.id) == (sub_account, dialog):
            return segment
        return None

    def unlist(self, name: str) -> None:
        """Take a segment out of all windows; its recording stays."""
        segment = self.segments.get(name)
        if segment:
            listed = self._by_sub_account[segment.dialog.sub_account]
            listed[:] = [each for each in listed if each is not segment]
            self._ordered.clear()

    def forget(self) -> None:
        """Drop every call."""
        self.dialogs.clear()
        self.segments.clear()
        self._by_sub_account.clear()
        self._ordered.clear()

    def _sub_account(self, order: CallOrder) -> str:
        known = self.dialogs.get(order.dialog_id or "")
        default = known.sub_account if known else self._config.sub_accounts[0]
        sub_account = order.sub_account or default
        if sub_account not in self._config.sub_accounts:
            raise BadInput(f"subAccountId: {sub_account!r} is no sub-account")
        if known and known.sub_account != sub_account:
            raise BadInput(f"dialogId: {known.id} belongs to {known.sub_account}")
        return sub_account

    def _dialog(self, order: CallOrder, sub_account: str, now: float) -> Dialog:
        milliseconds = round(now * 1000)
        voice = order.channel_class == "VOICE"
        made = f"s-v-{secrets.token_hex(16)}" if voice else f"d-{secrets.token_hex(12)}"
        moment = datetime.fromtimestamp(now, UTC)
        return Dialog(
            id=order.dialog_id or f"{made}-{milliseconds}",
            sub_account=sub_account,
            interaction_id=order.interaction_id
            or f"{moment:%Y%m%d%H%M%S}{secrets.randbelow(10**16):016}",
            order=order,
        )

    def _segments(self, order: CallOrder, dialog: Dialog, now: float) -> list[Segment]:
        at = now - sum(each.seconds for each in order.segments)
        segments = []
        for number, each in enumerate(order.segments):
            at = at if each.starts_at is None else each.starts_at
            segment = self._segment(order, each, dialog, now, at)
            if each.agent_id is None and each.type == "AGENT":
                segment.agent = str(_AGENT + len(dialog.segments) + number)
            segments.append(segment)
            at += each.seconds
        return segments

    def _segment(
        self, call: CallOrder, order: SegmentOrder, dialog: Dialog, now: float, starts_at: float
    ) -> Segment:
        name = order.segment_id or _segment_id(dialog, now)
        # To the millisecond, as it is written.
        ends_at = round(starts_at + order.seconds, 3)
        ready_after = call.ready_after if order.ready_after is None else order.ready_after
        listed_after = order.listed_after
        if listed_after is None:
            listed_after = call.listed_after
        if listed_after is None:
            listed_after = self._config.metadata_lag
        recorded_after = order.recorded_after
        if recorded_after is None:
            recorded_after = call.recorded_after
        return Segment(
            id=name,
            dialog=dialog,
            type=order.type,
            agent=order.agent_id,
            starts_at=round(starts_at, 3),
            ends_at=ends_at,
            listed_at=ends_at + listed_after,
            recorded_at=ends_at + recorded_after,
            ready_at=max(now, ends_at) + ready_after,
            audio=self._audio(order, name) if order.recorded and dialog.is_voice else None,
        )

    def _audio(self, order: SegmentOrder, name: str) -> Audio:
        if order.audio is not None:
            return Given(order.audio)
        try:
            return melody(
                name,
                audio_format="wav",
                seconds=order.seconds,
                channels=int(order.channels or self._config.channels),
                rate=int(order.sample_rate or self._config.sample_rate),
            )
        except ValueError as error:
            raise BadInput(f"segments: {error}") from error


def _segment_id(dialog: Dialog, now: float) -> str:
    if not dialog.is_voice:
        return f"d-{secrets.token_hex(12)}-{secrets.token_hex(12)}"
    named = _VOICE.fullmatch(dialog.id)
    stem = named[1] if named else f"{secrets.token_hex(16)}-{round(now * 1000)}"
    return f"p-v-{stem}-{secrets.token_hex(7)[:13]}"


def placed(dialog: Dialog, segments: list[Segment]) -> Json:
    """Return the ids of what was placed."""
    return {
        "dialogId": dialog.id,
        "subAccountId": dialog.sub_account,
        "interactionId": dialog.interaction_id,
        "segmentIds": [segment.id for segment in segments],
    }
