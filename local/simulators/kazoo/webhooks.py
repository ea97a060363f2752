"""The webhooks of the accounts: made, changed and removed by the API, disabled when they fail.

Rules: schemas/webhooks.json, applications/crossbar/doc/webhooks.md and
applications/webhooks/doc/disabler.md of https://github.com/2600hz/kazoo.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, field

from local.simulators.kazoo.config import Config
from local.simulators.kazoo.problems import bad_identifier, invalid
from local.simulators.settings import Json

TYPE = "call_recording"
_DEFAULTS: Json = {
    "enabled": True,
    "format": "form-data",
    "http_verb": "post",
    "include_internal_legs": True,
    "retries": 2,
}
_CHOICES = {"format": ("form-data", "json"), "http_verb": ("get", "post", "put")}
_KINDS = {
    **dict.fromkeys(("name", "uri", "hook", "format", "http_verb"), str),
    **dict.fromkeys(("enabled", "include_internal_legs", "include_subaccounts"), bool),
    "custom_data": dict,
    "retries": int,
}
_MOST_RETRIES = 4
_FAILURES = 6
_FAILURE_SECONDS = 60


@dataclass(slots=True)
class Hook:
    """A webhook. `failed_at` are the times of its last failures."""

    id: str
    account: str
    settings: Json
    failed_at: deque[float] = field(default_factory=lambda: deque(maxlen=_FAILURES))
    disable_reason: str | None = None

    @property
    def is_on(self) -> bool:
        """Say whether it is told of anything."""
        return bool(self.settings["enabled"])

    def render(self) -> Json:
        """Return the document."""
        reason = {} if self.disable_reason is None else {"disable_reason": self.disable_reason}
        return {"id": self.id, **self.settings, **reason}

    def change(self, settings: Json) -> None:
        """Take other settings; one that is on begins anew."""
        self.settings = settings
        if self.is_on:
            self.failed_at.clear()
            self.disable_reason = None

    def failed(self, now: float) -> bool:
        """Note a failure; say whether it was the one that disables."""
        self.failed_at.append(now)
        often = len(self.failed_at) == _FAILURES and now - self.failed_at[0] <= _FAILURE_SECONDS
        if not often or not self.is_on:
            return False
        self.settings = {**self.settings, "enabled": False}
        self.disable_reason = f"disabled after {_FAILURES} attempts within {_FAILURE_SECONDS}s"
        return True

    def wants(self, account: str, action: str, config: Config) -> bool:
        """Say whether it is told of what was done to a recording's document."""
        wanted = self.settings.get("custom_data", {})
        below = self.settings.get("include_subaccounts") and config.sees(self.account, account)
        return (
            self.is_on
            and self.settings["hook"] == "object"
            and (self.account == account or bool(below))
            and wanted.get("type", TYPE) in (TYPE, "all")
            and wanted.get("action", "all") in (action, "all")
        )


class Webhooks:
    """All of them."""

    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}

    def of(self, account: str) -> list[Hook]:
        """Return those of an account."""
        return [hook for hook in self._hooks.values() if hook.account == account]

    def all(self) -> list[Hook]:
        """Return those of every account."""
        return list(self._hooks.values())

    def create(self, account: str, data: Json) -> Hook:
        """Make a webhook. Raises Problem 400."""
        hook = Hook(secrets.token_hex(16), account, _checked(data))
        self._hooks[hook.id] = hook
        return hook

    def get(self, account: str, name: str) -> Hook:
        """Return a webhook. Raises Problem 404."""
        hook = self._hooks.get(name)
        if hook is None or hook.account != account:
            raise bad_identifier(name)
        return hook

    def replace(self, account: str, name: str, data: Json) -> Hook:
        """Give a webhook other settings. Raises Problem 400 and 404."""
        hook = self.get(account, name)
        hook.change(_checked(data))
        return hook

    def patch(self, account: str, name: str, data: Json) -> Hook:
        """Change some settings of a webhook. Raises Problem 400 and 404."""
        hook = self.get(account, name)
        hook.change(_checked(hook.settings | data))
        return hook

    def enable_again(self, account: str) -> list[Hook]:
        """Enable what was disabled because it failed; return that."""
        hooks = [hook for hook in self.of(account) if hook.disable_reason is not None]
        for hook in hooks:
            hook.change({**hook.settings, "enabled": True})
        return hooks

    def delete(self, account: str, name: str) -> Hook:
        """Remove a webhook. Raises Problem 404."""
        self.get(account, name)
        return self._hooks.pop(name)


def _checked(data: Json) -> Json:
    """Return the settings of a webhook. Raises Problem 400 where the schema does not allow them."""
    settings = {**_DEFAULTS, **{k: v for k, v in data.items() if k not in ("id", "disable_reason")}}
    for name in ("name", "uri", "hook"):
        if name not in settings:
            raise invalid(name, "required", "Field is required but missing")
    for name, kind in _KINDS.items():
        value = settings.get(name)
        if value is not None and type(value) is not kind:
            raise invalid(name, "type", f"Value did not match type(s): {kind.__name__}", value)
    for name, known in _CHOICES.items():
        if settings[name] not in known:
            message = "Value not found in enumerated list of values"
            raise invalid(name, "enum", message, settings[name])
    if not 0 <= settings["retries"] <= _MOST_RETRIES:
        raise invalid("retries", "maximum", f"Value is greater than {_MOST_RETRIES}")
    if not settings["uri"].startswith(("http://", "https://")):
        raise invalid("uri", "format", "Value is not a URI", settings["uri"])
    if not all(isinstance(value, str) for value in settings.get("custom_data", {}).values()):
        raise invalid("custom_data", "type", "Value did not match type(s): string")
    return settings
