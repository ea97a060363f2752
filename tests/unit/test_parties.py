"""Who spoke with whom, as a line says it."""

import pytest

from legato.model import Party, distinct
from legato.parties import conversation, sides

ANN = Party(role="from", number="+1555", name="Ann")
JANE = Party(role="to", number="+1800", name="Jane Doe", extension="101")
BOB = Party(role="to", extension="102")
OWNER = Party(role="agent", agent="0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize(
    ("parties", "direction", "said"),
    [
        ((ANN, JANE), "inbound", "Ann → Jane Doe"),
        ((ANN, BOB, JANE), "inbound", "Ann → Jane Doe, 102"),
        ((ANN, JANE, Party(role="from", name="Jane Doe"), BOB), None, "Ann → Jane Doe, 102"),
        ((ANN,), "inbound", "Ann"),
        ((JANE,), "inbound", "Jane Doe"),
        ((ANN, JANE, OWNER), "inbound", "Ann → Jane Doe"),
        ((OWNER,), None, OWNER.agent),
        ((Party(role="from", number="anonymous"), JANE), None, "anonymous → Jane Doe"),
        ((), None, ""),
    ],
)
def test_names_come_before_numbers_and_ids(parties, direction, said):
    """And whoever took part in a transfer stands on the side that was called."""
    assert conversation(parties, direction) == said


def test_who_called_follows_from_the_direction():
    """RingCX has a contact and a channel only."""
    parties = [
        Party(role="contact", number="+1555"),
        Party(role="channel", number="+1800"),
        Party(role="agent", agent="77", extension="9854711"),
    ]
    assert sides(parties, "inbound") == (["+1555"], ["+1800", "77"])
    assert sides(parties, "outbound") == (["+1800"], ["+1555", "77"])


def test_a_party_counts_once_as_who_says_most_of_it():
    """Two people of the same name stay two."""
    less = Party(role="to", number="+1800")
    other = Party(role="to", number="+1801", name="Jane Doe")
    assert distinct([less, ANN, JANE, less, other, Party(role="to")]) == (ANN, JANE, other)
