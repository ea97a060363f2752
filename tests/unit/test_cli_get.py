"""`legato get` and `legato link`: what is written down before, what is printed, how it ends."""

import hashlib
import json
import re
import shlex
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.errors import Failed, Refused
from legato.retrieval.restore.survey import Restoring
from tests.fakes import FakeCatalogue, FakeLibrary, FakeNotes
from tests.unit.test_get import NAME, Shelf, names

WHY = ("--reason", "subpoena 4711")


class FakePlace:
    """Hands out a shelf as the archive; `read_before` is what was read when it was written down."""

    def __init__(self):
        self.shelf = Shelf()
        self.rows = FakeCatalogue()
        self.records = []
        self.read_before = []
        self.refusal = None
        self.notes = FakeNotes()

    def call(self, *arguments, **more):
        row = self.shelf.call(*arguments, **more)
        self.rows.rows[row.provider, row.call] = row
        return row

    def catalogue(self):
        return self.rows

    def library(self):
        return self.shelf.library

    def restoring(self):
        library = self.shelf.library
        return Restoring(library=library, notes=self.notes, clock=library.clock)

    def stitcher(self):
        return self.shelf.stitcher

    def recorder(self):
        return self

    def record(self, action, calls, *, reason=None, details=None):
        if self.refusal:
            raise self.refusal
        self.read_before += self.shelf.library.reads
        self.records.append((action, calls, reason, details))
        return {"id": "a1", "keys": []}


@pytest.fixture
def place():
    return FakePlace()


@pytest.fixture
def legato(place):
    def run(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments)], obj=place)

    return run


