"""The operator's command, in processes of its own that need not load other people's libraries.

Loading them is most of what a command takes, and many commands are typed here.
"""

import os
import pty
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from local.processes import FORKS, LOADED
from tests.patience import PATIENCE_SECONDS

TYPED = (
    "boto3",
    "cryptography.x509",
    "httpx",
    "jsonschema",
    "pydantic.main",
    "pydantic.types",
    "rich.progress",
    "rich.table",
    "typer.main",
)
FORKS.set_forkserver_preload([*LOADED, *TYPED])


def legato(*words, folder=".", stdin=os.devnull, later=0, **environment):
    """Run the command in a folder, with nothing of AWS but what is given; return how it ended.

    `stdin` is a path: of a terminal, if somebody types there. `later` sets Legato's clock forward,
    by so many seconds.
    """
    clean = clean_environment(environment)
    with TemporaryDirectory() as scratch:
        files = [stdin, f"{scratch}/stdout", f"{scratch}/stderr"]
        process = FORKS.Process(target=run_typed, args=(words, folder, files, clean, later))
        process.start()
        process.join(PATIENCE_SECONDS)
        if process.exitcode is None:
            process.kill()
        said = [Path(file).read_text() for file in files[1:]]
    return subprocess.CompletedProcess(words, process.exitcode, *said)


def typed(system, *words, by="alice", **more):
    """Run the command with a local system, as this person."""
    here = {"LEGATO_LOCAL_DIR": str(system.directory), "LEGATO_LOCAL_PERSON": by}
    return legato("--local", *map(str, words), **here, **more)


@contextmanager
def answering(text):
    """Yield the path of a terminal on which somebody types."""
    ours, its = pty.openpty()
    try:
        os.write(ours, text.encode())
        yield os.ttyname(its)
    finally:
        os.close(ours)
        os.close(its)


def clean_environment(more):
    """Return the environment of a command that knows nothing of AWS but what is given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return clean | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nowhere", **more}


def run_typed(words, folder, files, environment, later):
    """Run the command in this process, with these files for its input, output and errors."""
    for number, file in enumerate(files):
        flags = os.O_WRONLY | os.O_CREAT if number else os.O_RDWR | os.O_NOCTTY
        os.dup2(os.open(file, flags), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - multiprocessing has closed it
    # The others were made for other files, of which they know whether one can seek there.
    sys.stdout, sys.stderr = (open(each, "w", 1, closefd=False) for each in (1, 2))  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["legato", *words]
    from legato.cli import main
    from legato.clock import SystemClock

    if later:
        SystemClock.now = lambda _: datetime.now(UTC) + timedelta(seconds=later)
    main()
