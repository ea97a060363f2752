"""What a stack is configured to do."""

import json

import pytest

from legato.config import PushSettings, WebhookSettings, configuration, environment_settings
from legato.settings import BadSettings, Limit, names_of
from legato.tuning import DEFAULTS, Tuning
from tests.configured import DOCUMENT, configured

WEBHOOK = {
    "LEGATO_INBOUND_TOKENS": "arn:tokens",
    "LEGATO_RINGEX_QUEUE": "https://queue",
    "LEGATO_RINGEX_SETTLE_SECONDS": "120",
}


def test_what_the_webhook_needs():
    """Other names do not matter."""
    settings = environment_settings(WebhookSettings, {**WEBHOOK, "PATH": "/bin"})
    assert (settings.ringex_queue, settings.ringex_settle_seconds) == ("https://queue", 120)


def test_what_a_push_needs():
    """Where it is kept, and what proves whose it is."""
    told = {"LEGATO_INBOUND_TOKENS": "arn:tokens", "LEGATO_INBOX": "inbox"}
    settings = environment_settings(PushSettings, told)
    assert (settings.inbound_tokens, settings.inbox) == ("arn:tokens", "inbox")


def test_everything_that_is_wrong_in_an_environment_stands_in_one_error():
    """An operator mends it in one go."""
    told = {"LEGATO_RINGEX_SETTLE_SECONDS": "soon", "LEGATO_INBOUND_TOKENS": ""}
    with pytest.raises(BadSettings) as bad:
        environment_settings(WebhookSettings, told)
    assert str(bad.value) == (
        "LEGATO_INBOUND_TOKENS is not set; LEGATO_RINGEX_QUEUE is not set; "
        "LEGATO_RINGEX_SETTLE_SECONDS is not a whole number from 0 to 900: 'soon'"
    )


def test_everything_that_is_wrong_in_a_document_stands_in_one_error():
    """In the tuning and beside it."""
    said = DOCUMENT | {"Bucket": "", "UseRingex": "perhaps"}
    del said["Table"]
    tuned = {"MaxAttempts": 50, "RetrySeconds": "soon", "Retries": 1}
    with pytest.raises(BadSettings) as bad:
        configuration(json.dumps(said | {"Tuning": tuned}))
    assert str(bad.value) == (
        "Tuning has unknown names: Retries; "
        "Tuning: RetrySeconds is not a whole number from 1 to 900: 'soon'; "
        "MaxAttempts is not a whole number from 1 to 20: '50'; "
        "Bucket is not set; Table is not set; UseRingex is not true or false: 'perhaps'"
    )


def test_the_tuning_stands_where_a_stack_says_nothing_else():
    """By the same names, as numbers or as texts."""
    tuning = configured(RetrySeconds=7, RingcxLadderSeconds="1,2").tuning
    assert (tuning.retry_seconds, tuning.ringcx_ladder_seconds) == (7, (1, 2))
    assert tuning.max_attempts == DEFAULTS.max_attempts == 5
    assert configured().tuning == DEFAULTS


@pytest.mark.parametrize("name", sorted({*names_of(Tuning)} - {"RingcxAccountId", "RingcxPrefix"}))
def test_no_nonsense_is_a_value_of_the_tuning(name):
    """But for what may be any text."""
    for wrong in ("nonsense", [], {}, "-1", float("nan")):
        with pytest.raises(BadSettings, match=f"Tuning: {name} is not "):
            configured(**{name: wrong})


@pytest.mark.parametrize(
    "document",
    ['{"Tuning": []}', '{"Tuning": {]}', '{"Tuning": null}', "[]", "{}", "", "[" * 100_000],
)
def test_a_document_that_is_none_is_refused(document):
    """It says what it should be."""
    with pytest.raises(BadSettings, match="no JSON object"):
        configuration(document)


def test_what_one_function_is_told_of_its_own_goes_over_the_document():
    """The document cannot know it."""
    said = json.dumps(DOCUMENT | {"Tuning": {}})
    config = configuration(said, {"SigningKey": "key", "RingexWebhookUrl": "https://hook"})
    assert (config.signing_key, config.ringex_webhook_url) == ("key", "https://hook")
    assert configuration(said).signing_key == ""


