"""Each line of docs/tasks.md is typed at a terminal of 80 columns, and shows what it says.

The running system has an office that is called, a contact centre and a Kazoo; one recording is
refused. The tasks follow one another as they do in the page.
"""

import fcntl
import json
import os
import pty
import re
import shlex
import statistics
import struct
import termios
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from rich.cells import cell_len

from local.processes import FORKS
from local.system import running
from tests.forked import clean_environment, run_typed, typed
from tests.patience import PATIENCE_SECONDS, until

PAGE = Path(__file__).parent.parent.parent / "docs" / "tasks.md"
COLUMNS = 80
CUSTOMER = "+15551230000"
ADA, BEN, CHLOE = "401555105", "401555106", "401555107"
REFUSED_RECORDING = "569651266579"
ENDS = re.compile(r"\(ends with (\d+)\)")
CODE = re.compile(r"`([^`]+)`")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
AGAIN = re.compile(r"\x1b\[2K|\r")
COPIED = re.compile(r"\S{36}|^ +legato ")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A line of the page: what somebody wants, types, and sees."""

    wanted: str
    lines: tuple[str, ...]
    ends: int
    seen: tuple[str, ...]


def tasks():
    """Return the tasks of the page, in its order."""
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and "`" in cells[1]:
            wanted, typed_, seen = (cell.replace("\\|", "|") for cell in cells)
            ends = ENDS.search(typed_)
            found.append(
                Task(
                    wanted=wanted,
                    lines=tuple(CODE.findall(typed_)),
                    ends=int(ends[1]) if ends else 0,
                    seen=tuple(CODE.findall(seen)),
                )
            )
    return found


TASKS = tasks()


def test_a_task_takes_two_commands_at_most_and_most_take_one():
    counts = [len([part for line in task.lines for part in line.split(" | ")]) for task in TASKS]
    assert len(TASKS) >= 60
    assert max(counts) <= 2
    assert statistics.median(counts) == 1


@pytest.fixture(scope="module")
def system(tmp_path_factory, free_port):
    directory = tmp_path_factory.mktemp("system")
    with running(port=free_port(), directory=directory, seconds_between=4) as system:
        yield system


@pytest.fixture(scope="module")
def office(system):
    """Place the calls that the page is about."""
    began = datetime.now(UTC) - timedelta(minutes=50)

    def at(minutes):
        return (began + timedelta(minutes=minutes)).isoformat()

    def place(provider, order, control="calls"):
        url = f"{system.endpoints.simulators[provider]}/_sim/{control}"
        httpx.post(url, json=order).raise_for_status()

    def leg(extension, minutes, **more):
        told = {"extensionId": extension, "startTime": at(minutes), "duration": 3}
        return told | {"format": "mp3"} | more

    refused = {"kind": "status", "status": 403, "for": REFUSED_RECORDING, "route": "any"}
    place("ringex", refused, "faults")
    transferred = [leg(ADA, 0, recordingId="569651266572"), leg(BEN, 1)]
    place(
        "ringex",
        {"telephonySessionId": "s-7d681028", "from": CUSTOMER, "legs": transferred, "emit": True},
    )
    outbound = {"direction": "Outbound", "from": "+493012345678", "legs": [leg(CHLOE, 5)]}
    place("ringex", {"telephonySessionId": "s-90b1c2d3", "emit": True} | outbound)
    place(
        "ringex",
        {
            "telephonySessionId": "s-5e5e0001",
            "from": "+15559999999",
            "legs": [leg(ADA, 8, recordingId=REFUSED_RECORDING)],
            "emit": True,
        },
    )
    segments = [
        {"startTime": at(10), "duration": 2, "type": "IVR"},
        {"startTime": at(11), "duration": 3},
    ]
    place("ringcx", {"dialogId": "s-v-32ae22", "segments": segments, "contact": CUSTOMER[1:]})
    recording = {"start": at(20), "duration": 3, "format": "mp3", "from": CUSTOMER}
    place(
        "kazoo", {"interactionId": "63963348774-7931c4de", "recordings": [recording], "emit": True}
    )

    def says(*words):
        return json.loads(typed(system, *words, "--json").stdout)

    until(lambda: len(says("find")["calls"]) == 4)
    until(lambda: typed(system, "failed").returncode)
    return system


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("officer")


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.wanted)
def test_what_somebody_wants_is_typed_and_seen(task, office, folder):
    for line in task.lines:
        code, shown = type_line(line, office, folder)
    said = " ".join(shown.split())
    assert code == task.ends, shown
    assert [each for each in task.seen if each.casefold() not in said.casefold()] == [], shown
    if not {"--json", "--csv"} & set(task.lines[-1].split()):
        assert too_wide(shown) == []


def too_wide(shown):
    """Return the lines that do not fit.

    What is copied has to be whole: an address, a path, a hash, a command that a help gives as an
    example. Of a line that is written again and again, as for a progress, the last text counts.
    """
    lines = [CONTROL.sub("", AGAIN.split(line)[-1]) for line in shown.splitlines()]
    return [line for line in lines if cell_len(line) > COLUMNS and not COPIED.search(line)]


def type_line(line, system, folder):
    """Type a line, with a pipe or a file where it says so; return the exit code and the screen."""
    first, _, second = line.partition(" | ")
    first, _, file = first.partition(" > ")
    if not second and not file:
        return at_terminal(first, system, folder)
    words, environment = words_of(first)
    written = folder / (file or "pipe")
    written.write_text(typed(system, *words, folder=folder, **environment).stdout)
    return at_terminal(second, system, folder, stdin=written) if second else (0, "")


def words_of(line):
    words = shlex.split(line)
    told = dict(word.split("=", 1) for word in words[: words.index("legato")])
    return words[words.index("legato") + 1 :], told


def matching(word, folder):
    """Return what a shell would make of a word with a star."""
    return sorted(map(str, folder.glob(word))) if "*" in word else [word]


def at_terminal(line, system, folder, stdin=None):
    words, environment = words_of(line)
    words = [name for word in words for name in matching(word, folder)]
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", 24, COLUMNS, 0, 0))
    terminal = os.ttyname(its)
    files = [str(stdin) if stdin else os.devnull, terminal, terminal]
    here = {
        "LEGATO_LOCAL_DIR": str(system.directory),
        "LEGATO_LOCAL_PERSON": "ada",
        "XDG_STATE_HOME": str(folder / "state"),
        "TERM": "xterm",
        "NO_COLOR": "1",
    }
    process = FORKS.Process(
        target=run_typed,
        args=(("--local", *words), folder, files, clean_environment(here | environment), 0),
    )
    shown = bytearray()
    reader = threading.Thread(target=read_all, args=(ours, shown))
    reader.start()
    process.start()
    process.join(PATIENCE_SECONDS)
    os.close(its)  # not before, or the reader meets the end before the command has begun
    reader.join(PATIENCE_SECONDS)
    os.close(ours)
    return process.exitcode, shown.decode().replace("\r\n", "\n")


def read_all(terminal, shown):
    try:
        while read := os.read(terminal, 65536):
            shown += read
    except OSError:  # as Linux says that nobody holds the other end
        return
