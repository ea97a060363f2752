"""The whole system on this machine: starts its parts in order, and ends all of them."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from legato.discovery.webhook import CURRENT_TOKEN
from local import aws, custom, endpoints, gateway, kazoo, ringcx, ringex, stack
from local.endpoints import EVENTS_TOKEN, Endpoints
from local.poller import Poller
from local.processes import LocalError, check_free, is_listening
from local.rules import Target
from local.schedules import Timer
from local.simulators import process as simulator
from local.stack import Stack
from local.worker import InvocationError, Pool

PARAMETERS = Path(__file__).parent / "parameters.json"
SIMULATORS = ("ringex", "ringcx", "kazoo")
PORTS = ("aws", "webhook", *SIMULATORS)
WEBHOOK_PROCESSES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A running system: where its parts are, and what the stack holds."""

    endpoints: Endpoints
    stack: Stack
    directory: Path
    pools: Mapping[str, Pool]
    """The processes of each function, by its logical id; none if somebody else runs them."""

    def invoke(self, logical: str, event: Any) -> Any:
        """Run a function, by its logical id, with an event. Raises InvocationError."""
        if logical not in self.pools:
            raise InvocationError(f"{logical}: this local system runs no functions")
        return self.pools[logical].invoke(event)


@contextlib.contextmanager
def running(
    *,
    port: int | None = None,
    directory: Path | None = None,
    host: str = "127.0.0.1",
    functions: bool = True,
    scheduled: Collection[str] | None = None,
    seconds_between: float = 0,
    parameters: Mapping[str, str] | None = None,
    ringex_settings: Mapping[str, Any] | None = None,
    ringcx_settings: Mapping[str, Any] | None = None,
    kazoo_settings: Mapping[str, Any] | None = None,
    through: Callable[[str], AbstractContextManager[str]] = contextlib.nullcontext,
) -> Iterator[System]:
    """Run the local system until the block is left.

    `functions=False` leaves out what runs the functions (gateway, pollers, schedules, custom
    resources, workers), for somebody else to run them. `scheduled` names the functions whose
    schedules run, by their logical ids; without it all do. At least `seconds_between` lie between
    two runs of a schedule. `parameters` go over local/parameters.json, the `…_settings` into the
    simulators' configuration. `through` runs what stands between the functions and AWS: it takes
    AWS's address and yields its own. Raises LocalError.
    """
    first = endpoints.first_port() if port is None else port
    ports = {name: first + offset for offset, name in enumerate(PORTS)}
    where = (directory or endpoints.directory()).resolve()
    for name in ("aws", *SIMULATORS, *(["webhook"] if functions else [])):
        check_free(host, ports[name], name)
    logs = _clean_logs(where)
    with contextlib.ExitStack() as cleanup:
        credentials, kazoos = ringex.invent_credentials(), kazoo.invent_credentials()
        simulators = {name: f"http://{host}:{ports[name]}" for name in SIMULATORS}
        configured = {
            "ringex": ringex.settings(credentials, ringex_settings or {}),
            "ringcx": ringcx.settings(simulators["ringex"], ringcx_settings or {}),
            "kazoo": kazoo.settings(kazoos, kazoo_settings or {}),
        }
        ready = [
            cleanup.enter_context(
                simulator.running(name, host, ports[name], settings, directory=where)
            )
            for name, settings in configured.items()
        ]
        endpoint = cleanup.enter_context(aws.moto_server(host, ports["aws"], log=logs / "aws.log"))
        created = stack.create(
            endpoint,
            gateway=f"http://{host}:{ports['webhook']}",
            parameters={
                **stack.parameters_of(PARAMETERS),
                **ringex.parameters(simulators["ringex"]),
                **ringcx.parameters(simulators["ringcx"], configured["ringcx"]),
                **kazoo.parameters(simulators["kazoo"], configured["kazoo"]),
                **(parameters or {}),
            },
        )
        add_to_secret(
            endpoint, created.outputs["CredentialsArn"], credentials.secret() | kazoos.secret()
        )
        tokens = add_to_secret(
            endpoint,
            created.outputs["InboundTokensArn"],
            {CURRENT_TOKEN: EVENTS_TOKEN} | kazoos.tokens(),
        )
        for answers in ready:
            answers()
        address = created.outputs.get("KazooPushUrl", "")
        accounts = configured["kazoo"]["accounts"] if address else []
        pushes = kazoo.push_urls(kazoos, address, accounts)
        found = _endpoints(created, endpoint, tokens[CURRENT_TOKEN], pushes, simulators)
        pools: Mapping[str, Pool] = {}
        if scheduled is not None:
            kept = [each for each in created.schedules if each.function in scheduled]
            created = replace(created, schedules=kept)
        if functions:
            seen = cleanup.enter_context(through(endpoint))
            parts = _functions_running(
                created, endpoint, seen, host, ports, logs, seconds_between=seconds_between
            )
            pools = cleanup.enter_context(parts)
        endpoints.write(found, where)
        cleanup.callback(endpoints.remove, found, where)
        yield System(endpoints=found, stack=created, directory=where, pools=pools)


