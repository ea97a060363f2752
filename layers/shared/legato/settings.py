"""The only reader of the environment: typed, checked, and complete in its complaint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class BadSettings(Exception):
    """The function's environment is not what template.yaml sets. Names everything that is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """What WebhookFunction is told."""

    secret: str
    ringex_queue: str
    settle_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorSettings:
    """What ProcessorFunction is told. Times in seconds unless the name says otherwise."""

    secret: str
    bucket: str
    table: str
    ringex_queue: str
    ringex_dead_letters: str
    ringex_url: str
    ringex_media_url: str
    ringex_storage_class: str
    settle_seconds: int
    max_call_hours: float
    ladder_seconds: tuple[int, ...]
    named_ladder_seconds: tuple[int, ...]
    ongoing_seconds: int
    max_attempts: int
    retry_seconds: int
    max_leg_bytes: int
    max_audio_hours: float


def webhook_settings(environment: Mapping[str, str]) -> WebhookSettings:
    """Read what the webhook needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = WebhookSettings(
        secret=reader.text("LEGATO_SECRET"),
        ringex_queue=reader.text("LEGATO_RINGEX_QUEUE"),
        settle_seconds=reader.whole("LEGATO_SETTLE_SECONDS"),
    )
    reader.complain()
    return settings


def processor_settings(environment: Mapping[str, str]) -> ProcessorSettings:
    """Read what the processor needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = ProcessorSettings(
        secret=reader.text("LEGATO_SECRET"),
        bucket=reader.text("LEGATO_BUCKET"),
        table=reader.text("LEGATO_TABLE"),
        ringex_queue=reader.text("LEGATO_RINGEX_QUEUE"),
        ringex_dead_letters=reader.text("LEGATO_RINGEX_DEAD_LETTERS"),
        ringex_url=reader.text("LEGATO_RINGEX_URL"),
        ringex_media_url=reader.text("LEGATO_RINGEX_MEDIA_URL"),
        ringex_storage_class=reader.text("LEGATO_RINGEX_STORAGE_CLASS"),
        settle_seconds=reader.whole("LEGATO_SETTLE_SECONDS"),
        max_call_hours=reader.number("LEGATO_MAX_CALL_HOURS"),
        ladder_seconds=reader.whole_list("LEGATO_LADDER_SECONDS"),
        named_ladder_seconds=reader.whole_list("LEGATO_NAMED_LADDER_SECONDS"),
        ongoing_seconds=reader.whole("LEGATO_ONGOING_SECONDS"),
        max_attempts=reader.whole("LEGATO_MAX_ATTEMPTS"),
        retry_seconds=reader.whole("LEGATO_RETRY_SECONDS"),
        max_leg_bytes=reader.whole("LEGATO_MAX_LEG_BYTES"),
        max_audio_hours=reader.number("LEGATO_MAX_AUDIO_HOURS"),
    )
    reader.complain()
    return settings


class _Reader:
    """Reads names one by one and remembers every complaint, so that one error says all."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._complaints: list[str] = []

    def text(self, name: str) -> str:
        return self._read(name, str, "text", "")

    def whole(self, name: str) -> int:
        return self._read(name, int, "a whole number", 0)

    def number(self, name: str) -> float:
        return self._read(name, float, "a number", 0.0)

    def whole_list(self, name: str) -> tuple[int, ...]:
        return self._read(name, _whole_list, "whole numbers between commas", ())

    def complain(self) -> None:
        if self._complaints:
            raise BadSettings("; ".join(self._complaints))

    def _read[T](self, name: str, parse: Callable[[str], T], kind: str, otherwise: T) -> T:
        value = self._environment.get(name, "")
        if not value:
            self._complaints.append(f"{name} is not set")
            return otherwise
        try:
            return parse(value)
        except ValueError:
            self._complaints.append(f"{name} is not {kind}: {value!r}")
            return otherwise


def _whole_list(text: str) -> tuple[int, ...]:
    return tuple(int(item) for item in text.split(","))
