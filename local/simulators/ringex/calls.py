"""Placing calls: what was ordered becomes a session, a row of the call log and recordings.

A session can be placed again under its id; that adds another row to it, as when a transferred call
is logged once for each extension.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

from local.simulators.audio import Audio, Given, melody
from local.simulators.ringex.config import Config
from local.simulators.ringex.recordings import Recording, Recordings
from local.simulators.settings import BadInput, Json
from local.simulators.times import Clock

CUSTOMER = "+14155550142"
COMPANY = "+16505550100"
_NAMES = ("Ada Brown", "Ben Ortiz", "Chloe Park", "Dev Shah", "Erin Cole", "Femi Ade", "Gus Lang")


@dataclass(frozen=True, slots=True)
class Extension:
    """A person of the company."""

    id: str

    @property
    def number(self) -> str:
        """Return the short number that colleagues dial."""
        return self.id[-3:]

    @property
    def name(self) -> str:
        """Return a name, always the same for the same id."""
        return _NAMES[int(self.id) % len(_NAMES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegOrder:
    """One recorded leg, as the control side asks for it. `starts_at` None: after the one before."""

    recording_id: str | None = None
    extension_id: str
    starts_at: float | None = None
    seconds: float
    format: Literal["mp3", "wav"] = "mp3"
    type: Literal["Automatic", "OnDemand"] = "Automatic"
    content_type: str | None = None
    audio: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrder:
    """A call, as the control side asks for it. Times are in seconds after placing."""

    telephony_session_id: str | None = None
    session_id: str | None = None
    legs: tuple[LegOrder, ...] = ()
    direction: Literal["Inbound", "Outbound"] = "Inbound"
    customer: str = CUSTOMER
    starts_at: float | None = None
    seconds: float = 30
    ready_after: float = 0
    listed: bool = True
    listed_after: float | None = None
    rewritten_after: float | None = None
    legs_at_first: int = 0
    runs_for: float | None = None
    stuck: bool = False
    record_per_leg: bool = False
    transfer_target: str | None = None
    transferee: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A stretch of a call with one extension. `recording` is None when it was not recorded."""

    extension: Extension
    party: str
    starts_at: float
    seconds: float
    recording: Recording | None
    too_short: bool = False

    @property
    def ends_at(self) -> float:
        """Return when it ended."""
        return self.starts_at + self.seconds


type Phase = Literal["running", "stuck", "snapshot", "final"]
"""A stuck record says that the call runs, and it does not."""


@dataclass(slots=True, kw_only=True)
class Row:
    """A record of the call log, which is observed and not final: it has one look after another."""

    id: str
    session: CallSession
    order: CallOrder
    legs: tuple[Leg, ...]
    phases: tuple[tuple[float, Phase], ...]

    @property
    def starts_at(self) -> float:
        """Return when the first leg started, by which the log filters."""
        return min(leg.starts_at for leg in self.legs)

    @property
    def seconds(self) -> float:
        """Return the length from the first leg's start to the last one's end."""
        return max(leg.ends_at for leg in self.legs) - self.starts_at

    def seen_at(self, now: float) -> tuple[float, Phase] | None:
        """Return since when it looks how, or None while it is not listed."""
        begun = [phase for phase in self.phases if phase[0] <= now]
        if not begun:
            return None
        since, phase = begun[-1]
        # A row that loses a recording is modified by that.
        lost = [leg.recording.deleted_at or 0 for leg in self.legs if leg.recording]
        return max([since, *lost]), phase


@dataclass(slots=True, kw_only=True)
class CallSession:
    """A telephony session: everything that belongs to one call of a customer."""

    id: str
    legacy_id: str
    sequence: int = 0
    parties: int = 1
    placed_at: float
    ended_at: float
    rows: list[Row] = field(default_factory=list)

    @property
    def outside_party(self) -> str:
        """Return the id of the customer's party, which has no extension."""
        return self._party(1)

    def next_party(self) -> str:
        """Return the id of one more party."""
        self.parties += 1
        return self._party(self.parties)

    def next_sequence(self) -> int:
        """Return the number of the session's next notification."""
        self.sequence += 1
        return self.sequence

    def _party(self, number: int) -> str:
        return f"p-{self.id.removeprefix('s-')}-{number}"


