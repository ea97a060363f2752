"""The checks, put together: which provider is asked, by whom, and through which gate.

Every function yields its findings in order as they come, and ends where the next one would make no
sense. None raises for what a provider answers: that is what the findings say.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.app.asked import AskedKazoo, AskedRingcx, AskedRingex, Through, shake_hands
from legato.app.root import App
from legato.app.scratch import SharedGate, refusals_named
from legato.aws.account import AwsAccount
from legato.aws.deployed import DeployedStack
from legato.aws.parameter import parameter
from legato.aws.stack import outputs, parameters
from legato.config import configuration
from legato.errors import Barred, LegatoError
from legato.model import PROVIDERS
from legato.providers.credentials import read_credentials
from legato.providers.kazoo.credentials import read_credentials as read_kazoo
from legato.settings import BadSettings, web_address
from legato.setup import aws, kazoo, ringcx, ringex
from legato.setup import stack as running
from legato.setup.answers import told
from legato.setup.findings import Finding, ok, wrong
from legato.setup.ringex import Webhook
from legato.tuning import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from legato.tuning import Tuning

ALONE = Through()


def check_ringex(
    credential: Mapping[str, Any],
    *,
    url: str = DEFAULTS.ringex_url,
    deletes: bool = False,
    webhook: Webhook | None = None,
    tuning: Tuning = DEFAULTS,
    through: Through = ALONE,
) -> Iterator[Finding]:
    """Check RingEX's part of the secret, `{"clientId", "clientSecret", "jwt"}`, at this address.

    `jwt` may be a list: each user is checked. `deletes` says that recordings are to be deleted at
    RingEX, `webhook` names that of a running stack. `tuning` has the limits that are kept.
    """
    if (strange := _strange_address("RingEX", RingexUrl=url)) is not None:
        yield strange
        return
    try:
        credentials = read_credentials(dict(credential), "ringex")
    except Barred as error:
        yield _incomplete("RingEX", error)
        return
    users = [AskedRingex(one, url, tuning, through) for one in credentials]
    with _told_once():
        yield from ringex.check_users(
            users,
            deletes=deletes,
            webhook=webhook,
            clock=through.clock,
            sleep=through.sleep,
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
    if (strange := _strange_address("RingCX", RingexUrl=platform, RingcxUrl=url)) is not None:
        yield strange
        return
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
    if (strange := _strange_address("Kazoo", KazooUrl=url)) is not None:
        yield strange
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
    yield from aws.check_account(AwsAccount(), stack=stack, parameters=parameters)


def check_stack(*, stack: str, sleep: Callable[[float], None] = time.sleep) -> Iterator[Finding]:
    """Check a running stack: its parts in AWS, and what its configuration uses at the providers.

    Raises NoStack, NotPermitted, Refused and Unavailable if there is no stack that can be seen.
    """
    deployed, account = DeployedStack(stack), AwsAccount()
    yield running.check_state(deployed)
    named, given = outputs(stack), parameters(stack)
    subject = "Stack configuration"
    if aws.OWN_OUTPUT not in named:
        yield wrong(
            subject,
            f"The stack {stack} has no {aws.OWN_OUTPUT}: it is not Legato's, or another version's.",
            "Name another one with --stack, or deploy this version.",
        )
        return
    try:
        with refusals_named():
            app = App(configuration(parameter(named[aws.OWN_OUTPUT])))
    except BadSettings as error:
        yield wrong(
            subject,
            f"It is not one of this version: {error}.",
            "Deploy this version, or use that one's command.",
        )
        return
    except LegatoError as error:
        yield told(error, subject)
        return
    config = app.config
    yield ok(subject, "It is one of this version.")
    topics = {"AlarmEmail": config.alarm_topic, "RestoreEmail": config.restore_topic}
    yield from running.check_mails(deployed, topics)
    yield from running.check_schedules(deployed)
    yield from running.check_alarms(deployed)
    yield running.check_signing_key(account, named.get("SigningKeyId", ""))
    if key := given.get("KmsKeyArn"):
        _, _, _, region, owner, _ = config.stack.split(":", 5)
        mails = bool(config.alarm_topic)
        yield from aws.check_key(
            account, key, region=region, owner=owner, mails=mails, subject="Stack KMS key"
        )
    if config.use_ringex:
        yield running.check_webhook(lambda: shake_hands(named.get("WebhookUrl", "")))
    yield from _check_providers(app, named, sleep)


def _check_providers(
    app: App, named: Mapping[str, str], sleep: Callable[[float], None]
) -> Iterator[Finding]:
    """Check what the stack uses, behind the gate of its ledger, with its own credentials."""
    config, tuning = app.config, app.config.tuning
    try:
        with refusals_named():
            secret = app.credentials.read()
    except LegatoError as error:
        yield told(error, "Stack credentials")
        return
    parts = {name: part if isinstance(part := secret.get(name), dict) else {} for name in PROVIDERS}
    through = Through(gate=lambda: SharedGate(app.ledger), clock=app.clock, sleep=sleep)
    if config.use_ringex:
        yield from check_ringex(
            parts["ringex"],
            url=tuning.ringex_url,
            deletes="ringex" in config.delete_at_source,
            webhook=Webhook(
                address=named.get("WebhookUrl", ""), keeper=named.get("KeeperFunctionName", "")
            ),
            tuning=tuning,
            through=through,
        )
    if config.ringcx_sub_account_ids:
        yield from check_ringcx(
            parts["ringcx"],
            sub_account_ids=config.ringcx_sub_account_ids,
            platform=tuning.ringex_url,
            url=tuning.ringcx_url,
            account_id=tuning.ringcx_account_id,
            tuning=tuning,
            through=through,
        )
    if config.kazoo_url:
        yield from check_kazoo(
            parts["kazoo"],
            url=config.kazoo_url,
            account_ids=config.kazoo_account_ids,
            tuning=tuning,
            through=through,
        )


@contextmanager
def _told_once() -> Iterator[None]:
    """Keep it out of the log that a credential is refused: that is what a finding says."""
    log = logging.getLogger("legato.providers.credentials")
    log.disabled, before = True, log.disabled
    try:
        yield
    finally:
        log.disabled = before


def _strange_address(provider: str, **addresses: str) -> Finding | None:
    """Return the finding for the first setting that is no web address."""
    for name, address in addresses.items():
        try:
            if web_address(address):
                continue
        except ValueError:
            pass
        return wrong(
            f"{provider} address",
            f"{name} is no web address without a user.",
            "Give it with its scheme and host, such as https://kazoo.example.com:8443/v2.",
        )
    return None


def _incomplete(provider: str, error: Barred) -> Finding:
    text = f"{error}.".replace("the secret has no", "There is no", 1)
    guide = f"docs/deploy/{provider.lower()}.md"
    return wrong(f"{provider} credentials", text, f"Fill it in as {guide} says.")
