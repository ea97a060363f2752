"""Runs ffmpeg on bytes that nobody trusts.

A recording comes from outside. So ffmpeg is told what it reads and never guesses, opens nothing but
files and pipes, has only the decoders of recordings, sees none of our environment (where a Lambda
keeps its credentials), and is ended when it takes too long, writes too much or wants too much
memory.
"""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from legato.audio.formats import Format
from legato.errors import Failed, TooLarge

LAYER = Path("/opt/bin")
"""Where a Lambda layer's binaries are."""

# MP3 and what is met inside WAV files of telephony.
_DECODERS = (
    "mp3float,mp3,pcm_s16le,pcm_mulaw,pcm_alaw,pcm_u8,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,"
    "adpcm_ima_wav,adpcm_ms,gsm_ms"
)
_GUARD = ("-protocol_whitelist", "file,pipe", "-codec_whitelist", _DECODERS)
_MEMORY = 1 << 30
_STDERR_TAIL = 2000


class FfmpegFailed(Failed):
    """ffmpeg ended with an error; the message is the end of what it wrote."""


class TimedOut(Failed):
    """ffmpeg was ended because it ran for too long."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The two binaries, by absolute path."""

    ffmpeg: Path
    ffprobe: Path


def find_tools(directories: Iterable[Path]) -> Tools:
    """Return ffmpeg and ffprobe of the first directory that has both.

    Raises Failed, naming the directories, when none has.
    """
    looked = []
    for directory in directories:
        tools = Tools((directory / "ffmpeg").absolute(), (directory / "ffprobe").absolute())
        if tools.ffmpeg.is_file() and tools.ffprobe.is_file():
            return tools
        looked.append(str(directory))
    raise Failed(
        f"no ffmpeg with ffprobe in {', '.join(looked) or 'any place'}: "
        "build it with `make -C layers/ffmpeg`"
    )


def reading(path: Path, form: Format, *options: str) -> list[str]:
    """Return the arguments that open a recording as `form` and as nothing else."""
    # The prefix makes any name a file: one with a colon is no protocol, one with a dash no option.
    return [*_GUARD, *options, "-f", form, "-i", f"file:{path.absolute()}"]


def reading_list(form: Format) -> list[str]:
    """Return the arguments that open the concat list on standard input, of files of one format.

    The list is ours, so its absolute paths are safe; what it names must still be of that format.
    """
    return [
        *_GUARD,
        "-format_whitelist",
        f"concat,{form}",
        "-safe",
        "0",
        "-f",
        "concat",
        "-i",
        "pipe:0",
    ]


class Ffmpeg:
    """Runs the binaries. `timeout` is seconds of wall clock, `max_output` bytes of one file."""

    def __init__(self, tools: Tools, *, timeout: float, max_output: int) -> None:
        self._tools = tools
        self._timeout = timeout
        self._max_output = max_output

    def probe(self, arguments: Sequence[str]) -> str:
        """Run ffprobe and return what it prints. Raises as `run` does."""
        with self._running(
            [str(self._tools.ffprobe), "-hide_banner", "-v", "error", *arguments]
        ) as out:
            return out.read(1 << 20).decode()

    def run(
        self, arguments: Sequence[str], *, feed: bytes = b"", output: IO[bytes] | None = None
    ) -> str:
        """Run ffmpeg with `feed` as its input, and return what it prints, up to 1 MiB.

        With `output`, an open file, what it prints goes there instead. Raises FfmpegFailed with
        its reason, TimedOut, or TooLarge when the file it writes grows over the limit.
        """
        with self._running(self._command(arguments), feed, output) as out:
            # The end matters: progress is reported again and again, and the last report counts.
            return "" if output is not None else _last(out, 1 << 20).decode(errors="replace")

    @contextmanager
    def stream(self, arguments: Sequence[str]) -> Iterator[IO[bytes]]:
        """Run ffmpeg and hand out the pipe it writes to. Raises as `run` does, at the end."""
        with self._running(self._command(arguments)) as out:
            yield out

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [
            str(self._tools.ffmpeg),
            "-nostdin",
            "-hide_banner",
            "-nostats",
            "-v",
            "error",
            *arguments,
        ]

    @contextmanager
    def _running(
        self, command: list[str], feed: bytes = b"", output: IO[bytes] | None = None
    ) -> Iterator[IO[bytes]]:
        # Files, not pipes, for the small streams: neither side can block the other.
        with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as given:
            given.write(feed)
            given.seek(0)
            try:
                process = subprocess.Popen(
                    command,
                    stdin=given,
                    stdout=output or subprocess.PIPE,
                    stderr=errors,
                    env={},
                    cwd="/",
                )
            except OSError as error:
                raise Failed(f"{command[0]} cannot be started: {error.strerror}") from error
            self._limit(process.pid)
            expired = threading.Event()

            def end() -> None:
                expired.set()
                process.kill()

            clock = threading.Timer(self._timeout, end)
            clock.start()
            try:
                yield process.stdout or errors
                process.wait()
            finally:
                clock.cancel()
                process.kill()
                process.wait()
                if process.stdout:
                    process.stdout.close()
            self._judge(process.returncode, expired.is_set(), errors)

    def _limit(self, pid: int) -> None:
        # Set from outside: code between fork and exec is not safe where threads run.
        if not hasattr(resource, "prlimit"):
            return
        for limit, value in (
            (resource.RLIMIT_AS, _MEMORY),
            (resource.RLIMIT_FSIZE, self._max_output),
            (resource.RLIMIT_CORE, 0),
        ):
            try:
                resource.prlimit(pid, limit, (value, value))
            except ProcessLookupError:
                return  # it has ended already

    def _judge(self, code: int, expired: bool, errors: IO[bytes]) -> None:
        if expired and code:
            raise TimedOut(f"ffmpeg did not end within {self._timeout:g} s")
        if code == -signal.SIGXFSZ:
            raise TooLarge(f"the audio grows over the limit of {self._max_output:,} bytes")
        if code:
            errors.seek(0, 2)
            errors.seek(max(0, errors.tell() - _STDERR_TAIL))
            said = re.sub(
                r"\[(\w+) @ 0x[0-9a-f]+\] ", r"\1: ", errors.read().decode(errors="replace")
            )
            raise FfmpegFailed(
                f"ffmpeg ended with {code}: {' / '.join(said.split('\n')).strip(' /')}"
            )


def _last(pipe: IO[bytes], size: int) -> bytes:
    kept = b""
    while piece := pipe.read(65536):
        kept = (kept + piece)[-size:]
    return kept
