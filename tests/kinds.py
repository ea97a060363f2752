"""Recordings of every kind that is met, each with the length that a full ffmpeg gives it.

    python -m tests.kinds       prints the table; with a full ffmpeg on the PATH, its figures too
    python -m tests.kinds make  makes the encoded ones anew, with ffmpeg, lame and sox on the PATH

The sound is 1.7 s of a tone that rises and falls, so that every place sounds unlike every other.
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.audio import ALAW, FIXTURES, MULAW, PCM, chunk, form, riff

ENCODED = FIXTURES / "kinds"
SECONDS = 1.7
UNSUPPORTED = {
    "aac.aac": "AAC",
    "aac.m4a": "MP4",
    "f.flac": "FLAC",
    "o.ogg": "Ogg",
    "o.webm": "Matroska or WebM",
    "w.wma": "Windows Media",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A recording, and what is right of it.

    `ms` is its length, None if it is no recording; `refused` is a part of the reason then.
    `unsupported` is what it is if it is kept and not decoded, `unheard` what of it nobody hears.
    `lacks` is whether a header or a last frame promises more than there is.
    """

    name: str
    content: bytes
    ms: float | None = None
    refused: str = ""
    unsupported: str = ""
    unheard: str = ""
    lacks: bool = False


def sound(rate: int, channels: int = 1) -> bytes:
    """Return the sound as PCM16."""

    def sample(at: int, channel: int) -> int:
        t = at / rate
        turns = 1500 * t - 250 * t * t if channel else 250 * t + 300 * t * t
        level = 0.35 + 0.25 * math.sin(2 * math.pi * 1.3 * t)
        return round(32767 * 0.6 * level * math.sin(2 * math.pi * turns))

    count = round(rate * SECONDS)
    return array("h", [sample(at, one) for at in range(count) for one in range(channels)]).tobytes()


def kinds() -> list[Kind]:
    """Return all of them."""
    lengths = json.loads((ENCODED / "lengths.json").read_text())
    encoded = {name: (ENCODED / name).read_bytes() for name in sorted(lengths)}
    found = [
        Kind(name=name, content=content, ms=lengths[name], unsupported=UNSUPPORTED.get(name, ""))
        for name, content in encoded.items()
    ]
    for name in ("mp3-8000-1.mp3", "lame-vbr-16000.mp3"):
        found += _around_frames(name.removesuffix(".mp3"), encoded[name], lengths[name])
    found += _cut_mp3s(encoded["mp3-8000-1.mp3"], lengths["mp3-8000-1.mp3"])
    found += _of_several(encoded, lengths)
    found += _wavs()
    for name, content, block in (
        ("pcm", _wav(PCM, 16, sound(8000)), 2),
        ("mulaw", _wav(MULAW, 8, _mulaw()), 1),
        ("gsm", encoded["gsm.wav"], 65),
    ):
        ms = lengths["gsm.wav"] if name == "gsm" else SECONDS * 1000
        found += _sizes(name, content, block, ms)
    return [*found, *_no_recordings()]


def _id3v2(body: bytes, version: int = 4, flags: int = 0) -> bytes:
    size = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3" + bytes((version, 0, flags)) + size + body


def _picture(body: bytes) -> bytes:
    return _id3v2(b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body)


def _ape(item: bytes, flags: tuple[int, ...]) -> list[bytes]:
    size = struct.pack("<II", 2000, len(item) + 32) + (1).to_bytes(4, "little")
    return [b"APETAGEX" + size + struct.pack("<I", each) + bytes(8) for each in flags]


