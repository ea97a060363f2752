"""Audio for tests and benchmarks: made here, or real MP3 frames from tests/fixtures/audio."""

from __future__ import annotations

import math
import os
import struct
import subprocess
import wave
from array import array
from pathlib import Path

from legato.audio.ffmpeg import Tools, find_tools

ROOT = Path(__file__).parent.parent
FIXTURES = Path(__file__).parent / "fixtures" / "audio"
BUILT = ROOT / "layers" / "ffmpeg" / "build" / "bin"

PCM, ALAW, MULAW, IMA_ADPCM, GSM = 1, 6, 7, 0x11, 0x31


def local_tools() -> Tools:
    """Return the built ffmpeg, else one on the PATH. Raises Failed, saying what to run."""
    return find_tools([BUILT, *(Path(place) for place in os.get_exec_path())])


def tone(
    seconds: float, *, rate: int = 8000, channels: int = 1, level: float = 0.3, hertz: float = 440
) -> bytes:
    """Return PCM16 of a sine wave, the same in all channels. `level` 1.0 is full scale."""
    wave_of = (
        round(level * 32767 * math.sin(2 * math.pi * hertz * at / rate))
        for at in range(round(seconds * rate))
    )
    return array("h", (sample for sample in wave_of for _ in range(channels))).tobytes()


def write_pcm(path: Path, pcm: bytes, *, rate: int = 8000, channels: int = 1) -> Path:
    """Write a PCM16 WAV as the standard library does."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a RIFF chunk with its padding."""
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def form(tag: int, rate: int, channels: int, bits: int) -> bytes:
    """Return the body of a `fmt ` chunk whose samples stand one by one."""
    block = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)


def riff(*chunks: bytes) -> bytes:
    """Return a WAV file of these chunks."""
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def write_wav(
    path: Path, data: bytes, *, tag: int = PCM, bits: int = 16, channels: int = 1
) -> Path:
    """Write a WAV of any codec whose samples stand one by one, at 8 kHz."""
    path.write_bytes(riff(chunk(b"fmt ", form(tag, 8000, channels, bits)), chunk(b"data", data)))
    return path


def ima_adpcm(blocks: int) -> bytes:
    """Return a WAV of IMA ADPCM: blocks of 256 bytes with 505 samples each, at 8 kHz."""
    header = struct.pack("<HHIIHHHH", IMA_ADPCM, 1, 8000, 4055, 256, 4, 2, 505)
    body = b"".join(bytes(4) + bytes([at % 256]) * 252 for at in range(blocks))
    return riff(chunk(b"fmt ", header), chunk(b"data", body))


def gsm(blocks: int) -> bytes:
    """Return a WAV of Microsoft's GSM 6.10: blocks of 65 bytes with 320 samples, at 8 kHz."""
    header = struct.pack("<HHIIHHHH", GSM, 1, 8000, 1625, 65, 0, 2, 320)
    return riff(chunk(b"fmt ", header), chunk(b"data", bytes(65 * blocks)))


def mp3_in_wav(mp3: bytes) -> bytes:
    """Return a WAV that holds MP3 frames, as some recorders write."""
    header = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 8000, 2000, 1, 0, 12, 1, 2, 144, 1, 1393)
    return riff(chunk(b"fmt ", header), chunk(b"data", mp3))


def audio_of(path: Path) -> bytes:
    """Return the bytes of a WAV's `data` chunk, found without the code under test."""
    content = path.read_bytes()
    at = 12
    while content[at : at + 4] != b"data":
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    size = int.from_bytes(content[at + 4 : at + 8], "little")
    return content[at + 8 : at + 8 + size]


def frames_of(path: Path, tools: Tools) -> list[tuple[str, str]]:
    """Return size and checksum of every encoded frame, as ffmpeg's framecrc lists them."""
    reading = ["-f", "wav" if path.read_bytes()[:4] == b"RIFF" else "mp3", "-i", "pipe:0"]
    said = subprocess.run(
        [tools.ffmpeg, "-v", "error", *reading, "-c", "copy", "-f", "framecrc", "pipe:1"],
        input=path.read_bytes(),
        check=True,
        capture_output=True,
    )
    assert not said.stderr, "the file is read without a word"
    rows = [line.split(",") for line in said.stdout.decode().splitlines() if line[0] != "#"]
    return [(row[4].strip(), row[5].strip()) for row in rows]
