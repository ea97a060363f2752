"""What a stack is configured to do: typed, checked, and complete in its complaint.

A deployment writes one document (`ConfigParameter` of template.yaml), by the names of its
parameters and of `legato.tuning`. WebhookFunction and PushFunction, which answer within
milliseconds, are told the little that they need in their environment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from legato.archive.object_lock import Retention
from legato.settings import BadSettings, names, names_of, one_of, read, text, web, whole
from legato.tuning import DEFAULTS, Tuning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from legato.archive.object_lock import Mode

DELETIONS: dict[str, tuple[str, ...]] = {
    "false": (),
    "true": ("ringex", "kazoo"),  # RingCX offers none
    "ringex": ("ringex",),
    "kazoo": ("kazoo",),
}
"""Which providers delete what is archived, by what an operator says."""
MODES: dict[str, Mode | None] = {
    "NONE": None,
    "GOVERNANCE": "GOVERNANCE",
    "COMPLIANCE": "COMPLIANCE",
}
"""How evidence is locked, by what an operator says."""
YES_OR_NO = {"true": True, "false": False}
OWN = {"LEGATO_RINGEX_WEBHOOK_URL": "RingexWebhookUrl", "LEGATO_SIGNING_KEY": "SigningKey"}
"""What one function is told in its environment. The API and the key know who may use them, so the
document that all functions read cannot know the API and the key."""


class Queue(NamedTuple):
    """The addresses of a provider's jobs queue and of its dead-letter queue."""

    url: str
    dead_letters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the functions of a stack are told, but for those that answer within milliseconds.

    RingCX is used if `ringcx_sub_account_ids` has any, Kazoo if it has an address.
    """

    stack: str = text()
    bucket: str = text()
    inbox: str = text("")
    table: str = text()
    credentials: str = text()
    inbound_tokens: str = text()
    alarm_topic: str = text("")
    restore_topic: str = text("")

    use_ringex: bool = one_of(YES_OR_NO)
    ringex_queue: str = text()
    ringex_dead_letters: str = text()
    ringex_settle_seconds: int = whole(None, 0, 900)
    ringex_storage_class: str = text()
    ringex_lock_years: int = whole(None, 1, 30)

    ringcx_sub_account_ids: tuple[str, ...] = names("")
    ringcx_queue: str = text()
    ringcx_dead_letters: str = text()
    ringcx_storage_class: str = text()
    ringcx_lock_years: int = whole(None, 1, 30)

    kazoo_url: str = web("")
    kazoo_account_ids: tuple[str, ...] = names("")
    kazoo_queue: str = text()
    kazoo_dead_letters: str = text()
    kazoo_storage_class: str = text()
    kazoo_lock_years: int = whole(None, 1, 30)

    retention_mode: Mode | None = one_of(MODES)
    delete_at_source: tuple[str, ...] = one_of(DELETIONS)
    timestamp_authority_url: str = web("")
    access_reason: bool = one_of({"required": True, "optional": False})
    """Whether nobody looks at a call without saying why."""
    tuning: Tuning

    # `OWN` of one function each.
    ringex_webhook_url: str = web("")
    signing_key: str = text("")

    @property
    def queues(self) -> dict[str, Queue]:
        """The queues of each provider."""
        return {
            "ringex": Queue(self.ringex_queue, self.ringex_dead_letters),
            "ringcx": Queue(self.ringcx_queue, self.ringcx_dead_letters),
            "kazoo": Queue(self.kazoo_queue, self.kazoo_dead_letters),
        }

    @property
    def retention(self) -> Retention:
        """How what is archived is locked."""
        return Retention(
            mode=self.retention_mode,
            years={
                "ringex": self.ringex_lock_years,
                "ringcx": self.ringcx_lock_years,
                "kazoo": self.kazoo_lock_years,
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """What WebhookFunction is told."""

    inbound_tokens: str = text()
    ringex_queue: str = text()
    ringex_settle_seconds: int = whole(None, 0, 900)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """What PushFunction is told. The inbox is a bucket."""

    inbound_tokens: str = text()
    inbox: str = text()


def configuration(document: str, own: Mapping[str, str] | None = None) -> Config:
    """Read the document of a stack, and what one function is told of its `own`.

    Raises BadSettings.
    """
    try:
        said = json.loads(document)
        tuned = said.pop("Tuning")
        unknown = sorted(tuned.keys() - names_of(Tuning))
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise BadSettings(
            f"the configuration, or Tuning in it, is no JSON object ({error})"
        ) from error
    wrong = [f"Tuning has unknown names: {', '.join(unknown)}"] if unknown else []
    tuning = DEFAULTS
    try:
        tuning = read(Tuning, tuned)
    except BadSettings as error:
        wrong.append(f"Tuning: {error}")
    try:
        config = read(Config, said | dict(own or {}), tuning=tuning)
    except BadSettings as error:
        wrong.append(str(error))
    if wrong:
        raise BadSettings("; ".join(wrong))
    return config


def environment_settings[T](kind: type[T], environment: Mapping[str, str]) -> T:
    """Read what a function is told in its environment alone. Raises BadSettings."""
    return read(kind, environment, called=lambda name: f"LEGATO_{name.upper()}")
