"""Runs ffmpeg on bytes that nobody trusts.

A recording comes from outside. So ffmpeg is told what it reads and never guesses, opens nothing but
files and pipes, has only the decoders of recordings, sees none of our environment (where a Lambda
keeps its credentials), and is ended when it takes too long, writes too much or wants too much
memory. The layer's is started by ffmpeg-sandbox (layers/ffmpeg/sandbox.c), which sets the limits
before it begins, and takes the network and other programs from it. Another one that an operator has
installed gets the limits as soon as it runs.
"""

from __future__ import annotations

import math
import os
import re
import resource
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from legato.audio.formats import Format
from legato.errors import Failed, TooLarge

LAYER = Path("/opt/bin")
"""Where a Lambda layer's binaries are."""
SANDBOX = "ffmpeg-sandbox"

# MP3 and what is met inside WAV files of telephony.
_DECODERS = (
    "mp3float,mp3,pcm_s16le,pcm_mulaw,pcm_alaw,pcm_u8,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,"
    "adpcm_ima_wav,adpcm_ms,gsm_ms"
)
_GUARD = ("-protocol_whitelist", "file,pipe", "-codec_whitelist", _DECODERS)
_MEMORY = 1 << 30
_OPEN_FILES = 64
_STDERR_TAIL = 4000
_PIPE = 65536


class FfmpegFailed(Failed):
    """ffmpeg ended with an error; the message is the end of what it wrote."""


class TimedOut(Failed):
    """ffmpeg was ended because it ran for too long."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The two binaries, by absolute path, and what starts them, if it is there."""

    ffmpeg: Path
    ffprobe: Path
    sandbox: Path | None = None


def find_tools(directories: Iterable[Path]) -> Tools:
    """Return ffmpeg and ffprobe of the first directory that has both.

    Raises Failed, naming the directories, when none has.
    """
    looked = []
    for directory in directories:
        ffmpeg, ffprobe, sandbox = (
            (directory / name).absolute() for name in ("ffmpeg", "ffprobe", SANDBOX)
        )
        if ffmpeg.is_file() and ffprobe.is_file():
            return Tools(ffmpeg, ffprobe, sandbox if sandbox.is_file() else None)
        looked.append(str(directory))
    raise Failed(
        f"no ffmpeg with ffprobe in {', '.join(looked) or 'any place'}: "
        "build it with `make -C layers/ffmpeg`"
    )


def reading(path: Path, form: Format, *options: str) -> list[str]:
    """Return the arguments that open a recording as `form` and as nothing else."""
    # The prefix makes any name a file: one with a colon is no protocol, one with a dash no option.
    return [*_GUARD, *options, "-f", form, "-i", f"file:{path.absolute()}"]


def reading_pipe(form: Format, *options: str) -> list[str]:
    """Return the arguments that open what is given on standard input as `form`, nothing else."""
    return [*_GUARD, *options, "-f", form, "-i", "pipe:0"]


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

    @contextmanager
    def fed(self, arguments: Sequence[str]) -> Iterator[Fed]:
        """Run ffmpeg on what it is given piece by piece. Left early, it is ended.

        Raises Failed when it cannot be started.
        """
        # Only at this level does it say how many packets it has read.
        command = self._command(arguments, said="level+verbose")
        pipe = subprocess.PIPE
        with (
            self._started(command, stdin=pipe, stdout=pipe, stderr=pipe) as process,
            selectors.DefaultSelector() as selector,
        ):
            try:
                yield Fed(process, selector, timeout=self._timeout)
            finally:
                process.kill()

    def _command(self, arguments: Sequence[str], said: str = "error") -> list[str]:
        return [
            str(self._tools.ffmpeg),
            "-nostdin",
            "-hide_banner",
            "-nostats",
            "-v",
            said,
            *arguments,
        ]

    def _started(
        self,
        command: list[str],
        *,
        stdin: IO[bytes] | int,
        stdout: IO[bytes] | int,
        stderr: IO[bytes] | int,
    ) -> subprocess.Popen[bytes]:
        try:
            process = subprocess.Popen(
                [*self._sandbox(), *command],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env={},
                cwd="/",
            )
        except OSError as error:
            raise Failed(f"{command[0]} cannot be started: {error.strerror}") from error
        if self._tools.sandbox is None:
            self._limit(process.pid)
        return process

    def _sandbox(self) -> list[str]:
        """Return what starts a program with its limits, if we have it."""
        if self._tools.sandbox is None:
            return []
        limits = (_MEMORY, self._cpu_seconds, self._max_output, _OPEN_FILES)
        return [str(self._tools.sandbox), *map(str, limits)]

    @property
    def _cpu_seconds(self) -> int:
        # What it is given piece by piece it may work on while nobody waits for it.
        return 2 * math.ceil(self._timeout)

    @contextmanager
    def _running(
        self, command: list[str], feed: bytes = b"", output: IO[bytes] | None = None
    ) -> Iterator[IO[bytes]]:
        # Files, not pipes, for the small streams: neither side can block the other.
        with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as given:
            given.write(feed)
            given.seek(0)
            process = self._started(
                command, stdin=given, stdout=output or subprocess.PIPE, stderr=errors
            )
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
            if (expired.is_set() and process.returncode) or process.returncode == -signal.SIGXCPU:
                raise TimedOut(f"ffmpeg did not end within {self._timeout:g} s")
            if process.returncode == -signal.SIGXFSZ:
                raise TooLarge(f"the audio grows over the limit of {self._max_output:,} bytes")
            errors.seek(0, 2)
            errors.seek(max(0, errors.tell() - _STDERR_TAIL))
            _judge(process.returncode, errors.read())

    def _limit(self, pid: int) -> None:
        # Set from outside: code between fork and exec is not safe where threads run.
        if not hasattr(resource, "prlimit"):
            return
        for limit, value in (
            (resource.RLIMIT_AS, _MEMORY),
            (resource.RLIMIT_FSIZE, self._max_output),
            (resource.RLIMIT_CPU, self._cpu_seconds),
            (resource.RLIMIT_NOFILE, _OPEN_FILES),
            (resource.RLIMIT_CORE, 0),
        ):
            try:
                grace = limit == resource.RLIMIT_CPU  # the signal first, which says why
                resource.prlimit(pid, limit, (value, value + grace))
            except ProcessLookupError:
                return  # it has ended already


