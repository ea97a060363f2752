"""Which accounts are followed: those that are named, and those that the provider lists."""

from __future__ import annotations

from datetime import timedelta

import pytest

from legato.discovery.accounts import Accounts
from legato.errors import Barred, Retry, Unavailable
from legato.ledger.listed_accounts import listed_accounts
from tests.fakes import FakeClock, FakeNotes

DAY = timedelta(days=1)


class Reseller:
    """A provider with customers who come and go."""

    def __init__(self, named=("root",), roots=("root",)):
        self.clock, self.notes = FakeClock(), FakeNotes()
        self.below = {root: ["a", "b"] for root in roots}
        self.named, self.roots = named, roots
        self.sweeper = self.reader()

    def reader(self):
        return Accounts(
            provider="kazoo",
            named=self.named,
            roots=self.roots,
            listed=self.listed,
            notes=self.notes,
            clock=self.clock,
        )

    def listed(self, root):
        answer = self.below[root]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_new_account_is_followed_from_the_next_sweep_on():
    """By the sweep at once, by others when they look next."""
    reseller = Reseller()
    assert reseller.sweeper.followed(ask=True) == ("root", "a", "b")
    other = reseller.reader()
    assert other.followed() == ("root", "a", "b")
    reseller.below["root"].append("c")
    assert reseller.sweeper.followed(ask=True) == ("root", "a", "b", "c")
    assert "c" not in other.followed()
    reseller.clock.advance(60)
    assert "c" in other.followed()


@pytest.mark.parametrize("answer", [Barred("403", seconds=900), Retry("503"), []])
def test_a_list_that_is_wrong_for_a_while_loses_nobody(answer):
    """Be it refused or empty."""
    reseller = Reseller()
    reseller.sweeper.followed(ask=True)
    reseller.below["root"] = answer
    reseller.clock.advance(6 * DAY.total_seconds())
    assert reseller.sweeper.followed(ask=True) == ("root", "a", "b")
    reseller.below["root"] = ["b", "a"]
    assert reseller.sweeper.followed(ask=True) == ("root", "a", "b")
    assert {each.gone_since for each in listed_accounts("kazoo", reseller.notes).values()} == {None}


def test_who_is_not_listed_for_a_week_is_followed_no_more():
    """Unless the list could not be read all this time."""
    reseller = Reseller()
    reseller.sweeper.followed(ask=True)
    reseller.below["root"] = Retry("503")
    reseller.clock.advance(30 * DAY.total_seconds())
    assert reseller.sweeper.followed(ask=True) == ("root", "a", "b")
    reseller.below["root"] = ["a"]
    assert reseller.sweeper.followed(ask=True) == ("root", "a", "b")
    reseller.clock.advance(7 * DAY.total_seconds())
    assert reseller.sweeper.followed(ask=True) == ("root", "a")
    assert reseller.reader().followed() == ("root", "a")


def test_of_two_lists_one_may_fail():
    """What is only in that one is not gone, and what is new in the other is followed."""
    reseller = Reseller(named=("r1", "r2"), roots=("r1", "r2"))
    reseller.below = {"r1": ["a"], "r2": ["b"]}
    reseller.sweeper.followed(ask=True)
    reseller.below = {"r1": Retry("503"), "r2": ["c"]}
    reseller.clock.advance(8 * DAY.total_seconds())
    reseller.sweeper.followed(ask=True)
    reseller.clock.advance(8 * DAY.total_seconds())
    assert reseller.sweeper.followed(ask=True) == ("r1", "r2", "a", "b", "c")


def test_what_can_be_no_id_is_passed_over():
    """One odd account keeps no other out."""
    reseller = Reseller()
    reseller.below["root"] = ["", "..", "x" * 200, "a\n", "b"]
    assert reseller.sweeper.followed(ask=True) == ("root", "b")


def test_without_a_list_nothing_is_asked_or_read():
    """Accounts that are named one by one cost nothing."""
    reseller = Reseller(named=("a", "b/user"), roots=())
    assert reseller.sweeper.followed(ask=True) == reseller.sweeper.followed() == ("a", "b/user")
    assert reseller.notes.notes == {}


def test_a_list_that_says_nothing_new_is_not_written():
    """500 accounts are one item, which is written when one of them comes or goes."""
    reseller = Reseller()
    reseller.below["root"] = [f"{number:032x}" for number in range(500)]
    reseller.sweeper.followed(ask=True)
    [note] = reseller.notes.notes.values()
    reseller.clock.advance(300)
    reseller.sweeper.followed(ask=True)
    assert list(reseller.notes.notes.values()) == [note]


def test_more_accounts_than_can_be_noted_are_swept_all_the_same(monkeypatch, caplog):
    """What the ledger has stays as it was; only it is told to somebody."""
    reseller = Reseller()
    reseller.sweeper.followed(ask=True)
    reseller.below["root"] = ["a", "b", "c"]

    def refused(_note):
        raise Retry("ValidationException")

    monkeypatch.setattr(reseller.notes, "write", refused)
    assert set(reseller.sweeper.followed(ask=True)) == {"root", "a", "b", "c"}
    assert "cannot be noted" in caplog.text
    assert set(listed_accounts("kazoo", reseller.notes)) == {"a", "b"}


def test_a_ledger_that_does_not_answer_ends_the_sweep(monkeypatch):
    """As everywhere: without it nothing can be swept."""
    reseller = Reseller()

    def gone(_key):
        raise Unavailable("503")

    monkeypatch.setattr(reseller.notes, "read", gone)
    with pytest.raises(Unavailable):
        reseller.sweeper.followed(ask=True)
