"""Peak memory of a process with everything it starts."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_EVERY_SECONDS = 0.002


def run_measured(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> tuple[str, float]:
    """Run a command; return what it prints and the peak memory of its process tree, in MB.

    Memory is the sum of the resident sets at one moment, looked at every 2 ms: pages that the
    processes share count for each of them.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(_EVERY_SECONDS):
            peak = max(peak, _tree(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    said, _ = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return said, peak / 1e6


def _tree(pid: int, parent: Path | None = None) -> int:
    try:
        program = Path(f"/proc/{pid}/exe").readlink()
        # Until a child starts its own program, its memory is its parent's, and is not there twice.
        if program == parent:
            return 0
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = {
            child for thread in threads for child in (thread / "children").read_text().split()
        }
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * 4096 + sum(_tree(int(child), program) for child in children)