class Calls:
    """Every call of the account."""

    def __init__(self, config: Config, clock: Clock, recordings: Recordings) -> None:
        self._config = config
        self._clock = clock
        self._recordings = recordings
        self.sessions: dict[str, CallSession] = {}
        self.rows: dict[str, Row] = {}

    def place(self, order: CallOrder) -> tuple[CallSession, list[Row]]:
        """Let a call have happened. Raises BadInput, and changes nothing, when it cannot."""
        self._check(order)
        now = self._clock()
        ended_at = now + (order.runs_for or 0)
        session = self._session(order, now, ended_at)
        legs = self._legs(order, session, now)
        groups = [(leg,) for leg in legs] if order.record_per_leg else [tuple(legs)]
        rows = [
            Row(
                id=f"R{secrets.token_hex(8).upper()}",
                session=session,
                order=order,
                legs=group,
                phases=self._phases(order, now, ended_at),
            )
            for group in groups
        ]
        session.rows.extend(rows)
        self.rows.update({row.id: row for row in rows})
        return session, rows

    def drop(self, row_id: str | None) -> None:
        """Take a row out of the log; its session and recordings stay."""
        self.rows.pop(row_id or "", None)

    def forget(self) -> None:
        """Drop every call."""
        self.sessions.clear()
        self.rows.clear()

    def _check(self, order: CallOrder) -> None:
        """Refuse what cannot be, before anything is changed."""
        for at, leg in enumerate(order.legs):
            known = self._recordings.known(leg.recording_id) if leg.recording_id else None
            if known and known.session != order.telephony_session_id:
                raise BadInput(
                    f"legs[{at}].recordingId: {leg.recording_id} belongs to {known.session}"
                )
            try:
                _audio(leg, "")
            except ValueError as error:
                raise BadInput(f"legs[{at}].duration: {error}") from error

    def _session(self, order: CallOrder, now: float, ended_at: float) -> CallSession:
        name = order.telephony_session_id or f"s-{secrets.token_hex(16)}"
        session = self.sessions.get(name)
        if session is None:
            legacy = order.session_id or str(400_000_000_000 + secrets.randbelow(10**11))
            session = CallSession(id=name, legacy_id=legacy, placed_at=now, ended_at=ended_at)
            self.sessions[name] = session
        session.ended_at = max(session.ended_at, ended_at)
        return session

    def _legs(self, order: CallOrder, session: CallSession, now: float) -> list[Leg]:
        if not order.legs:
            starts_at = order.starts_at
            return [
                Leg(
                    extension=Extension(f"{self._config.account_id[:-3]}101"),
                    party=session.next_party(),
                    starts_at=now - order.seconds if starts_at is None else starts_at,
                    seconds=order.seconds,
                    recording=None,
                )
            ]
        at = order.starts_at
        if at is None:
            at = now - sum(leg.seconds for leg in order.legs)
        legs = []
        for leg in order.legs:
            at = at if leg.starts_at is None else leg.starts_at
            too_short = leg.seconds < self._config.min_recording_seconds
            legs.append(
                Leg(
                    extension=Extension(leg.extension_id),
                    party=session.next_party(),
                    starts_at=at,
                    seconds=leg.seconds,
                    recording=None if too_short else self._record(order, leg, session, now),
                    too_short=too_short,
                )
            )
            at += leg.seconds
        return legs

    def _record(
        self, order: CallOrder, leg: LegOrder, session: CallSession, now: float
    ) -> Recording:
        name = leg.recording_id or str(555_000_000_000 + secrets.randbelow(10**11))
        known = self._recordings.known(name)
        if known:
            return known
        recording = Recording(
            id=name,
            session=session.id,
            type=leg.type,
            content_type=leg.content_type or {"mp3": "audio/mpeg", "wav": "audio/wav"}[leg.format],
            seconds=leg.seconds,
            audio=_audio(leg, name),
            # A recording cannot be had while its call runs.
            ready_at=max(now + order.ready_after, now + (order.runs_for or 0)),
        )
        self._recordings.add(recording)
        return recording

    def _phases(
        self, order: CallOrder, now: float, ended_at: float
    ) -> tuple[tuple[float, Phase], ...]:
        if not order.listed:
            return ()
        lag = self._config.log_lag if order.listed_after is None else order.listed_after
        phases: list[tuple[float, Phase]] = []
        if order.runs_for is not None:
            phases.append((now, "running"))
        if order.stuck:
            phases.append((ended_at + lag, "stuck"))
        elif order.rewritten_after is not None:
            phases.append((ended_at + lag, "snapshot"))
            phases.append((ended_at + max(lag, order.rewritten_after), "final"))
        else:
            phases.append((ended_at + lag, "final"))
        return tuple(phases)


def _audio(leg: LegOrder, name: str) -> Audio:
    if leg.audio is not None:
        return Given(leg.audio)
    return melody(name, audio_format=leg.format, seconds=leg.seconds)


def placed(session: CallSession, rows: list[Row]) -> Json:
    """Return the ids of what was placed. A recording id that repeats is named once."""
    recordings = [leg.recording.id for row in rows for leg in row.legs if leg.recording]
    return {
        "telephonySessionId": session.id,
        "sessionId": session.legacy_id,
        "recordingIds": list(dict.fromkeys(recordings)),
        "recordIds": [row.id for row in rows],
    }
