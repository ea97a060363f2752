"""Where the running local system is found: `.local/endpoints.json`, which others rely on."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local.processes import LocalError

DEFAULT_PORT = 4600
DEFAULT_DIRECTORY = Path(__file__).parent.parent / ".local"
NAME = "endpoints.json"
EVENTS_TOKEN = "0123456789abcdef0123456789abcdef"
"""The events of events/ carry it, so that a running local system takes them as they are."""
CREDENTIALS = "credentials.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The addresses and names of one running system. `queues` and `dlqs` map provider to URL.

    What is of the stack is empty as long as there is none.
    """

    aws: str
    region: str
    control: str
    """Where the system is told to deploy: local/control.py."""
    webhook: str = ""
    webhook_token: str = ""
    kazoo_push: dict[str, str] = field(default_factory=dict)
    """Account → URL, its token in it. Empty where Kazoo is not used, as is `inbox`."""
    bucket: str = ""
    inbox: str = ""
    table: str = ""
    queues: dict[str, str] = field(default_factory=dict)
    dlqs: dict[str, str] = field(default_factory=dict)
    simulators: dict[str, str] = field(default_factory=dict)
    """Provider → base URL, of every provider that is built."""

    def to_json(self) -> dict[str, Any]:
        """Write the endpoints in the shape of the file."""
        values: dict[str, Any] = asdict(self)
        simulators: dict[str, Any] = values.pop("simulators")
        return {_camel(name): value for name, value in values.items()} | simulators


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def directory() -> Path:
    """Return where the local system keeps its state: LEGATO_LOCAL_DIR, else `.local`."""
    given = os.environ.get("LEGATO_LOCAL_DIR")
    return Path(given) if given else DEFAULT_DIRECTORY


def first_port() -> int:
    """Return LEGATO_LOCAL_PORT, the first of five ports."""
    given = os.environ.get("LEGATO_LOCAL_PORT") or str(DEFAULT_PORT)
    if not given.isdecimal() or not 1024 <= int(given) <= 65531:
        raise LocalError(f"LEGATO_LOCAL_PORT is not the first of five ports: {given!r}")
    return int(given)


def write(endpoints: Endpoints, where: Path) -> None:
    """Write the file in one go, so that nobody reads half of it."""
    scratch = where / f"{NAME}.new"
    scratch.write_text(json.dumps(endpoints.to_json(), indent=2) + "\n", encoding="utf-8")
    scratch.replace(where / NAME)


def write_credentials(credentials: dict[str, Any], where: Path) -> None:
    """Write what logs in at the simulators, in the form of the stack's secret."""
    text = json.dumps(credentials, indent=2) + "\n"
    (where / CREDENTIALS).write_text(text, encoding="utf-8")


def remove(where: Path, aws: str) -> None:
    """Remove the files, unless another system has written its own since. `aws` is our AWS."""
    if (found := read(where)) is not None and found["aws"] == aws:
        (where / NAME).unlink()
        (where / CREDENTIALS).unlink(missing_ok=True)


def read(where: Path) -> dict[str, Any] | None:
    """Return what the file says, or None when no local system runs."""
    try:
        loaded: dict[str, Any] = json.loads((where / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return loaded
