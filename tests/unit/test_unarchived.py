"""What was found and is not archived stands in a list, the oldest first."""

from dataclasses import replace
from datetime import timedelta

import pytest

from legato.errors import Retry, Stale
from legato.ledger import unarchived
from legato.model import Note
from tests.fakes import NOON, FakeClock

WATCH = "ringcx#99"


def find(notes, call, *recordings, hours_ago):
    note = notes.read(f"records#ringcx/1/{call}")
    since = NOON - timedelta(hours=hours_ago)
    notes.write(
        unarchived.found(note, recordings or {unarchived.UNCLEAR}, watch=WATCH, since=since)
    )


def oldest(notes):
    found = unarchived.oldest(WATCH, notes, FakeClock())
    return found and (found.call.call, found.age)


def test_the_oldest_is_the_one_that_began_first(notes):
    """Not the one that was found first."""
    find(notes, "a", "1", hours_ago=2)
    find(notes, "b", "2", hours_ago=5)
    assert oldest(notes) == ("b", timedelta(hours=5))


def test_a_call_leaves_the_list_when_all_of_its_recordings_are_archived(notes):
    """Not sooner."""
    find(notes, "a", "1", "2", hours_ago=2)
    unarchived.archived("records#ringcx/1/a", {"1"}, notes)
    assert oldest(notes) == ("a", timedelta(hours=2))
    unarchived.archived("records#ringcx/1/a", {"1", "2"}, notes)
    assert oldest(notes) is None


def test_a_recording_that_is_found_later_does_not_make_the_call_younger(notes):
    """The first one still waits."""
    find(notes, "a", "1", hours_ago=5)
    find(notes, "a", "2", hours_ago=1)
    assert oldest(notes) == ("a", timedelta(hours=5))


def test_unclear_records_are_listed_until_they_become_clear(notes):
    """Somebody must look at them."""
    find(notes, "a", hours_ago=2)
    unarchived.archived("records#ringcx/1/a", {"1"}, notes)
    assert oldest(notes) == ("a", timedelta(hours=2))
    find(notes, "a", "1", hours_ago=2)
    unarchived.archived("records#ringcx/1/a", {"1"}, notes)
    assert oldest(notes) is None


def test_a_call_that_turns_out_to_have_no_recording_leaves_the_list(notes):
    """Its record was rewritten without one."""
    find(notes, "a", "1", hours_ago=2)
    unarchived.archived("records#ringcx/1/a", None, notes)
    assert oldest(notes) is None


def test_a_call_that_was_never_listed_costs_no_write(notes):
    """Most calls that end were found by a notification alone."""
    unarchived.archived("records#ringcx/1/a", set(), notes)
    assert notes.notes == {}


def test_a_sweep_at_the_same_moment_is_not_written_over(notes):
    """The note is read again."""
    find(notes, "a", "1", hours_ago=2)
    write, raced = notes.write, []

    def first_the_sweep(note):
        if not raced:
            raced.append(True)
            notes.write = write
            find(notes, "a", "2", hours_ago=1)
            raise Stale("changed in between")
        return write(note)

    notes.write = first_the_sweep
    unarchived.archived("records#ringcx/1/a", {"1"}, notes)
    assert oldest(notes) == ("a", timedelta(hours=2))
    assert notes.read("records#ringcx/1/a").content["unarchived"] == ["2"]


def test_a_note_that_is_never_still_is_a_passing_fault(notes):
    """The job comes again."""
    find(notes, "a", "1", hours_ago=2)

    def always_stale(_note):
        raise Stale("changed in between")

    notes.write = always_stale
    with pytest.raises(Retry, match="written faster"):
        unarchived.archived("records#ringcx/1/a", {"1"}, notes)


def test_when_a_call_was_found_stays_until_it_is_archived():
    """However often its records are written anew meanwhile."""
    note = Note(key="records#ringcx/1/a", content={"seen": "first"})
    note = unarchived.found(note, {"1"}, watch=WATCH, since=NOON)
    again = replace(note, content=note.content | {"seen": "later"})
    assert unarchived.found(again, {"2"}, watch=WATCH, since=NOON).content["found_at"] == "first"
    settled = replace(again, listed=None)
    assert unarchived.found(settled, {"3"}, watch=WATCH, since=NOON).content["found_at"] == "later"
