"""What is heard of recordings that pass by, with the real ffmpeg for what needs one."""

from __future__ import annotations

import os
import struct
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, cycle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from legato.audio.ffmpeg import Ffmpeg, FfmpegFailed, TimedOut, Tools, find_tools
from legato.audio.listen import _PLAIN
from legato.audio.riff import header, pcm16
from legato.audio.stitch import FfmpegStitcher
from legato.errors import DamagedAudio, Failed, NotAudio, TooLarge
from tests.audio import (
    ALAW,
    FIXTURES,
    MULAW,
    PCM,
    chunk,
    form,
    gsm,
    ima_adpcm,
    mp3_in_wav,
    riff,
    tone,
    write_wav,
)

BARE = (FIXTURES / "cbr-bare.mp3").read_bytes()
FORM = chunk(b"fmt ", form(PCM, 8000, 1, 16))
DATA = chunk(b"data", tone(1.5))
HEAD = 4096
FLOAT, EXTENSIBLE = 3, 0xFFFE


@pytest.fixture(scope="module")
def alone():
    """Give a stitcher that has no ffmpeg at all."""
    nowhere = Path("/nowhere")
    return FfmpegStitcher(Tools(nowhere / "ffmpeg"))


def listened(stitcher, content, sizes=(1000,)):
    with stitcher.listen(content[:HEAD]) as listener:
        at, pieces = 0, cycle(sizes)
        while at < len(content):
            size = next(pieces)
            listener.hear(content[at : at + size])
            at += size
        return listener.heard()


def looked_at(stitcher, tmp_path, content):
    path = tmp_path / "leg"
    path.write_bytes(content)
    return stitcher.inspect(path)


def wav(tag, bits, channels=2, rate=8000, *, extensible=False):
    """Return a WAV of two seconds and a bit, whose length ends within a tenth of a second."""
    samples = tone(2.05, rate=rate, channels=channels)
    data = (samples * 4)[: len(samples) * bits // 16]
    head = form(tag, rate, channels, bits)
    if extensible:
        numbers = struct.pack("<HHII", 22, bits, 0, tag)
        head = struct.pack("<H", EXTENSIBLE) + head[2:] + numbers
        head += bytes.fromhex("00001000800000aa00389b71")
    return riff(chunk(b"fmt ", head), chunk(b"data", data))


SAMPLES = [(PCM, 16), (PCM, 8), (PCM, 24), (PCM, 32), (MULAW, 8), (ALAW, 8)]
RECORDINGS = {
    **{f"{tag}-{bits}": wav(tag, bits) for tag, bits in [*SAMPLES, (FLOAT, 32), (FLOAT, 64)]},
    "mono": wav(PCM, 16, 1, 11025),
    "three-channels": wav(PCM, 16, 3),
    "twelve-bits": wav(PCM, 16, 1).replace(form(PCM, 8000, 1, 16), form(PCM, 8000, 1, 12)),
    "extensible": wav(PCM, 24, extensible=True),
    "extensible-mulaw": wav(MULAW, 8, extensible=True),
    "extensible-float": wav(FLOAT, 32, extensible=True),
    "adpcm": ima_adpcm(200),
    "long-adpcm": ima_adpcm(2000),
    "gsm": gsm(300),
    "mp3-in-wav": mp3_in_wav(BARE * 3),
    "ends-within-a-sample": riff(FORM, b"data" + struct.pack("<I", 0) + tone(0.5)[:-1]),
    **{path.stem: path.read_bytes() for path in sorted(FIXTURES.glob("*.mp3"))},
    "long-mp3": BARE * 40,
    "long-float": riff(chunk(b"fmt ", form(FLOAT, 8000, 1, 32)), chunk(b"data", tone(30))),
}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["1-16", "1-24", "7-8", "mono", "adpcm", "cbr-info", "id3v2", "long-mp3"]),
    st.lists(st.integers(1, 9000), min_size=1, max_size=20),
)
def test_it_makes_no_difference_in_which_pieces_a_recording_comes(stitcher, name, sizes):
    """A network cuts where it likes."""
    content = RECORDINGS[name]
    assert listened(stitcher, content, sizes) == listened(stitcher, content, [len(content)])


@pytest.mark.parametrize("name", ["1-16", "1-24", "adpcm", "cbr-info", "vbr-xing"])
def test_a_recording_may_come_byte_by_byte(stitcher, name):
    """Nor may they come too small."""
    content = RECORDINGS[name]
    assert listened(stitcher, content, [1]) == listened(stitcher, content)


@pytest.mark.parametrize(
    "name", [f"{tag}-{bits}" for tag, bits in SAMPLES] + ["extensible", "extensible-mulaw"]
)
def test_plain_samples_need_no_ffmpeg(alone, stitcher, name):
    """Eight recordings at once are heard by one process."""
    content = RECORDINGS[name]
    assert listened(alone, content) == listened(stitcher, content)
    with pytest.raises(Failed, match="cannot be started"):
        listened(alone, RECORDINGS["adpcm"])


