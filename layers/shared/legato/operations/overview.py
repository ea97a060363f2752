"""What `legato status` looks at, and what it says: the values."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from legato.model import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from legato.archive.library import Library
    from legato.errors import LegatoError
    from legato.ledger.listed_accounts import ListedAccount
    from legato.model import Json
    from legato.ports import Backlog, Clock, WholeLedger, WholeLists
    from legato.settings import Limit

MANY = 1000
"""Lists are not counted any further."""
REASON = 160
"""Characters of a reason. The ledger has all of it."""
AT_ONCE = 16
EVER = "9999"
"""The order of a list ends before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A provider. `tails` and `watches` are the names of its tails and of what is to be archived.

    What was found is `late` when the newest knowledge is older. `kept_days` says by watch how long
    the provider keeps its recordings, `gates` the limits by the gate's keys. A call is archived
    within the `usual` time after it was found, and has failed after the `longest`.
    """

    provider: str
    tails: Sequence[str]
    kept_days: Mapping[str, float]
    late: timedelta
    usual: timedelta
    longest: timedelta
    jobs: Backlog
    dead_letters: Backlog
    gates: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    removes: bool = False
    """Whether it is to delete what is archived."""
    accounts: Mapping[str, ListedAccount] = field(default_factory=dict)
    """Those that the provider lists, if it is asked for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What is looked at of a stack. `keeps_subscription`: it looks after RingEX's.

    `unknown` is what could not be found out before, with the reason.
    """

    stack: str
    followed: Sequence[Followed]
    ledger: WholeLedger
    notes: WholeLists
    library: Library
    clock: Clock
    keeps_subscription: bool = False
    witnessed: bool = False
    unknown: Mapping[str, LegatoError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What needs a person: one sentence, and the command to `do` next.

    `kind` tells it from others, the rest says of what; `about` does where no call and no recording
    does. `detail` is what changes while it stays true. Of many that are `alike`, in words, a few
    are shown, and `do_all` is the command for all. What is `told_by_others` is no news by itself.
    """

    kind: str
    what: str
    do: str
    provider: str = ""
    account: str = ""
    call: str = ""
    recording: str = ""
    about: str = ""
    since: datetime | None = None
    reason: str = ""
    detail: str = ""
    alike: str = ""
    do_all: str = ""
    told_by_others: bool = False

    @property
    def identity(self) -> str:
        """What stays the same for as long as it is true, whatever its sentence says or counts."""
        parts = (self.kind, self.provider, self.account, self.call, self.recording, self.about)
        return "|".join(parts).rstrip("|")

    def to_json(self) -> Json:
        plain = ("kind", "what", "do", "provider", "account", "call", "recording", "reason")
        said = {name: getattr(self, name) for name in plain}
        return said | {"detail": self.detail, "since": self.since and format_time(self.since)}


@dataclass(slots=True, kw_only=True)
class Status:
    """What was found, as JSON, what `needs` a person, with what to do, and what is `unknown`."""

    said: Json = field(default_factory=dict)
    needs: list[Need] = field(default_factory=list)
    unknown: dict[str, LegatoError] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Whether nobody has to do anything, as far as that is known."""
        return not self.needs and not self.unknown

    def to_json(self) -> Json:
        unknown = {what: str(error) for what, error in self.unknown.items()}
        needs = [need.to_json() for need in self.needs]
        return self.said | {"well": self.well, "needs": needs, "unknown": unknown}

    def need(self, kind: str, what: str, do: str, **more: Any) -> None:
        """Add what needs a person. Of many that are alike, `do` is the command for all too."""
        if "alike" in more:
            more.setdefault("do_all", do)
        self.needs.append(Need(kind=kind, what=what, do=do, **more))


def of_each[T, R](items: Iterable[T], ask: Callable[[T], R]) -> list[R]:
    """Ask for each, many at the same time: a provider may have hundreds of accounts."""
    with ThreadPoolExecutor(AT_ONCE) as asking:
        return list(asking.map(ask, items))


def logs_of(work: Overview, function: str) -> str:
    """Return the command that shows what a function logs, and what Lambda logs of failures.

    All functions write to one log group; what Lambda itself writes names no service.
    """
    service = function.removesuffix("Function").lower()
    own = f"'{{ $.service = \"{service}\" || $.service NOT EXISTS }}'"
    return f"sam logs --stack-name {work.stack} --name {function} --filter {own}"


def minute(moment: datetime) -> str:
    """Write a time in UTC, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def second(moment: datetime) -> str:
    """Write a time in UTC, to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def in_short(reason: str) -> str:
    """Cut a long reason."""
    return shorten(reason, REASON, placeholder=" …")
