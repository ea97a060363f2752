"""Runs a module as `python -m` would, and ends it when whoever started it is gone.

`python -m local.leash PARENT MODULE ARGUMENTS…`: however the process PARENT ends, even killed,
nothing is left behind.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    # The process leads a session of its own, so this reaches what it started as well.
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    parent, module, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
