"""How long to wait and how much to take: one table, and what the archiving makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from legato.settings import (
    Limits,
    Waits,
    hours,
    limits,
    number,
    one_of,
    pairs,
    text,
    waits,
    web,
    whole,
)

SHORT_SHARE = 0.02
SHORT_MS = 2000
"""A recording may be shorter by so much, and by this share, than the provider states."""

QUEUE_DELAY_LIMIT = 900
"""Seconds: the longest delay of an SQS message."""

ZONES = {zone: zone for zone in ("UTC", "Etc/UTC", "GMT", "Etc/GMT", "Africa/Abidjan")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What an operator need not decide. The parameter `Tuning` goes over it, by these names."""

    # ---- RingCentral RingEX -----------------------------------------------------------------
    # Address of the RingCentral API; of AT&T Office@Hand and of Verizon it is
    # https://platform.ringcentral.biz. Recordings come from the host that begins with media instead
    # of platform. Credentials and tokens are sent nowhere else.
    ringex_url: str = web("https://platform.ringcentral.com")
    # Requests a minute that RingCentral allows each service user, by group. What RingCentral's
    # answers say of the limits goes over it.
    ringex_limits: Limits = limits("Light=50,Medium=40,Heavy=10,Auth=5")
    # How far back the very first sweep reads. RingCentral keeps recordings for 90 days (2160
    # hours).
    ringex_sweep_hours: float = number(24, 1, 2160)
    # For how long the call log's changes are left alone after they were read. Each read costs one
    # of RingCentral's Heavy requests. The default lets each minute's sweep through, and keeps jobs
    # from reading in between.
    ringex_tail_seconds: float = number(50, 0, 600)
    # How long RingCentral may take to list a call that has ended. One that is not listed so long
    # after its last sign counts as not recorded, until it is listed all the same.
    ringex_log_lag_seconds: int = whole(90, 0, 900)
    # How long to wait before each further look when a call has no recording listed, separated by
    # commas. After the last one the call counts as not recorded.
    ringex_ladder_seconds: Waits = waits("120,600")
    # The same for a recording that a notification has named, so it must come. The default adds up
    # to 24 hours; after the last wait the call fails and somebody is told.
    ringex_named_ladder_seconds: Waits = waits("120,600,1800,3600,10800,21600,47880")
    # How long a webhook subscription lives before it must be renewed. The default is the longest
    # that RingCentral grants, ten years.
    ringex_subscription_seconds: int = whole(315_360_000, 3600, 315_360_000)
    # Age in days at which the token that notifications carry is replaced by a new one.
    ringex_token_days: int = whole(90, 1, 3650)
    # ---- RingCentral RingCX -----------------------------------------------------------------
    # The RingCentral account id, which is not RingCX's main account id. Empty: RingCentral is asked
    # for it.
    ringcx_account_id: str = text("")
    # Address of the RingCX API. Credentials and tokens are sent nowhere else.
    ringcx_url: str = web("https://ringcx.ringcentral.com")
    # Path of RingCX's integration API, which hands out metadata and recordings.
    ringcx_prefix: str = text("/voice/api/cx/integration/v1")
    # What the zone of our times is called when RingCX is asked. All of these mean UTC; take another
    # one should RingCX not know the default.
    ringcx_time_zone: str = one_of(ZONES, "UTC")
    # Requests that RingCX allows, by group, each as calls per seconds; several that hold at the
    # same time are joined by a plus.
    ringcx_limits: Limits = limits("Metadata=3/60+9/900,Recordings=120/60,Exchange=5/60,Auth=5/60")
    # How long after its end a segment is left alone. RingCX asks for a quarter of an hour.
    ringcx_settle_minutes: float = number(15, 0, 1440)
    # How far back the very first sweep reads. For more there is `legato backfill`.
    ringcx_sweep_hours: float = number(24, 1, 2160)
    # By how much each sweep reaches back over what the last one has read, for what RingCX lists a
    # little late.
    ringcx_overlap_minutes: float = number(10, 0, 170)
    # How long after a window of time was first read it is read again, separated by commas. Finds
    # what RingCX listed late, or whose recording was not there at first.
    ringcx_look_again_hours: tuple[float, ...] = hours("4,24")
    # How long RingCX keeps recordings where the sub-account itself does not say so. Somebody is
    # told when a third of it is left for a segment that is not archived.
    ringcx_retention_days: int = whole(90, 1, 3650)
    # How long to wait before each further try when RingCX does not have a recording (yet),
    # separated by commas. The default adds up to 24 hours; after the last wait the dialog fails and
    # somebody is told.
    ringcx_ladder_seconds: Waits = waits("300,900,1800,3600,10800,21600,47400")
    # How many segments one processor downloads at the same time.
    ringcx_segments_at_once: int = whole(8, 1, 32)
    # Largest segment that is fetched, in bytes. A larger one fails the dialog.
    ringcx_max_segment_bytes: int = whole(4_294_967_295, 1_048_576, 52_000_000_000)
    # ---- 2600Hz Kazoo -----------------------------------------------------------------------
    # Kazoo's own filters of what is listed, such as filter_direction=inbound, separated by commas.
    # Empty: all recordings.
    kazoo_filters: dict[str, str] = pairs("")
    # Requests that Kazoo's token bucket allows, as calls per seconds. The default never empties a
    # bucket of 100 that gains 10 a second. What Kazoo's answers say of its tokens goes over it.
    kazoo_limits: Limits = limits("Requests=50/5")
    # How long nothing of an interaction must have been recorded before it is archived. What is
    # recorded later makes another revision.
    kazoo_quiet_seconds: int = whole(300, 0, 86_400)
    # How far back the very first sweep reads.
    kazoo_sweep_hours: float = number(24, 1, 4464)
    # How long the cluster keeps a month's recordings (`active_modbs`). Somebody is told when a
    # third of it is left for a recording that is not archived.
    kazoo_retention_days: int = whole(180, 1, 3650)
    # How long to wait before each further try when Kazoo has a recording's document and not its
    # audio (yet), separated by commas. The default adds up to 24 hours; after the last wait the
    # call fails and somebody is told.
    kazoo_ladder_seconds: Waits = waits("120,600,1800,3600,10800,21600,47880")
    # ---- When a call is archived, and what is given up on -----------------------------------
    # How long to wait before looking again at a call that still goes on.
    ongoing_seconds: int = whole(300, 1, 3600)
    # How long to wait after a failed attempt. Doubles with every further one.
    retry_seconds: int = whole(60, 1, 900)
    # How often a call's list may fail for a passing reason before it goes to the dead letters. Each
    # recording has its provider's ladder.
    max_attempts: int = whole(5, 1, 20)
    # Longest call to reckon with. How far back the call log is searched from the moment that a call
    # was last seen.
    max_call_hours: float = number(4, 1, 24)
    # Largest RingEX or Kazoo recording that is fetched, in bytes. A larger one fails the call.
    max_leg_bytes: int = whole(2_147_483_648, 1_048_576, 5_368_709_120)
    # Longest RingEX or Kazoo recording that is accepted, in hours of audio. A longer one fails the
    # call.
    max_audio_hours: float = number(24, 1, 168)
    # ---- Evidence ---------------------------------------------------------------------------
    # How many days, up to yesterday, are compared each day with what the providers say was
    # recorded.
    reconcile_days: int = whole(3, 1, 31)