def _around_frames(name: str, content: bytes, ms: float) -> Iterator[Kind]:
    """Yield what stands in front of frames, behind them and between."""
    fakes = (ENCODED / "mp3-8000-1.mp3").read_bytes()[: 13 * 216]
    item = struct.pack("<II", 3, 0) + b"Artist\0Ada"
    front, back = _ape(item, (0xA0000000, 0x80000000))
    [old] = _ape(item, (0,))
    lyrics = b"LYRICSBEGININD0000210LYR00005Hello000034LYRICS200"
    text = b"<html><body><h1>502 Bad Gateway</h1></body></html>\r\n"
    id3v1 = b"TAG" + b"Call".ljust(125, b"\0")
    behind = {
        "newline": b"\n",
        "crlf": b"\r\n",
        "html": text,
        "much-html": text * 200,
        "json": b'{"errorCode": "CMN-301"}',
        "zeros": bytes(700),
        "many-zeros": bytes(200_000),
        "ff": b"\xff" * 500,
        "id3v1": id3v1,
        "id3v1-and-newline": id3v1 + b"\n",
        "id3v1-enhanced": b"TAG+" + bytes(223) + id3v1,
        "lyrics3": lyrics,
        "lyrics3-id3v1": lyrics + id3v1,
        "lyrics3v1": b"LYRICSBEGIN[00:01]Hello\r\nLYRICSEND" + id3v1,
        "ape": front + item + back,
        "ape-id3v1": front + item + back + id3v1,
        "ape-v1": item + old,
        "ape-with-frames": _ape_of(fakes),
        "id3v2": _id3v2(b"TIT2\0\0\0\5\0\0\0Call"),
        "id3v2-with-frames": _picture(fakes),
        "id3v2-with-frames-and-text": _picture(fakes) + b"\n" + text,
        "random": bytes((at * at * 31 + at * 7 + 13) % 251 for at in range(3000)),
    }
    in_front = {
        "http": b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n",
        "newline": b"\n",
        "bom": b"\xef\xbb\xbf",
        "zeros": bytes(300),
        "many-zeros": bytes(100_000),
        "part-of-a-frame": content[-70:] if name.startswith("mp3") else fakes[100:216],
        "id3v2.2": _id3v2(b"TT2\0\0\5\0Call", version=2),
        "id3v2.3": _id3v2(b"TIT2\0\0\0\5\0\0\0Call", version=3),
        "id3v2.4-footer": _id3v2(b"TIT2\0\0\0\5\0\0\0Call", flags=0x10) + b"3DI" + bytes(7),
        "two-id3v2": _id3v2(b"TIT2\0\0\0\5\0\0\0Call") * 2,
        "id3v2-padded": _id3v2(b"TIT2\0\0\0\5\0\0\0Call" + bytes(2000)),
        "picture": _picture(b"\x89PNG" + bytes(300_000)),
        "large-picture": _picture(b"\x89PNG" + bytes(3_000_000)),
        "picture-with-frames": _picture(fakes),
        "ape": front + item + back,
    }
    for what, junk in behind.items():
        yield Kind(name=f"{name}: {what} behind", content=content + junk, ms=ms)
    for what, junk in in_front.items():
        yield Kind(name=f"{name}: {what} in front", content=junk + content, ms=ms)
    at = 216 * 10 if name.startswith("mp3") else _frame_behind(content, len(content) // 2)
    for what in ("zeros", "html", "id3v2-with-frames", "id3v1", "random"):
        between = content[:at] + behind[what] + content[at:]
        yield Kind(name=f"{name}: {what} between", content=between, ms=ms)
    yield Kind(name=f"{name}: last byte missing", content=content[:-1], ms=ms, lacks=True)
    yield Kind(name=f"{name}: 9 bytes missing", content=content[:-9], ms=ms, lacks=True)


def _ape_of(fakes: bytes) -> bytes:
    item = struct.pack("<II", len(fakes), 2) + b"Cover\0" + fakes
    front, back = _ape(item, (0xA0000000, 0x80000000))
    return front + item + back


def _frame_behind(content: bytes, at: int) -> int:
    from legato.audio.mpeg import frame_of

    position = 0
    while position < at and (frame := frame_of(content[position : position + 4])):
        position += frame.size
    return position


def _cut_mp3s(content: bytes, ms: float) -> Iterator[Kind]:
    for lost in (17, 100, 211, 214, 215, 216 + 40):
        frame = 26 - lost // 216
        yield Kind(
            name=f"mp3: cut by {lost} bytes",
            content=content[:-lost],
            refused=f"cut {lost % 216} bytes before the end of frame {frame}",
        )
    yield Kind(name="mp3: cut between frames", content=content[:-216], ms=ms - 72)
    yield Kind(name="mp3: one frame", content=content[:216], refused="one frame")


def _of_several(encoded: dict[str, bytes], lengths: dict[str, float]) -> Iterator[Kind]:
    def both(*names: str) -> Kind:
        return Kind(
            name=f"{' and '.join(names)} in one",
            content=b"".join(encoded[name] for name in names),
            ms=sum(lengths[name] for name in names),
        )

    mono, stereo = "mp3-8000-1.mp3", "mp3-8000-2.mp3"
    yield both(mono, mono)
    yield both(mono, "mp3-16000-1.mp3")
    yield both("mp3-44100-2.mp3", mono)
    yield both(mono, stereo)
    yield both(stereo, mono)
    yield both(mono, stereo, mono, "mp3-16000-1.mp3", stereo)
    yield both(mono, "lame-tags-8000.mp3")
    first = _wav(PCM, 16, sound(8000))
    two = Kind(name="wav: two in one", content=first * 2, ms=SECONDS * 1000, unheard="another file")
    yield two
    info = encoded["lame-vbr-16000.mp3"][:288]
    yield Kind(name="mp3: nothing but a Xing header", content=info, refused="but a Xing header")


def _mulaw() -> bytes:
    import audioop

    return audioop.lin2ulaw(sound(8000), 2)


def _wav(tag: int, bits: int, data: bytes, rate: int = 8000, channels: int = 1) -> bytes:
    return riff(chunk(b"fmt ", form(tag, rate, channels, bits)), chunk(b"data", data))


def _wavs() -> Iterator[Kind]:
    """Yield samples that stand one by one, of all widths."""
    import audioop

    pcm, ms = sound(8000), SECONDS * 1000
    for rate in (8000, 11025, 16000, 44100, 48000):
        for channels in (1, 2):
            content = _wav(PCM, 16, sound(rate, channels), rate, channels)
            yield Kind(name=f"wav: pcm16 {rate} {channels}", content=content, ms=ms)
    for bits in (8, 24, 32):
        wide = audioop.lin2lin(pcm, 2, bits // 8)
        data = audioop.bias(wide, 1, 128) if bits == 8 else wide
        yield Kind(name=f"wav: pcm{bits}", content=_wav(PCM, bits, data), ms=ms)
    floats = array("f", (each / 32768 for each in array("h", pcm)))
    yield Kind(name="wav: float", content=_wav(3, 32, floats.tobytes()), ms=ms)
    doubles = array("d", floats)
    yield Kind(name="wav: double", content=_wav(3, 64, doubles.tobytes()), ms=ms)
    yield Kind(name="wav: A-law", content=_wav(ALAW, 8, audioop.lin2alaw(pcm, 2)), ms=ms)
    yield Kind(name="wav: µ-law", content=_wav(MULAW, 8, _mulaw()), ms=ms)
    extensible = form(0xFFFE, 8000, 1, 16) + struct.pack("<HHII", 22, 16, 4, PCM)
    extensible += bytes.fromhex("00001000800000aa00389b71")
    content = riff(chunk(b"fmt ", extensible), chunk(b"data", pcm))
    yield Kind(name="wav: extensible", content=content, ms=ms)
    wide = b"RF64\xff\xff\xff\xffWAVE" + chunk(b"ds64", struct.pack("<QQQI", 0, len(pcm), 0, 0))
    wide += chunk(b"fmt ", form(PCM, 8000, 1, 16)) + b"data\xff\xff\xff\xff" + pcm
    yield Kind(name="wav: RF64", content=wide, ms=ms)
    tagged = _id3v2(b"TIT2\0\0\0\5\0\0\0Call") + _wav(PCM, 16, pcm)
    yield Kind(name="wav: ID3v2 in front", content=tagged, ms=ms)
    header = struct.pack("<HHIIHHH", 0x45, 1, 8000, 9000, 9, 9, 0)
    odd = riff(chunk(b"fmt ", header), chunk(b"data", bytes(9000)))
    name = "adpcm_g726 that cannot be decoded"
    yield Kind(name="wav: G.726 of nine bits", content=odd, ms=1000, unsupported=name)
    for tag, name in ((0x22, "TrueSpeech"), (0x0111 + 1, "format 0x0112")):
        content = _wav(tag, 16, bytes(3000))
        yield Kind(name=f"wav: {name}", content=content, ms=3000 / 16, unsupported=name)


def _sizes(name: str, content: bytes, block: int, ms: float) -> Iterator[Kind]:
    """Yield headers that say another length than there is, and what stands around the audio."""
    at = content.index(b"data") + 4
    size = int.from_bytes(content[at : at + 4], "little")
    front, audio = content[: at - 4], content[at + 4 : at + 4 + size]
    a_second = size * 1000 / ms

    def of(stated: int, more: bytes = b"") -> bytes:
        return front + b"data" + struct.pack("<I", stated) + audio + more

    for stated in (0, 0x7FFFFFFF, 0x7FFFF000, 0x7FFFEFC2, 1 << 31, 0xFFFFFF9B, 0xFFFFFFFF):
        yield Kind(name=f"{name}: size {stated:#x}", content=of(stated), ms=ms)
    for more in (1, 2, 44, size, 1 << 28):
        yield Kind(name=f"{name}: size {more:+}", content=of(size + more), ms=ms, lacks=True)
    for less in (block, size // block // 4 * block, size // block * 3 // 4 * block):
        if less > 64:
            yield Kind(name=f"{name}: size {-less:+}", content=of(size - less), ms=ms)
    pad = bytes(size % 2)
    behind = {
        "newline": b"\n",
        "list": pad + chunk(b"LIST", b"INFOISFT" + bytes(9)),
        "list-unpadded": chunk(b"LIST", b"INFOISFT" + bytes(8)),
        "id3": pad + chunk(b"id3 ", _id3v2(b"TIT2\0\0\0\5\0\0\0Call")),
        "cut-list": pad + b"LIST\x40\0\0\0INFO",
        "zeros": bytes(5000),
        "html": b"<html><body><h1>502 Bad Gateway</h1></body></html>\r\n" * 4,
    }
    for what, junk in behind.items():
        yield Kind(name=f"{name}: {what} behind", content=of(size, junk), ms=ms)
    in_front = {
        "junk": chunk(b"JUNK", bytes(3_000_001)),
        "bext": chunk(b"bext", bytes(603)),
        "odd": b"LIST\5\0\0\0INFO\1",
        "many": chunk(b"note", b"x") * 5000,
        "zeros": bytes(36),
    }
    for what, junk in in_front.items():
        yield Kind(
            name=f"{name}: {what} in front", content=of(size)[:12] + junk + of(size)[12:], ms=ms
        )
    lost = size // block // 2 * block
    yield Kind(
        name=f"{name}: cut", content=of(size)[:-lost], ms=ms - lost / a_second * 1000, lacks=True
    )


def _no_recordings() -> Iterator[Kind]:
    fmt = chunk(b"fmt ", form(PCM, 8000, 1, 16))
    for name, content, refused in (
        ("empty", b"", "empty"),
        ("html", b"<!DOCTYPE html><title>Sign in</title>", "an HTML page"),
        ("json", b'{"errorCode": "CMN-102"}', "JSON"),
        ("playlist", b"#EXTM3U\nfile:///etc/passwd\n", "a playlist"),
        ("concat list", b"ffconcat version 1.0\nfile /etc/passwd\n", "a playlist"),
        ("subtitles", b"1\n00:00:01,000 --> 00:00:02,000\nHello\n", "text"),
        ("zeros", bytes(4000), "zeros"),
        ("png", b"\x89PNG\r\n\x1a\n" + bytes(9000), "a PNG image"),
        ("avi", b"RIFF\0\0\0\0AVI LIST" + bytes(5000), "a RIFF file without a wave"),
        ("id3 of 256 MB", b"ID3\4\0\0\x7f\x7f\x7f\x7fTIT2" + bytes(5000), "an ID3 tag"),
        ("wav: header", riff(fmt), "ends in front of its audio"),
        ("wav: no form", riff(chunk(b"data", bytes(90))), "no `fmt ` chunk"),
        ("wav: no samples", riff(fmt, chunk(b"data", b"")), "holds no audio"),
        ("wav: 4 GB in 100 bytes", riff(b"JUNK\xff\xff\xff\xff" + bytes(80)), "no `fmt ` chunk"),
        ("wav: 65,535 channels", _absurd(), "65535 channels"),
    ):
        yield Kind(name=name, content=content, refused=refused)


def _absurd() -> bytes:
    header = struct.pack("<HHIIHH", PCM, 65535, 8000, 16000, 2, 16)
    return riff(chunk(b"fmt ", header), chunk(b"data", bytes(999)))


def full_length(path: Path, tool: str) -> float | None:
    """Return what a full ffmpeg decodes of a file, in milliseconds; None if nothing."""
    decoding = [tool, "-v", "error", "-i", str(path), "-map", "0:a:0", "-ar", "8000", "-ac", "1"]
    pcm = subprocess.run([*decoding, "-f", "s16le", "-"], capture_output=True, check=False).stdout
    return len(pcm) / 16 or None


def _encoders() -> Iterator[tuple[str, str, int]]:
    """Yield a file, the command that makes it of a WAV, and the channels of that."""
    bare = "ffmpeg -i {} -bitexact -id3v2_version 0 -ar"
    for rate in (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000):
        kbit = 40 if rate >= 32000 else 24
        for channels in (1, 2):
            coding = f"{rate} -c:a libmp3lame -b:a {kbit}k -write_xing 0"
            yield f"mp3-{rate}-{channels}.mp3", f"{bare} {coding} FILE", channels
    yield "vbr-xing-8000.mp3", f"{bare} 8000 -c:a libmp3lame -q:a 5 FILE", 1
    yield "vbr-xing-44100-2.mp3", f"{bare} 44100 -c:a libmp3lame -q:a 6 FILE", 2
    for name, options, channels in (
        ("lame-8000", "--resample 8 -m m -b 16", 1),
        ("lame-vbr-16000", "--resample 16 -V 6", 1),
        ("lame-abr-11025", "--abr 24 --resample 11.025", 1),
        ("lame-crc-16000", "-b 32 -p --resample 16", 1),
        ("lame-stereo-32000", "-b 64 -m s --resample 32", 2),
        ("lame-joint-32000", "-b 64 -m j --resample 32", 2),
        ("lame-bare-8000", "-b 24 --resample 8 -t --nores", 1),
        ("lame-tags-8000", "-b 16 --resample 8 --add-id3v2 --tt Call --ta Ada", 1),
    ):
        yield f"{name}.mp3", f"lame --quiet {options} {{}} FILE", channels
    for rate in (16000, 22050, 32000, 44100):
        yield f"mp2-{rate}.mp2", f"{bare} {rate} -c:a mp2 -b:a 48k FILE", 1
    yield "mp2-32000-2.mp2", f"{bare} 32000 -c:a mp2 -b:a 64k FILE", 2
    for codec in ("adpcm_ms", "adpcm_ima_wav"):
        for rate in (8000, 16000):
            yield f"{codec}-{rate}.wav", f"{bare} {rate} -c:a {codec} FILE", 1
    yield "adpcm_ima_wav-8000-2.wav", f"{bare} 8000 -c:a adpcm_ima_wav FILE", 2
    yield "g722.wav", f"{bare} 16000 -c:a g722 FILE", 1
    for rate in (16, 24, 32, 40):
        yield f"g726-{rate}k.wav", f"{bare} 8000 -c:a g726 -b:a {rate}k FILE", 1
    yield "g723.wav", f"{bare} 8000 -c:a g723_1 -b:a 6.3k FILE", 1
    yield "gsm.wav", "sox {} -r 8000 -e gsm-full-rate FILE", 1
    yield "gsm-pipe.wav", "sh -c 'sox {} -r 8000 -e gsm-full-rate -t wav - > FILE'", 1
    yield "mp3-in.wav", f"{bare} 8000 -c:a libmp3lame -b:a 16k -write_xing 0 FILE", 1
    yield "mp2-in.wav", f"{bare} 16000 -c:a mp2 -b:a 32k FILE", 1
    for name, coding in (
        ("aac.m4a", "8000 -c:a aac -b:a 16k"),
        ("aac.aac", "8000 -c:a aac -b:a 16k"),
        ("f.flac", "8000 -c:a flac"),
        ("o.ogg", "48000 -c:a libopus -b:a 12k"),
        ("o.webm", "48000 -c:a libopus -b:a 12k"),
        ("w.wma", "16000 -c:a wmav2 -b:a 24k"),
    ):
        yield name, f"{bare} {coding} FILE", 1


def make() -> None:
    """Make the encoded ones, and write down how long a full ffmpeg says that they are."""
    lengths = {}
    with tempfile.TemporaryDirectory() as scratch:
        sources = [Path(scratch) / f"{channels}.wav" for channels in (1, 2)]
        for channels, source in enumerate(sources, 1):
            source.write_bytes(_wav(PCM, 16, sound(48000, channels), 48000, channels))
        for name, command, channels in _encoders():
            path = ENCODED / name
            path.unlink(missing_ok=True)
            said = command.format(sources[channels - 1]).replace("FILE", str(path))
            subprocess.run(shlex.split(said), check=True, stderr=subprocess.DEVNULL)
            lengths[name] = full_length(path, "ffmpeg")
    (ENCODED / "lengths.json").write_text(json.dumps(lengths, indent=1) + "\n")


def main() -> None:
    """Print the table."""
    from legato.audio.stitch import FfmpegStitcher
    from legato.errors import LegatoError
    from tests.audio import local_tools

    stitcher, full = FfmpegStitcher(local_tools()), shutil.which("ffmpeg")
    for kind in kinds():
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "leg"
            path.write_bytes(kind.content)
            try:
                facts, _ = stitcher.inspect(path)
                said = f"{facts.duration_ms:>6} ms {facts.unheard or ''}"
            except LegatoError as error:
                said = f"refused: {error}"
            theirs = full_length(path, full) if full else None
        figure = f"{theirs:>6.0f}" if theirs else "     -"
        sys.stdout.write(f"{kind.name:44} {figure} {said}\n")


if __name__ == "__main__":
    make() if sys.argv[1:] == ["make"] else main()
