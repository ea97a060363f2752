"""A segment of three gigabytes, as a forgotten line records in a day: the memory of a short one."""

import hashlib
import json
import resource
from contextlib import contextmanager, nullcontext
from datetime import timedelta

from legato.audio.riff import header, pcm16
from legato.audio.stitch import FfmpegStitcher
from legato.ingest.batch import Message, archive
from legato.model import StoredObject
from legato.ports import Sent
from legato.tuning import Policy
from tests.audio import local_tools
from tests.fakes import FakeArchive, FakeProvider, a_job, a_leg, a_listing, an_id, some_ports

RATE, CHANNELS = 8000, 2
BYTES = 3_000_000_000
PIECE = bytes(range(256)) * 256


class Abyss(FakeArchive):
    """Counts and hashes what is streamed into it, and keeps none of it."""

    def __init__(self):
        super().__init__()
        self.swallowed = {}

    @contextmanager
    def upload(self, key, *, media_type, storage_class):
        yield Swallowing(self, key)

    def find(self, prefix):
        return super().find(prefix) | self.swallowed


class Swallowing:
    def __init__(self, abyss, key):
        self.abyss, self.key = abyss, key
        self.size, self.digest = 0, hashlib.sha256()

    def write(self, piece):
        self.size += len(piece)
        self.digest.update(piece)

    def finish(self):
        return Sent(size=self.size, sha256=self.digest.hexdigest(), checksum="of parts")

    def complete(self):
        stored = StoredObject(
            key=self.key,
            version_id="v1",
            size=self.size,
            sha256=self.digest.hexdigest(),
            checksum="of parts",
        )
        self.abyss.swallowed[self.key] = stored
        return stored


def shop_of(scratch, *, max_seconds=1 << 22, **policy):
    """Return ports of which RingCX sends one very long segment."""
    provider = FakeProvider(name="ringcx", listings={"s-1": a_listing(a_leg("p-v-1"))})

    @contextmanager
    def open_leg(_leg, *, turn=False):
        def pieces():
            yield header(pcm16(RATE, CHANNELS), BYTES, BYTES // 4, wide=False)
            whole, rest = divmod(BYTES, len(PIECE))
            for _ in range(whole):
                yield PIECE
            yield PIECE[:rest]

        yield pieces()

    provider.open_leg = open_leg
    return some_ports(
        scratch,
        provider=provider,
        archive=Abyss(),
        stitcher=FfmpegStitcher(local_tools(), max_seconds=max_seconds),
        policy=Policy(apart=True, storage_class="GLACIER", settle=0, **policy),
    )


def work(ports):
    message = json.dumps(json.loads(a_job(named=["p-v-1"]).to_message()) | {"provider": "ringcx"})
    until = ports.clock.now() + timedelta(minutes=15)
    archive([Message("m", message)], ports=ports, until=until, guard=lambda _ids: nullcontext())
    return ports.ledger.load(an_id("s-1", provider="ringcx"))


def test_a_segment_of_three_gigabytes_is_archived_in_little_memory(tmp_path):
    """26 hours of two channels, which are nobody's limit: only bytes are."""
    ports = shop_of(tmp_path, max_leg_bytes=(1 << 32) - 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    state = work(ports)
    assert state.status == "archived", state.reason
    manifest = json.loads(ports.archive.objects[state.manifest.key])
    (leg,) = manifest["legs"]
    assert leg["bytes"] == BYTES + 44
    assert leg["duration_ms"] == BYTES * 1000 // (RATE * CHANNELS * 2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert list(tmp_path.iterdir()) == []


def test_one_over_the_limit_fails_before_it_has_come_whole(tmp_path):
    """The reason names the limit, and nothing of it is kept."""
    ports = shop_of(tmp_path, max_leg_bytes=1_000_000)
    state = work(ports)
    assert state.status == "failed"
    assert "larger than the limit of 1000000 bytes" in state.reason
    assert ports.archive.swallowed == {}


def test_one_that_is_too_long_to_be_one_call_fails_with_its_length(tmp_path):
    """Such a limit holds where a leg lies on a disk."""
    ports = shop_of(tmp_path, max_seconds=3600, max_leg_bytes=(1 << 32) - 1)
    state = work(ports)
    assert state.status == "failed"
    assert "longer than the limit of 3,600 s" in state.reason
