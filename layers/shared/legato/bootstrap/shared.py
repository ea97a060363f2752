"""What the parts of all providers are made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.ledger import DynamoLedger
from legato.aws.secret import Secret
from legato.clock import SystemClock
from legato.gate import Limit

if TYPE_CHECKING:
    from legato.aws.queue import SqsJobs
    from legato.policy import Policy
    from legato.ports import Clock, Provider
    from legato.settings import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The adapters that every part needs."""

    secret: Secret
    ledger: DynamoLedger
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a provider brings into the workshop."""

    provider: Provider
    jobs: SqsJobs
    ledger: DynamoLedger
    policy: Policy
    max_seconds: int
    """Of audio in one leg."""


def tools(*, secret: str, table: str) -> Tools:
    """Return the adapters for the secret of this ARN and the ledger in this table."""
    return Tools(
        secret=Secret(client("secretsmanager"), arn=secret),
        ledger=DynamoLedger(client("dynamodb"), table=table),
        clock=SystemClock(),
    )


def gate_limits(settings: Limits) -> dict[str, tuple[Limit, ...]]:
    """Return limits as the gate has them."""
    return {group: tuple(Limit(*limit) for limit in limits) for group, limits in settings.items()}