DEFAULTS = Tuning()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Times are in seconds.

    `ladder` holds the waits between looks for a call that the provider does not list,
    `named_ladder` those between the tries to fetch a recording that is known to exist. `max_call`
    is how long a call can last: one that is said to go on for longer is over.
    """

    settle: int = 120
    ladder: Waits = DEFAULTS.ringex_ladder_seconds
    named_ladder: Waits = DEFAULTS.ringex_named_ladder_seconds
    ongoing: int = DEFAULTS.ongoing_seconds
    max_call: float = 24 * 3600
    max_attempts: int = DEFAULTS.max_attempts
    retry: int = DEFAULTS.retry_seconds
    max_leg_bytes: int = DEFAULTS.max_leg_bytes
    storage_class: str = "GLACIER_IR"
    lengths_stated: bool = False
    """Whether the provider says of each recording, and not only of each call, how long it is."""
    apart: bool = False
    """Whether legs are streamed into the archive and stay apart, because it is cold at once."""
    at_once: int = 1
    """How many calls one worker archives at the same time."""
    delete_at_source: bool = False
    """Whether the provider is to delete its recordings of a call that is archived."""
    reserve: int = 300
    """No call is begun when less than this is left of the invocation."""

    def backoff(self, attempt: int) -> int:
        """Return the wait before the next attempt: doubled each time, an hour at most."""
        return min(self.retry * (1 << attempt), 3600)

    @property
    def usual(self) -> timedelta:
        """How long a call that was found takes at most where nothing is wrong."""
        return timedelta(seconds=self.settle + sum(self.ladder))

    @property
    def longest(self) -> timedelta:
        """How long a call that was found may take until it is archived, or has failed."""
        waits = max(sum(self.ladder), sum(self.named_ladder))
        attempts = sum(self.backoff(attempt) for attempt in range(self.max_attempts - 1))
        return timedelta(seconds=self.settle + waits + attempts)


def tolerance(stated_ms: int) -> float:
    """Return by how many milliseconds a recording may differ from what the provider states."""
    return max(SHORT_MS, SHORT_SHARE * stated_ms)