def add_to_secret(endpoint: str, arn: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in a secret of the stack, as an operator would; return all that it holds."""
    client = aws.client("secretsmanager", endpoint)
    content = json.loads(client.get_secret_value(SecretId=arn)["SecretString"]) | more
    client.put_secret_value(SecretId=arn, SecretString=json.dumps(content))
    filled: dict[str, Any] = content
    return filled


def _clean_logs(where: Path) -> Path:
    """Return the directory of the logs, empty unless another system is writing into it."""
    logs = where / "logs"
    other = endpoints.read(where)
    if other is not None and is_listening(other["aws"]):
        print(
            f"local: another local system uses {where} too. {endpoints.NAME} there will name this "
            "one. Set LEGATO_LOCAL_DIR to keep them apart.",
            file=sys.stderr,
        )
    else:
        shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True, exist_ok=True)
    return logs


@contextlib.contextmanager
def _functions_running(
    created: Stack,
    endpoint: str,
    seen: str,
    host: str,
    ports: Mapping[str, int],
    logs: Path,
    *,
    seconds_between: float,
) -> Iterator[Mapping[str, Pool]]:
    """Run the functions, which see AWS at the address `seen`, and what calls them."""
    with contextlib.ExitStack() as cleanup:
        pools: dict[str, Pool] = {}
        for logical, function in created.functions.items():
            concurrency = sum(s.concurrency for s in created.sources if s.function == logical)
            pools[logical] = Pool(
                function,
                endpoint=seen,
                log=logs / f"{function.code.name}.log",
                size=concurrency or WEBHOOK_PROCESSES,
            )
        cleanup.callback(_at_once, [pool.close for pool in pools.values()])
        _warm([pools[logical] for logical in _hurried(created)], logs)
        invokes = {logical: pool.invoke for logical, pool in pools.items()}
        app = gateway.application(created.routes, invokes)
        cleanup.enter_context(gateway.serving(app, host, ports["webhook"]))
        cleanup.enter_context(custom.created(created.customs, invokes))
        parts: list[Poller | Target | Timer] = [
            *(
                Poller(source, pools[source.function].invoke, endpoint=endpoint)
                for source in created.sources
            ),
            *(Target(rule, invokes[rule.function], endpoint=endpoint) for rule in created.rules),
            *(
                Timer(schedule, invokes[schedule.function], seconds=seconds_between)
                for schedule in created.schedules
            ),
        ]
        cleanup.callback(_at_once, [part.stop for part in parts])
        for part in parts:
            part.start()
        yield pools


def _hurried(created: Stack) -> set[str]:
    """Return the functions that providers, queues and schedules call: people can wait a moment."""
    hurried = {source.function for source in created.sources}
    hurried |= {schedule.function for schedule in created.schedules}
    hurried |= {custom.function for custom in created.customs}
    return hurried | {route.function for route in created.routes if not route.signed}


def _warm(pools: Sequence[Pool], logs: Path) -> None:
    """Start one process of each of these functions."""
    try:
        _at_once([pool.warm for pool in pools])
    except InvocationError as error:
        raise LocalError(f"{error} (see {logs})") from error


def _at_once(calls: Sequence[Callable[[], None]]) -> None:
    """Call all of these at the same time. Raises what the first of them raises."""
    with ThreadPoolExecutor(len(calls)) as threads:
        for called in [threads.submit(call) for call in calls]:
            called.result()


def _endpoints(
    created: Stack,
    endpoint: str,
    token: str,
    pushes: dict[str, str],
    simulators: dict[str, str],
) -> Endpoints:
    outputs = created.outputs
    queues = created.configuration.queues if created.configuration else {}
    return Endpoints(
        aws=endpoint,
        region=aws.REGION,
        webhook=outputs["WebhookUrl"],
        webhook_token=token,
        kazoo_push=pushes,
        bucket=outputs["ArchiveBucketName"],
        inbox=outputs.get("InboxBucketName", ""),
        table=outputs["LedgerTableName"],
        queues={provider: queue.url for provider, queue in queues.items()},
        dlqs={provider: queue.dead_letters for provider, queue in queues.items()},
        simulators=simulators,
    )
