"""Asks a person what a stack is to do: few questions, each with its default."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from legato.cli.output import answered, confirmed, say
from legato.errors import Refused
from legato.model import PROVIDERS, provider_name
from legato.setup.choices import CHOICES, COMPLIANCE, Decided, providers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.setup.choices import Choice, Value

KEPT = "as it is"
ASKED = {
    "ringex": ("client_id", "client_secret", "jwt"),
    "ringcx": ("client_id", "client_secret", "jwt", "sub_accounts"),
    "kazoo": ("url", "api_key", "accounts"),
}
WHERE = {
    "ringex": """
An app of type REST API with JWT authentication, and a service user whose role
sees the company's call log. Create both at https://developers.ringcentral.com
and in the admin portal: docs/deploy/ringex.md. Paste what it shows you.""",
    "ringcx": """
A RingCentral app and service user as for RingEX, with WEM and recording access
that RingCentral activates on request: docs/deploy/ringcx.md.""",
    "kazoo": """
The API key of an account that sees the accounts to archive (Monster UI, Account
Settings, or GET /accounts/{id}/api_key): docs/deploy/kazoo.md.""",
}


def ask_providers(default: Sequence[str]) -> tuple[str, ...]:
    """Ask which providers are archived, until the answer names some."""
    while True:
        said = answered(
            f"Which providers ({', '.join(PROVIDERS)})",
            default=", ".join(default) or PROVIDERS[0],
        )
        try:
            if found := providers_of(said):
                return found
        except Refused as error:
            say(f"  {error}.")


def ask_provider(
    provider: str, decided: Decided, *, fixed: Sequence[str], shared: bool
) -> dict[str, Value]:
    """Ask for what a provider needs, but for what is `fixed`.

    `shared`: it logs in as another provider does, so its credentials are not asked for.
    """
    names = [f"{provider}.{each}" for each in ASKED[provider]]
    choices = [CHOICES[name] for name in names if name not in fixed]
    if shared:
        choices = [each for each in choices if not each.part]
    say()
    say(provider_name(provider))
    for line in WHERE[provider].strip().splitlines():
        say(line)
    if shared:
        say("It logs in with RingEX's app and user.")
    return {each.name: _ask(each, decided.values.get(each.name, each.default)) for each in choices}


def ask_the_rest(decided: Decided, *, fixed: Sequence[str]) -> dict[str, Value]:
    """Ask for what all providers have in common, but for what is `fixed`."""
    found: dict[str, Value] = {}
    say()
    say("The archive")
    found |= _ask_all(
        decided,
        "storage_class",
        fixed,
        "Storage class of recordings",
        "GLACIER_IR plays at once; GLACIER and DEEP_ARCHIVE have to be restored first.",
    )
    if "retention" not in fixed:
        say("  NONE locks nothing. With GOVERNANCE or COMPLIANCE nobody removes a recording")
        say("  for years; COMPLIANCE can never be undone: docs/deploy/options.md.")
        found["retention"] = _ask(CHOICES["retention"], decided.values.get("retention", "NONE"))
    mode = found.get("retention", decided.values.get("retention", "NONE"))
    if mode != "NONE":
        found |= _ask_all(decided, "years", fixed, "Years of the lock", "")
    confirmed_before = decided.values.get("compliance_confirmation") == COMPLIANCE
    if mode == "COMPLIANCE" and not confirmed_before:
        say("  Nobody can remove or shorten what is archived then, AWS and you included.")
        say(f"  If you want that, type {COMPLIANCE}.")
        words = _ask(replace(CHOICES["compliance_confirmation"], optional=False), "")
        found["compliance_confirmation"] = words
    for name, title in (
        ("alarm_email", "Who gets a mail when something needs a person (- for nobody)"),
        ("access_reason", "Must people say why they look at a call (required, optional)"),
    ):
        if name not in fixed:
            default = decided.values.get(name, CHOICES[name].default)
            found[name] = _ask(replace(CHOICES[name], title=title), default)
    return found


def again(question: str) -> bool:
    """Ask whether to go on, which Enter means."""
    return confirmed(question, default=True)


def _ask_all(
    decided: Decided, field: str, fixed: Sequence[str], title: str, hint: str
) -> dict[str, Value]:
    """Ask once for what each provider has of its own: an answer is for all that take it."""
    choices = [CHOICES[f"{each}.{field}"] for each in decided.providers]
    choices = [each for each in choices if each.name not in fixed]
    if not choices:
        return {}
    now = {each.name: str(decided.values.get(each.name, each.default)) for each in choices}
    same = len(set(now.values())) == 1
    shown = (
        now[choices[0].name]
        if same
        else ", ".join(f"{provider_name(each.provider)} {now[each.name]}" for each in choices)
    )
    if hint:
        say(f"  {hint}")
    while True:
        said = answered(f"{title} [{shown}]", default="", shown=False).strip()
        if not said:
            return dict(now)
        fits = [each for each in choices if not each.problem(said)]
        if fits:
            return {**now, **{each.name: said for each in fits}}
        say(f"  {choices[0].problem(said)}.")


def _ask(choice: Choice, default: Value) -> Value:
    """Ask until the answer can be right. What is there already is kept by Enter."""
    shown = KEPT if default and choice.hidden else default
    suffix = f" [{shown}]" if shown else ""
    while True:
        said = answered(f"{choice.title}{suffix}", default="", shown=False, hidden=choice.hidden)
        value: Value = said.strip() or default
        if value == "-" and choice.optional:
            return ""
        if not (wrong := choice.problem(value)) and not (choice.part and not value):
            return value
        say(f"  {wrong or f'{choice.title} is missing: it must be {choice.meant}'}.")
