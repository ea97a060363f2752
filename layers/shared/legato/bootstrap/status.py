"""Put together what `legato status` looks at: no provider is asked anything."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.depth import SqsDepth
from legato.aws.library import S3Library
from legato.bootstrap import kazoo, ringcx, ringex
from legato.bootstrap.shared import gate_limits, tools
from legato.config import sweeper_settings
from legato.errors import Barred, LegatoError
from legato.ledger.listed_accounts import listed_accounts
from legato.ledger.listings import tail_key
from legato.operations.overview import Followed, Overview
from legato.providers.credentials import read_credentials
from legato.providers.ringcx.retention import known_days
from legato.providers.ringcx.tail import watch_name
from legato.providers.ringex.retention import known_retention
from legato.tuning import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from legato.bootstrap.shared import Tools
    from legato.config import Limits, SweeperSettings
    from legato.ledger.rate_limit import Limit
    from legato.model import Json

RINGEX_LATE, RINGCX_LATE, KAZOO_LATE = (timedelta(minutes=each) for each in (15, 60, 60))
"""As the alarms of template.yaml have it."""


def overview(
    configured: Mapping[str, str],
    outputs: Mapping[str, str],
    *,
    stack: str,
) -> Overview:
    """Return what is looked at, by what the stack is configured to do.

    Where the secret cannot be read, the windows of its credentials are unknown. Raises BadSettings,
    Retry.
    """
    settings = sweeper_settings(configured)
    made = tools(credentials=settings.credentials, table=settings.table)
    unknown: dict[str, LegatoError] = {}
    secret: Json = {}
    try:
        secret = {provider: made.credentials.part(provider) for provider in ("ringex", "ringcx")}
    except LegatoError as error:
        unknown["limits of credentials"] = error
    followed: list[Followed] = []
    if any(secret.get("ringex", {}).values()) or made.ledger.read(tail_key("ringex")).version:
        followed.append(_ringex(settings, secret, configured))
    if settings.ringcx.sub_accounts:
        followed.append(_ringcx(settings, secret, made, configured))
    if settings.kazoo.url:
        followed.append(_kazoo(settings, made, configured))
    return Overview(
        stack=stack,
        followed=followed,
        ledger=made.ledger,
        notes=made.ledger,
        library=S3Library(client("s3"), bucket=outputs["ArchiveBucketName"]),
        clock=made.clock,
        keeper=outputs.get("KeeperFunctionName"),
        witnessed=bool(configured["TimestampAuthorityUrl"]),
        unknown=unknown,
    )


def _ringex(settings: SweeperSettings, secret: Json, configured: Mapping[str, str]) -> Followed:
    policy = _policy(
        configured, settings, ladder="RingexLadderSeconds", named="RingexNamedLadderSeconds"
    )
    round_ = ringex.sweeping(settings)
    tails = round_.tails(False)
    kept = known_retention(round_.notes)
    gates = {f"ringex#{name}": settings.ringex_limits for name in _credentials(secret, "ringex")}
    return Followed(
        provider="ringex",
        tails=[tail.key for tail in tails],
        kept_days={tail.watch: kept / timedelta(days=1) for tail in tails},
        late=RINGEX_LATE,
        usual=policy.usual,
        longest=policy.longest,
        jobs=SqsDepth(client("sqs"), queue=settings.ringex_queue),
        dead_letters=SqsDepth(client("sqs"), queue=settings.ringex_dead_letters),
        gates=_windows(gates),
    )


def _ringcx(
    settings: SweeperSettings, secret: Json, made: Tools, configured: Mapping[str, str]
) -> Followed:
    policy = _policy(configured, settings, named="RingcxLadderSeconds")
    ours, days = settings.ringcx, known_days(made.ledger)
    names = ringcx.followed(ours, made)
    gates = {f"ringcx#{name}": _only(ours.limits, "Metadata") for name in names}
    for name in _credentials(secret, "ringcx"):
        gates[f"ringcx#{name}"] = _only(ours.limits, "Recordings")
    return Followed(
        provider="ringcx",
        tails=[tail.key for tail in ringcx.tails_of(settings, made, names)],
        kept_days={watch_name(name): days.get(name) or ours.retention_days for name in names},
        accounts=listed_accounts("ringcx", made.ledger),
        late=RINGCX_LATE,
        usual=policy.usual,
        longest=policy.longest,
        jobs=SqsDepth(client("sqs"), queue=ours.queue),
        dead_letters=SqsDepth(client("sqs"), queue=ours.dead_letters),
        gates=_windows(gates),
    )


def _kazoo(settings: SweeperSettings, made: Tools, configured: Mapping[str, str]) -> Followed:
    policy = _policy(configured, settings, named="KazooLadderSeconds")
    ours, sources = settings.kazoo, kazoo.followed(settings.kazoo, made)
    tails = kazoo.tails_of(settings, made, sources)
    return Followed(
        provider="kazoo",
        tails=[tail.key for tail in tails],
        kept_days={tail.watch: settings.kazoo_retention_days for tail in tails},
        accounts=listed_accounts("kazoo", made.ledger),
        late=KAZOO_LATE,
        usual=policy.usual,
        longest=policy.longest,
        jobs=SqsDepth(client("sqs"), queue=ours.queue),
        dead_letters=SqsDepth(client("sqs"), queue=ours.dead_letters),
        gates=_windows(
            {f"kazoo#{name}": _only(ours.limits, "Requests") for name in kazoo.accounts_of(sources)}
        ),
    )


def _policy(
    configured: Mapping[str, str], settings: SweeperSettings, *, named: str, ladder: str = ""
) -> Policy:
    """Return how long calls wait."""

    def waits(name: str) -> tuple[int, ...]:
        return tuple(map(int, configured[name].split(",")))

    longer = waits(named)
    return Policy(
        settle=settings.settle_seconds,
        ladder=waits(ladder) if ladder else longer[:2],
        named_ladder=longer,
        max_attempts=int(configured["MaxAttempts"]),
        retry=int(configured["RetrySeconds"]),
    )


def _credentials(secret: Json, provider: str) -> list[str]:
    """Return the names by which the gate knows a provider's credentials; none if it has none."""
    try:
        return [one.id for one in read_credentials(secret.get(provider, {}), provider)]
    except Barred:
        return []


def _only(limits: Limits, group: str) -> Limits:
    return {group: limits[group]} if group in limits else {}


def _windows(gates: Mapping[str, Limits]) -> dict[str, tuple[Limit, ...]]:
    return {
        f"{name}#{group}": limits
        for name, groups in gates.items()
        for group, limits in gate_limits(groups).items()
    }
