"""How fast and how lean legs are joined, as ratios against pydub and `cat` in the same run.

Run it with: .venv/bin/python -m tests.bench.bench_join
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from legato.audio.ffmpeg import Tools
from legato.audio.stitch import FfmpegStitcher
from tests.audio import BUILT, FIXTURES, local_tools, write_pcm
from tests.bench.memory import run_measured
from tests.bench.table import Row, show

HOUR = 3600
ROUNDS = 5
_FRAME_MS = 72


def main() -> list[Row]:
    """Measure everything and return the rows. Needs a few hundred MB of disk, for 24 h some GB."""
    tools = local_tools()
    with tempfile.TemporaryDirectory(prefix="legato-bench-") as scratch:
        place = Path(scratch)
        return [*_binaries(tools), *_mp3(tools, place), *_wav(place)]


def _binaries(tools: Tools) -> Iterator[Row]:
    if tools.ffmpeg.parent == BUILT:
        size = tools.ffmpeg.stat().st_size / 1e6
        yield Row(
            what="ffmpeg layer, unzipped",
            measured=f"{size:.1f} MB",
            budget="≤ 8 MB",
            holds=size <= 8,
        )
    start = _median(lambda: _run([str(tools.ffmpeg), "-version"]), rounds=21) * 1000
    yield Row(what="ffmpeg start", measured=f"{start:.1f} ms", budget="≤ 10 ms", holds=start <= 10)


def _mp3(tools: Tools, place: Path) -> Iterator[Row]:
    leg = _mp3_leg(place / "leg.mp3", HOUR // 2)
    _, memory = _joined(place, [leg] * 4)
    rounds = [_timed(place, [leg] * 4) for _ in range(ROUNDS)]
    ours = {name: min(times[name] for times in rounds) for name in rounds[0]}
    encoder = _encoding_ffmpeg()
    peer, peer_memory = _peer(encoder or tools.ffmpeg, "mp3" if encoder else "wav", place, leg)
    what = "pydub" if encoder else "pydub without its MP3 encoding"
    ratio = peer / ours["join"]
    yield Row(
        what=f"join 2 h of MP3 in 4 legs, against {what}",
        measured=f"{ratio:.0f} x faster ({ours['join']:.3f} s; pydub {peer:.1f} s)",
        budget="≥ 50 x",
        # Without an encoder pydub is only seen doing half its work; then a miss proves nothing.
        holds=True if ratio >= 50 else (False if encoder else None),
    )
    if not encoder:
        yield Row(
            what="for the whole comparison, an ffmpeg that writes MP3 is missing",
            measured="make bench brings one",
        )
    yield _memory_row(
        "its memory, Python and ffmpeg together", memory, f"; pydub {peer_memory:.0f}"
    )
    decode = min(_decoding(tools, leg) for _ in range(ROUNDS))
    yield Row(
        what="the whole audio path of an MP3 of 30 min, against decoding it",
        measured=f"{ours['path'] / decode:.2f} x ({ours['path']:.2f} s of CPU)",
        budget="≤ 1.3 x",
        holds=ours["path"] <= 1.3 * decode,
    )
    long, long_memory = _joined(place, [_mp3_leg(place / "long.mp3", 6 * HOUR)] * 4)
    yield _same_row(f"join 24 h of MP3 ({long['join']:.2f} s): memory", long_memory, memory)


def _wav(place: Path) -> Iterator[Row]:
    leg = _wav_leg(place / "leg.wav", HOUR // 2)
    _, memory = _joined(place, [leg] * 4)
    # By turns, so that a busy moment of the machine meets both.
    pairs = [(_timed(place, [leg] * 4)["join"], _cat(place, [leg] * 4)) for _ in range(2 * ROUNDS)]
    join, cat = (min(side) for side in zip(*pairs, strict=True))
    yield Row(
        what="join 2 h of 8 kHz stereo WAV in 4 legs, against cat",
        measured=f"{join / cat:.1f} x ({join:.2f} s; cat {cat:.2f} s)",
        budget="≤ 2 x",
        holds=join <= 2 * cat,
    )
    yield _memory_row("its memory, Python and ffmpeg together", memory)
    if shutil.disk_usage(place).free < 6e9:
        yield Row(what="join 24 h of WAV", measured="not measured: needs 6 GB of disk")
        return
    long, long_memory = _joined(place, [_wav_leg(place / "long.wav", 6 * HOUR)] * 4)
    yield _same_row(f"join 24 h of WAV ({long['join']:.1f} s): memory", long_memory, memory)


def _memory_row(what: str, memory: float, more: str = "") -> Row:
    return Row(what=what, measured=f"{memory:.0f} MB{more}", budget="≤ 100 MB", holds=memory <= 100)


def _same_row(what: str, memory: float, reference: float) -> Row:
    return Row(
        what=what,
        measured=f"{memory:.0f} MB ({memory / reference - 1:+.0%})",
        budget="± 10 %",
        holds=memory <= 1.1 * reference,
    )


# What is measured, each in a process of its own.


def _timed(place: Path, legs: list[Path]) -> dict[str, float]:
    """Return seconds. The best of several rounds is what the work itself takes."""
    target = place / f"joined{legs[0].suffix}"
    times: dict[str, float] = json.loads(_run(_command("joined", target, *legs)))
    target.unlink()
    return times


def _joined(place: Path, legs: list[Path]) -> tuple[dict[str, float], float]:
    """Return seconds, with somebody looking on, and the peak memory in MB."""
    target = place / f"joined{legs[0].suffix}"
    said, memory = run_measured(_command("joined", target, *legs))
    target.unlink()
    return json.loads(said), memory


def _peer(ffmpeg: Path, form: str, place: Path, leg: Path) -> tuple[float, float]:
    target = place / f"peer.{form}"
    rounds = [run_measured(_command("pydub", target, ffmpeg, *[leg] * 4)) for _ in range(2)]
    target.unlink()
    return min(json.loads(said)["join"] for said, _ in rounds), rounds[0][1]


def _command(task: str, *paths: Path) -> list[str]:
    return [sys.executable, "-m", "tests.bench.bench_join", task, *(str(path) for path in paths)]


def work_joined(target: str, *legs: str) -> dict[str, float]:
    """Listen to one leg, and join all; return seconds, and the CPU of a leg's whole path."""
    stitcher = FfmpegStitcher(local_tools(), max_seconds=48 * HOUR)
    begun = _cpu()
    facts, _ = stitcher.inspect(Path(legs[0]))
    listened = _cpu() - begun
    began, begun = time.perf_counter(), _cpu()
    stitcher.join([(Path(leg), facts) for leg in legs], Path(target))
    joined = _cpu() - begun
    return {"join": time.perf_counter() - began, "path": listened + joined / len(legs)}


