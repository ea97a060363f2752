"""The environment, read once."""

import pytest

from legato.settings import BadSettings, processor_settings, webhook_settings

WEBHOOK = {
    "LEGATO_SECRET": "arn:secret",
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
        webhook_settings({"LEGATO_SETTLE_SECONDS": "soon", "LEGATO_SECRET": ""})
    assert str(bad.value) == (
        "LEGATO_SECRET is not set; LEGATO_RINGEX_QUEUE is not set; "
        "LEGATO_SETTLE_SECONDS is not a whole number: 'soon'"
    )


def test_a_ladder_that_is_none_is_named():
    """Numbers between commas, as the template's parameter says."""
    with pytest.raises(BadSettings, match="LEGATO_LADDER_SECONDS is not whole numbers"):
        processor_settings({"LEGATO_LADDER_SECONDS": "2 and 10"})
