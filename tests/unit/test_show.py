"""`legato show`: all that is known of a call, and that somebody looked."""

import hashlib
import json
from dataclasses import asdict, replace
from datetime import UTC, timedelta
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from legato.archive import layout
from legato.archive.library import State
from legato.catalogue.index import enter, row_of
from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.cli.show import _timeline
from legato.errors import Conflict, Failed
from legato.evidence.find_digest import HOURS, Digests
from legato.evidence.legal_hold import Held, holds_of
from legato.model import CallId, Party, StoredObject, format_time
from legato.ports import Access
from legato.retrieval.show import show
from tests.chain import HOUR, Chained
from tests.fakes import NOON, FakeCatalogue, FakeClock, FakeLibrary, FakeStitcher, an_id
from tests.unit.test_legal_hold import BOB, World

HELD = Held(
    provider="kazoo",
    account="1",
    call="k-1",
    case="2026-117",
    reason="complaint",
    by="arn:aws:iam::1:user/alice",
    at="2026-11-20T14:00:00.000Z",
    release={"by": "arn:aws:iam::1:user/bob", "reason": "settled", "at": ""},
)
LOOK = Access(
    id="a1",
    at=NOON,
    by="arn:aws:iam::1:user/alice",
    action="show",
    calls=(CallId("kazoo", "1", "k-1"),),
    reason="subpoena",
    case="2026-117",
    details={},
    key="access/2026/11/20/a.json",
)


class LibraryStore:
    """Lets an archive be built in a library, with what is RingCX's in cold storage."""

    def __init__(self):
        self.library = FakeLibrary()
        self.written = 0

    def put(self, key, body):
        self.written += 1
        cold = key.startswith("calls/ringcx/") and "/legs/" in key
        version_id = f"v{self.written}"
        storage_class = "GLACIER" if cold else "STANDARD"
        self.library.put(key, body, storage_class=storage_class, version_id=version_id)
        return version_id

    def hold(self, prefix):
        """What is held is said by the place."""


class FakePlace:
    """Hands out an archive of three calls, and remembers in which order it is asked for things."""

    def __init__(self, **built):
        store = LibraryStore()
        self.chained = Chained(store, **built)
        self.store, self.files = FakeCatalogue(), store.library
        self.asked = []
        self.refusal = None
        self.held, self.looks = [], []
        for name in ("ringex", "kazoo-again", "ringcx"):
            enter(self.row(name), self.store, list)

    def row(self, name):
        key = self.chained.keys[name]
        [one] = self.files.listed(key)
        body = self.files.objects[key, one.version_id]
        sha256 = hashlib.sha256(body).hexdigest()
        sealed = StoredObject(key=key, version_id=one.version_id, size=one.size, sha256=sha256)
        return row_of(json.loads(body), sealed, storage_class="GLACIER_IR")

    def catalogue(self):
        return self.store

    def library(self):
        self.asked.append("library")
        return self.files

    def holds_of(self, call):
        return [one for one in self.held if one.id == call]

    def accesses(self):
        return SimpleNamespace(of_call=lambda *call: iter(self.looks))

    def recorder(self):
        return SimpleNamespace(record=self.record)

    def record(self, action, calls, *, reason, details):
        if self.refusal:
            raise self.refusal
        self.asked.append((action, calls, reason))
        return {"id": "a1"}


@pytest.fixture
def place(monkeypatch):
    monkeypatch.delenv("LEGATO_ZONE", raising=False)
    return FakePlace()


def shown(place, call, *more):
    return CliRunner().invoke(app, ["show", call, "--reason", "why", *more], obj=place)


