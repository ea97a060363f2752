"""What is fetched of calls: verified, resumed, named, joined; and what is refused before."""

import errno
import fcntl
import hashlib
import json
import os
import resource
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.archive import document, layout, manifest
from legato.archive.library import Cold
from legato.archive.manifest import Recording, Revision
from legato.catalogue.index import row_of
from legato.disk import Full, disk
from legato.errors import Conflict, Failed, Refused, Retry
from legato.model import Party, StoredLeg, StoredObject, offsets_ms
from legato.ports import Levels
from legato.retrieval.download import TRIES, Downloading, fetch
from legato.retrieval.filenames import leg_stem, stem
from legato.retrieval.get import get, plan
from legato.retrieval.link import link
from tests.fakes import NOON, FakeClock, FakeLibrary, FakeStitcher, a_leg, a_listing, an_id

LEVELS = Levels(
    longest_silence_ms=0, silent_share=0.0, peak_dbfs=-3.0, loudness_dbfs=-20.0, peaks={}
)
CALLER = (
    Party(role="from", number="+1 (555) 123-0000", name="Jane Doe"),
    Party(role="to", number="101"),
)
NAME = "20261120T115000Z_inbound_+15551230000_1_s-1.mp3"


class Shelf:
    """An archive in memory, and what is needed to fetch from it."""

    def __init__(self):
        self.library = FakeLibrary()
        self.stitcher = FakeStitcher()
        self.waits = []
        self.told = []
        self.free = 10**12
        self.on_tell = None

    def work(self, **more):
        return Downloading(
            **{
                "library": self.library,
                "stitcher": lambda: self.stitcher,
                "tell": self.tell,
                "room": lambda _: self.free,
                "wait": self.waits.append,
                **more,
            }
        )

    def tell(self, progress):
        self.told.append(progress)
        if self.on_tell:
            self.on_tell(progress)

    def call(self, call="s-1", *bodies, provider="ringex", kept_in="GLACIER_IR", **listing):
        """Archive a call and return its row. RingCX keeps several legs apart."""
        folder = layout.call_prefix(an_id(call, provider=provider), NOON)
        bodies = bodies or (b"mp3 one leg",)
        legs = [
            self._leg(folder, f"r{number}", body, kept_in) for number, body in enumerate(bodies, 1)
        ]
        apart = provider == "ringcx"
        said = {"direction": "inbound", "parties": CALLER, **listing}
        content = manifest.to_json(
            Revision(
                call=an_id(call, provider=provider),
                number=1,
                listing=a_listing(call=call, **said),
                legs=legs,
                recording=self._recording(folder, legs, bodies, kept_in, apart=apart),
                sealed_at=NOON,
            )
        )
        sealed = self._put(layout.manifest_key(folder, 1), document.to_bytes(content), "STANDARD")
        return row_of(content, sealed, storage_class=kept_in)

    def tamper(self, *keys):
        for key in keys:
            body = bytearray(self.library.objects[key, "v1"])
            body[-1] ^= 1
            self.library.objects[key, "v1"] = bytes(body)

    def keys(self, ending=""):
        return [key for key, _ in self.library.objects if key.endswith(ending)]

    def fetch(self, folder, *rows, legs=False, manifests=False, **more):
        work = self.work(**more)
        return list(get(plan(rows, folder, work, legs=legs, manifests=manifests), work))

    def reads(self):
        """Return what was read of audio: keys and first bytes."""
        return [(key, start) for key, start in self.library.reads if "manifest" not in key]

    def facts(self, body):
        return FakeStitcher._facts(body[:3].decode(), len(body))

    def put(self, key, body, kept_in):
        """Store an object and return its version."""
        self.library.put(key, body, storage_class=kept_in)
        return "v1"

    def _leg(self, folder, leg, body, kept_in):
        audio = self.facts(body)
        stored = self._put(layout.leg_key(folder, leg, audio.extension), body, kept_in)
        return StoredLeg(leg=a_leg(leg), object=stored, audio=audio)

    def _recording(self, folder, legs, bodies, kept_in, *, apart):
        apart = apart and len(legs) > 1
        stored, audio = legs[0].object, legs[0].audio
        if len(legs) > 1 and not apart:
            key = layout.recording_key(folder, 1, audio.extension)
            stored = self._put(key, b"".join(bodies), kept_in)
        return Recording(
            object=None if apart else stored,
            audio=None if apart else audio,
            how="apart" if apart else "single" if len(legs) == 1 else "copy",
            offsets_ms=offsets_ms([leg.audio for leg in legs]),
            levels=LEVELS,
            peaks=self._put(layout.peaks_key(folder, 1), b"{}", "STANDARD"),
        )

    def _put(self, key, body, kept_in):
        version_id = self.put(key, body, kept_in)
        sha256 = hashlib.sha256(body).hexdigest()
        return StoredObject(key=key, version_id=version_id, size=len(body), sha256=sha256)