@pytest.fixture
def a_player(tmp_path, monkeypatch):
    """Return a function that puts a player on the PATH, alone, which notes what it is told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("LEGATO_PLAYER", raising=False)

    def install(name, ends_with=0):
        told = tmp_path / f"{name}.told"
        player = folder / name
        player.write_text(
            f'#!/bin/sh\nfor each in "$@" "$AWS_SECRET_ACCESS_KEY"; do echo "$each"; done'
            f" > {shlex.quote(str(told))}\nexit {ends_with}\n"
        )
        player.chmod(0o755)
        return told

    return install


class Interrupting(FakeLibrary):
    """Whoever reads audio presses Ctrl-C when so many bytes are there."""

    after = 5

    def _pieces(self, key, body):
        if "manifest" in key or self.after is None:
            yield from super()._pieces(key, body)
        else:
            yield body[: self.after]
            raise KeyboardInterrupt


class TestGet:
    def test_it_prints_the_path_of_each_file(self, place, legato, tmp_path):
        """And nothing else on standard output, for whoever goes on with them."""
        for call in ("s-1", "s-2"):
            place.call(call)
        ended = legato("get", "s-1", "s-2", "--out", tmp_path, *WHY)
        paths = [tmp_path / NAME.replace("s-1", call) for call in ("s-1", "s-2")]
        assert ended.exit_code == 0, ended.output
        assert ended.stdout.splitlines() == [str(path) for path in paths]
        assert all(path.read_bytes() == b"mp3 one leg" for path in paths)

    def test_it_is_written_down_before_anything_is_read(self, place, legato, tmp_path):
        """Who wants what, and why."""
        place.call()
        legato("get", "s-1", "--out", tmp_path, "--legs", *WHY)
        assert place.records == [
            (
                "get",
                [("ringex", "1", "s-1")],
                "subpoena 4711",
                {"legs": True, "manifest": False},
            )
        ]
        assert place.read_before == []
        assert place.shelf.library.reads != []

    @pytest.mark.parametrize(
        ("refusal", "code"), [(Failed("the access log is shut"), 1), (Refused("say why"), 2)]
    )
    def test_what_cannot_be_written_down_is_not_read(self, place, legato, tmp_path, refusal, code):
        place.call()
        place.refusal = refusal
        ended = legato("get", "s-1", "--out", tmp_path)
        assert (ended.exit_code, ended.stderr) == (code, f"legato: {refusal}\n")
        assert place.shelf.library.reads == []
        assert names(tmp_path) == []

    def test_calls_are_found_by_the_filters_of_find(self, place, legato, tmp_path):
        """All that match are fetched."""
        place.call("s-1")
        place.call("k-1", provider="kazoo", direction="outbound")
        ended = legato("get", "--provider", "kazoo", "--out", tmp_path, *WHY)
        assert ended.stdout.endswith("_outbound_101_1_k-1.mp3\n")
        assert len(names(tmp_path)) == 1

    def test_json_says_what_became_of_each_file(self, place, legato, tmp_path):
        """With its SHA-256, and whether it was there before."""
        place.call()
        command = ("get", "s-1", "--out", tmp_path, "--json", *WHY)
        fresh, again = (json.loads(legato(*command).stdout) for _ in range(2))
        said = {
            "provider": "ringex",
            "account": "1",
            "call": "s-1",
            "kind": "recording",
            "leg": None,
            "path": str(tmp_path / NAME),
            "bytes": 11,
            "sha256": hashlib.sha256(b"mp3 one leg").hexdigest(),
        }
        assert fresh == {"files": [said | {"fetched": True}]}
        assert again == {"files": [said | {"fetched": False}]}

    def test_a_tampered_call_ends_with_6_and_what_to_do(self, place, legato, tmp_path):
        """The others are there."""
        place.call("s-1")
        place.call("s-2")
        place.shelf.tamper(*place.shelf.keys("s-1/legs/r1.mp3"))
        ended = legato("get", "s-1", "s-2", "--out", tmp_path, *WHY)
        assert ended.exit_code == Exit.TAMPERED == 6
        assert "legato: ringex/1/s-1: calls/ringex/" in ended.stderr
        assert "`legato verify --deep` says more" in ended.stderr
        assert ended.stderr.endswith("legato: 1 of 2 files could not be downloaded\n")
        assert names(tmp_path) == [NAME.replace("s-1", "s-2")]

    def test_cold_calls_end_with_4_and_the_command_that_brings_them(self, place, legato, tmp_path):
        for call in ("d-1", "d-2"):
            place.call(call, provider="ringcx", kept_in="GLACIER")
        ended = legato("get", "d-1", "d-2", "--out", tmp_path, *WHY)
        assert ended.exit_code == Exit.COLD == 4
        assert "first run `legato restore ringcx/1/d-1 ringcx/1/d-2" in ended.stderr

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ((), "say which calls"),
            (("s-1", "--number", "1234"), "say which calls"),
            (("--from", "soon"), "'soon' is not a time"),
            (("--number", " "), "--number is empty"),
        ],
    )
    def test_wrong_usage_ends_with_2(self, place, legato, tmp_path, arguments, says):
        ended = legato("get", *arguments, "--out", tmp_path, *WHY)
        assert (ended.exit_code, says in ended.stderr) == (2, True), ended.output
        assert place.records == []

    @pytest.mark.parametrize("which", [["s-9"], ["--number", "999999"]])
    def test_a_call_that_is_not_there_ends_with_5(self, place, legato, tmp_path, which):
        ended = legato("get", *which, "--out", tmp_path, *WHY)
        assert ended.exit_code == Exit.NOT_FOUND == 5
        assert place.records == []

    def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(self, place, legato, tmp_path):
        """What came is in a part."""
        library = place.shelf.library = Interrupting()
        place.call()
        ended = legato("get", "s-1", "--out", tmp_path, *WHY)
        assert ended.exit_code == 130
        assert "interrupted: the same command resumes the download" in ended.stderr
        assert names(tmp_path) == [f"{NAME}.part"]
        library.after = None
        assert legato("get", "s-1", "--out", tmp_path, *WHY).exit_code == 0
        assert names(tmp_path) == [NAME]
        assert place.shelf.reads()[-1][1] == 5


class TestPlay:
    def test_it_plays_what_was_fetched(self, place, legato, tmp_path, a_player):
        """With the first player that is here, which is told nothing of AWS."""
        place.call()
        told = a_player("mpv")
        ended = legato("get", "s-1", "--out", tmp_path, "--play", *WHY)
        assert ended.exit_code == 0, ended.output
        *_, played, secret = told.read_text().split("\n")[:-1]
        assert (played, secret) == (str(tmp_path / NAME), "")

    def test_the_player_of_ones_choice_is_taken(
        self, place, legato, tmp_path, a_player, monkeypatch
    ):
        """With options of its own, and without a shell."""
        place.call()
        other, told = a_player("mpv"), a_player("mine")
        monkeypatch.setenv("LEGATO_PLAYER", "mine --quiet '$HOME'")
        legato("get", "s-1", "--out", tmp_path, "--play", *WHY)
        assert told.read_text().split() == ["--quiet", "$HOME", str(tmp_path / NAME)]
        assert not other.exists()

    def test_a_player_of_waves_only_is_given_nothing_else(self, place, legato, tmp_path, a_player):
        place.call("s-1")
        place.call("k-1", b"wav", provider="kazoo")
        told = a_player("aplay")
        ended = legato("get", "s-1", "--out", tmp_path, "--play", *WHY)
        assert (ended.exit_code, "there is no player for MP3 here" in ended.stderr) == (1, True)
        assert legato("get", "k-1", "--out", tmp_path, "--play", *WHY).exit_code == 0
        assert told.read_text().split()[-1].endswith("_k-1.wav")

    def test_without_a_player_nothing_is_fetched(self, place, legato, tmp_path, a_player):
        """It is said what to do."""
        place.call()
        ended = legato("get", "s-1", "--out", tmp_path, "--play", *WHY)
        assert ended.exit_code == 1
        assert "install ffmpeg or mpv, or name one in LEGATO_PLAYER" in ended.stderr
        assert place.shelf.reads() == []

    @pytest.mark.parametrize("chosen", ["nobody", "'half"])
    def test_a_player_that_is_none_is_wrong_usage(self, place, legato, tmp_path, a_player, chosen):
        place.call()
        ended = legato("get", "s-1", "--out", tmp_path, "--play", "--player", chosen, *WHY)
        assert (ended.exit_code, "LEGATO_PLAYER" in ended.stderr) == (2, True)

    def test_a_player_that_fails_is_told(self, place, legato, tmp_path, a_player):
        """What was fetched stays."""
        place.call()
        a_player("mpv", ends_with=3)
        ended = legato("get", "s-1", "--out", tmp_path, "--play", *WHY)
        assert (ended.exit_code, "mpv ended with 3" in ended.stderr) == (1, True)
        assert (tmp_path / NAME).exists()


class TestLink:
    def test_it_prints_just_the_address(self, place, legato):
        """What is to be said about it goes to standard error."""
        place.call()
        ended = legato("link", "s-1", "--minutes", 20, *WHY)
        assert ended.exit_code == 0
        [address] = ended.stdout.splitlines()
        assert parse_qs(urlsplit(address).query)["expires"] == ["1200"]
        assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d UTC, or until your AWS", ended.stderr)
        assert place.records == [
            ("link", [("ringex", "1", "s-1")], "subpoena 4711", {"minutes": 20})
        ]

    def test_legs_that_lie_apart_are_listed(self, place, legato):
        place.call("d-1", b"wav one", b"wav two", provider="ringcx")
        ended = legato("link", "d-1", *WHY)
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert "choose one with --leg" in ended.stderr
        assert "/legs/r2.wav" in legato("link", "d-1", "--leg", "r2", *WHY).stdout
        assert place.records[-1][-1] == {"minutes": 15, "leg": "r2"}

    def test_filters_name_the_one_call_that_they_find(self, place, legato):
        """A link opens one call: several are listed, and nothing is recorded."""
        place.call("s-1")
        place.call("k-1", provider="kazoo")
        ended = legato("link", "--provider", "kazoo", *WHY)
        assert ended.exit_code == 0, ended.output
        assert place.records[0][1] == [("kazoo", "1", "k-1")]
        several = legato("link", "--from", "2026-01-01", *WHY)
        assert several.exit_code == 2
        assert "2 calls match" in several.stderr
        assert "kazoo/1/k-1" in several.stderr
        assert len(place.records) == 1

    def test_more_than_an_hour_is_refused(self, place, legato):
        """Before it is written down."""
        place.call()
        assert legato("link", "s-1", "--minutes", 61, *WHY).exit_code == 2
        assert place.records == []

    def test_a_cold_call_has_none(self, place, legato):
        place.call(kept_in="GLACIER")
        ended = legato("link", "s-1", *WHY)
        assert (ended.exit_code, ended.stdout) == (Exit.COLD, "")
        assert "legato restore ringex/1/s-1" in ended.stderr

    def test_several_calls_have_to_be_named(self, place, legato):
        """One without a link keeps no other from it, and is told."""
        place.call("s-1")
        place.call("s-2", kept_in="GLACIER")
        place.call("s-3")
        ended = legato("link", "s-1", "s-2", "s-3", *WHY)
        assert ended.exit_code == Exit.COLD
        assert len(ended.stdout.splitlines()) == 2
        assert "legato: ringex/1/s-2: 1 call is in cold storage" in ended.stderr
        assert ended.stderr.endswith("legato: 1 of 3 calls have no link\n")
        leg = legato("link", "s-1", "s-3", "--leg", "r-1", *WHY)
        assert leg.exit_code == Exit.WRONG_USAGE
        assert "2 calls match, and --leg is of one call" in leg.output


class TestCold:
    """What is done about cold calls is asked for: to leave them out, to restore them, or both."""

    @pytest.fixture
    def ready_and_cold(self, place):
        place.call("s-1")
        place.call("s-2", kept_in="GLACIER")

    def test_an_error_names_both_ways(self, place, legato, tmp_path, ready_and_cold):
        """And nothing is fetched."""
        ended = legato("get", "s-1", "s-2", "--out", tmp_path, *WHY)
        assert (ended.exit_code, names(tmp_path)) == (Exit.COLD, [])
        assert "first run `legato restore ringex/1/s-2`; or add --restore" in ended.output
        assert "--skip-cold for the rest" in ended.output

    def test_they_are_left_out(self, place, legato, tmp_path, ready_and_cold):
        """They are named, and nobody has accessed them."""
        ended = legato("get", "s-1", "s-2", "--out", tmp_path, "--skip-cold", *WHY)
        assert ended.exit_code == 0, ended.output
        assert len(names(tmp_path)) == 1
        assert "legato: left out: 1 call in cold storage (ringex/1/s-2)" in ended.stderr
        assert [call.call for call in place.records[0][1]] == ["s-1"]

    def test_where_all_are_cold_nothing_is_done(self, place, legato, tmp_path, ready_and_cold):
        """Which is not what was asked for."""
        ended = legato("get", "s-2", "--out", tmp_path, "--skip-cold", *WHY)
        assert ended.exit_code == Exit.COLD
        assert "cannot be read yet: run the same command again after `legato" in ended.output

    def test_they_are_restored_at_a_price_that_is_confirmed(
        self, place, legato, tmp_path, ready_and_cold
    ):
        """Nobody is there to be asked: it takes --tier and --yes."""
        asked = ("get", "s-1", "s-2", "--out", tmp_path, "--restore", *WHY)
        unsaid = legato(*asked)
        assert (unsaid.exit_code, place.shelf.library.orders) == (Exit.WRONG_USAGE, {})
        assert "nothing was requested: add --tier and --yes" in unsaid.output
        ended = legato(*asked, "--tier", "bulk", "--days", "3", "--yes")
        assert ended.exit_code == Exit.COLD, ended.output
        assert "Requested 1 object of 1 call from S3, readable by" in ended.output
        assert "run the same command again when they are restored" in ended.output
        assert [*place.shelf.library.orders.values()] == [("Bulk", 3)]
        assert [action for action, *_ in place.records] == ["restore"]
        assert names(tmp_path) == []

    def test_the_rest_is_fetched_while_they_are_restored(
        self, place, legato, tmp_path, ready_and_cold
    ):
        """And they, when the same command runs again."""
        asked = ("get", "s-1", "s-2", "--out", tmp_path, "--restore", *WHY)
        first = legato(*asked, "--skip-cold", "--tier", "bulk", "--yes")
        assert first.exit_code == 0, first.output
        assert len(names(tmp_path)) == 1
        place.shelf.library.arrive()
        again = legato(*asked)
        assert again.exit_code == 0, again.output
        assert len(names(tmp_path)) == 2