@pytest.mark.parametrize(("tag", "bits"), SAMPLES)
def test_samples_become_pcm16_as_ffmpeg_makes_them(tools, tmp_path, tag, bits):
    """Every µ-law and A-law byte there is, and values of all sizes."""
    data = bytes(range(256)) * 12 + os.urandom(6000)
    path = write_wav(tmp_path / "leg", data, tag=tag, bits=bits)
    decoding = ["-f", "wav", "-i", "pipe:0", "-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"]
    with Ffmpeg(tools, timeout=10).fed(decoding) as fed:
        pcm = b"".join(chain(fed.give(path.read_bytes()), fed.end()))
    facts, _ = FfmpegStitcher(tools).inspect(path)
    _, to_pcm16 = _PLAIN[facts.codec]
    assert to_pcm16(data) == pcm


@pytest.mark.parametrize(
    "content",
    [
        riff(chunk(b"LIST", b"INFOodd"), FORM, chunk(b"fact", bytes(4)), DATA),
        riff(chunk(b"bext", bytes(603)), chunk(b"JUNK", bytes(70_001)), FORM, DATA),
        riff(FORM, chunk(b"bext", bytes(602)), DATA, chunk(b"LIST", b"INFO" + bytes(30))),
        riff(FORM, DATA, chunk(b"junk", tone(0.3)), chunk(b"id3 ", bytes(99))),
        riff(chunk(b"fmt ", form(PCM, 8000, 1, 16)[:16] + bytes(24)), DATA),
        header(pcm16(8000, 1), 24_000, 12_000, wide=True) + tone(1.5),
        header(pcm16(8000, 1), 24_000, 12_000, wide=True) + tone(1.5) + chunk(b"LIST", b"INFO"),
        riff(FORM) + b"data" + struct.pack("<I", 24_044) + tone(1.5),
        *(
            riff(FORM) + b"data" + struct.pack("<I", size) + tone(1.5)
            for size in (0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
        ),
    ],
)
def test_chunks_stand_where_they_like(alone, stitcher, tmp_path, content):
    """In front of the audio, between, behind, of odd length, or with a length left open."""
    facts, levels = listened(alone, content, [7, 500])
    assert facts.duration_ms == 1500
    assert (facts, levels) == looked_at(stitcher, tmp_path, content)


def test_what_stands_in_front_of_the_audio_is_not_held(alone):
    """However much it is."""
    content = riff(chunk(b"JUNK", bytes(40 << 20)), FORM, DATA)
    with alone.listen(content[:HEAD]) as listener:
        tracemalloc.start()
        for at in range(0, len(content), 1 << 18):
            listener.hear(content[at : at + (1 << 18)])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        facts, _ = listener.heard()
    assert (facts.duration_ms, facts.beside) == (1500, {"JUNK chunk": 8 + (40 << 20)})
    assert peak < 4 << 20


@pytest.mark.parametrize("cut", [30, 44])
def test_a_header_that_is_cut_is_damaged(alone, cut):
    """Nothing but a header is no recording."""
    with pytest.raises(DamagedAudio):
        listened(alone, riff(FORM, DATA)[:cut])


@pytest.mark.parametrize("name", ["1-16", "7-8", "adpcm", "3-32"])
def test_every_wav_that_is_cut_says_what_it_lacks(stitcher, name):
    """Whatever its codec, the header promises more than came."""
    whole, _ = listened(stitcher, RECORDINGS[name])
    cut, _ = listened(stitcher, RECORDINGS[name][:-6144])
    assert cut.duration_ms + cut.lacks_ms == pytest.approx(whole.duration_ms, abs=2)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><title>Sign in</title>" + b"<p>" * 5000, "an HTML page"),
        (b'{"errorCode": "CMN-102"}', "JSON"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "a playlist"),
        (b"RIFF\0\0\0\0AVI " + bytes(5000), "a RIFF file without a wave"),
        (b"\x89PNG" + os.urandom(20) + bytes(5000), "a PNG image"),
        (b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + b"ffconcat version 1.0\n" * 500, "an ID3 tag"),
        (bytes(4000), "zeros"),
    ],
)
def test_what_is_no_audio_is_refused_by_its_first_bytes(alone, head, name):
    """And the reason names what it looks like; no byte has been asked to be heard."""
    with pytest.raises(NotAudio, match=name), alone.listen(head[:HEAD]):
        pytest.fail("it was listened to")


@pytest.mark.parametrize("size", [5000, 100_000, 2_000_000])
def test_an_mp3_behind_a_picture_is_heard(stitcher, size):
    """A tag that is longer than the first bytes hides what comes behind it, and is not held."""
    length = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    tag = b"ID3\4\0\0" + length + bytes(size)
    facts, levels = listened(stitcher, tag + BARE)
    assert facts.beside == {"ID3v2 tag": 10 + size}
    assert (replace(facts, beside={}), levels) == listened(stitcher, BARE)
    with pytest.raises(NotAudio, match="ID3 tag without"):
        listened(stitcher, tag + b"<html>Sorry</html>" * 9000)


def test_zeros_alone_are_no_audio(alone):
    """Zeros may stand in front of a recording, but one must come."""
    with pytest.raises(NotAudio, match="zeros"):
        listened(alone, bytes(200_000))