@pytest.fixture
def shelf():
    return Shelf()


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def described(body, key="k"):
    return {
        "key": key,
        "version_id": "v1",
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }


@contextmanager
def a_small_disk(size):
    """Let no file of this process grow over a size: the system takes a part, then refuses."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestOneCall:
    def test_a_call_becomes_one_file_with_the_sealed_bytes(self, shelf, tmp_path):
        """Under a name that says when, which way, with whom, and which."""
        [got] = shelf.fetch(tmp_path / "new" / "calls", shelf.call())
        assert got.file.target == tmp_path / "new" / "calls" / NAME
        assert got.file.target.read_bytes() == b"mp3 one leg"
        assert got.sha256 == hashlib.sha256(b"mp3 one leg").hexdigest()
        assert names(tmp_path / "new" / "calls") == [NAME]

    def test_several_legs_that_were_joined_are_one_file(self, shelf, tmp_path):
        """The recording that was sealed, as it is."""
        [got] = shelf.fetch(tmp_path, shelf.call("s-1", b"mp3 one", b"mp3 two"))
        assert got.file.target.read_bytes() == b"mp3 onemp3 two"
        assert shelf.reads() == [(key, 0) for key in shelf.keys("recording-1.mp3")]

    def test_legs_are_fetched_as_they_were_sent(self, shelf, tmp_path):
        """Numbered in playing order."""
        row = shelf.call("s-1", b"mp3 one", b"mp3 two")
        done = shelf.fetch(tmp_path, row, legs=True)
        assert [got.file.leg for got in done] == ["r1", "r2"]
        stem = NAME.removesuffix(".mp3")
        assert names(tmp_path) == [f"{stem}_leg-1_r1.mp3", f"{stem}_leg-2_r2.mp3"]
        assert [got.file.target.read_bytes() for got in done] == [b"mp3 one", b"mp3 two"]

    def test_the_manifest_comes_as_it_was_sealed(self, shelf, tmp_path):
        """Beside the recording."""
        row = shelf.call()
        [_, got] = shelf.fetch(tmp_path, row, manifests=True)
        assert got.file.target.name == NAME.replace(".mp3", ".manifest.json")
        assert hashlib.sha256(got.file.target.read_bytes()).hexdigest() == row.manifest.sha256

    def test_what_is_there_is_not_fetched_again(self, shelf, tmp_path):
        """It is compared by its SHA-256."""
        row = shelf.call()
        shelf.fetch(tmp_path, row)
        [got] = shelf.fetch(tmp_path, row)
        assert got.sha256 == got.file.there == hashlib.sha256(b"mp3 one leg").hexdigest()
        assert len(shelf.reads()) == 1

    @pytest.mark.parametrize("body", [b"mp3 ONE LEG", b"mp3"])
    def test_another_file_of_that_name_is_refused(self, shelf, tmp_path, body):
        """Before anything is fetched, unless it may be overwritten."""
        row = shelf.call()
        (tmp_path / NAME).write_bytes(body)
        with pytest.raises(Refused, match="exists with other content: --overwrite"):
            shelf.fetch(tmp_path, row)
        assert (tmp_path / NAME).read_bytes() == body
        assert shelf.reads() == []
        shelf.fetch(tmp_path, row, overwrite=True)
        assert (tmp_path / NAME).read_bytes() == b"mp3 one leg"

    def test_a_folder_of_that_name_is_never_replaced(self, shelf, tmp_path):
        (tmp_path / NAME).mkdir()
        with pytest.raises(Refused, match="exists with other content"):
            shelf.fetch(tmp_path, shelf.call(), overwrite=True)

    def test_a_folder_that_cannot_be_made_is_refused(self, shelf, tmp_path):
        """Before anything is read."""
        (tmp_path / "file").touch()
        with pytest.raises(Refused, match=r"file/calls cannot be created \(Not a dir"):
            shelf.fetch(tmp_path / "file" / "calls", shelf.call())
        assert shelf.library.reads == []


class TestTampered:
    @pytest.mark.parametrize("change", [b"mp3 one leg"[:-1] + b"G", b"mp3 one leg and more"])
    def test_a_tampered_object_leaves_nothing_behind(self, shelf, tmp_path, change):
        """Neither under its name nor as a part; it is said what to do."""
        row = shelf.call()
        [key] = shelf.keys("r1.mp3")
        shelf.library.objects[key, "v1"] = change
        [got] = shelf.fetch(tmp_path, row)
        assert isinstance(got.error, Conflict)
        assert f"{key} does not hold the bytes that were sealed" in str(got.error)
        assert "`legato verify --deep`" in str(got.error)
        assert names(tmp_path) == []

    def test_it_keeps_nobody_from_the_other_calls(self, shelf, tmp_path):
        """Neither tampered audio nor a tampered manifest, nor what is gone."""
        rows = [shelf.call(f"s-{number}") for number in range(1, 5)]
        shelf.tamper(*shelf.keys("s-1/manifest-1.json"), *shelf.keys("s-2/legs/r1.mp3"))
        [gone] = shelf.keys("s-3/legs/r1.mp3")
        del shelf.library.objects[gone, "v1"]
        done = {got.row.call: got for got in shelf.fetch(tmp_path, *rows)}
        assert isinstance(done["s-1"].error, Conflict)
        assert isinstance(done["s-2"].error, Conflict)
        assert "is gone" in str(done["s-3"].error)
        assert done["s-4"].error is None
        assert names(tmp_path) == [NAME.replace("s-1", "s-4")]

    def test_an_older_file_stays_if_what_should_replace_it_is_tampered(self, shelf, tmp_path):
        row = shelf.call()
        (tmp_path / NAME).write_bytes(b"older")
        shelf.tamper(*shelf.keys("r1.mp3"))
        [got] = shelf.fetch(tmp_path, row, overwrite=True)
        assert isinstance(got.error, Conflict)
        assert (tmp_path / NAME).read_bytes() == b"older"
        assert names(tmp_path) == [NAME]


class TestBrokenOff:
    BODY = b"mp3 " + bytes(range(96))

    def test_a_connection_that_breaks_goes_on_where_it_ended(self, shelf, tmp_path):
        """Within the same run, and reads nothing twice."""
        row = shelf.call("s-1", self.BODY)
        plan_of_it = plan([row], tmp_path, shelf.work())
        shelf.library.break_after = 37
        [got] = get(plan_of_it, shelf.work())
        [key] = shelf.keys("r1.mp3")
        assert got.file.target.read_bytes() == self.BODY
        assert shelf.reads() == [(key, 0), (key, 37)]
        assert shelf.waits == [1]

    def test_what_was_interrupted_goes_on_another_time(self, shelf, tmp_path):
        """Only the missing bytes are read, and the whole is verified."""
        row = shelf.call("s-1", self.BODY)

        def interrupt(progress):
            if progress.done >= 40:
                raise KeyboardInterrupt

        shelf.on_tell = interrupt
        with pytest.raises(KeyboardInterrupt):
            shelf.fetch(tmp_path, row)
        assert names(tmp_path) == [f"{NAME}.part"]
        assert (tmp_path / f"{NAME}.part").read_bytes() == self.BODY[:40]
        shelf.on_tell, shelf.library.reads = None, []
        shelf.fetch(tmp_path, row)
        assert (tmp_path / NAME).read_bytes() == self.BODY
        assert names(tmp_path) == [NAME]
        assert [start for _, start in shelf.reads()] == [40]

    def test_a_part_that_is_whole_needs_no_byte_more(self, shelf, tmp_path):
        row = shelf.call()
        (tmp_path / f"{NAME}.part").write_bytes(b"mp3 one leg")
        shelf.fetch(tmp_path, row)
        assert names(tmp_path) == [NAME]
        assert shelf.reads() == []

    @pytest.mark.parametrize(
        "part", [b"mp3 two", b"mp3 one leg of another revision", b"mp3 two leg"]
    )
    def test_a_part_of_something_else_blames_nobody(self, shelf, tmp_path, part):
        """It is fetched anew, and only that is compared."""
        (tmp_path / f"{NAME}.part").write_bytes(part)
        [got] = shelf.fetch(tmp_path, shelf.call())
        assert got.error is None
        assert (tmp_path / NAME).read_bytes() == b"mp3 one leg"
        assert shelf.reads()[-1][1] == 0

    def test_who_cannot_be_reached_is_given_up_after_a_while(self, shelf, tmp_path):
        """What came stays for another time."""
        row = shelf.call("s-1", self.BODY)
        work = shelf.work(wait=lambda seconds: self._break_again(shelf, seconds))
        planned = plan([row], tmp_path, work)
        shelf.library.break_after = 10
        with pytest.raises(Retry, match="the same command resumes there"):
            list(get(planned, work))
        assert len(shelf.waits) == TRIES - 1
        assert (tmp_path / f"{NAME}.part").read_bytes() == self.BODY[:10]

    @staticmethod
    def _break_again(shelf, seconds):
        shelf.waits.append(seconds)
        shelf.library.break_after = 0

    def test_a_connection_that_gets_on_is_never_given_up(self, shelf, tmp_path):
        """However often it breaks."""
        row = shelf.call("s-1", self.BODY)

        def break_again(_seconds):
            shelf.library.break_after = 4

        work = shelf.work(wait=break_again)
        planned = plan([row], tmp_path, work)
        shelf.library.break_after = 4
        [got] = get(planned, work)
        assert got.file.target.read_bytes() == self.BODY
        assert len(shelf.reads()) == len(self.BODY) / 4 > TRIES

    def test_a_part_that_another_command_writes_is_left_alone(self, shelf, tmp_path):
        """Two of them would spoil each other's bytes."""
        row = shelf.call()
        with (tmp_path / f"{NAME}.part").open("wb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            [got] = shelf.fetch(tmp_path, row)
        assert "another command is writing" in str(got.error)
        assert shelf.reads() == []

    @pytest.mark.parametrize("ending", ["", ".part"])
    @pytest.mark.parametrize("overwrite", [False, True])
    @pytest.mark.attacks("a link in the folder that recordings are fetched into")
    def test_a_name_that_leads_elsewhere_is_not_followed(self, shelf, tmp_path, ending, overwrite):
        """In a folder of many, somebody else may have put a link there."""
        victim = tmp_path / "victim"
        victim.write_bytes(b"mine")
        folder = tmp_path / "calls"
        folder.mkdir()
        (folder / f"{NAME}{ending}").symlink_to(victim)
        with pytest.raises(Refused, match="is a symbolic link, which is not followed"):
            shelf.fetch(folder, shelf.call(), overwrite=overwrite)
        assert victim.read_bytes() == b"mine"

    @pytest.mark.parametrize("ending", ["", ".legs"])
    @pytest.mark.attacks("a link in the folder that legs are joined in")
    def test_legs_are_not_joined_where_a_link_leads(self, shelf, tmp_path, ending):
        """Nor is what becomes of them put there."""
        row = shelf.call("d-1", b"wav one", b"wav two", provider="ringcx")
        [planned] = plan([row], tmp_path, shelf.work()).files
        (tmp_path / "elsewhere").mkdir()
        planned.target.with_name(planned.target.name + ending).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(Refused, match="is a symbolic link, which is not followed"):
            shelf.fetch(tmp_path, row)
        assert list((tmp_path / "elsewhere").iterdir()) == []

    @pytest.mark.attacks("another user of the machine who reads what is fetched")
    def test_nobody_else_may_read_what_is_fetched(self, shelf, tmp_path):
        """Neither on its way nor when it is there, whatever the umask says."""
        modes = set()

        def look(_progress):
            modes.update(path.stat().st_mode & 0o777 for path in tmp_path.rglob("*"))

        shelf.on_tell = look
        before = os.umask(0)
        try:
            shelf.fetch(tmp_path, shelf.call(), shelf.call("s-2"))
            row = shelf.call("d-1", b"wav one", b"wav two", provider="ringcx")
            shelf.fetch(tmp_path, row)
        finally:
            os.umask(before)
        look(None)
        assert modes == {0o600, 0o700}
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


class TestRoom:
    def test_a_disk_without_room_is_known_before(self, shelf, tmp_path):
        """For all calls together, less what is there of them."""
        rows = [shelf.call(f"s-{number}", b"mp3" + bytes(97)) for number in (1, 2)]
        shelf.free = 199
        with pytest.raises(Full, match=r"has 0\.2 kB free"):
            shelf.fetch(tmp_path, *rows)
        assert shelf.reads() == []
        (tmp_path / f"{NAME}.part").write_bytes(b"m")
        assert len(shelf.fetch(tmp_path, *rows)) == 2

    def test_legs_that_are_joined_need_room_twice(self, shelf, tmp_path):
        row = shelf.call("d-1", b"wav one", b"wav two", provider="ringcx")
        shelf.free = 27
        with pytest.raises(Full):
            shelf.fetch(tmp_path, row)
        shelf.free = 28
        assert shelf.fetch(tmp_path, row)[0].error is None

    def test_a_disk_that_becomes_full_is_told_and_keeps_what_came(self, shelf, tmp_path):
        """As far as the system took it; and the same again goes on there."""
        body = b"mp3" + bytes(9997)
        row = shelf.call("s-1", body)
        with a_small_disk(6001), pytest.raises(Full, match="is full: make room"):
            shelf.fetch(tmp_path, row)
        assert (tmp_path / f"{NAME}.part").stat().st_size == 6001
        shelf.library.reads = []
        shelf.fetch(tmp_path, row)
        assert (tmp_path / NAME).read_bytes() == body
        assert [start for _, start in shelf.reads()] == [6001]

    def test_every_way_in_which_a_disk_is_full_is_one(self, tmp_path):
        """A device that is full says so with another number than a limit does."""
        with pytest.raises(Full), disk(tmp_path / "x"), Path("/dev/full").open("wb", 0) as device:
            device.write(b"x")
        with pytest.raises(Full), disk(tmp_path / "x"):
            raise OSError(errno.EDQUOT, "Disk quota exceeded")


class TestNames:
    @pytest.mark.parametrize(
        ("direction", "parties", "number"),
        [
            ("inbound", CALLER, "+15551230000"),
            ("outbound", CALLER, "101"),
            ("inbound", (Party(role="contact", number="555 1"), Party(role="channel")), "5551"),
            (None, (Party(role="agent"), Party(role="contact", number="+49 89 1")), "+49891"),
            (None, CALLER, "+15551230000"),
            ("inbound", (Party(role="from", number="../../x@host"),), "x"),
            ("inbound", (Party(role="from", number="###"), Party(role="from", number="7")), "7"),
            ("outbound", (), "unknown"),
        ],
    )
    def test_the_number_is_that_of_the_other_side(self, shelf, direction, parties, number):
        """Of an inbound call who called, of an outbound one who was called, else the contact."""
        row = shelf.call(direction=direction, parties=parties)
        assert stem(row) == f"20261120T115000Z_{direction or 'unknown'}_{number}_1_s-1"

    def test_two_calls_of_the_same_moment_and_number_are_two_files(self, shelf, tmp_path):
        """They differ in their ids, even in one that a file system would mind."""
        rows = [shelf.call(call, b"mp3 " + call.encode()) for call in ("a/b", "a%2Fb", "a_b", "..")]
        done = shelf.fetch(tmp_path, *rows)
        assert len(names(tmp_path)) == 4
        assert all(got.file.target.read_bytes() == b"mp3 " + got.row.call.encode() for got in done)

    @given(st.text(min_size=1), st.text(min_size=1))
    def test_no_two_ids_make_one_name(self, one, other):
        """Also where a file system does not tell capitals from small letters."""
        row = Shelf().call()
        first, second = (stem(replace(row, call=call)) for call in (one, other))
        assert (first.casefold() == second.casefold()) == (one == other)
        assert len(first) < 200
        assert first.isascii()
        assert "/" not in first

    def test_ids_of_a_case_of_their_own_are_told_apart(self, shelf):
        """As hypothesis seldom tries."""
        row = shelf.call()
        made = {stem(replace(row, call=call)).casefold() for call in ("aB", "Ab", "ab", "x" * 500)}
        assert len(made) == 4

    def test_a_call_is_never_called_like_another_ones_leg(self, shelf):
        row = shelf.call()
        leg = leg_stem(replace(row, call="a"), 1, "b")
        assert leg == stem(replace(row, call="a")) + "_leg-1_b"
        assert stem(replace(row, call="a_leg-1_b")) != leg

    def test_one_id_in_two_accounts_makes_two_names(self, shelf):
        row = shelf.call()
        assert stem(row) != stem(replace(row, account="2"))

    def test_calls_of_two_providers_with_one_name_are_refused(self, shelf, tmp_path):
        """Neither takes the other one's place."""
        rows = [shelf.call("c-1"), shelf.call("c-1", provider="kazoo")]
        with pytest.raises(Refused, match="ringex/1/c-1 and kazoo/1/c-1 have the same file name"):
            shelf.fetch(tmp_path, *rows)
        assert shelf.reads() == []


class TestApart:
    WAV = NAME.replace("s-1.mp3", "d-1.wav")

    def call(self, shelf, *bodies):
        return shelf.call("d-1", *(bodies or (b"wav one", b"wav two")), provider="ringcx")

    def test_legs_that_lie_apart_are_joined_here(self, shelf, tmp_path):
        """And their SHA-256 is put beside the result, which no manifest knows."""
        [got] = shelf.fetch(tmp_path, self.call(shelf))
        assert got.file.target.read_bytes() == b"wav onewav two"
        assert got.sha256 == hashlib.sha256(b"wav onewav two").hexdigest()
        assert names(tmp_path) == [self.WAV, f"{self.WAV}.sha256"]

    @pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
    def test_what_stands_beside_it_is_as_sha256sum_reads_it(self, shelf, tmp_path):
        shelf.fetch(tmp_path, self.call(shelf))
        command = ["sha256sum", "--check", "--strict", f"{self.WAV}.sha256"]
        checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert checked.stdout == f"{self.WAV}: OK\n"

    def test_what_was_joined_is_not_fetched_again(self, shelf, tmp_path):
        row = self.call(shelf)
        shelf.fetch(tmp_path, row)
        shelf.library.reads = []
        assert shelf.fetch(tmp_path, row)[0].file.there
        assert shelf.reads() == []

    def test_a_joined_file_that_was_altered_is_refused(self, shelf, tmp_path):
        """As is one of which nobody knows what it was made of."""
        row = self.call(shelf)
        shelf.fetch(tmp_path, row)
        (tmp_path / self.WAV).write_bytes(b"wav oneWAV two")
        with pytest.raises(Refused, match="exists with other content"):
            shelf.fetch(tmp_path, row)
        shelf.fetch(tmp_path, row, overwrite=True)
        (tmp_path / f"{self.WAV}.sha256").unlink()
        with pytest.raises(Refused, match="exists with other content"):
            shelf.fetch(tmp_path, row)

    def test_a_tampered_leg_is_never_joined(self, shelf, tmp_path):
        """And nothing of the call stays."""
        row = self.call(shelf)
        shelf.tamper(*shelf.keys("r2.wav"))
        [got] = shelf.fetch(tmp_path, row)
        assert isinstance(got.error, Conflict)
        assert list(tmp_path.iterdir()) == []

    def test_legs_that_broke_off_go_on_another_time(self, shelf, tmp_path):
        """The ones that are there are not read again."""
        row = self.call(shelf)

        def interrupt(progress):
            if progress.done >= 11:
                raise KeyboardInterrupt

        shelf.on_tell = interrupt
        with pytest.raises(KeyboardInterrupt):
            shelf.fetch(tmp_path, row)
        assert names(tmp_path) == [f"{self.WAV}.legs/0.wav", f"{self.WAV}.legs/1.wav.part"]
        shelf.on_tell, shelf.library.reads = None, []
        shelf.fetch(tmp_path, row)
        assert (tmp_path / self.WAV).read_bytes() == b"wav onewav two"
        assert [start for _, start in shelf.reads()] == [4]
        assert names(tmp_path) == [self.WAV, f"{self.WAV}.sha256"]

    def test_a_disk_that_becomes_full_keeps_the_legs_that_came(self, shelf, tmp_path):
        """They are needed when there is room."""
        row = self.call(shelf, b"wav one", b"wav" + bytes(9997))
        with a_small_disk(6001), pytest.raises(Full):
            shelf.fetch(tmp_path, row)
        assert names(tmp_path) == [f"{self.WAV}.legs/0.wav", f"{self.WAV}.legs/1.wav.part"]

    def test_legs_of_two_kinds_become_a_wav(self, shelf, tmp_path):
        [got] = shelf.fetch(tmp_path, self.call(shelf, b"mp3 one", b"wav two"))
        assert got.file.target.suffix == ".wav"

    def test_what_does_not_become_what_the_manifest_says_is_not_kept(self, shelf, tmp_path):
        """It is said how to have the legs."""

        class Late(FakeStitcher):
            def join(self, legs, target):
                return replace(super().join(legs, target), offsets_ms=(0, 9999))

        shelf.stitcher = Late()
        [got] = shelf.fetch(tmp_path, self.call(shelf))
        assert "leg r2 begins after 9999 ms instead of 7000 ms" in str(got.error)
        assert "--legs fetches each by itself" in str(got.error)
        assert list(tmp_path.iterdir()) == []

    def test_nobody_to_join_them_is_known_before(self, shelf, tmp_path):
        """Nothing is fetched in vain; legs by themselves need nobody."""
        row = self.call(shelf)

        def nobody():
            raise Failed("no ffmpeg")

        with pytest.raises(Failed, match="no ffmpeg"):
            shelf.fetch(tmp_path, row, stitcher=nobody)
        assert shelf.reads() == []
        assert len(shelf.fetch(tmp_path, row, legs=True, stitcher=nobody)) == 2


class TestCold:
    def test_all_calls_that_must_be_restored_are_named_at_once(self, shelf, tmp_path):
        """Before anything is fetched."""
        cold = [shelf.call(f"d-{n}", provider="ringcx", kept_in="GLACIER") for n in (1, 2, 3)]
        warm = shelf.call()
        shelf.library.restore(
            shelf.keys("d-3/legs/r1.mp3")[0], version_id="v1", days=7, tier="Bulk"
        )
        with pytest.raises(Cold) as told:
            shelf.fetch(tmp_path, warm, *cold)
        assert (
            "2 calls are in cold storage: first run `legato restore ringcx/1/d-1 ringcx/1/d-2`;"
            in str(told.value)
        )
        assert "1 call is being restored (ringcx/1/d-3)" in str(told.value)
        assert shelf.reads() == []
        assert names(tmp_path) == []

    def test_what_was_restored_is_fetched(self, shelf, tmp_path):
        row = shelf.call(kept_in="DEEP_ARCHIVE")
        [key] = shelf.keys("r1.mp3")
        shelf.library.restore(key, version_id="v1", days=7, tier="Bulk")
        shelf.library.arrive(key)
        assert shelf.fetch(tmp_path, row)[0].error is None

    def test_what_is_there_already_need_not_be_restored(self, shelf, tmp_path):
        row = shelf.call(kept_in="GLACIER")
        (tmp_path / NAME).write_bytes(b"mp3 one leg")
        assert shelf.fetch(tmp_path, row)[0].file.there


class TestOneObject:
    def test_an_object_is_fetched_by_its_version(self, shelf, tmp_path):
        """A newer one under its key is another one."""
        shelf.library.put("k", b"sealed")
        shelf.library.put("k", b"newer!", version_id="v2")
        assert fetch(described(b"sealed"), tmp_path / "x", shelf.work()) is True
        assert (tmp_path / "x").read_bytes() == b"sealed"
        assert fetch(described(b"sealed"), tmp_path / "x", shelf.work()) is False

    def test_an_empty_one_is_a_file_too(self, shelf, tmp_path):
        shelf.library.put("k", b"")
        fetch(described(b""), tmp_path / "x", shelf.work())
        assert names(tmp_path) == ["x"]

    def test_how_far_it_is_is_told(self, shelf, tmp_path):
        shelf.library.put("k", b"12345678")
        fetch(described(b"12345678"), tmp_path / "x", shelf.work())
        assert [(each.name, each.done, each.total) for each in shelf.told] == [
            ("x", 0, 8),
            ("x", 4, 8),
            ("x", 8, 8),
        ]


class TestLink:
    def test_a_link_opens_one_version_of_the_recording(self, shelf):
        """For so long, under the name that it would have as a file."""
        row = shelf.call("s-1", b"mp3 one", b"mp3 two")
        made = link(row, shelf.library, FakeClock(), minutes=20)
        [key] = shelf.keys("recording-1.mp3")
        assert made.url == (f"https://archive.test/{key}?versionId=v1&expires=1200&name={NAME}")
        assert made.until == NOON + timedelta(minutes=20)
        assert made.sha256 == hashlib.sha256(b"mp3 onemp3 two").hexdigest()
        assert shelf.reads() == []

    def test_a_link_to_a_leg(self, shelf):
        row = shelf.call("s-1", b"mp3 one", b"mp3 two")
        made = link(row, shelf.library, FakeClock(), leg="r2")
        assert "/legs/r2.mp3?versionId=v1&expires=900&" in made.url
        assert made.name.endswith("_leg-2_r2.mp3")

    def test_a_call_whose_legs_lie_apart_has_no_single_link(self, shelf):
        """Its legs are listed."""
        row = shelf.call("d-1", b"wav one", b"wav two", provider="ringcx")
        with pytest.raises(Refused, match=r"choose one with --leg.*r1 \(11:50:00 UTC, 7 s\), r2"):
            link(row, shelf.library, FakeClock())
        with pytest.raises(Refused, match="d-1 has no leg r9: it has r1"):
            link(row, shelf.library, FakeClock(), leg="r9")

    @pytest.mark.parametrize("minutes", [0, 61])
    def test_a_link_does_not_last(self, shelf, minutes):
        with pytest.raises(Refused, match="a link lasts 1 to 60 minutes"):
            link(shelf.call(), shelf.library, FakeClock(), minutes=minutes)

    def test_there_is_no_link_to_what_is_cold(self, shelf):
        """Whoever opens it would only be refused."""
        with pytest.raises(Cold, match="legato restore ringex/1/s-1"):
            link(shelf.call(kept_in="GLACIER"), shelf.library, FakeClock())

    def test_a_manifest_that_was_altered_is_believed_in_nothing(self, shelf):
        row = shelf.call()
        shelf.tamper(*shelf.keys("manifest-1.json"))
        with pytest.raises(Conflict, match="`legato verify`"):
            link(row, shelf.library, FakeClock())


def test_the_shelf_is_as_the_archive_is(shelf):
    """What these tests fetch is described as Legato's own manifests do it."""
    row = shelf.call("d-1", b"wav one", b"wav two", provider="ringcx")
    content = json.loads(shelf.library.objects[row.manifest.key, "v1"])
    assert content["recording"] is None
    assert [leg["offset_ms"] for leg in content["legs"]] == [0, 7000]
    assert (row.how, row.size, row.storage_class) == ("apart", 14, "GLACIER_IR")