def test_lists_and_pairs_are_read():
    """Of accounts, of limits, of filters."""
    config = configured(
        KazooAccountIds="a, b/u ,c/*",
        KazooFilters="filter_direction=inbound,has_key=a",
        RingcxLimits="Metadata=3/60+9/900,Recordings=120,Exchange=5/60,Auth=5/60",
    )
    assert config.kazoo_account_ids == ("a", "b/u", "c/*")
    assert config.tuning.kazoo_filters == {"filter_direction": "inbound", "has_key": "a"}
    assert config.tuning.ringcx_limits["Metadata"] == (Limit(3, 60), Limit(9, 900))
    assert config.tuning.ringcx_limits["Recordings"] == (Limit(120, 60),)


@pytest.mark.parametrize(
    "limits",
    [
        "Requests=0/5",
        "Requests=5/0",
        "Requests=5/1e300",
        "Requests=5/inf",
        "Requests",
        "Others=5/1",
        "Requests=5/1,X=1",
    ],
)
def test_limits_that_would_hold_for_nothing_are_refused(limits):
    """Or for groups that nobody asks in."""
    with pytest.raises(BadSettings, match="KazooLimits is not like Requests=50/5"):
        configured(KazooLimits=limits)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("RingexLadderSeconds", "120,99999999999999999999"),
        ("KazooLadderSeconds", "120,"),
        ("RingcxLookAgainHours", "4,inf"),
        ("RingcxLookAgainHours", "1e300"),
    ],
)
def test_times_that_no_clock_reaches_are_refused(name, said):
    """They would end each run of a provider, and not the deployment."""
    with pytest.raises(BadSettings, match=f"Tuning: {name} is not "):
        configured(**{name: said})


@pytest.mark.parametrize(
    ("said", "providers"),
    [("false", ()), ("true", ("ringex", "kazoo")), ("kazoo", ("kazoo",)), ("ringex", ("ringex",))],
)
def test_who_is_to_delete(said, providers):
    """RingCX never is."""
    assert configured(DeleteAtSource=said).delete_at_source == providers


@pytest.mark.parametrize(("said", "complaint"), [("", "is not set"), ("yes", "is not false or")])
def test_nobody_deletes_by_mistake(said, complaint):
    """What is not one of the words is told, and taken for nothing."""
    with pytest.raises(BadSettings, match=f"DeleteAtSource {complaint}"):
        configured(DeleteAtSource=said)


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_how_evidence_is_locked(mode):
    """Each provider's for its own years, what speaks of all for the longest."""
    retention = configured(RetentionMode=mode, KazooLockYears="10", RingexLockYears="6").retention
    assert (retention.of("ringcx").mode, retention.of("ringcx").years) == (mode, 7)
    assert retention.longest.years == 10


def test_nothing_is_locked_by_default():
    """As the word says."""
    retention = configured().retention
    assert (retention.of("ringex"), retention.longest) == (None, None)


def test_a_mode_that_there_is_not_is_named():
    """Rather than nothing locked."""
    with pytest.raises(BadSettings, match="RetentionMode is not NONE or GOVERNANCE or"):
        configured(RetentionMode="LEGAL")


@pytest.mark.parametrize(
    "address",
    [
        "https://user:hidden@platform",
        "https://hidden@platform",
        "https://platform:hidden",
        "https://[hidden",
        "https://plat form/hidden",
        "https://platform/hidden\x00",
        "platform/hidden",
        "file:///hidden",
        "https:///hidden",
    ],
)
@pytest.mark.parametrize("name", ["RingexUrl", "KazooUrl", "RingcxUrl", "TimestampAuthorityUrl"])
@pytest.mark.attacks("a configured address with a user and a password, or a malformed one")
def test_an_address_with_a_user_in_it_is_refused(name, address):
    """Every credential stands in the secret. What may be a password is not repeated."""
    with pytest.raises(BadSettings, match=f"{name} is not a web address") as refused:
        configured(**{name: address})
    assert "hidden" not in str(refused.value)
