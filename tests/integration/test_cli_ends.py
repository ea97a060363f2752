"""How the command ends when its reader goes, or when somebody interrupts it: as it is installed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from legato.archive.layout import CALLS
from legato.cli.exit_codes import Exit
from local import aws

if TYPE_CHECKING:
    from collections.abc import Mapping

LEGATO = (sys.executable, "-c", "from legato.cli import main; main()")


def environment(**more: str) -> Mapping[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**own, "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nowhere", **more}


@pytest.mark.parametrize("many", [1, 5000], ids=["in its buffer", "more than a pipe holds"])
def test_a_reader_that_ends_first_is_no_error(tmp_path: Path, many: int) -> None:
    """`legato verify FOLDER | head -1` says nothing more."""
    for number in range(many):
        stray = tmp_path / CALLS / f"stray-{number}"
        stray.parent.mkdir(exist_ok=True)
        stray.touch()
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*LEGATO, "verify", str(tmp_path)],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=environment(),
        timeout=60,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (Exit.PIPE_CLOSED, "")


@pytest.mark.parametrize("command", [("-h",), ("find", "-h")])
def test_a_help_text_whose_reader_ends_first_is_no_error(command: tuple[str, ...]) -> None:
    """`legato -h | head -1` too, which typer writes by itself."""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*LEGATO, *command],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=environment(),
        timeout=60,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (Exit.PIPE_CLOSED, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    """Where the output is a file."""
    (tmp_path / CALLS).mkdir()
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*LEGATO, "verify", str(tmp_path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=environment(),
            timeout=60,
        )
    assert ended.returncode == Exit.FAILED
    assert ended.stderr.endswith("free some space, and run the same command again\n")
    assert "Traceback" not in ended.stderr


def test_ctrl_c_ends_it_with_a_line() -> None:
    """While it waits for AWS."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        here = aws.environment(f"http://127.0.0.1:{silent.getsockname()[1]}")
        process = subprocess.Popen(
            [*LEGATO, "find"], stderr=subprocess.PIPE, text=True, env=environment(**here)
        )
        silent.settimeout(30)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (Exit.INTERRUPTED, "legato: interrupted\n")


def test_without_any_output_it_does_its_work() -> None:
    """As `legato … >&-` and some schedulers start it."""
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *LEGATO, "--help"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=environment(),
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (Exit.DONE, "")
