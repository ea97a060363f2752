"""Install webhooks at Kazoo, and remove them: each account's plan is made first, and shown.

Ours are those that lead to our address; no other one is touched. A new one is made before an old
one is removed, so that there is never a moment with none. They only make it faster: the sweep finds
whatever is saved.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from legato.errors import Barred, Failed, LegatoError, NotYet, Wait
from legato.receive import KAZOO_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from legato.keep import SecretStore
    from legato.model import Json

NAME = "Legato: saved recordings"
EVENTS = {"type": "call_recording", "action": "all"}
"""https://github.com/2600hz/kazoo/blob/master/applications/webhooks/doc/events/object.md"""
SETTINGS = {"hook": "object", "http_verb": "post"}
DEFAULTS = {"http_verb": "post"}
"""https://github.com/2600hz/kazoo/blob/master/applications/crossbar/priv/couchdb/schemas/webhooks.json"""
LONGEST_WAIT = 60
"""Seconds. The gate asks for ten after a 429."""
WAITS = 5


class Webhooks(Protocol):
    """The webhooks of Kazoo's accounts. Every method raises Wait, Barred, Retry or Failed."""

    def hooks(self, account: str) -> Sequence[Json]:
        """Return a summary of each: its `id`, and, not of all versions, its address as `uri`."""
        ...

    def hook(self, account: str, hook: str) -> Json:
        """Return all that one consists of. Raises NotYet if it is gone."""
        ...

    def create_hook(self, account: str, hook: Json) -> Json:
        """Make one and return it as Kazoo keeps it, with its `id`."""
        ...

    def delete_hook(self, account: str, hook: str) -> None:
        """Delete one. One that is gone already is success."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooking:
    """What installing and removing work with.

    `address` is where our webhooks lead, `kazoo` the API's own. `token_field` is the field of a
    notification that has the secret's token. The accounts in `narrowed` get no webhook: of theirs
    only a part is kept, and a webhook tells of all.
    """

    webhooks: Webhooks
    secret: SecretStore
    sleep: Callable[[float], None]
    address: str
    kazoo: str
    token_field: str
    accounts: tuple[str, ...]
    narrowed: tuple[str, ...] = ()

    def patiently[**P, T](self, ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask, and wait where the gate says so. Raises what is more than a few short waits."""
        for _ in range(WAITS):
            try:
                return ask(*args, **kwargs)
            except Barred:
                raise
            except Wait as wait:
                if wait.seconds > LONGEST_WAIT:
                    raise
                self.sleep(wait.seconds)
        return ask(*args, **kwargs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done in an account, and why. Nothing, where it could not be read (`failed`)."""

    account: str
    creates: bool = False
    removes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    failed: LegatoError | None = None

    @property
    def changes(self) -> bool:
        """Say whether anything is to be done."""
        return self.creates or bool(self.removes)


@dataclass(slots=True, kw_only=True)
class Done:
    """What was done in an account, by the webhooks' ids, up to where it `failed`, if it did."""

    account: str
    created: str | None = None
    removed: list[str] = field(default_factory=list)
    failed: LegatoError | None = None


def plan_to_install(hooking: Hooking) -> list[Plan]:
    """Plan for exactly one webhook of ours in each account; nothing is changed.

    Raises Failed if Kazoo cannot reach the address, Retry if the secret cannot be read.
    """
    _reachable(hooking.address, hooking.kazoo)
    token = _token_of(hooking.secret.read())

    def plan(account: str, ours: Sequence[Json]) -> Plan:
        flaws = {each["id"]: _flaw(each, hooking.token_field, token) for each in ours}
        kept = next((name for name, flaw in flaws.items() if flaw is None), None)
        others = {name: flaw for name, flaw in flaws.items() if name != kept}
        reasons = [flaw or "one is enough" for flaw in others.values()]
        if not reasons:
            reasons = ["there is none yet" if kept is None else "it is as it should be"]
        return Plan(
            account=account,
            creates=kept is None,
            removes=tuple(others),
            reasons=tuple(dict.fromkeys(reasons)),
        )

    return _planned(hooking, plan)


def plan_to_remove(hooking: Hooking) -> list[Plan]:
    """Plan for no webhook of ours in any account; nothing is changed."""

    def plan(account: str, ours: Sequence[Json]) -> Plan:
        removes = tuple(each["id"] for each in ours)
        reason = "it leads to our address" if ours else "there is none"
        return Plan(account=account, removes=removes, reasons=(reason,))

    return _planned(hooking, plan)


def carry_out(hooking: Hooking, plans: Sequence[Plan]) -> Iterator[Done]:
    """Do what was planned, and say of each account what was done as soon as it is.

    An account that fails leaves the others alone. Where the secret has no token, one is made first.
    Raises Retry if the secret cannot be read or written; then no webhook was changed.
    """
    token = _kept_token(hooking.secret) if any(plan.creates for plan in plans) else ""
    for plan in plans:
        done = Done(account=plan.account, failed=plan.failed)
        try:
            if plan.creates:
                done.created = _made(hooking, plan.account, token)
            for name in plan.removes:
                hooking.patiently(hooking.webhooks.delete_hook, plan.account, name)
                done.removed.append(name)
        except LegatoError as error:
            done.failed = error
        yield done


def _planned(hooking: Hooking, plan: Callable[[str, Sequence[Json]], Plan]) -> list[Plan]:
    plans = []
    for account in hooking.accounts:
        try:
            plans.append(plan(account, list(_ours(hooking, account))))
        except LegatoError as error:
            plans.append(Plan(account=account, failed=error))
    return plans


def _ours(hooking: Hooking, account: str) -> Iterator[Json]:
    """Find the webhooks that lead to our address. The list tells too little, so each is read."""
    for summary in hooking.patiently(hooking.webhooks.hooks, account):
        name = summary.get("id")
        if not isinstance(name, str) or summary.get("uri", hooking.address) != hooking.address:
            continue
        try:
            found = hooking.patiently(hooking.webhooks.hook, account, name)
        except NotYet:
            continue  # somebody has just deleted it
        if found.get("uri") == hooking.address:
            yield {**found, "id": name}


def _flaw(hook: Json, token_field: str, token: str) -> str | None:
    """Say why one of ours has to be replaced, if it has. Its `format` may be either.

    The token is never said, nor what else is in `custom_data`.
    """
    if hook.get("enabled", True) is not True:
        reason = hook.get("disable_reason")
        return f"Kazoo has disabled it: {reason}" if reason else "it is disabled"
    custom = dict(hook.get("custom_data") or {})
    if custom.pop(token_field, None) != token:
        return "it carries another token"
    wrong = [
        name for name, value in SETTINGS.items() if hook.get(name, DEFAULTS.get(name)) != value
    ]
    if custom != EVENTS:
        wrong.append("custom_data")
    if hook.get("include_subaccounts"):
        wrong.append("include_subaccounts")
    return f"it has another {', '.join(wrong)}" if wrong else None


def _made(hooking: Hooking, account: str, token: str) -> str:
    wanted: Json = {
        **SETTINGS,
        "name": NAME,
        "uri": hooking.address,
        "format": "json",
        "enabled": True,
        "custom_data": {**EVENTS, hooking.token_field: token},
    }
    made = hooking.patiently(hooking.webhooks.create_hook, account, wanted)
    return str(made.get("id"))


def _token_of(secret: Json) -> str:
    return str(secret.get(KAZOO_TOKEN) or "")


def _kept_token(secret: SecretStore) -> str:
    """Return the secret's token; one that it lacks is made and written."""
    value = secret.read()
    token = _token_of(value)
    if not token:
        token = secrets.token_hex(16)
        secret.write({**value, KAZOO_TOKEN: token})
    return token


def _reachable(address: str, kazoo: str) -> None:
    """Raise Failed unless the address is public and https, or Kazoo runs where it leads."""
    there = urlsplit(address)
    if _is_here(there.hostname) and _is_here(urlsplit(kazoo).hostname):
        return
    if there.scheme != "https" or not _is_public(there.hostname):
        raise Failed(
            f"Kazoo cannot reach {address}: it must be a public https address, as a stack in AWS "
            "has; without webhooks the sweep finds the recordings all the same"
        )


def _is_here(host: str | None) -> bool:
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def _is_public(host: str | None) -> bool:
    try:
        return ip_address(host or "").is_global
    except ValueError:
        return "." in (host or "") and not str(host).endswith((".local", ".internal"))