def in_json(place, call):
    ended = shown(place, call, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def part(output, title):
    """Return the lines under a heading."""
    _, found, rest = output.partition(f"\n{title}\n")
    return [line.strip() for line in rest.partition("\n\n")[0].splitlines()] if found else None


class TestAccess:
    def test_that_somebody_looks_is_written_down_before_anything_is_read(self, place):
        """With the reason."""
        assert shown(place, "k1").exit_code == 0
        assert place.asked == [("show", [("kazoo", "1", "k-1")], "why"), "library"]

    def test_nothing_is_read_if_it_cannot_be_written_down(self, place):
        """Whatever the reason is."""
        place.refusal = Failed("nothing was read, because the access log cannot be written")
        ended = shown(place, "k-1")
        assert (ended.exit_code, ended.stdout) == (1, "")
        assert place.asked == []

    def test_a_call_that_nobody_knows_is_told(self, place):
        """And nobody has looked at anything."""
        ended = shown(place, "k-2")
        assert (ended.exit_code, place.asked) == (Exit.NOT_FOUND, [])
        assert "nothing with the id k-2" in ended.stderr


class TestStored:
    def test_each_object_says_how_it_is_stored(self, place):
        """Of legs that lie apart each of them, and whether they are on their way."""
        first, second = place.chained.keys["ringcx-leg-1"], place.chained.keys["ringcx-leg-2"]
        assert part(shown(place, "d-1").stdout, "Stored") == [
            "leg 1: GLACIER, cold: run `legato restore`",
            "leg 2: GLACIER, cold: run `legato restore`",
        ]
        for key in (first, second):
            [one] = place.files.listed(key)
            place.files.restore(key, version_id=one.version_id, days=2, tier="Bulk")
        place.files.arrive(second)
        assert part(shown(place, "d-1").stdout, "Stored") == [
            "leg 1: GLACIER, being restored",
            "leg 2: GLACIER, restored until 2026-11-22 12:00:00",
        ]
        found = in_json(place, "d-1")["objects"]
        assert [one["readable"] for one in found] == [False, True]
        assert found[1]["restored_until"] == "2026-11-22T12:00:00.000Z"

    def test_locks_and_legal_holds_are_told(self, place, monkeypatch):
        """As S3 has them."""
        until = NOON + timedelta(days=365)
        state = State(
            size=1, storage_class="GLACIER_IR", lock="COMPLIANCE", locked_until=until, held=True
        )
        place.files.state = lambda key, *, version_id: state
        assert part(shown(place, "s-1/2").stdout, "Stored") == [
            "recording: GLACIER_IR, locked (COMPLIANCE) until 2027-11-20 12:00:00, under legal hold"
        ]

    def test_an_object_that_is_gone_does_not_hide_the_others(self, place):
        """It is told instead."""
        [one] = place.files.listed(place.chained.keys["kazoo-leg-2"])
        del place.files.objects[one.key, one.version_id]
        lines = part(shown(place, "k-1").stdout, "Stored")
        assert [line.partition(":")[0] for line in lines] == [
            "recording",
            "leg 1",
            "leg 2",
            "leg 3",
        ]
        assert "is gone" in lines[2]


class TestEvidence:
    def test_each_revision_names_its_digest(self, place):
        """The newest first, by the chain of the manifests."""
        digests = [place.chained.keys[f"digest-{number}"] for number in (3, 2)]
        lines = part(shown(place, "k-1").stdout, "Sealed")
        assert lines == [
            f"revision 3 on 2026-11-20 15:30:00, 3 legs, named by {digests[0]}",
            f"revision 2 on 2026-11-20 14:30:00, 2 legs, named by {digests[1]}",
        ]

    def test_a_young_revision_need_not_be_in_a_digest(self):
        """An old one has to be."""
        place = FakePlace(unchained=("ringcx",))

        def proof(hours):
            [one] = show(
                place.row("ringcx"),
                catalogue=place.store,
                library=place.files,
                holds=(),
                accesses=(),
                clock=FakeClock(NOON + hours * HOUR),
            ).revisions
            return one.digest, one.young

        assert (proof(5), proof(8)) == ((None, True), (None, False))
        assert "in no digest: run `legato verify`" in shown(place, "d-1").stdout

    def test_an_altered_manifest_is_not_shown(self, place):
        """Neither the newest nor one before it."""
        for name in ("kazoo-again", "kazoo"):
            [one] = place.files.listed(place.chained.keys[name])
            sound = place.files.objects[one.key, one.version_id]
            place.files.objects[one.key, one.version_id] = sound.replace(b"k-1", b"k-2")
            ended = shown(place, "k-1")
            assert (ended.exit_code, ended.stdout) == (Exit.TAMPERED, "")
            assert "does not hold the bytes that were sealed" in ended.stderr
            place.files.objects[one.key, one.version_id] = sound


class TestPeople:
    def test_who_holds_it_and_who_has_seen_it_is_told(self, place):
        """And who requested its release."""
        place.held, place.looks = [HELD], [replace(LOOK, case="")] * 21
        output = shown(place, "k-1").stdout
        assert part(output, "Held") == [
            "for 2026-117 since 2026-11-20T14:00:00.000Z by alice: complaint, bob requested the "
            "release"
        ]
        seen = part(output, "Seen")
        assert seen[0] == "2026-11-20 12:00:00 show by alice: subpoena"
        assert seen[20:] == ["and 1 more: see `legato accesses`"]

    def test_the_holds_of_a_call_are_its_own(self):
        """By case; none is left when all have let go."""
        world = World()
        world.know("s-2")
        world.done("hold", case="b")
        world.done("hold", case="a")
        world.done("hold", call="s-2")
        found = holds_of(an_id(), world.notes)
        assert found == [one for one in world.holds() if one.call == "s-1"]
        assert [one.case for one in found] == ["a", "b"]
        for case in ("a", "b"):
            world.done("request-release", case=case)
            world.done("confirm-release", case=case, by=BOB)
        assert holds_of(an_id(), world.notes) == []
        assert holds_of(an_id("s-9"), world.notes) == []

    def test_scripts_get_all_of_it(self, place):
        """Under names that stay."""
        place.held, place.looks = [HELD], [LOOK] * 21
        found = in_json(place, "k-1")
        assert list(found) == [
            "call",
            "manifest",
            "objects",
            "holds",
            "revisions",
            "related",
            "accesses",
        ]
        assert found["call"]["call"] == found["manifest"]["call"] == "k-1"
        assert found["holds"][0]["case"] == "2026-117"
        assert len(found["accesses"]) == 21
        assert [one["revision"] for one in found["revisions"]] == [3, 2]

    def test_times_are_in_the_zone_that_is_asked_for(self, place):
        """All of them."""
        output = shown(place, "s-1/2", "--zone", "Asia/Tokyo").stdout
        assert "2026-11-20 21:00:00 to 2026-11-20 21:15:00 (Asia/Tokyo)" in output
        assert "revision 1 on 2026-11-20 22:30:00" in output

    def test_related_calls_are_named_with_what_is_known_of_them(self):
        """Also one that the catalogue lacks."""

        def relate(content):
            content["related"] = ["kazoo/1/k-1", "kazoo/1/k-9"]
            content["provider"] = "kazoo"

        place = FakePlace(on_manifest={"ringcx": relate})
        assert part(shown(place, "d-1").stdout, "Related calls") == [
            "kazoo/1/k-1, 2026-11-20 12:00:00, 3:00, ready",
            "kazoo/1/k-9 (not in the catalogue)",
        ]


class TestTimeLine:
    """Bars are as wide as there is room for, up to 72 columns."""

    @staticmethod
    def lines(*legs, overlaps=(), recording=True, **last):
        """Return the lines for legs; `last` is what else is said of the last one."""
        said = [
            {
                **asdict(FakeStitcher._facts("mp3", 1)),
                "id": f"r{number}",
                "started_at": format_time(NOON + timedelta(seconds=begin)),
                "duration_ms": int(lasts * 1000),
                "named_only": named_only,
                "heard_in": None,
                "parties": [],
            }
            for number, (begin, lasts, named_only) in enumerate(legs, 1)
        ]
        said[-1] |= last
        content = {
            "legs": said,
            "overlaps": list(overlaps),
            "recording": recording or None,
            "direction": "inbound",
        }
        return list(_timeline(content, UTC))

    def test_each_leg_lies_where_it_was_spoken(self):
        """And what lies between them is named."""
        lines = self.lines((0, 60, False), (90, 30, False), (120.5, 60, False))
        assert len(lines) == 7
        assert lines[0].startswith("  1  12:00:00      1:00  |")
        assert lines[2] == "     no recording for 0:30"
        bars = [line.partition("|")[2].partition("|")[0] for line in lines if "|" in line]
        assert {len(bar) for bar in bars} == {72}
        marks = [(len(bar) - len(bar.lstrip()), len(bar.strip())) for bar in bars]
        assert marks == [(0, 24), (35, 13), (48, 24)]

    def test_overlaps_are_named_by_the_numbers_of_the_legs(self):
        """They play one after the other all the same."""
        overlap = {"legs": ["r1", "r2"], "overlap_ms": 1250}
        lines = self.lines((0, 60, False), (58.75, 60, False), overlaps=[overlap])
        assert lines[4] == "     legs 1 and 2 overlap by 1.2 s and play one after the other"

    def test_a_leg_that_is_heard_in_another_one_says_so(self):
        """And that both overlap goes without saying."""
        overlap = {"legs": ["r1", "r2"], "overlap_ms": 58_000}
        heard_in = {"leg": "r1", "shift_ms": 300, "alike": 0.9712}
        legs = [(0, 60, False), (2, 58, False)]
        lines = self.lines(*legs, overlaps=[overlap], heard_in=heard_in)
        assert lines[4:] == ["     heard in leg 1 (97% alike), not played again"]

    def test_a_leg_that_nobody_decodes_says_so(self):
        """It can be fetched all the same."""
        lines = self.lines((0, 60, False), unsupported="MP4")
        assert lines[2:] == ["     unsupported codec: MP4; the original is kept"]

    def test_each_leg_says_who_spoke_on_it(self):
        parties = [
            Party(role="from", number="+1555").to_json(),
            Party(role="to", number="+1800", name="Jane Doe").to_json(),
        ]
        lines = self.lines((0, 60, False), (60, 60, False), parties=parties)
        assert lines[1] == "     leg r1"
        assert lines[3] == "     +1555 \N{RIGHTWARDS ARROW} Jane Doe, leg r2"

    def test_a_leg_of_no_length_is_seen(self):
        """It was recorded."""
        line, _ = self.lines((0, 0, False))
        assert line.partition("|")[2].partition("|")[0].strip()

    def test_what_is_not_known_of_a_leg_is_said(self):
        """A leg that only a notification named has no time of its own."""
        lines = self.lines((0, 1, False), (1, 1, True), recording=False)
        assert lines[3] == "     leg r2, at an unknown time"
        assert lines[4] == "     the legs are stored apart, and joined when they are downloaded"


class TestCovering:
    SEALED_AT = NOON + timedelta(minutes=30)

    def digest(self, library, start, *keys):
        objects = [{"key": key, "version_id": "v1", "sha256": "0"} for key in ("public", *keys)]
        content = {"objects": objects[1:], "signed_with": {"public_key": objects[0]}}
        library.put(layout.digest_key(start), json.dumps(content).encode())
        library.put(layout.digest_key(start) + ".sig", b"signature")

    def test_the_first_digest_that_names_a_document_covers_it(self):
        """Of the hour, or of a later one, also of another day."""
        library = FakeLibrary()
        for hours in range(-2, 20):
            self.digest(library, NOON + hours * HOUR, *(["m"] if hours in (-2, 13, 15) else []))
        digests = Digests(library)
        assert digests.find_digest_of("m", self.SEALED_AT) == layout.digest_key(NOON + 13 * HOUR)
        assert digests.find_digest_of("n", self.SEALED_AT) is None

    def test_an_old_document_is_not_looked_for_in_all_that_came_after(self):
        """A year has 8,760 digests."""
        library = FakeLibrary()
        for hours in (HOURS, HOURS + 1):
            self.digest(library, NOON + hours * HOUR, f"m{hours}")
        digests = Digests(library)
        assert digests.find_digest_of(f"m{HOURS}", self.SEALED_AT) is not None
        assert digests.find_digest_of(f"m{HOURS + 1}", self.SEALED_AT) is None

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"{}", b'{"objects": [{"key": "m"}]}', b'{"objects": 1}', b"\xff"]
    )
    def test_a_digest_that_is_none_is_said(self, body):
        """Who writes into the bucket could put anything there."""
        library = FakeLibrary()
        library.put(layout.digest_key(NOON), body)
        with pytest.raises(Conflict, match=r"2026-11-20T12\.json does not hold what was written"):
            Digests(library).find_digest_of("m", self.SEALED_AT)

    def test_each_digest_is_read_once(self):
        """However many documents are asked for."""
        library = FakeLibrary()
        for hours in range(3):
            self.digest(library, NOON + hours * HOUR, f"m{hours}")
        digests = Digests(library)
        found = [digests.find_digest_of(f"m{hours}", self.SEALED_AT) for hours in (2, 1, 0, 2)]
        assert None not in found
        assert len(library.reads) == 3
