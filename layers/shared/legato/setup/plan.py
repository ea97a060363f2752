"""What a setup would change: what was decided, compared with what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from legato.setup.choices import CHOICES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from legato.model import Json
    from legato.setup.choices import Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A parameter of the stack; `before` is None if there is no stack."""

    name: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done. `secrets` names what changes in the secret, and tells nothing of it."""

    creates: bool
    parameters: Mapping[str, str]
    """All that the deployment says."""
    changes: tuple[Change, ...]
    secret: Json
    secrets: tuple[str, ...]

    @property
    def deploys(self) -> bool:
        """Whether the stack has to be created or changed."""
        return self.creates or bool(self.changes)

    def to_json(self) -> Json:
        """Return it as scripts read it, without any secret."""
        return {
            "creates": self.creates,
            "parameters": [
                {"name": one.name, "before": one.before, "after": one.after} for one in self.changes
            ],
            "secrets": list(self.secrets),
        }


def plan(
    decided: Decided,
    *,
    parameters: Mapping[str, str] | None,
    secret: Json,
    configured: Mapping[str, str],
) -> Plan:
    """Compare. `parameters` are the running stack's, None without one; `secret` is as it is now.

    `configured` is what the next deployment says anyway, of which what was decided changes some.
    """
    wanted = {**configured, **decided.parameters()}
    before = parameters or {}
    changes = [
        Change(name=name, before=None if parameters is None else before.get(name, ""), after=value)
        for name, value in wanted.items()
        if (value if parameters is None else before.get(name, "") != value)
    ]
    filled, names = dict(secret), []
    for provider in decided.providers:
        part = secret.get(provider)
        known = part if isinstance(part, dict) else {}
        given = decided.secret_of(provider)
        if provider == "kazoo" and given and not given.items() <= known.items():
            # An API key goes before a user, so none may stay behind.
            known = {name: value for name, value in known.items() if name not in _OF_KAZOO}
        names += [
            f"{provider}.{name}"
            for name, value in given.items()
            if not isinstance(part, dict) or part.get(name) != value
        ]
        filled[provider] = {**known, **given}
    return Plan(
        creates=parameters is None,
        parameters=wanted,
        changes=tuple(changes),
        secret=filled,
        secrets=tuple(names),
    )


_OF_KAZOO = {each.part for each in CHOICES.values() if each.provider == "kazoo" and each.part}
