"""How long a recording that cannot be had is asked for again."""

from datetime import timedelta

from legato.errors import NotYet, Retry
from legato.ledger.troubles import troubled
from legato.tuning import Policy
from tests.fakes import NOON

POLICY = Policy(named_ladder=(60, 600, 3600))


def tried(*errors):
    """Return the trouble of a recording after these, with others granted in between."""
    trouble, now = None, NOON
    for error in errors:
        trouble = troubled(error, trouble, now=now, policy=POLICY, granted_at=now)
        now = trouble.next_at or now
    return trouble


def test_what_came_late_has_its_whole_ladder_for_what_fails_then():
    """It waited for the recording, and that was no fault of the recording's."""
    late = (NotYet("404"),) * 3
    assert tried(*late, Retry("503")).next_at is not None
    assert tried(*late, *(Retry("503"),) * 3).next_at is not None
    assert tried(*late, *(Retry("503"),) * 4).next_at is None


def test_what_fails_ends_with_the_ladder():
    """Whether it is missing in between or not."""
    assert tried(*(Retry("503"),) * 4).next_at is None
    assert tried(*(Retry("503"),) * 3, NotYet("404")).next_at is None


def test_each_try_takes_the_next_wait():
    """Counted from the try."""
    trouble = tried(NotYet("404"), NotYet("404"))
    assert trouble.next_at == trouble.tried_at + timedelta(seconds=600)
