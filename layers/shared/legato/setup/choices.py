"""What an operator decides: by which name it is given, and what becomes of it.

A choice has one name everywhere: `kazoo.api_key` is `api_key` of the table `[kazoo]` in a file, and
LEGATO_KAZOO_API_KEY in the environment. It ends in a parameter of template.yaml, or in a provider's
part of the secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from legato.errors import Refused
from legato.model import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from legato.model import Json

COMPLIANCE = "nobody-can-remove-anything-early"
"""The words without which the template takes no RetentionMode=COMPLIANCE."""
NAMES = r"[0-9A-Za-z_-]+( *, *[0-9A-Za-z_-]+)*"
KAZOO_NAME = r"[0-9A-Za-z]+(/([0-9A-Za-z]+|\*))?"
E_MAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"
WORD = r"\S{1,4000}"

type Value = str | list[str]
type Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One thing to be decided. `name` begins with the provider, where it is one's.

    `parameter` is the template's, `part` the field in the provider's part of the secret.
    """

    name: str
    title: str
    meant: str
    """What it may be, as an error says it."""
    pattern: str = ".+"
    default: str = ""
    parameter: str = ""
    part: str = ""
    hidden: bool = False
    optional: bool = False

    @property
    def provider(self) -> str:
        """The provider that it is of, or nothing."""
        head = self.name.partition(".")[0]
        return head if head in PROVIDERS else ""

    def problem(self, value: object) -> str:
        """Say why a value cannot be right, or nothing. What is hidden is not repeated."""
        if self.part == "jwt" and isinstance(value, list) and value:
            return next((wrong for one in value if (wrong := self.problem(one))), "")
        if not isinstance(value, str):
            return f"{self.title} must be {self.meant}"
        if value == "":
            return "" if self.optional else f"{self.title} is missing: it must be {self.meant}"
        if re.fullmatch(self.pattern, value):
            return ""
        shown = "" if self.hidden else f", not {value[:60]!r}"
        return f"{self.title} must be {self.meant}{shown}"


def _one_of(*words: str) -> dict[str, Any]:
    return {"pattern": "|".join(words), "meant": f"one of {', '.join(words)}"}


def _ringcentral(provider: str) -> Iterator[Choice]:
    yield Choice(
        name=f"{provider}.client_id",
        title="Client id",
        meant="the app's client id, in one word",
        pattern=WORD,
        part="clientId",
    )
    yield Choice(
        name=f"{provider}.client_secret",
        title="Client secret",
        meant="the app's client secret, in one word",
        pattern=WORD,
        part="clientSecret",
        hidden=True,
    )
    yield Choice(
        name=f"{provider}.jwt",
        title="JWT",
        meant="the service user's JWT, in one word",
        pattern=WORD,
        part="jwt",
        hidden=True,
    )


def _storage(provider: str, default: str, *classes: str) -> Choice:
    return Choice(
        name=f"{provider}.storage_class",
        title="Storage class",
        default=default,
        parameter=f"{provider.capitalize()}StorageClass",
        **_one_of(*classes),
    )


def _years(provider: str) -> Choice:
    return Choice(
        name=f"{provider}.years",
        title="Years",
        meant="a whole number from 1 to 30",
        pattern="[1-9]|[12][0-9]|30",
        default="7",
        parameter=f"{provider.capitalize()}LockYears",
    )


