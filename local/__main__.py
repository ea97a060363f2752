"""`make local`: the whole system on this machine, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import FrameType

from local import endpoints
from local.containers import reached_by_containers
from local.processes import LocalError
from local.stack import SKIPPED
from local.system import System, running


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument(
        "--bare", action="store_true", help="without a stack: `legato --local setup` deploys it"
    )
    bare: bool = parser.parse_args().bare
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            return  # it is ending already; a second Ctrl-C must not leave anything behind
        stopping.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    print("Starting the local system…", flush=True)
    try:
        with running(bare=bare) as system, contextlib.ExitStack() as cleanup:
            if bare:
                _tell_bare(system)
            else:
                _tell(system, reached=cleanup.enter_context(reached_by_containers(system)))
            threading.Event().wait()
    except KeyboardInterrupt:
        print("\nStopped.", flush=True)
        return 0
    except LocalError as error:
        print(f"local: {error}", file=sys.stderr)
        return 1
    return 0


def _tell_bare(system: System) -> None:
    credentials = json.loads((system.directory / endpoints.CREDENTIALS).read_text())
    found = system.endpoints
    ringex, api_key = credentials["ringex"], credentials["kazoo"]["apiKey"]
    _print_all({"AWS": found.aws, **found.simulators})
    print("\nReady, without a stack. What logs in at the simulators:")
    _print_all(
        {
            "client id": ringex["clientId"],
            "client secret": ringex["clientSecret"],
            "JWT": ringex["jwt"],
            "Kazoo's address": f"{found.simulators['kazoo']}/v2",
            "API key": api_key,
            "all of this": str(system.directory / endpoints.CREDENTIALS),
        }
    )
    print("Deploy it with: legato --local setup\nEnd with Ctrl-C.", flush=True)


def _tell(system: System, *, reached: bool) -> None:
    found = system.endpoints.to_json()
    _print_all(
        {
            "AWS": found["aws"],
            "webhook": found["webhook"],
            **{f"pushes of {name[:8]}…": url for name, url in found["kazooPush"].items()},
            "inbox": found["inbox"],
            **system.endpoints.simulators,
            "bucket": found["bucket"],
            "table": found["table"],
            "logs": str(system.directory / "logs"),
            "all of this": str(system.directory / endpoints.NAME),
        }
    )
    print("\nOf the template, the local system does without:")
    kinds = sorted(set(system.stack.skipped.values()))
    _print_all({kind: SKIPPED[kind] for kind in kinds})
    print("\nReady. Place a call:")
    start = (datetime.now(UTC) - timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    leg = f'{{"startTime": "{start}", "duration": 10, "format": "mp3"}}'
    example = f'{{"legs": [{leg}, {leg}], "readyAfter": 2, "emit": true}}'
    print(f"  curl -X POST {found['ringex']}/_sim/calls -d '{example}'")
    example = '{"segments": [{"duration": 5, "type": "IVR"}, {"duration": 10}], "readyAfter": 2}'
    print(f"  curl -X POST {found['ringcx']}/_sim/calls -d '{example}'")
    example = '{"recordings": [{"duration": 5}, {"duration": 10}], "readyAfter": 2}'
    print(f"  curl -X POST {found['kazoo']}/_sim/calls -d '{example}'")
    print("Run a function in Lambda's image, after `make build`:")
    print("  .venv/bin/sam local invoke WebhookFunction -e events/webhook-notification.json")
    if not reached:
        print("  That takes Docker, which does not answer here: install it, and start this again.")
    print("End with Ctrl-C.", flush=True)


def _print_all(values: Mapping[str, str]) -> None:
    width = max(map(len, values)) + 2
    for name, value in values.items():
        print(f"  {name:{width}}{value}")


if __name__ == "__main__":
    sys.exit(main())