def _cpu() -> float:
    """Return the seconds of CPU of this process and of those that it has ended."""
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


def _decoding(tools: Tools, leg: Path) -> float:
    """Return the seconds of CPU that ffmpeg takes to decode a file into nothing."""
    begun = _cpu()
    reading = [tools.ffmpeg, "-v", "error", "-f", "mp3", "-i", "pipe:0"]
    with leg.open("rb") as file:
        written = ["-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"]
        subprocess.run([*reading, *written], stdin=file, stdout=subprocess.DEVNULL, check=True)
    return _cpu() - begun


def work_pydub(target: str, ffmpeg: str, *legs: str) -> dict[str, float]:
    """Join as pydub's documentation does; return seconds."""
    # It asks ffprobe too, which does not come with every ffmpeg, and goes on if that says nothing.
    probe = Path(target).parent / "ffprobe"
    probe.write_text("#!/bin/sh\necho {}\n")
    probe.chmod(0o755)
    places = (Path(ffmpeg).parent, probe.parent)
    os.environ["PATH"] = os.pathsep.join([*map(str, places), os.environ["PATH"]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
    AudioSegment.converter = ffmpeg
    began = time.perf_counter()
    whole = AudioSegment.empty()
    for leg in legs:
        whole += AudioSegment.from_mp3(leg)
    whole.export(target, format=Path(target).suffix[1:]).close()
    return {"join": time.perf_counter() - began}


def _cat(place: Path, legs: list[Path]) -> float:
    target = place / "cat"
    began = time.perf_counter()
    with target.open("wb") as file:
        subprocess.run(["cat", *legs], stdout=file, check=True)
    seconds = time.perf_counter() - began
    target.unlink()
    return seconds


def _encoding_ffmpeg() -> Path | None:
    """Find an ffmpeg that writes MP3, as pydub needs one. Ours does not."""
    candidates = [shutil.which("ffmpeg")]
    with contextlib.suppress(ImportError):
        import imageio_ffmpeg

        candidates.append(imageio_ffmpeg.get_ffmpeg_exe())
    for found in filter(None, candidates):
        if "libmp3lame" in _run([found, "-hide_banner", "-encoders"]):
            return Path(found)
    return None


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _median(act: Callable[[], object], *, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _mp3_leg(path: Path, seconds: int) -> Path:
    frames = (FIXTURES / "cbr-reservoir.mp3").read_bytes()
    path.write_bytes(frames * (seconds * 1000 // (len(frames) // 144 * _FRAME_MS)))
    return path


def _wav_leg(path: Path, seconds: int) -> Path:
    minute = random.Random(1).randbytes(60 * 8000 * 4)
    write_pcm(path, b"", channels=2)
    with path.open("r+b") as file:
        header = bytearray(file.read(44))
        size = len(minute) * (seconds // 60)
        header[4:8], header[40:44] = (36 + size).to_bytes(4, "little"), size.to_bytes(4, "little")
        file.seek(0)
        file.write(header)
        for _ in range(seconds // 60):
            file.write(minute)
    return path


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["joined", *paths]:
            sys.stdout.write(json.dumps(work_joined(*paths)))
        case ["pydub", *paths]:
            sys.stdout.write(json.dumps(work_pydub(*paths)))
        case _:
            sys.exit(not show(main(), title="Joining"))
