"""What a program that hostile bytes have taken over can still do. Python plays that program."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time

import pytest

from legato.audio.ffmpeg import Ffmpeg, TimedOut, Tools
from tests.audio import BUILT

SANDBOX = BUILT / "ffmpeg-sandbox"
LIMITS = (1 << 30, 60, 1 << 20, 64)

pytestmark = pytest.mark.skipif(
    not SANDBOX.exists(), reason="the sandbox is for Linux on x86_64; run: make -C layers/ffmpeg"
)


def run(code, *, limits=LIMITS):
    """Let Python do something in the sandbox; it prints `None`, or the name of the error."""
    attempt = f"""
import os, sys
try:
    {code}
    print(None)
except BaseException as error:
    print(type(error).__name__)
"""
    command = [SANDBOX, *map(str, limits), sys.executable, "-I", "-c", attempt]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={})


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, marks=pytest.mark.attacks(f"code in ffmpeg that {what}"))
        for code, what in [
            ("import socket; socket.socket()", "opens a connection"),
            ("import socket; socket.socketpair()", "makes a pair of sockets"),
            ("import socket; socket.socket(socket.AF_UNIX)", "talks to what listens here"),
            ("os.execv('/bin/sh', ['sh', '-c', 'true'])", "becomes a shell"),
            ("os.execve(os.open('/bin/sh', 0), ['sh'], {})", "becomes a shell by its file"),
            ("os.fork() or os._exit(0)", "makes a process of its own"),
            ("import subprocess; subprocess.run(['/bin/true'])", "starts a program"),
            ("os.posix_spawn('/bin/true', ['true'], {})", "spawns a program"),
            ("os.kill(os.getppid(), 0)", "signals who started it"),
            (
                "import ctypes; assert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) >= 0",
                "looks into who started it",
            ),
            (
                "import resource as r; r.prlimit(os.getppid(), r.RLIMIT_NOFILE, (9, 9))",
                "changes the limits of who started it",
            ),
            ("os.unshare(0x10000000)", "makes a namespace of its own"),
            ("os.unlink('/tmp/legato-not-there')", "removes files"),
            ("os.symlink('/etc/passwd', '/tmp/legato-link')", "makes links"),
            ("os.chmod('/tmp', 0o777)", "changes modes"),
            (
                "import ctypes; assert ctypes.CDLL(None).syscall(425, 8, 0) >= 0",
                "goes past the filter by io_uring",
            ),
        ]
    ],
)
def test_a_program_that_was_taken_over_reaches_nothing(code):
    """Whoever it runs as, root too."""
    done = run(code)
    assert done.stdout in ("PermissionError\n", "AssertionError\n"), done


@pytest.mark.attacks("code in ffmpeg that uses system calls of another kind")
def test_other_kinds_of_system_calls_end_the_program():
    """The x32 ABI's numbers would not be the filter's."""
    done = run("import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 41, 2, 1, 0)")
    assert done.returncode == -signal.SIGSYS


def test_what_a_decoder_needs_it_has():
    """Threads, memory and files."""
    code = "import threading; t = threading.Thread(target=print); t.start(); t.join()"
    assert run(code).stdout == "\nNone\n"
    assert run("bytes(100 << 20); open('/dev/null').read()").stdout == "None\n"


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        pytest.param("bytes(2 << 30)", "MemoryError\n", marks=pytest.mark.attacks("much memory")),
        pytest.param(
            "[os.dup(0) for _ in range(64)]", "OSError\n", marks=pytest.mark.attacks("many files")
        ),
    ],
)
def test_memory_and_files_are_limited_from_the_beginning(code, ends):
    """Not a moment after it began."""
    assert run(code).stdout == ends


@pytest.mark.attacks("code in ffmpeg that writes without end")
def test_files_are_limited_in_size(tmp_path):
    """Python ignores the signal, which ends ffmpeg."""
    path = tmp_path / "file"
    done = run(f"file = open({str(path)!r}, 'wb', 0); [file.write(bytes(1 << 20)) for _ in '12']")
    assert done.stdout == "OSError\n"
    assert path.stat().st_size == 1 << 20


@pytest.mark.attacks("code in ffmpeg that computes without end")
def test_computing_is_limited():
    """By the time of the processor, whatever the clock on the wall says."""
    done = run("\n    while True: pass", limits=(1 << 30, 1, 1 << 20, 64))
    assert done.returncode == -signal.SIGXCPU


def test_the_limits_are_set_before_the_program_begins():
    """With no way to gain privileges, and no core of what was in memory."""
    status = run("print(open('/proc/self/status').read())").stdout
    assert "NoNewPrivs:\t1\n" in status
    assert "Seccomp:\t2\n" in status
    limits = run("print(open('/proc/self/limits').read())").stdout
    for name, value in (
        ("Max address space", LIMITS[0]),
        ("Max cpu time", LIMITS[1]),
        ("Max file size", LIMITS[2]),
        ("Max open files", LIMITS[3]),
        ("Max core file size", 0),
    ):
        [line] = [each for each in limits.splitlines() if each.startswith(name)]
        assert line.removeprefix(name).split()[0] == str(value)


@pytest.mark.parametrize(
    "arguments", [[], ["1"], ["x", "1", "1", "9", "/bin/true"], ["-1", "1", "1", "9", "/bin/true"]]
)
def test_wrong_use_starts_nothing(arguments):
    """A limit that is no number is none that is set."""
    done = subprocess.run([SANDBOX, *arguments], capture_output=True, check=False)
    assert done.returncode == 125


def test_a_program_that_is_not_there_is_told():
    """As a shell tells it."""
    command = [SANDBOX, *map(str, LIMITS), "/nowhere/ffmpeg"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert "/nowhere/ffmpeg: No such file or directory" in done.stderr


def test_it_costs_no_time():
    """Of the ten milliseconds in which ffmpeg has to be there."""

    def seconds(*before):
        began = time.perf_counter()
        for _ in range(20):
            subprocess.run([*before, BUILT / "ffmpeg", "-version"], capture_output=True, check=True)
        return (time.perf_counter() - began) / 20

    seconds()
    assert seconds(SANDBOX, *map(str, LIMITS)) - seconds() < 0.010


@pytest.mark.attacks("a recording that keeps ffmpeg busy without end")
def test_ffmpeg_that_computes_too_long_timed_out(tmp_path):
    """Whether the clock on the wall or the processor's says so."""
    busy = tmp_path / "ffmpeg"
    busy.write_text("#!/bin/sh\nwhile :; do :; done\n")
    busy.chmod(0o755)
    ffmpeg = Ffmpeg(Tools(busy, SANDBOX), timeout=0.4)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with ffmpeg.fed([]) as fed, pytest.raises(TimedOut):
        list(fed.end())
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 2