@pytest.mark.parametrize("name", ["1-16", "7-8", "long-float", "long-mp3"])
def test_too_long_a_recording_is_refused_while_it_is_heard(tools, name):
    """Whoever pays for what is stored need not wait for the end."""
    limited = FfmpegStitcher(tools, max_seconds=1)
    content = RECORDINGS[name]
    with (
        limited.listen(content[:HEAD]) as listener,
        pytest.raises(TooLarge, match="longer than the limit of 1 s"),
    ):
        listener.hear(content)


def children():
    """Return the processes that this one has started, of all its threads."""
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


@pytest.mark.parametrize("name", ["long-mp3", "long-adpcm"])
def test_nothing_is_left_behind(stitcher, tools, name):
    """Neither a process nor a thread, whether all was heard, it was left early or went wrong."""
    content, threads, before = RECORDINGS[name], threading.active_count(), children()

    def listen(stitcher, fails):
        with stitcher.listen(content[:HEAD]) as listener:
            listener.hear(content)
            assert children() > before
            if fails:
                raise OSError("the network is gone")

    listen(stitcher, fails=False)
    with pytest.raises(OSError, match="network"):
        listen(stitcher, fails=True)
    with pytest.raises(TooLarge):
        listen(FfmpegStitcher(tools, max_seconds=1), fails=False)
    assert (children(), threading.active_count()) == (before, threads)


def test_a_recording_that_makes_ffmpeg_complain_a_lot_is_still_heard(stitcher):
    """It says more than a pipe holds; nobody waits for the other, and nothing of it is kept."""
    content = bytearray(BARE * 60)
    for at in range(0, len(content), 288):
        content[at + 4 : at + 144] = b"\xaa" * 140
    facts, _ = listened(stitcher, bytes(content), [65536])
    assert facts.duration_ms == 60 * 2448


@pytest.fixture
def posing(tmp_path):
    """Give an Ffmpeg whose binary is a shell script."""

    def pose(script, timeout=10):
        (tmp_path / "ffmpeg").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "ffmpeg").chmod(0o755)
        return Ffmpeg(find_tools([tmp_path]), timeout=timeout)

    return pose


def test_ffmpeg_sees_nothing_of_our_environment_when_it_is_fed(posing, monkeypatch):
    """A Lambda's environment holds its credentials; the child that reads strange bytes has none."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with posing("/usr/bin/env").fed([]) as fed:
        said = b"".join(fed.end()).decode()
    assert {line.partition("=")[0] for line in said.splitlines()} <= {"PWD", "SHLVL", "_"}


@pytest.mark.parametrize(
    "script", ["exec /bin/sleep 60", "/bin/cat >/dev/null; exec /bin/sleep 60"]
)
def test_an_ffmpeg_that_hangs_is_ended(posing, script):
    """It takes nothing more, or takes all and does not end."""
    before = children()
    with posing(script, 0.2).fed([]) as fed, pytest.raises(TimedOut, match=r"longer than 0\.2 s"):
        list(chain(fed.give(bytes(200_000)), fed.end()))
    assert children() == before


def test_an_ffmpeg_that_fails_says_why(posing):
    """Only its complaints are told, and as soon as it is gone."""
    script = "echo '[info] a title' >&2; echo '[wav @ 0x5f] [error] no good' >&2; exit 3"
    reason = r"^ffmpeg ended with 3: wav: no good$"
    with posing(script).fed([]) as fed, pytest.raises(FfmpegFailed, match=reason):
        list(fed.give(bytes(200_000)))


def heard_endlessly(stitcher, head, block, times):
    with stitcher.listen((head + block)[:HEAD]) as listener:
        listener.hear(head)
        tracemalloc.start()
        for _ in range(times):
            listener.hear(block)
        facts, _ = listener.heard()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return facts.duration_ms, peak


@pytest.mark.parametrize("tag", [PCM, FLOAT, None], ids=["pcm", "float", "mp3"])
def test_memory_does_not_grow_with_a_recording(stitcher, tag):
    """Ten times as long takes what it took before: the picture, and a piece or two."""
    if tag:
        bits = 16 if tag == PCM else 32
        head = riff(chunk(b"fmt ", form(tag, 8000, 2, bits))) + b"data\xff\xff\xff\xff"
        block = bytes(tone(4, channels=2) * 2)
    else:
        head, block = b"", BARE * 20
    short, little = heard_endlessly(stitcher, head, block, 20)
    long, much = heard_endlessly(stitcher, head, block, 200)
    assert long == 10 * short
    assert much < 4 << 20
    assert much < little + (1 << 20)


def test_several_are_heard_at_once(stitcher):
    """Each is heard as if it were alone."""
    names = ["1-16", "7-8", "long-mp3", "adpcm", "cbr-info", "mono", "gsm", "3-32"]
    with ThreadPoolExecutor(len(names)) as threads:
        together = list(threads.map(lambda name: listened(stitcher, RECORDINGS[name]), names))
    assert together == [listened(stitcher, RECORDINGS[name]) for name in names]