_WARM = ("STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR")
CHOICES = {
    each.name: each
    for each in (
        *_ringcentral("ringex"),
        _storage("ringex", "GLACIER_IR", *_WARM),
        _years("ringex"),
        *_ringcentral("ringcx"),
        Choice(
            name="ringcx.sub_accounts",
            title="Sub-accounts",
            meant="ids separated by commas, or * for all",
            pattern=rf"\*|{NAMES}",
            default="*",
            parameter="RingcxSubAccountIds",
        ),
        _storage("ringcx", "GLACIER", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR"),
        _years("ringcx"),
        Choice(
            name="kazoo.url",
            title="Address of the API",
            meant="like https://kazoo.example.com:8443/v2",
            pattern=r"https?://[^@?#\s\"\\]*[^@/?#\s\"\\]",
            parameter="KazooUrl",
        ),
        Choice(
            name="kazoo.api_key",
            title="API key",
            meant="the account's API key, in one word",
            pattern=WORD,
            part="apiKey",
            hidden=True,
            optional=True,
        ),
        Choice(
            name="kazoo.username",
            title="User",
            meant="a user's name",
            part="username",
            optional=True,
        ),
        Choice(
            name="kazoo.password",
            title="Password",
            meant="the user's password",
            part="password",
            hidden=True,
            optional=True,
        ),
        Choice(
            name="kazoo.account_name",
            title="Account's name",
            meant="the name of the user's account",
            part="accountName",
            optional=True,
        ),
        Choice(
            name="kazoo.accounts",
            title="Accounts",
            meant="ids separated by commas; id/* is an account with all below it",
            pattern=rf"{KAZOO_NAME}( *, *{KAZOO_NAME})*",
            parameter="KazooAccountIds",
        ),
        _storage("kazoo", "GLACIER_IR", *_WARM),
        _years("kazoo"),
        Choice(
            name="retention",
            title="Retention",
            default="NONE",
            parameter="RetentionMode",
            **_one_of("NONE", "GOVERNANCE", "COMPLIANCE"),
        ),
        Choice(
            name="compliance_confirmation",
            title="Confirmation",
            meant=f"the words {COMPLIANCE}",
            pattern=COMPLIANCE,
            parameter="ComplianceConfirmation",
            optional=True,
        ),
        Choice(
            name="alarm_email",
            title="Mails to",
            meant="an e-mail address",
            pattern=E_MAIL,
            parameter="AlarmEmail",
            optional=True,
        ),
        Choice(
            name="access_reason",
            title="Reason for access",
            default="optional",
            parameter="AccessReason",
            **_one_of("required", "optional"),
        ),
    )
}
_USES = {"ringex": "UseRingex", "ringcx": "RingcxSubAccountIds", "kazoo": "KazooUrl"}
_USER = ("username", "password", "accountName")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Which providers are used, and what was chosen, by name."""

    providers: tuple[str, ...]
    values: Values

    def needed(self) -> list[Choice]:
        """Return what has to be decided for these providers, in order."""
        return [
            each
            for each in CHOICES.values()
            if not each.provider or each.provider in self.providers
        ]

    def problems(self) -> list[str]:
        """Return what is missing, wrong or does not fit together, each with its name."""
        found = (
            [] if self.providers else ["providers: name at least one of " + ", ".join(PROVIDERS)]
        )
        for each in self.needed():
            value = self.values.get(each.name, each.default)
            if wrong := each.problem(value):
                found.append(f"{each.name}: {wrong}")
        if "kazoo" in self.providers and not self.secret_of("kazoo"):
            found.append("kazoo.api_key: the API key is missing")
        confirmed = self.values.get("compliance_confirmation", "") == COMPLIANCE
        if self.values.get("retention") == "COMPLIANCE" and not confirmed:
            found.append(f"compliance_confirmation: with COMPLIANCE it must be {COMPLIANCE}")
        return found

    def parameters(self) -> dict[str, str]:
        """Return the template's parameters that come of it, those of unused providers too."""
        found = {
            each.parameter: str(self.values.get(each.name, each.default))
            for each in self.needed()
            if each.parameter
        }
        if found["RetentionMode"] != "COMPLIANCE":
            found["ComplianceConfirmation"] = ""
        unused = {_USES[each]: "" for each in PROVIDERS if each not in self.providers}
        used = {"UseRingex": "true" if "ringex" in self.providers else "false"}
        if "kazoo" not in self.providers:
            unused["KazooAccountIds"] = ""
        return found | unused | used

    def secret_of(self, provider: str) -> Json:
        """Return a provider's part of the secret, empty where nothing was given."""
        given = {
            each.part: value
            for each in CHOICES.values()
            if each.provider == provider and each.part and (value := self.values.get(each.name))
        }
        if provider == "kazoo":
            user = all(given.get(name) for name in _USER)
            return {"apiKey": given["apiKey"]} if "apiKey" in given else given if user else {}
        return given


def providers_of(text: str) -> tuple[str, ...]:
    """Read providers between commas or spaces. Raises Refused for one that is unknown."""
    asked = [each.lower() for each in re.split(r"[\s,]+", text) if each]
    if unknown := [each for each in asked if each not in PROVIDERS]:
        raise Refused(f"{unknown[0]!r} is not one of {', '.join(PROVIDERS)}")
    return tuple(each for each in PROVIDERS if each in asked)


def present(parameters: Mapping[str, str], secret: Json) -> Decided:
    """Return what a stack and its secret say now."""
    values: dict[str, Value] = {}
    for each in CHOICES.values():
        if each.parameter and parameters.get(each.parameter):
            values[each.name] = parameters[each.parameter]
        part = secret.get(each.provider) if each.part else None
        if isinstance(part, dict) and part.get(each.part):
            values[each.name] = part[each.part]
    used = {
        "ringex": parameters.get("UseRingex") == "true",
        "ringcx": bool(parameters.get("RingcxSubAccountIds")),
        "kazoo": bool(parameters.get("KazooUrl")),
    }
    return Decided(providers=tuple(each for each in PROVIDERS if used[each]), values=values)


def given(document: Any) -> tuple[tuple[str, ...] | None, dict[str, Value]]:
    """Read a file's content: the providers, if it says them, and what was chosen.

    Raises Refused, naming all that is unknown or of the wrong kind.
    """
    if not isinstance(document, dict):
        raise Refused("the file must hold a table of names and values")
    flat: dict[str, Any] = {}
    for name, value in document.items():
        table = value if name in PROVIDERS and isinstance(value, dict) else None
        flat |= {f"{name}.{key}": one for key, one in table.items()} if table is not None else {}
        flat |= {name: value} if table is None else {}
    providers = flat.pop("providers", None)
    named = [each for each in PROVIDERS if each in document] or None
    if providers is None:
        providers = named
    if providers is not None and not (
        isinstance(providers, list) and all(isinstance(each, str) for each in providers)
    ):
        raise Refused('providers must be a list, such as ["ringex", "kazoo"]')
    if unknown := sorted(flat.keys() - CHOICES.keys()):
        raise Refused(f"the file has unknown names: {', '.join(unknown)}")
    values: dict[str, Value] = {}
    for name, value in flat.items():
        plain = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if name.endswith("accounts") and isinstance(plain, list):
            plain = ",".join(map(str, plain))
        if wrong := CHOICES[name].problem(plain):
            raise Refused(f"{name}: {wrong}")
        values[name] = plain
    return (None if providers is None else providers_of(" ".join(providers))), values


def variable(choice: Choice) -> str:
    """Return the environment's name of a choice: LEGATO_KAZOO_API_KEY."""
    return f"LEGATO_{choice.name.upper().replace('.', '_')}"