class Fed:
    """An ffmpeg that is given its input piece by piece, and whose output comes back in between.

    One thread does both: it waits until ffmpeg takes or gives, so neither can block the other. Only
    these waits count as the time that ffmpeg takes, not those for who brings the next piece.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        selector: selectors.BaseSelector,
        *,
        timeout: float,
    ) -> None:
        self._process, self._selector = process, selector
        self._timeout = self._patience = timeout
        self._said = b""
        self._input = cast(IO[bytes], process.stdin)
        self._output = cast(IO[bytes], process.stdout)
        self._errors = cast(IO[bytes], process.stderr)
        os.set_blocking(self._input.fileno(), False)
        selector.register(self._input, selectors.EVENT_WRITE)
        selector.register(self._output, selectors.EVENT_READ)
        selector.register(self._errors, selectors.EVENT_READ)

    def give(self, piece: bytes) -> Iterator[bytes]:
        """Pass the piece on, and hand out what comes back meanwhile.

        Raises FfmpegFailed as soon as it ended with an error, and TimedOut. One that ended well has
        no use for the rest, which is passed over.
        """
        left = memoryview(piece)
        while left and not self._input.closed:
            for stream in self._ready():
                if stream is not self._input:
                    yield from self._take(stream)
                    continue
                try:
                    left = left[os.write(self._input.fileno(), left[:_PIPE]) :]
                except BrokenPipeError:
                    yield from self.end()
                    return

    def end(self) -> Iterator[bytes]:
        """Say that this was all, and hand out what still comes. Raises as `give` does."""
        if not self._input.closed:
            self._selector.unregister(self._input)
            self._input.close()
        while self._selector.get_map():
            for stream in self._ready():
                yield from self._take(stream)
        try:
            code = self._process.wait(max(self._patience, 0.1))
        except subprocess.TimeoutExpired:
            raise self._too_slow() from None
        if code == -signal.SIGXCPU:
            raise self._too_slow()
        _judge(code, b"".join(map(b"".join, _COMPLAINT.findall(self._said))))

    @property
    def packets(self) -> int:
        """How many packets it has read, after its end. Raises FfmpegFailed if it does not tell."""
        told = re.findall(rb"Input stream #0:0 .*?: (\d+) packets read", self._said)
        if not told:
            raise FfmpegFailed("ffmpeg does not say how many packets it has read")
        return int(told[-1])

    def _ready(self) -> list[IO[bytes]]:
        began = time.monotonic()
        ready = self._selector.select(max(self._patience, 0))
        self._patience -= time.monotonic() - began
        if not ready:
            raise self._too_slow()
        return [cast(IO[bytes], key.fileobj) for key, _ in ready]

    def _take(self, stream: IO[bytes]) -> Iterator[bytes]:
        if not (piece := os.read(stream.fileno(), _PIPE)):
            self._selector.unregister(stream)
        elif stream is self._errors:
            self._said = (self._said + piece)[-_STDERR_TAIL:]
        else:
            yield piece

    def _too_slow(self) -> TimedOut:
        return TimedOut(f"ffmpeg took longer than {self._timeout:g} s")


_COMPLAINT = re.compile(
    rb"^(\[\w+ @ 0x[0-9a-f]+\] )?\[(?:error|fatal|panic)\] (.*\n)", re.MULTILINE
)


def _judge(code: int, said: bytes) -> None:
    if code:
        text = re.sub(r"\[(\w+) @ 0x[0-9a-f]+\] ", r"\1: ", said.decode(errors="replace"))
        raise FfmpegFailed(f"ffmpeg ended with {code}: {' / '.join(text.split('\n')).strip(' /')}")


def _last(pipe: IO[bytes], size: int) -> bytes:
    kept = b""
    while piece := pipe.read(65536):
        kept = (kept + piece)[-size:]
    return kept
