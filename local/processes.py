"""Starts the parts of the local system that are processes of their own, and ends them for sure."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

GRACE_SECONDS = 3


class LocalError(Exception):
    """The local system cannot be started; the message says why in one line."""


def check_free(host: str, port: int, what: str) -> None:
    """Raise LocalError when somebody listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise LocalError(
                f"port {port} ({what}) cannot be used: {error.strerror}. Is another local system "
                f"running? Set LEGATO_LOCAL_PORT to a free range of five ports."
            ) from error


def is_listening(url: str) -> bool:
    """Say whether somebody listens at the URL's address."""
    address = urllib.parse.urlsplit(url)
    try:
        with socket.create_connection((address.hostname, address.port or 80), timeout=1):
            return True
    except OSError:
        return False


def start(
    module: str,
    arguments: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a Python module in the background, writing its output to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "local.leash", str(os.getpid()), module, *arguments],
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            pass_fds=pass_fds,
            start_new_session=True,  # Ctrl-C in the terminal reaches only the runner
        )


@contextlib.contextmanager
def running_module(
    module: str, arguments: Sequence[str], *, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python module in the background until the block is left."""
    process = start(module, arguments, log=log)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything that it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def wait_until_answers(
    url: str, process: subprocess.Popen[bytes], *, log: Path, seconds: float = 30
) -> None:
    """Wait until something answers HTTP at `url`, whatever the status."""
    end_at = time.monotonic() + seconds
    while time.monotonic() < end_at:
        if process.poll() is not None:
            raise LocalError(f"{url} did not start (exit {process.returncode}): see {log}")
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own http address
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise LocalError(f"{url} does not answer after {seconds:g} s: see {log}")
