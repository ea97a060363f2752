"""The checks, put together: which provider is asked, by whom, and through which gate.

Every function yields its findings in order as they come, and ends where the next one would make no
sense. None raises for what a provider answers: that is what the findings say.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from legato.app.asked import AskedKazoo, AskedRingcx, AskedRingex, Through
from legato.aws.stack import caller, outputs
from legato.errors import Barred, LegatoError
from legato.providers.credentials import read_credentials
from legato.providers.kazoo.credentials import read_credentials as read_kazoo
from legato.setup import kazoo, ringcx, ringex
from legato.setup.findings import Finding, ok, unknown, wrong
from legato.tuning import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from legato.tuning import Tuning

ALONE = Through()


def check_ringex(
    credential: Mapping[str, Any],
    *,
    url: str = DEFAULTS.ringex_url,
    deletes: bool = False,
    tuning: Tuning = DEFAULTS,
    through: Through = ALONE,
) -> Iterator[Finding]:
    """Check RingEX's part of the secret, `{"clientId", "clientSecret", "jwt"}`, at this address.

    `jwt` may be a list: each user is checked. `deletes` says that recordings are to be deleted at
    RingEX. `tuning` has the limits that are kept.
    """
    try:
        credentials = read_credentials(dict(credential), "ringex")
    except Barred as error:
        yield _incomplete("RingEX", error)
        return
    users = [AskedRingex(one, url, tuning, through) for one in credentials]
    with _told_once():
        yield from ringex.check_users(
            users, deletes=deletes, clock=through.clock, sleep=through.sleep
        )


def check_ringcx(
    credential: Mapping[str, Any],
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
    try:
        credentials = read_credentials(dict(credential), "ringcx")
    except Barred as error:
        yield _incomplete("RingCX", error)
        return
    users = [
        AskedRingcx(one, platform, tuning, through, url=url, account=account_id)
        for one in credentials
    ]
    with _told_once():
        yield from ringcx.check_users(
            users,
            sub_account_ids=sub_account_ids,
            settle=timedelta(minutes=tuning.ringcx_settle_minutes),
            clock=through.clock,
            sleep=through.sleep,
        )


def check_kazoo(
    credential: Mapping[str, Any],
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
    if urlsplit(url).hostname is None:
        yield wrong(
            "Kazoo address",
            "KazooUrl is no web address.",
            "Give it as https://kazoo.example.com:8443/v2.",
        )
        return
    try:
        read_kazoo(dict(credential))
    except Barred as error:
        yield _incomplete("Kazoo", error)
        return
    with _told_once():
        yield from kazoo.check_account_ids(
            AskedKazoo(credential, url, tuning, through),
            account_ids=account_ids,
            clock=through.clock,
            sleep=through.sleep,
        )


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


@contextmanager
def _told_once() -> Iterator[None]:
    """Keep it out of the log that a credential is refused: that is what a finding says."""
    log = logging.getLogger("legato.providers.credentials")
    log.disabled, before = True, log.disabled
    try:
        yield
    finally:
        log.disabled = before


def _incomplete(provider: str, error: Barred) -> Finding:
    text = f"{error}.".replace("the secret has no", "There is no", 1)
    guide = f"docs/deploy/{provider.lower()}.md"
    return wrong(f"{provider} credentials", text, f"Fill it in as {guide} says.")
