"""Calls become packages: whole, verified, divided by size, and never half done."""

import base64
import csv
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from jsonschema import Draft202012Validator

from legato.archive.layout import access_key
from legato.archive.library import Cold
from legato.disk import Full
from legato.errors import Conflict, Failed, Refused, Retry
from legato.evidence.verify.package import verify_package
from legato.model import format_time
from legato.retrieval.export.call_summary import POINTS, picture
from legato.retrieval.export.export import folder_name
from legato.retrieval.export.split import parsed_size
from tests.court import HOSTILE, NAME, Court
from tests.fakes import an_id

SCHEMA = json.loads(Path("docs/export.schema.json").read_text())


@pytest.fixture
def court(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Court(scratch)


@pytest.fixture
def to(tmp_path):
    return tmp_path / "to"


def files(package):
    data = package.folder / "data"
    return {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}


def read(package, name):
    return json.loads((package.folder / "data" / name).read_text())


class TestWhatIsExported:
    def test_everything_of_the_calls_with_what_proves_it(self, court, to):
        """Under the archive's own keys; what the archive has of other things stays there."""
        court.record("get", [an_id("s-1/2")], reason="before", details={})
        court.archive.put("calls/ringex/1/2026/11/20/other/legs/x.mp3", b"mp3", "STANDARD")
        court.pass_hours(2)
        [package] = court.export(to)
        exported = {name for name in files(package) if name.split("/")[0] in ("calls", "holds")}
        mine = {key for key in court.archive.objects if key.startswith(("calls/", "holds/"))}
        assert exported == {key for key in mine if "/other/" not in key}
        got, own = court.recorded[:2]
        assert {name for name in files(package) if name.startswith("access/")} == {got.key, own.key}
        assert read(package, "custody.json")["accesses"][1]["reason"] == "before"

    def test_who_asks_is_written_down_before_anything_is_read(self, court, to):
        """And what left, when it is complete, with the SHA-256 of its list of files."""
        begun = []
        court.shelf.on_read = lambda key: begun.append([each.action for each in court.recorded])
        [package] = court.export(to, court.rows("kazoo"), query="number 4930123456")
        assert begun
        assert all(actions == ["export"] for actions in begun)
        asked, left = court.recorded
        assert asked.details == {
            "name": NAME,
            "all_revisions": False,
            "query": "number 4930123456",
        }
        assert (left.action, left.calls) == (
            "exported",
            (an_id("k-1", provider="kazoo", account="a"),),
        )
        assert left.details["manifest_sha256"] == package.manifest_sha256
        assert left.reason == "subpoena"

    def test_of_older_revisions_the_manifests_are_there_or_all(self, court, to):
        """So that the chain of what supersedes what is whole."""
        court.again("ringex", "r3", seconds=3)
        court.pass_hours(2)
        rows = court.rows("ringex")
        [newest] = court.export(to / "newest", rows)
        [every] = court.export(to / "every", rows, all_revisions=True)
        names = {"recording-1.wav", "recording-2.wav", "manifest-1.json", "manifest-2.json"}
        for package, found in ((newest, names - {"recording-1.wav"}), (every, names)):
            assert {name.rpartition("/")[2] for name in files(package)} & names == found
            report, _ = verify_package(package.folder, deep=True)
            assert report.findings == []
        assert read(newest, "export.json")["calls"][0]["revisions"] == [2]
        assert read(every, "export.json")["calls"][0]["revisions"] == [1, 2]

    def test_legs_that_lie_apart_are_joined_to_be_listened_to(self, court, to):
        """The legs themselves stay the evidence."""
        [package] = court.export(to, court.rows("ringcx"))
        [joined] = [name for name in files(package) if name.startswith("listen/")]
        assert joined == "listen/20261120T120900Z_inbound_+15551112222_7_d-1.wav"
        legs = court.archive.objects
        whole = b"".join(legs[f"calls/ringcx/7/2026/11/20/d-1/legs/g{n}.wav"] for n in (1, 2))
        assert (package.folder / "data" / joined).read_bytes() == whole

    def test_what_no_digest_names_yet_is_exported_and_said(self, court, to):
        """It is younger than two hours, or the chain is at fault."""
        court.again("kazoo", "k2", seconds=4)
        [package] = court.export(to, court.rows("kazoo"))
        young = "calls/kazoo/a/2026/11/20/k-1/manifest-2.json"
        assert package.unchained == (young,)
        assert young in read(package, "export.json")["unchained"]
        assert f'<li class="id">{young}</li>' in (package.folder / "data/index.html").read_text()
        report, _ = verify_package(package.folder)
        assert (report.findings, report.young) == ([], 2)

    def test_up_to_the_next_time_stamp_all_digests_are_there(self, court, to):
        """It stands for those before it."""
        court.pass_hours(24)
        court.archive.put("digests/2026/11/20/2026-11-20T17.json.tsr", b"stamp", "STANDARD")
        with pytest.raises(Failed, match=r"T17\.json\.tsr .* \(witness-wrong: it is no time stamp"):
            court.export(to, court.rows("kazoo"))
        [partial] = to.glob("*.partial/data/digests/2026/11/20")
        assert sorted(path.name for path in partial.glob("*.json")) == [
            f"2026-11-20T{hour}.json" for hour in (14, 15, 16, 17)
        ]

    def test_the_list_of_contents_is_what_its_schema_says(self, court, to):
        """Programs read it."""
        [package] = court.export(to)
        Draft202012Validator(SCHEMA).validate(read(package, "export.json"))


class TestRefused:
    def test_a_case_without_a_name_is_refused_before_anything_is_read(self, court, to):
        """The packages are named by it."""
        with pytest.raises(Refused, match="--name is empty"):
            court.export(to, name=" ")
        assert court.recorded == []
        assert not to.exists()

    def test_cold_calls_are_named_all_at_once(self, court, to):
        """And nothing is fetched."""
        court.shelf.restored.clear()
        with pytest.raises(Cold, match="legato restore ringcx/7/d-1"):
            court.export(to)
        assert not any(key.endswith((".wav", ".mp3")) for key in court.shelf.reads)
        assert list(to.iterdir()) == []

    def test_what_is_cold_and_does_not_play_is_left_out_and_said(self, court, to):
        """Nobody can restore it, and the call is not held back for it."""
        court.archive.storage_classes["calls/ringex/1/2026/11/20/s-1%2F2/legs/r2.wav"] = "GLACIER"
        court.shelf.restored.clear()
        [package] = court.export(to, court.rows("ringex"))
        assert read(package, "export.json")["left_out"] == [
            "calls/ringex/1/2026/11/20/s-1%2F2/legs/r2.wav"
        ]
        report, _ = verify_package(package.folder, deep=True)
        assert report.findings == []

    def test_so_is_what_is_kept_of_a_broken_leg(self, court, to):
        """It lies apart from the call's folder."""
        court.broken("ringcx", "d-2", "g3", "g4", "g5")
        court.pass_hours(2)
        court.shelf.restored |= {key for key in court.archive.objects if key.endswith(".wav")}
        [package] = court.export(to, court.rows("ringcx"))
        assert read(package, "export.json")["left_out"] == ["refused/ringcx/7/d-2/g4-1"]
        report, _ = verify_package(package.folder, deep=True)
        assert report.findings == []

    def test_what_is_kept_of_a_broken_leg_is_in_the_package_if_it_can_be_read(self, court, to):
        """Under its own key."""
        court.broken("ringex", "s-3", "r5", "r6", "r7")
        court.pass_hours(2)
        [package] = court.export(to, court.rows("ringex"))
        assert (package.folder / "data/refused/ringex/1/s-3/r6-1").read_bytes() == b"wav cut"
        report, _ = verify_package(package.folder, deep=True)
        assert report.findings == []

    def test_a_disk_without_room_is_told_before_anything_is_fetched(self, court, to):
        """With how much is to come."""
        with pytest.raises(Full, match=r"has 1\.0 kB free, and [0-9.]+ kB are needed"):
            court.export(to, room=1000)
        assert list(to.iterdir()) == []

    @pytest.mark.parametrize("text", ["", "4 TB or so", "12kb", "-1GB", "GB"])
    def test_a_size_that_is_none_is_refused(self, text):
        """One that holds nothing, too."""
        with pytest.raises(Refused):
            parsed_size(text)

    @pytest.mark.parametrize(
        ("text", "size"), [("4GB", 4 * 10**9), ("650 mb", 650 * 10**6), ("1.5G", 15 * 10**8)]
    )
    def test_sizes_are_written_as_people_do(self, text, size):
        """As disks are sold."""
        assert parsed_size(text) == size

    def test_what_was_written_meanwhile_asks_for_another_run(self, court, to):
        """A package would miss it, and its digest names it."""
        court.archive.objects["digests/2026/11/20/2026-11-20T14.json"] = court.archive.objects[
            "digests/2026/11/20/2026-11-20T14.json"
        ].replace(b"/k-1/manifest-1.json", b"/k-1/manifest-9.json")
        court.notes.notes.clear()
        with pytest.raises(Retry, match=r"k-1/manifest-9\.json was written meanwhile"):
            court.export(to)


class TestTampered:
    def test_one_wrong_byte_of_anything_and_there_is_no_package(self, court, to):
        """Nothing remains that looks like one, and the same again, when it is mended, is whole."""
        keys = [key for key in court.archive.objects if not key.startswith("access/")]
        assert len(keys) == 16
        for number, key in enumerate(keys):
            folder = to / str(number)
            court.shelf.tampered = {key}
            with pytest.raises((Conflict, Failed)):
                court.export(folder)
            assert not list(to.rglob("bagit.txt")), key
            assert all(path.name.endswith(".partial") for path in folder.iterdir()), key
        assert not any(each.action == "exported" for each in court.recorded)
        court.shelf.tampered = set()
        [package] = court.export(folder)
        assert [path.name for path in folder.iterdir()] == [package.folder.name]
        report, _ = verify_package(package.folder, deep=True)
        assert report.findings == []

    def test_what_broke_off_goes_on_with_what_is_there(self, court, to):
        """Its bytes are looked at again, and not fetched again."""
        broken = "calls/ringcx/7/2026/11/20/d-1/legs/g2.wav"
        court.shelf.on_read = lambda key: _break_off(key == broken)
        with pytest.raises(KeyboardInterrupt):
            court.export(to)
        court.shelf.on_read = lambda key: None
        there = {path.name for path in to.rglob("*.wav")}
        court.shelf.reads.clear()
        (to / "stray").mkdir()
        [partial] = to.glob("*.partial")
        (partial / "data/calls/left.wav").write_bytes(b"of an earlier run")
        [package] = court.export(to)
        audio = {key for key in court.shelf.reads if key.endswith(".wav")}
        assert broken in audio
        assert not there & {key.rpartition("/")[2] for key in audio}
        assert "calls/left.wav" not in files(package)

    def test_a_package_that_is_there_is_left_alone(self, court, to):
        """And one that holds something else is not replaced."""
        [package] = court.export(to, court.rows("kazoo"))
        written = (package.folder / "bagit.txt").stat().st_mtime_ns
        [again] = court.export(to, court.rows("kazoo"))
        assert (again.new, again.manifest_sha256) == (False, package.manifest_sha256)
        assert (package.folder / "bagit.txt").stat().st_mtime_ns == written
        with pytest.raises(Refused, match="holds something else: choose another --out"):
            court.export(to, court.rows("ringex"))

    def test_an_export_that_goes_on_after_midnight_keeps_its_name(self, court, to):
        """Or all of it would be fetched again."""
        court.shelf.tampered = {"calls/kazoo/a/2026/11/20/k-1/legs/k1.wav"}
        with pytest.raises(Conflict):
            court.export(to)
        court.shelf.tampered = set()
        court.clock.advance(12 * 3600)
        [package] = court.export(to)
        assert package.folder.name.endswith("-20261120")


class TestParts:
    def test_calls_are_divided_by_size_and_none_is_torn_apart(self, court, to):
        """One that is larger than the limit is a part of its own."""
        packages = court.export(to, max_size=1)
        assert [package.folder.name for package in packages] == [
            f"2026-117_Miller_Smith-20261120-part-{number}-of-3" for number in (1, 2, 3)
        ]
        assert [read(each, "export.json")["calls"][0]["call"] for each in packages] == [
            "s-1/2",
            "k-1",
            "d-1",
        ]
        for number, package in enumerate(packages, 1):
            report, scope = verify_package(package.folder, deep=True)
            assert report.findings == []
            assert (scope.part, scope.parts) == (number, 3)
            info = (package.folder / "bag-info.txt").read_text()
            assert f"Bag-Count: {number} of 3\n" in info
            assert "Bag-Group-Identifier: 2026-117_Miller_Smith-20261120\n" in info
        left = [each for each in court.recorded if each.action == "exported"]
        assert [each.calls for each in left] == [
            (an_id("s-1/2"),),
            (an_id("k-1", provider="kazoo", account="a"),),
            (an_id("d-1", provider="ringcx", account="7"),),
        ]

    @pytest.mark.parametrize(
        ("name", "folder"),
        [
            ("2026-117", "2026-117"),
            ("../../etc", "etc"),
            ("Müller ./. Groß", "Müller_._._Groß"),
            ("///", "export"),
        ],
    )
    def test_a_name_becomes_a_folder_that_leads_nowhere_else(self, name, folder):
        """Whatever people write."""
        assert folder_name(name) == folder


class TestWhereItIsMade:
    @pytest.mark.attacks("a link where a package is to be made")
    def test_a_package_is_not_made_where_a_link_leads(self, court, to):
        """Somebody who knows the case may have put it there before."""
        [package] = court.export(to, court.rows("kazoo"))
        name = package.folder.name
        shutil.rmtree(package.folder)
        elsewhere = to.parent / "elsewhere"
        elsewhere.mkdir()
        (to / f"{name}.partial").symlink_to(elsewhere)
        with pytest.raises(Refused, match="is a symbolic link, which is not followed"):
            court.export(to, court.rows("kazoo"))
        assert list(elsewhere.iterdir()) == []

    @pytest.mark.attacks("a link within a package that was begun")
    def test_links_within_a_package_are_not_followed(self, court, to):
        """Legato makes none, so they go."""
        [package] = court.export(to, court.rows("kazoo"))
        sound = next(name for name in files(package) if name.endswith(".wav"))
        partial = package.folder.with_name(f"{package.folder.name}.partial")
        package.folder.rename(partial)
        victim = to.parent / "victim"
        victim.write_bytes(b"mine")
        for name in (f"data/{sound}", f"data/{sound}.part", "data/index.html.part"):
            (partial / name).unlink(missing_ok=True)
            (partial / name).symlink_to(victim)
        [package] = court.export(to, court.rows("kazoo"))
        assert victim.read_bytes() == b"mine"
        assert not any(path.is_symlink() for path in package.folder.rglob("*"))

    @pytest.mark.attacks("another user of the machine who reads a package")
    def test_nobody_else_may_read_a_package(self, court, to):
        """Whatever the umask says; the command has one of its own for what has no audio."""
        [package] = court.export(to)
        assert package.folder.stat().st_mode & 0o777 == 0o700
        sounds = [path for path in package.folder.rglob("*") if path.suffix in (".wav", ".mp3")]
        assert {path.stat().st_mode & 0o777 for path in sounds} == {0o600}


class TestTheTable:
    def test_a_call_is_a_line_with_its_file_and_its_proof(self, court, to):
        """As RFC 4180 has it, with the mark by which spreadsheets know UTF-8."""
        [package] = court.export(to)
        text = (package.folder / "data/index.csv").read_bytes().decode("utf-8-sig")
        lines = list(csv.DictReader(io.StringIO(text)))
        assert [line["call"] for line in lines] == ["s-1/2", "k-1", "d-1"]
        assert lines[1]["names"] == "Erika Example; Jürgen Groß"
        assert lines[2]["agents"] == "Anna Agent; Bert Agent"
        for line in lines:
            assert (package.folder / "data" / line["file"]).is_file()
            assert (package.folder / "data" / line["digest"]).is_file()
        assert lines[0]["names"].startswith("'=HYPERLINK(")


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


class TestThePage:
    @pytest.fixture
    def page(self, court, to):
        [package] = court.export(to, name=f"2026 {HOSTILE}", reason=HOSTILE)
        return (package.folder / "data/index.html").read_text()

    def test_no_text_becomes_markup(self, page):
        """Not a caller's name, nor a case's, nor a reason."""
        tags = Tags(page).found
        assert [tag for tag, _ in tags].count("script") == 2
        assert not [tag for tag, _ in tags if tag in ("img", "iframe", "link", "object", "embed")]
        assert not [name for _, each in tags for name in each if name.startswith("on")]
        named, shown = (
            page.count("onerror=alert(1)"),
            page.count("\\u003cimg src=x onerror=alert(1)>"),
        )
        assert named == page.count("&lt;img src=x onerror=alert(1)&gt;") + shown
        assert shown > 0

    def test_nothing_leads_anywhere_else(self, page, to):
        """All addresses are files of the package."""
        [data] = to.glob("*/data")
        tags = Tags(page).found
        led = [each[name] for _, each in tags for name in ("src", "href") if name in each]
        led += json.loads(f"[{','.join(re.findall(r'"href":("[^"]*")', page))}]")
        assert len(led) > 10
        assert [each for each in led if not (data / unquote(each)).is_file()] == []

    def test_only_its_own_script_may_run(self, page):
        """Its hash stands in the policy, and nothing may be loaded but sound."""
        [policy] = [each["content"] for tag, each in Tags(page).found if "http-equiv" in each]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert not re.search(r"https?:", policy)

    def test_a_waveform_is_as_wide_as_the_page_and_keeps_its_peaks(self):
        """However long the call is, and of however many channels."""
        data = [0, 1] * 10_000
        data[12_001], data[4_000] = 127, -128
        drawn = base64.b64decode(picture(json.dumps({"data": data}).encode()))
        assert len(drawn) == 2 * POINTS
        assert (max(drawn[1::2]), min(each - 256 for each in drawn[::2] if each > 127)) == (
            127,
            -128,
        )
        stereo = {"channels": 2, "data": [-1, 1, -9, 9] * 3}
        assert base64.b64decode(picture(json.dumps(stereo).encode())) == bytes((247, 9)) * 3
        assert base64.b64decode(picture(b"{}")) == bytes(2)


def _break_off(now):
    if now:
        raise KeyboardInterrupt


def test_an_access_key_is_found_where_the_package_has_it(court, to):
    """The record of the export itself is one of its documents."""
    [package] = court.export(to, court.rows("kazoo"))
    asked = court.recorded[0]
    assert access_key(format_time(asked.at), asked.id) in files(package)
