"""Calls fetched from the local AWS, and legs that lie apart joined with the real ffmpeg."""

import tracemalloc
import uuid

import pytest

from legato.aws.library import S3Library
from legato.retrieval.download import Downloading, fetch
from tests.audio import FIXTURES, audio_of, frames_of, local_tools, tone, write_pcm
from tests.fakes import FakeLibrary
from tests.unit.test_get import NAME, Shelf, described, names


class OnS3(Shelf):
    """A shelf in a versioned bucket, with real audio on it."""

    def __init__(self, s3, stitcher, scratch):
        super().__init__()
        self.s3, self.stitcher, self.scratch = s3, stitcher, scratch
        self.bucket = f"archive-{uuid.uuid4()}"
        s3.create_bucket(Bucket=self.bucket)
        s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.library = S3Library(s3, bucket=self.bucket)

    def put(self, key, body, kept_in):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, StorageClass=kept_in)[
            "VersionId"
        ]

    def facts(self, body):
        self.scratch.write_bytes(body)
        return self.stitcher.inspect(self.scratch)[0]


@pytest.fixture
def shelf(aws_client, stitcher, tmp_path):
    return OnS3(aws_client("s3"), stitcher, tmp_path / "scratch")


def a_wave(tmp_path, seconds, *, hertz=440, channels=2):
    pcm = tone(seconds, hertz=hertz, channels=channels)
    return write_pcm(tmp_path / f"{hertz}.wav", pcm, channels=channels)


def test_segments_that_lie_apart_become_one_recording(shelf, stitcher, tmp_path):
    """Every sample of each is in it, in its place, as the manifest said it would be."""
    legs = [a_wave(tmp_path, 1, hertz=300), a_wave(tmp_path, 2.5, hertz=700)]
    row = shelf.call("d-1", *(leg.read_bytes() for leg in legs), provider="ringcx")
    folder = tmp_path / "calls"
    [got] = shelf.fetch(folder, row)
    assert got.error is None
    assert audio_of(got.file.target) == b"".join(audio_of(leg) for leg in legs)
    assert stitcher.inspect(got.file.target)[0].duration_ms == row.duration_ms == 3500
    assert names(folder) == sorted([got.file.target.name, f"{got.file.target.name}.sha256"])


def test_mp3_legs_that_lie_apart_stay_mp3(shelf, tmp_path):
    """Not one frame is encoded anew."""
    legs = [FIXTURES / "cbr-info.mp3", FIXTURES / "cbr-bare.mp3"]
    row = shelf.call("d-1", *(leg.read_bytes() for leg in legs), provider="ringcx")
    [got] = shelf.fetch(tmp_path / "calls", row)
    assert got.file.target.suffix == ".mp3"
    tools = local_tools()
    assert frames_of(got.file.target, tools) == [
        frame for leg in legs for frame in frames_of(leg, tools)
    ]


def test_legs_of_two_kinds_that_lie_apart_become_a_wav(shelf, stitcher, tmp_path):
    """Decoded; as long as both together."""
    wave = a_wave(tmp_path, 1, channels=1)
    mp3 = FIXTURES / "stereo-44k.mp3"
    row = shelf.call("d-1", mp3.read_bytes(), wave.read_bytes(), provider="ringcx")
    [got] = shelf.fetch(tmp_path / "calls", row)
    assert got.error is None
    facts, _ = stitcher.inspect(got.file.target)
    assert (facts.extension, facts.sample_rate, facts.channels) == ("wav", 44100, 2)
    assert abs(facts.duration_ms - row.duration_ms) < 20


def test_a_download_goes_on_from_the_byte_that_is_missing(shelf, tmp_path):
    """By a range of that version; a newer one makes no difference."""
    body = (FIXTURES / "cbr-info.mp3").read_bytes()
    row = shelf.call("s-1", body)
    folder = tmp_path / "calls"
    folder.mkdir()
    (folder / f"{NAME}.part").write_bytes(body[:5000])
    [key] = [one.key for one in shelf.library.listed(row.prefix) if one.key.endswith("r1.mp3")]
    shelf.put(key, b"newer", "STANDARD")
    asked = []
    shelf.s3.meta.events.register(
        "before-send.s3.GetObject",
        lambda request, **_: asked.append(request.headers.get("Range")),
    )
    [got] = shelf.fetch(folder, row)
    assert got.file.target.read_bytes() == body
    assert asked == [None, b"bytes=5000-"]


def test_memory_does_not_grow_with_what_is_fetched(tmp_path):
    """A hundred megabytes go through a few."""

    class Long(FakeLibrary):
        def _pieces(self, key, body):
            for begin in range(0, len(body), 1 << 18):
                yield body[begin : begin + (1 << 18)]

    body = bytes(100_000_000)
    library = Long()
    library.put("k", memoryview(body))
    wanted = described(body)
    tracemalloc.start()
    try:
        fetch(wanted, tmp_path / "x", Downloading(library=library, stitcher=lambda: None))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "x").stat().st_size == len(body)
    assert peak < 8_000_000
