"""Calls are named by the row that `legato find` has shown them in."""

import json
from datetime import timedelta

import pytest

from legato.catalogue.named import Ambiguous, UnknownCriterion
from legato.cli import last_find
from legato.cli.last_find import KEPT, call_named, remember
from legato.errors import NotFound
from tests.fakes import NOON, FakeCatalogue, FakeClock
from tests.unit.test_catalogue import a_row, enter


@pytest.fixture
def store():
    found = FakeCatalogue()
    enter(found, *(a_row(f"s-{name}", minutes=at) for at, name in enumerate("abc")))
    return found


@pytest.fixture
def clock():
    return FakeClock(NOON)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "legato"


def listed(store, clock, *calls):
    rows = [row for call in calls for row in store.rows.values() if row.call == call]
    remember(rows, store, clock)


def test_a_row_names_its_call(store, clock, folder):
    """In the order of the list, and until the next list is shown."""
    listed(store, clock, "s-b", "s-a")
    assert [call_named(text, store, clock).call for text in ("1", " 2 ")] == ["s-b", "s-a"]
    listed(store, clock, "s-c")
    assert call_named("1", store, clock).call == "s-c"
    with pytest.raises(NotFound, match="no row 2: the last `legato find` listed 1"):
        call_named("2", store, clock)


def test_a_list_is_for_its_user_only(store, clock, folder):
    """It says with whom somebody spoke."""
    listed(store, clock, "s-a")
    [file] = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    assert "Jane" not in file.read_text()


def test_a_list_of_another_stack_is_never_used(store, clock, folder):
    listed(store, clock, "s-a")
    other = FakeCatalogue()
    enter(other, a_row("s-x"))
    with pytest.raises(NotFound, match=r"no row 1: no list of this stack's calls .*`legato find`"):
        call_named("1", other, clock)


def test_a_list_counts_for_a_day(store, clock, folder):
    listed(store, clock, "s-a")
    clock.moment += KEPT
    assert call_named("1", store, clock).call == "s-a"
    clock.moment += timedelta(seconds=1)
    with pytest.raises(NotFound, match=r"row 1 is too old: .* 2026-11-20 12:00 UTC.*find` again"):
        call_named("1", store, clock)


def test_an_id_goes_before_a_row_if_one_call_has_it(store, clock, folder, capsys):
    """Which is said, because it may surprise."""
    listed(store, clock, "s-a", "s-b")
    enter(store, a_row("s-x", ids=("s-x", "2", "1")), a_row("s-y", ids=("s-y", "1")))
    assert call_named("2", store, clock).call == "s-x"
    assert capsys.readouterr().err == (
        "legato: 2 is the id of ringex/1/s-x; row 2 was ringex/1/s-b\n"
    )
    assert call_named("1", store, clock).call == "s-a"


def test_an_id_of_several_calls_that_is_no_row_names_them(store, clock, folder):
    enter(store, a_row("s-x", ids=("s-x", "77")), a_row("s-y", ids=("s-y", "77")))
    with pytest.raises(Ambiguous, match="77 is an id of several calls"):
        call_named("77", store, clock)


def test_digits_that_are_no_row_are_the_beginning_of_an_id(store, clock, folder):
    """Of four or more; a row goes before that."""
    enter(store, a_row("63962447024-1a2b"))
    assert call_named("6396", store, clock).call == "63962447024-1a2b"
    assert call_named("63962447024", store, clock).call == "63962447024-1a2b"
    with pytest.raises(UnknownCriterion):
        call_named("7777", store, clock)


@pytest.mark.parametrize("text", ["0", "01", "-1", "1.0", "\u0661", "\u00b2", "1 2", "1234567"])
def test_what_is_no_number_of_a_row_is_an_id(store, clock, folder, text):
    listed(store, clock, "s-a")
    with pytest.raises(UnknownCriterion):
        call_named(text, store, clock)


def test_a_call_that_has_gone_meanwhile_is_told(store, clock, folder):
    listed(store, clock, "s-a")
    store.rows.clear()
    with pytest.raises(
        NotFound, match="row 1 was ringex/1/s-a, and the catalogue does not have it"
    ):
        call_named("1", store, clock)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b"\xff", b'{"at": 1, "calls": []}'),
        b'{"at": "2026-11-20T12:00:00Z", "calls": 7}',
        b'{"at": "2026-11-20T12:00:00Z", "calls": [7]}',
        json.dumps({"at": "2026-11-20T12:00:00Z", "calls": ["../../etc"]}).encode(),
    ],
)
def test_a_damaged_list_is_none(store, clock, folder, body):
    listed(store, clock, "s-a")
    [file] = folder.iterdir()
    file.write_bytes(body)
    with pytest.raises(NotFound, match="no row 1: no list"):
        call_named("1", store, clock)


@pytest.mark.attacks("a link where the row numbers are kept")
def test_a_folder_that_is_a_link_is_not_followed(store, clock, folder, tmp_path, capsys):
    """Rows are shown all the same, and a number means no call."""
    (tmp_path / "elsewhere").mkdir()
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    listed(store, clock, "s-a")
    assert "the row numbers are not kept" in capsys.readouterr().err
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_without_a_state_folder_it_is_the_users_own(store, monkeypatch, tmp_path):
    """A relative one does not count, as the XDG specification has it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert last_find._path(store).parent == tmp_path / ".local" / "state" / "legato"
