"""Starts the parts of the local system that are processes of their own, and ends them for sure.

Loading libraries is most of what it takes to start one. So one process loads them, and all others
are forked from it: it has no threads, and nothing of its own environment goes on to them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

GRACE_SECONDS = 3
LOADED = (
    "aws_lambda_powertools.metrics",
    "aws_lambda_powertools.tracing",
    "legato.app.root",
    "local.moto_server",
    "local.simulators.serve",
    "moto.cloudformation.models",
)
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([*LOADED])


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
    run: Callable[..., None],
    *arguments: Any,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> BaseProcess:
    """Run a function in a process in the background, writing its output to `log`.

    The process ends when we are gone, however that happens.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    variables = dict(os.environ if environment is None else environment)
    process = FORKS.Process(target=_begin, args=(run, arguments, log, variables), daemon=True)
    process.start()
    return process


def _begin(
    run: Callable[..., None], arguments: Sequence[Any], log: Path, environment: Mapping[str, str]
) -> None:
    os.setsid()  # Ctrl-C in the terminal reaches only the runner
    with contextlib.suppress(OSError):  # a name for `top`, where Linux has this file
        Path("/proc/self/comm").write_text(log.stem, encoding="utf-8")
    for stream, path, mode in ((0, os.devnull, os.O_RDONLY), (1, log, os.O_WRONLY)):
        opened = os.open(path, mode | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(opened, stream)
        os.close(opened)
    os.dup2(1, 2)
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, TextIOWrapper):
            # Many processes write into one log, each of them whole lines.
            output.reconfigure(line_buffering=True, write_through=False)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None  # it is looked up in the environment anew
    threading.Thread(target=_end_with_runner, daemon=True).start()
    run(*arguments)


def _end_with_runner() -> None:
    runner = multiprocessing.parent_process()
    if runner is not None:
        runner.join()
        # The process leads a session of its own, so this reaches what it started as well.
        os.killpg(0, signal.SIGKILL)


def _run_module(module: str, arguments: Sequence[str]) -> None:
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


@contextlib.contextmanager
def running_module(module: str, arguments: Sequence[str], *, log: Path) -> Iterator[BaseProcess]:
    """Run a Python module as `python -m` does, in the background until the block is left."""
    process = start(_run_module, module, arguments, log=log)
    try:
        yield process
    finally:
        end(process)


def end(process: BaseProcess) -> None:
    """End a process and everything that it started."""
    assert process.pid is not None  # noqa: S101 - it was started  # nosec B101
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        process.join(GRACE_SECONDS)


def wait_until_answers(url: str, process: BaseProcess, *, log: Path, seconds: float = 30) -> None:
    """Wait until something answers HTTP at `url`, whatever the status."""
    end_at = time.monotonic() + seconds
    while time.monotonic() < end_at:
        if not process.is_alive():
            raise LocalError(f"{url} did not start (exit {process.exitcode}): see {log}")
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own http address  # nosec B310
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise LocalError(f"{url} does not answer after {seconds:g} s: see {log}")
