"""What a stack is configured to do."""

import pytest

from legato.config import (
    BadSettings,
    configuration,
    holder_settings,
    keeper_settings,
    processor_settings,
    push_settings,
    remover_settings,
    sweeper_settings,
    webhook_settings,
)
from legato.tuning import TUNING

WEBHOOK = {
    "LEGATO_INBOUND_TOKENS": "arn:tokens",
    "LEGATO_RINGEX_QUEUE": "https://queue",
    "LEGATO_SETTLE_SECONDS": "120",
}


def test_what_the_webhook_needs():
    """Other names do not matter."""
    settings = webhook_settings({**WEBHOOK, "PATH": "/bin"})
    assert (settings.ringex_queue, settings.settle_seconds) == ("https://queue", 120)


def test_everything_that_is_wrong_stands_in_one_error():
    """An operator mends it in one go."""
    with pytest.raises(BadSettings) as bad:
        webhook_settings({"LEGATO_SETTLE_SECONDS": "soon", "LEGATO_INBOUND_TOKENS": ""})
    assert str(bad.value) == (
        "LEGATO_INBOUND_TOKENS is not set; LEGATO_RINGEX_QUEUE is not set; "
        "LEGATO_SETTLE_SECONDS is not a whole number: 'soon'"
    )


def test_the_tuning_stands_where_a_stack_says_nothing_else():
    """All as text, by the same names."""
    told = configuration('{"Bucket": "b", "Tuning": {"RetrySeconds": 7}}')
    assert (told["Bucket"], told["RetrySeconds"], told["MaxAttempts"]) == ("b", "7", "5")
    assert told.keys() == {"Bucket", *TUNING}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ('{"Tuning": {"RetrySecond": 7, "Bucket": "b"}}', "unknown names: Bucket, RetrySecond"),
        ('{"Tuning": []}', "no JSON object"),
        ('{"Tuning": {]}', "no JSON object"),
        ("[]", "no JSON object"),
        ("{}", "no JSON object"),
        ("", "no JSON object"),
    ],
)
def test_a_document_that_is_none_is_refused(document, says):
    """A name that is misspelt would else be a value that nobody reads."""
    with pytest.raises(BadSettings, match=says):
        configuration(document)


def test_a_choice_that_there_is_not_is_named():
    """With those that there are."""
    with pytest.raises(BadSettings, match="RingexDiscovery is not sync or recipe: 'poll'"):
        sweeper_settings({"RingexDiscovery": "poll"})


def test_what_the_keeper_needs():
    """Where the webhook is, how long to subscribe, when to rotate."""
    settings = keeper_settings(
        {
            "Credentials": "arn:secret",
            "InboundTokens": "arn:tokens",
            "Table": "table",
            "RingexUrl": "https://platform",
            "RingexLimits": "Light=50,Medium=40,Heavy=10,Auth=5",
            "RingexWebhookUrl": "https://hook",
            "RingexSubscriptionSeconds": "315360000",
            "KeeperTokenDays": "90",
        }
    )
    assert settings.ringex_webhook_url == "https://hook"
    assert (settings.ringex_subscription_seconds, settings.keeper_token_days) == (315360000, 90)


def test_what_a_push_needs():
    """Where it is kept, and what proves whose it is."""
    settings = push_settings({"LEGATO_INBOUND_TOKENS": "arn:tokens", "LEGATO_INBOX": "inbox"})
    assert (settings.inbound_tokens, settings.inbox) == ("arn:tokens", "inbox")


REMOVER = {
    "Credentials": "arn:secret",
    "Bucket": "bucket",
    "Table": "table",
    "RingexUrl": "https://platform",
    "RingexLimits": "Light=50,Medium=40,Heavy=10,Auth=5",
    "KazooLimits": "Requests=50/5",
}


@pytest.mark.parametrize(
    ("said", "providers"),
    [("false", ()), ("true", ("ringex", "kazoo")), ("kazoo", ("kazoo",)), ("ringex", ("ringex",))],
)
def test_who_is_to_delete(said, providers):
    """RingCX never is; Kazoo's address may be missing, as it may not be used."""
    settings = remover_settings({**REMOVER, "DeleteAtSource": said})
    assert (settings.delete_at_source, settings.kazoo_url) == (providers, "")


@pytest.mark.parametrize(("said", "complaint"), [("", "is not set"), ("yes", "is not false or")])
def test_nobody_deletes_by_mistake(said, complaint):
    """What is not one of the words is told, and taken for nothing."""
    with pytest.raises(BadSettings, match=f"DeleteAtSource {complaint}"):
        remover_settings({**REMOVER, "DeleteAtSource": said})


HOLDER = {
    "Bucket": "bucket",
    "Table": "table",
    "RingexLockYears": "6",
    "RingcxLockYears": "7",
    "KazooLockYears": "10",
}


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_how_evidence_is_locked(mode):
    """Each provider's for its own years, what speaks of all for the longest."""
    retention = holder_settings({**HOLDER, "RetentionMode": mode}).retention
    assert (retention.of("ringcx").mode, retention.of("ringcx").years) == (mode, 7)
    assert retention.longest.years == 10


def test_nothing_is_locked_by_default():
    """As the word says."""
    retention = holder_settings({**HOLDER, "RetentionMode": "NONE"}).retention
    assert (retention.of("ringex"), retention.longest) == (None, None)


def test_a_mode_that_there_is_not_is_named():
    """Rather than nothing locked."""
    with pytest.raises(BadSettings, match="RetentionMode is not NONE or GOVERNANCE or"):
        holder_settings({**HOLDER, "RetentionMode": "LEGAL"})


def test_a_ladder_that_is_none_is_named():
    """Numbers between commas, as the template's parameter says."""
    with pytest.raises(BadSettings, match="RingexLadderSeconds is not whole numbers"):
        processor_settings({"RingexLadderSeconds": "2 and 10"})


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
@pytest.mark.parametrize("name", ["RingexUrl", "KazooUrl"])
@pytest.mark.attacks("a configured address with a user and a password, or a malformed one")
def test_an_address_with_a_user_in_it_is_refused(name, address):
    """Every credential stands in the secret. What may be a password is not repeated."""
    with pytest.raises(BadSettings, match=f"{name} is no web address") as refused:
        remover_settings({**REMOVER, "DeleteAtSource": "false", name: address})
    assert "hidden" not in str(refused.value)
