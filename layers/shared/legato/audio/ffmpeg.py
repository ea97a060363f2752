"""Runs ffmpeg on bytes that nobody trusts.

A recording comes from outside. So ffmpeg is told what it reads and never guesses, opens nothing but
two pipes, has only the decoders of recordings, sees none of our environment (where a Lambda keeps
its credentials), and is ended when it takes too long or wants too much memory. The layer's is
started by ffmpeg-sandbox (layers/ffmpeg/sandbox.c), which sets the limits before it begins, and
takes the network and other programs from it. Another one that an operator has installed gets the
limits as soon as it runs.
"""

from __future__ import annotations

import math
import os
import re
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from legato.errors import Failed

SANDBOX = "ffmpeg-sandbox"

# MPEG audio and what is met inside WAV files of telephony.
_DECODERS = (
    "mp3float,mp3,mp2float,mp2,mp1float,mp1,g722,g726,g729,g723_1,pcm_s16le,pcm_mulaw,pcm_alaw,pcm_u8,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,"
    "adpcm_ima_wav,adpcm_ms,gsm_ms"
)
_GUARD = ("-protocol_whitelist", "pipe", "-codec_whitelist", _DECODERS)
_MEMORY = 1 << 28
_OPEN_FILES = 64
_FILE_BYTES = 0
_STDERR_TAIL = 4000
_PIPE = 65536


class FfmpegFailed(Failed):
    """ffmpeg ended with an error; the message is the end of what it wrote."""


class TimedOut(Failed):
    """ffmpeg was ended because it ran for too long."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The binary, by its absolute path, and what starts it, if that is there."""

    ffmpeg: Path
    sandbox: Path | None = None


def find_tools(directories: Iterable[Path]) -> Tools:
    """Return the ffmpeg of the first directory that has one.

    Raises Failed, naming the directories, when none has.
    """
    looked = []
    for directory in directories:
        ffmpeg, sandbox = ((directory / name).absolute() for name in ("ffmpeg", SANDBOX))
        if ffmpeg.is_file():
            return Tools(ffmpeg, sandbox if sandbox.is_file() else None)
        looked.append(str(directory))
    raise Failed(
        f"no ffmpeg in {', '.join(looked) or 'any place'}: build it with `make -C layers/ffmpeg`"
    )


def reading(demuxer: str) -> list[str]:
    """Return the arguments that open standard input as what the demuxer is for, nothing else."""
    return [*_GUARD, "-f", demuxer, "-i", "pipe:0"]


class Ffmpeg:
    """Runs the binary. `timeout` is the seconds of wall clock that anybody waits for it."""

    def __init__(self, tools: Tools, *, timeout: float) -> None:
        self._tools = tools
        self._timeout = timeout

    @contextmanager
    def fed(self, arguments: Sequence[str]) -> Iterator[Fed]:
        """Run ffmpeg on what it is given piece by piece. Left early, it is ended.

        Raises Failed when it cannot be started.
        """
        said = ("-nostdin", "-hide_banner", "-nostats", "-v", "level+error")
        command = [str(self._tools.ffmpeg), *said, *arguments]
        with self._started(command) as process, selectors.DefaultSelector() as selector:
            try:
                yield Fed(process, selector, timeout=self._timeout)
            finally:
                process.kill()

    def _started(self, command: list[str]) -> subprocess.Popen[bytes]:
        try:
            process = subprocess.Popen(
                [*self._sandbox(), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
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
        limits = (_MEMORY, self._cpu_seconds, _FILE_BYTES, _OPEN_FILES)
        return [str(self._tools.sandbox), *map(str, limits)]

    @property
    def _cpu_seconds(self) -> int:
        # What it is given piece by piece it may work on while nobody waits for it.
        return 2 * math.ceil(self._timeout)

    def _limit(self, pid: int) -> None:
        # Set from outside: code between fork and exec is not safe where threads run.
        if not hasattr(resource, "prlimit"):
            return
        for limit, value in (
            (resource.RLIMIT_AS, _MEMORY),
            (resource.RLIMIT_FSIZE, _FILE_BYTES),
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
        self._input = cast("IO[bytes]", process.stdin)
        self._output = cast("IO[bytes]", process.stdout)
        self._errors = cast("IO[bytes]", process.stderr)
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

    def _ready(self) -> list[IO[bytes]]:
        began = time.monotonic()
        ready = self._selector.select(max(self._patience, 0))
        self._patience -= time.monotonic() - began
        if not ready:
            raise self._too_slow()
        return [cast("IO[bytes]", key.fileobj) for key, _ in ready]

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
