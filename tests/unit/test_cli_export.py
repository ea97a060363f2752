"""`legato export`: what it prints, what it is given, and how it ends."""

import json
import re
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from legato.cli.app import app
from legato.errors import Refused, Retry
from legato.retrieval.download import Downloading
from legato.retrieval.export.package import Exporting
from tests.chain import KEY, pem
from tests.court import CASE, NAME, Court

WHY = ("--name", NAME, "--reason", "subpoena 4711")


class Place:
    """Hands out a court's archive. `refusal` is why the access log does not take anything."""

    def __init__(self, court):
        self.court = court
        self.refusal = None

    def catalogue(self):
        return self.court.catalogue

    def signing_key(self):
        return pem(KEY)

    def exporting(self, *, known, tell):
        court = self.court
        return Exporting(
            work=Downloading(library=court.shelf, stitcher=lambda: court.stitcher),
            accesses=court.accesses,
            recorder=self,
            known=known,
            tell=tell,
        )

    def record(self, *arguments, **more):
        if self.refusal:
            raise self.refusal
        return self.court.record(*arguments, **more)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "scratch").mkdir()
    return Place(Court(tmp_path / "scratch"))


@pytest.fixture
def legato(place, tmp_path):
    def run(*arguments):
        command = ["export", *map(str, arguments), "--out", str(tmp_path / "to")]
        return CliRunner().invoke(app, command, obj=place)

    return run


def test_the_folder_of_each_package_is_printed(legato, tmp_path):
    """And beside it what it is; the list of calls may be named by any of their ids."""
    ended = legato("k-1", "r1", *WHY)
    assert ended.exit_code == 0, ended.output
    [folder] = (tmp_path / "to").iterdir()
    assert ended.stdout == f"{folder}\n"
    said = rf"legato: {re.escape(folder.name)}: 2 calls, \d+\.\d kB; open data/index\.html;"
    assert re.search(said, ended.stderr)
    assert "legato: looking\nlegato: part 1\nlegato: verifying\n" in ended.stderr
    again = legato("k-1", "r1", *WHY)
    assert (again.exit_code, again.stdout) == (0, ended.stdout)
    assert "exported before" in again.stderr


def test_scripts_are_told_the_same(legato, place, tmp_path):
    """With the SHA-256 that stands in the access log."""
    ended = legato("--provider", "kazoo", "--max-size", "1MB", "--json", *WHY)
    [said] = json.loads(ended.stdout)["packages"]
    assert (said["calls"], said["part"], said["parts"], said["new"]) == (1, 1, 1, True)
    asked, left = place.court.recorded
    assert left.details["manifest_sha256"] == said["manifest_sha256"]
    assert (asked.details["query"], asked.details["name"]) == ("provider kazoo", NAME)
    assert asked.reason == "subpoena 4711"


def test_what_nothing_proves_yet_is_told_each_time(legato, place):
    """A court asks, and a package that is there does not change when the archive has the proof."""
    place.court.again("kazoo", "k2", seconds=4)
    key = "calls/kazoo/a/2026/11/20/k-1/manifest-2.json"
    for _ in range(2):
        ended = legato("k-1", *WHY)
        assert ended.exit_code == 0
        says = f"legato: 1 document is not proven yet, since no digest names it ({key})\n"
        assert says in ended.stderr
        assert "export into another --out" in ended.stderr
        place.court.pass_hours(2)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refused("give a --reason: the access log keeps it"), 2),
        (Retry("the access log cannot be written"), 8),
    ],
)
def test_what_is_not_written_down_is_not_read(legato, place, tmp_path, refusal, code):
    """Whoever does not say why gets nothing."""
    place.refusal = refusal
    ended = legato("k-1", "--name", NAME)
    assert ended.exit_code == code
    assert str(refusal) in ended.stderr
    assert place.court.shelf.reads == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["k-1"], "Missing option '--name'"),
        (["k-1", "--case", CASE, "--reason", "r"], "Missing option '--name'"),
        ([*WHY], "say which calls"),
        (["k-1", "--case", CASE, *WHY], "say which calls"),
        (["k-1", "--max-size", "big", *WHY], "'big' is not a size: write 650MB or 4GB"),
    ],
)
def test_wrong_usage_ends_with_2(legato, arguments, says):
    """With what to do instead."""
    ended = legato(*arguments)
    assert ended.exit_code == 2
    assert says in " ".join(ended.output.replace("│", " ").split())


def test_the_case_chooses_the_calls_that_it_holds(legato, place):
    """And has nothing to do with the name of the package."""
    for row in place.court.rows("kazoo"):
        place.court.catalogue.write(replace(row, cases=("4711",)), over=row)
    ended = legato("--case", "4711", "--json", *WHY)
    [said] = json.loads(ended.stdout)["packages"]
    assert (said["calls"], "2026-117" in said["folder"]) == (1, True)


def test_a_tampered_byte_ends_with_6(legato, place, tmp_path):
    """And nothing looks like a package."""
    place.court.shelf.tampered = {"calls/kazoo/a/2026/11/20/k-1/legs/k1.wav"}
    ended = legato("k-1", *WHY)
    assert ended.exit_code == 6
    assert "does not hold the bytes that were sealed" in ended.stderr
    assert [path.name[-8:] for path in (tmp_path / "to").iterdir()] == [".partial"]
