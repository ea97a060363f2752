"""A processor or a sweeper that is killed, for real, after a given step."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

from legato.app.root import App
from legato.ingest.batch import Message, archive
from local.processes import FORKS

SWEEP_TIME = timedelta(seconds=40)
"""Nothing is asked for in the last 30 s of it. A killed sweeper keeps others out until its end."""
PORTS = ("provider", "jobs", "ledger", "archive", "stitcher")


class Countdown:
    """Kills this very process when the last step is done; no step left to go means never."""

    def __init__(self, steps, journal):
        self._left = steps
        self._journal = journal

    def done(self, step):
        with self._journal.open("a") as file:
            file.write(f"{step}\n")
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Watched:
    """A port whose every call counts as one step, a download when it was read to its end."""

    def __init__(self, name, port, countdown):
        self._name = name
        self._port = port
        self._countdown = countdown

    def __getattr__(self, method):
        attribute = getattr(self._port, method)
        if not callable(attribute):
            return attribute

        def call(*args, **kwargs):
            result = attribute(*args, **kwargs)
            step = f"{self._name}.{method}"
            if hasattr(result, "__enter__"):
                return self._watched(result, step)
            self._countdown.done(step)
            return result

        return call

    @contextmanager
    def _watched(self, context, step):
        with context as pieces:
            yield pieces
        self._countdown.done(step)


def process(environment, configured, body, *, journal: Path, die_after=0, receives=1) -> int:
    """Work on one message in a process of its own; return its exit code (-9 when killed).

    `receives` says how often the queue has handed it out.
    """
    message = Message("m", body, receives=receives)
    worker = FORKS.Process(
        target=_work, args=(environment, configured, message, journal, die_after)
    )
    worker.start()
    worker.join(60)
    return worker.exitcode


def sweep(environment, configured, *, journal: Path, die_after=0) -> int:
    """Sweep RingCX in a process of its own; return its exit code (-9 when killed)."""
    sweeping = FORKS.Process(target=_sweep, args=(environment, configured, journal, die_after))
    sweeping.start()
    sweeping.join(60)
    return sweeping.exitcode


def _sweep(environment, configured, journal, die_after):
    os.environ.update(environment)
    countdown = Countdown(die_after, journal)
    sweeper = App(configured).ringcx.sweeper()
    made = sweeper.keywords
    sweeper(
        tails=lambda ask: [Watched("tail", tail, countdown) for tail in made["tails"](ask)],
        at_once=1,
        jobs=Watched("jobs", made["jobs"], countdown),
        notes=Watched("notes", made["notes"], countdown),
        until=made["clock"].now() + SWEEP_TIME,
    )


def _work(environment, configured, message, journal, die_after):
    os.environ.update(environment)
    countdown = Countdown(die_after, journal)
    ports = App(configured).processing(configured.ringex_queue.replace("/", ":"))
    watched = {name: Watched(name, getattr(ports, name), countdown) for name in PORTS}
    assert watched.keys() <= {field.name for field in fields(ports)}
    with tempfile.TemporaryDirectory() as scratch:
        ports = replace(ports, **watched, scratch=Path(scratch))
        until = ports.clock.now() + timedelta(minutes=15)
        archive([message], ports=ports, until=until, guard=lambda _: nullcontext())
