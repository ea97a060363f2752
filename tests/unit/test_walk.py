"""Stretches are read in turn, each at its own pace, and what stops one stops no other."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from legato.errors import Barred, Failed, Refused, Retry, Stale, Wait
from legato.operations.walk import NAP, RESERVE, RETRY_SECONDS, Place, walk
from tests.fakes import NOON, FakeClock


@dataclass
class Stretch:
    """Raises its errors in their order, each at the end of a page of its own; then it is over."""

    key: str
    errors: list = field(default_factory=list)
    asked: list = field(default_factory=list)


class World:
    def __init__(self, *stretches):
        self.clock = FakeClock()
        self.stretches = stretches
        self.places = {one.key: Place() for one in stretches}
        self.order, self.slept, self.told = [], [], []

    def read(self, one, place):
        assert place == self.places[one.key]
        self.order.append(one.key)
        one.asked.append(place)
        if one.errors:
            error = one.errors.pop(0)
            if error is None:
                return Place(cursor={"page": place.pages + 1}, pages=place.pages + 1)
            raise error
        return Place(cursor=place.cursor, pages=place.pages + 1, over=True)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.clock.advance(seconds)

    def walk(self, *, hopeless=lambda _: False, until=None):
        return walk(
            self.stretches,
            self.places,
            read=self.read,
            tell=lambda one, stopped: self.told.append((one.key, stopped)),
            clock=self.clock,
            sleep=self.sleep,
            hopeless=hopeless,
            until=until,
        )


def test_who_waits_lets_the_others_go_on_and_is_first_when_it_is_due():
    """Its promised moment is not given to another."""
    first = Stretch("a", [Wait("not yet", seconds=40, turn=True)])
    world = World(first, Stretch("b", [Wait("nor we", seconds=50)]))
    assert world.walk()
    assert world.order == ["a", "b", "a", "b"]
    assert world.slept == [40, 10]
    assert [place.turn for place in first.asked] == [False, True]
    assert [place.tries for place in first.asked] == [0, 0]


def test_a_page_that_was_read_begins_the_tries_anew():
    """So many faults in a long stretch are not as many at one place."""
    faults = [Retry("503")] * len(RETRY_SECONDS)
    world = World(Stretch("a", [*faults, None, *faults]))
    assert world.walk()
    assert world.slept == [*RETRY_SECONDS] * 2
    assert world.places["a"].reason == ""


def test_faults_that_do_not_pass_end_a_stretch_where_it_is():
    """With its reason; the next run can see how far it came."""
    errors = [None, *[Retry("503")] * (len(RETRY_SECONDS) + 1)]
    world = World(Stretch("a", errors), Stretch("b"))
    assert world.walk()
    place = world.places["a"]
    assert (place.over, place.reason, place.pages, place.cursor) == (True, "503", 1, {"page": 1})
    assert place.not_before is None
    assert world.places["b"] == Place(pages=1, over=True)


@pytest.mark.parametrize("error", [Failed("400"), Refused("401")])
def test_an_error_that_no_wait_mends_ends_a_stretch_at_once(error):
    world = World(Stretch("a", [error]))
    assert world.walk()
    assert (world.slept, world.told) == ([], [("a", error)])
    assert world.places["a"].reason == str(error)


def test_who_is_refused_is_asked_again_a_few_times_unless_that_is_hopeless():
    """A wait for the provider's limits spends no try; one for its permission does."""
    errors = [Barred("403", seconds=900)] * (len(RETRY_SECONDS) + 1)
    patient = World(Stretch("a", [*errors]))
    assert patient.walk()
    assert patient.slept == [900] * len(RETRY_SECONDS)
    hasty = World(Stretch("a", [*errors]))
    assert hasty.walk(hopeless=lambda error: isinstance(error, Barred))
    assert (hasty.slept, hasty.places["a"].reason) == ([], "403")


def test_where_time_is_limited_no_long_wait_is_slept_and_nothing_begun_at_its_end():
    """The next run goes on; the place says from where."""
    nap = NAP.total_seconds()
    world = World(Stretch("a", [Wait("soon", seconds=nap), Wait("later", seconds=nap + 1)]))
    assert not world.walk(until=NOON + timedelta(minutes=15))
    assert world.slept == [nap]
    assert world.places["a"].reason == "later"
    ended = World(Stretch("a"))
    assert not ended.walk(until=NOON + RESERVE - timedelta(seconds=1))
    assert ended.order == []


def test_somebody_else_at_the_same_places_ends_the_walk():
    """Two would read everything twice."""
    world = World(Stretch("a", [Stale("changed in between")]), Stretch("b"))
    with pytest.raises(Stale):
        world.walk()
    assert world.places["a"] == Place()


@pytest.mark.parametrize(
    "place",
    [
        Place(),
        Place(cursor={"page": 2}, pages=2, over=True),
        Place(cursor={"page": 2}, pages=2, tries=1, not_before=NOON, turn=True, reason="503"),
    ],
)
def test_a_place_is_read_as_it_was_written(place):
    assert Place.of(place.to_json()) == place
