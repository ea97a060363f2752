"""Put the checks together: which provider or AWS is asked, and through which gate.

Every function yields its findings in order as they come, and ends where the next one would make no
sense. None raises for what a provider or AWS answers: that is what the findings say.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from legato.app.scratch import ScratchNotes
from legato.aws.stack import caller, outputs
from legato.clock import SystemClock
from legato.errors import Barred, LegatoError
from legato.providers.credentials import read_credentials
from legato.providers.kazoo.credentials import read_credentials as read_kazoo
from legato.setup.findings import Finding, ok, unknown, wrong
from legato.tuning import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import httpx

    from legato.model import Json
    from legato.ports import Clock, Notes
    from legato.tuning import Tuning


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """How a provider is asked.

    `gate` holds what was granted of its rate limits. Before a deployment that is this process's
    own; for a running stack it is the ledger, which all of its functions share.
    """

    gate: Callable[[], Notes] = ScratchNotes
    clock: Clock = field(default_factory=SystemClock)
    sleep: Callable[[float], None] = time.sleep
    transport: httpx.BaseTransport | None = None


ALONE = Through()


def check_ringex(
    credential: Mapping[str, Json],
    *,
    url: str = DEFAULTS.ringex_url,
    tuning: Tuning = DEFAULTS,
    through: Through = ALONE,
) -> Iterator[Finding]:
    """Check RingEX's part of the secret, `{"clientId", "clientSecret", "jwt"}`, at this address.

    `jwt` may be a list: each user is checked. `tuning` has the limits that are kept.
    """
    del url, tuning, through
    try:
        read_credentials(credential, "ringex")
    except Barred as error:
        yield wrong("RingEX credentials", f"{error}.", "Fill it in as docs/deploy/ringex.md says.")


def check_ringcx(
    credential: Mapping[str, Json],
    *,
    sub_account_ids: Sequence[str],
    platform: str = DEFAULTS.ringex_url,
    url: str = DEFAULTS.ringcx_url,
    account_id: str = DEFAULTS.ringcx_account_id,
    tuning: Tuning = DEFAULTS,
    through: Through = ALONE,
) -> Iterator[Finding]:
    """Check RingCX's part of the secret, which has the form of RingEX's, and these sub-accounts.

    `platform` is where RingCentral logs in, `url` RingCX itself. `sub_account_ids` are those of the
    parameter RingcxSubAccountIds; `*` is all that RingCX lists.
    """
    del sub_account_ids, platform, url, account_id, tuning, through
    try:
        read_credentials(credential, "ringcx")
    except Barred as error:
        yield wrong("RingCX credentials", f"{error}.", "Fill it in as docs/deploy/ringcx.md says.")


def check_kazoo(
    credential: Mapping[str, Json],
    *,
    url: str,
    account_ids: Sequence[str],
    tuning: Tuning = DEFAULTS,
    through: Through = ALONE,
) -> Iterator[Finding]:
    """Check Kazoo's part of the secret at this address, and these accounts.

    `{"apiKey"}` or `{"username", "password", "accountName"}`. `account_ids` are those of the
    parameter KazooAccountIds: `account`, `account/*` or `account/user`.
    """
    del url, account_ids, tuning, through
    try:
        read_kazoo(credential)
    except Barred as error:
        yield wrong("Kazoo credentials", f"{error}.", "Fill it in as docs/deploy/kazoo.md says.")


def check_aws(*, stack: str, parameters: Mapping[str, str]) -> Iterator[Finding]:
    """Check the AWS session of this process before a stack of this name is deployed or changed.

    `parameters` are the template's, by name; those that are not there have their defaults. Region,
    profile and endpoint are botocore's own business (`legato.cli.context.use`).
    """
    del stack, parameters
    try:
        yield ok("AWS identity", f"AWS knows you as {caller()}.")
    except LegatoError as error:
        yield wrong("AWS identity", f"{error}.", "Log in, or give --profile.")


def check_stack(*, stack: str) -> Iterator[Finding]:
    """Check a running stack: its parts in AWS, and what its configuration uses at the providers."""
    try:
        outputs(stack)
    except LegatoError as error:
        yield unknown("Stack", f"{error}.", "Name the stack with --stack.")
    else:
        yield ok("Stack", f"The stack {stack} is there.")
