"""What must be right in a running stack: its state, mails, webhook, schedules, alarms and keys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from legato.errors import LegatoError
from legato.setup.answers import told
from legato.setup.findings import Finding, ok, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from legato.ports import EncryptionKey, Recipient
    from legato.setup.answers import Seen

SCHEDULE, ALARM = "AWS::Scheduler::Schedule", "AWS::CloudWatch::Alarm"
HEALTHY = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
SECONDS = 3
"""So long RingCentral waits for a webhook
(https://developers.ringcentral.com/guide/notifications/webhooks/creating-webhooks)."""


class Deployed(Protocol):
    """The stack as AWS has it. Raises NoStack, NotPermitted, Refused and Unavailable."""

    def status(self) -> str:
        """Return CloudFormation's status."""
        ...

    def names(self, kind: str) -> Mapping[str, str]:
        """Return the resources of a type by the template's names for them."""
        ...

    def recipients(self, topic: str) -> Sequence[Recipient]:
        """Return who gets the mails of a topic."""
        ...

    def schedule_state(self, name: str) -> str:
        """Return ENABLED or DISABLED."""
        ...

    def alarmed(self, names: Sequence[str]) -> Sequence[str]:
        """Return which of these alarms fire."""
        ...


class Keys(Protocol):
    """KMS in the stack's region."""

    def key(self, name: str) -> EncryptionKey | None:
        """Return what KMS says of a key, None if it knows none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaken:
    """How a webhook answered a handshake: whether as it should, and after how many seconds."""

    seen: Seen
    echoed: bool
    seconds: float


def check_state(stack: Deployed) -> Finding:
    """Check what the last deployment came to. Raises as the stack does."""
    subject, status = "Stack state", stack.status()
    if status in HEALTHY:
        return ok(subject, f"Its last deployment is complete ({status}).")
    return wrong(
        subject,
        f"The stack is {status}: it may not be what was to be deployed.",
        "See the stack's events in the console (CloudFormation), and deploy again.",
    )


def check_mails(stack: Deployed, topics: Mapping[str, str]) -> Iterator[Finding]:
    """Check who gets mails: `topics` by the parameters that name an address."""
    for parameter, topic in topics.items():
        subject = f"Stack mails ({parameter})"
        if not topic:
            yield ok(subject, f"{parameter} is empty, so nobody gets these mails.")
        else:
            yield _looked_at(subject, partial(_mails, stack, subject, topic))


def check_schedules(stack: Deployed) -> Iterator[Finding]:
    """Check that everything that runs by itself does."""
    subject = "Stack schedules"
    try:
        names = stack.names(SCHEDULE)
        states = {logical: stack.schedule_state(name) for logical, name in names.items()}
    except LegatoError as error:
        yield told(error, subject)
        return
    if off := [logical for logical, state in states.items() if state != "ENABLED"]:
        yield wrong(
            subject,
            f"Switched off: {', '.join(off)}.",
            "In the console open EventBridge, Schedules, and enable them.",
        )
    elif names:
        yield ok(subject, f"All {len(names)} are on.")


def check_alarms(stack: Deployed) -> Iterator[Finding]:
    """Check that no alarm fires."""
    subject = "Stack alarms"
    try:
        names = {name: logical for logical, name in stack.names(ALARM).items()}
        firing = [names[name] for name in stack.alarmed([*names])] if names else []
    except LegatoError as error:
        yield told(error, subject)
        return
    if firing:
        yield wrong(subject, f"In alarm: {', '.join(sorted(firing))}.", "See docs/alarms.md.")
    elif names:
        yield ok(subject, f"None of {len(names)} fires.")


def check_signing_key(keys: Keys, name: str) -> Finding:
    """Check the key that digests are signed with."""
    subject = "Stack signing key"

    def look() -> Finding:
        key = keys.key(name)
        if key is not None and key.state == "Enabled":
            return ok(subject, "It is enabled.")
        state = "gone" if key is None else key.state
        return wrong(
            subject,
            f"The key that signs digests is {state}: no digest can be signed.",
            "In the console open KMS, Customer managed keys, and enable it or cancel its deletion.",
        )

    return _looked_at(subject, look)


def check_webhook(shake: Callable[[], Shaken]) -> Finding:
    """Check that the webhook answers from the internet as RingCentral wants it to."""
    subject = "Stack webhook"
    shaken = shake()
    seen = shaken.seen
    if seen.fault is not None:
        return wrong(
            subject,
            f"{seen.words}.",
            "RingCentral must reach it too. See what stands in front of the API.",
        )
    if seen.status != 200 or not shaken.echoed:
        return wrong(
            subject,
            f"{seen.words}, and not as a handshake must be answered.",
            "See the logs of WebhookFunction, and deploy again.",
        )
    if shaken.seconds > SECONDS:
        return wrong(
            subject,
            f"It answers after {shaken.seconds:.1f} s, and RingCentral waits for {SECONDS} s.",
            "Run it again: a first answer takes longer. If that stays, see the account's Lambda "
            "concurrency.",
        )
    return ok(subject, f"It answers a handshake within {max(shaken.seconds, 0.1):.1f} s.")


def _mails(stack: Deployed, subject: str, topic: str) -> Finding:
    recipients = stack.recipients(topic)
    waiting = [one.address for one in recipients if not one.confirmed]
    confirmed = [one.address for one in recipients if one.confirmed]
    if waiting:
        return wrong(
            subject,
            f"Not confirmed by {', '.join(waiting)}: no mail is sent there.",
            "Open the mail `AWS Notification - Subscription Confirmation` and follow its link. "
            "Without one: in the console open SNS, Subscriptions, Request confirmation.",
        )
    if not confirmed:
        return wrong(
            subject,
            "Nobody is subscribed: the address has unsubscribed, or was removed.",
            "In the console open SNS, Topics, and subscribe the address again.",
        )
    return ok(subject, f"They go to {', '.join(confirmed)}.")


def _looked_at(subject: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except LegatoError as error:
        return told(error, subject)
