"""The whole system on this machine: starts its parts in order, and ends all of them."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from legato.discovery.webhook import CURRENT_TOKEN
from local import aws, control, custom, endpoints, gateway, kazoo, ringcx, ringex, stack, template
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
class Place:
    """Where a local system runs, and how."""

    host: str
    ports: Mapping[str, int]
    directory: Path
    logs: Path
    endpoint: str
    """AWS's."""
    seen: str
    """AWS's, as the functions see it."""
    simulators: dict[str, str]
    base: Mapping[str, str]
    """The parameters that every stack here has."""
    functions: bool
    scheduled: Collection[str] | None
    seconds_between: float


class System:
    """A running system: where its parts are, and what the stack holds."""

    def __init__(self, place: Place, cleanup: contextlib.ExitStack) -> None:
        self._place = place
        self._changing = threading.Lock()
        self._customs = custom.Customs(*cleanup.enter_context(custom.sink()))
        self._parts = cleanup.enter_context(contextlib.ExitStack())
        cleanup.callback(self._leave)
        self._given: Mapping[str, str] | None = None
        """The parameters of the last deployment."""
        self._stack: Stack | None = None
        self.pools: Mapping[str, Pool] = {}
        """The processes of each function, by its logical id; none if somebody else runs them."""
        self.pushes: dict[str, str] = {}
        """Account → URL of its pushes, where the system was started with them."""
        self.control = ""
        self.endpoints = self._found()
        """Where everything was at the last deployment, as the file says it."""

    @property
    def directory(self) -> Path:
        return self._place.directory

    @property
    def stack(self) -> Stack:
        """Return what was deployed. Raises LocalError."""
        if self._stack is None:
            raise LocalError("there is no stack: start without --bare, or run legato --local setup")
        return self._stack

    def secret(self, output: str) -> dict[str, Any]:
        """Return what the secret holds that this output of the stack names."""
        return _read_secret(self._place.endpoint, self.stack.outputs[output])

    def invoke(self, logical: str, event: Any) -> Any:
        """Run a function, by its logical id, with an event. Raises InvocationError."""
        if logical not in self.pools:
            raise InvocationError(f"{logical}: this local system does not run it")
        return self.pools[logical].invoke(event)

    def create(self, parameters: Mapping[str, str]) -> None:
        """Create the stack, or update it, without what runs its functions. Raises LocalError."""
        place = self._place
        created = stack.create(
            place.endpoint,
            gateway=f"http://{place.host}:{place.ports['webhook']}",
            parameters={**place.base, **parameters},
            exists=self._stack is not None,
        )
        if place.scheduled is not None:
            kept = [each for each in created.schedules if each.function in place.scheduled]
            created = replace(created, schedules=kept)
        self._stack = created
        self._given = parameters

    def run(self) -> None:
        """Run the functions and what calls them, and tell everybody where all is."""
        if self._place.functions:
            self.pools = self._parts.enter_context(_pools(self.stack, self._place))
            invokes = {logical: pool.invoke for logical, pool in self.pools.items()}
            app = gateway.application(self.stack.routes, invokes)
            place = self._place
            self._parts.enter_context(gateway.serving(app, place.host, place.ports["webhook"]))
            self._customs.update(self.stack.customs, invokes)
            self._parts.enter_context(_callers(self.stack, self._place, self.pools))
        self.announce()

    def deploy(self, parameters: Mapping[str, str]) -> None:
        """Create or update the stack; everything runs with what it says then.

        Raises LocalError. Where an update fails, the system runs as before.
        """
        with self._changing:
            before = self._given
            try:
                self.create(parameters)
                self._renew()
            except (LocalError, ClientError):
                if before is None:
                    self._leave()
                    stack.delete(self._place.endpoint)
                    self._stack = None
                else:
                    self.create(before)
                    self._renew()
                raise

    def delete(self) -> None:
        """Delete the stack but for what the template retains. Raises LocalError without one."""
        with self._changing:
            _ = self.stack
            self._leave()
            stack.delete(self._place.endpoint)
            self._stack, self._given = None, None
            self.announce()

    def announce(self) -> None:
        """Write the file that says where everything is."""
        self.endpoints = self._found()
        endpoints.write(self.endpoints, self._place.directory)

    def _found(self) -> Endpoints:
        place = self._place
        found = Endpoints(
            aws=place.endpoint,
            region=aws.REGION,
            control=self.control,
            simulators=place.simulators,
        )
        return found if self._stack is None else _of_stack(found, self._stack, self)

    def _renew(self) -> None:
        kept = {each.logical for each in self.stack.customs}
        self._customs.delete(kept, self._invokes())
        self._parts.close()
        self.run()

    def _leave(self) -> None:
        """End the functions, after they were told that the stack goes."""
        self._customs.delete((), self._invokes())
        self._parts.close()
        self.pools = {}

    def _invokes(self) -> Mapping[str, Callable[[Any], Any]]:
        return {logical: pool.invoke for logical, pool in self.pools.items()}


@contextlib.contextmanager
def running(
    *,
    port: int | None = None,
    directory: Path | None = None,
    host: str = "127.0.0.1",
    bare: bool = False,
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

    `bare` leaves out the stack, for `legato --local setup` to deploy it. `functions=False` leaves
    out what runs the functions (gateway, pollers, schedules, custom resources, workers), for
    somebody else to run them. `scheduled` names the functions whose schedules run, by their logical
    ids; without it all do. At least `seconds_between` lie between two runs of a schedule.
    `parameters` go over local/parameters.json, the `…_settings` into the simulators' configuration.
    `through` runs what stands between the functions and AWS: it takes AWS's address and yields its
    own. Raises LocalError.
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
        of_ringcx = ringcx.parameters(simulators["ringcx"], configured["ringcx"])
        of_kazoo = kazoo.parameters(simulators["kazoo"], configured["kazoo"])
        base = {
            **stack.parameters_of(PARAMETERS),
            **ringex.parameters(simulators["ringex"]),
            "RingcxUrl": of_ringcx.pop("RingcxUrl"),
        }
        seen = cleanup.enter_context(through(endpoint)) if functions else endpoint
        system = System(
            Place(
                host=host,
                ports=ports,
                directory=where,
                logs=logs,
                endpoint=endpoint,
                seen=seen,
                simulators=simulators,
                base=base,
                functions=functions,
                scheduled=scheduled,
                seconds_between=seconds_between,
            ),
            cleanup,
        )
        if functions:
            system.control = cleanup.enter_context(
                control.controlled(
                    host,
                    parameters=stack.with_tuning(template.read(), base),
                    deploy=system.deploy,
                    delete=system.delete,
                    invoke=system.invoke,
                )
            )
        typed = credentials.secret() | kazoos.secret()
        endpoints.write_credentials(typed, where)
        cleanup.callback(endpoints.remove, where, endpoint)
        if not bare:
            system.create(of_ringcx | of_kazoo | dict(parameters or {}))
            outputs = system.stack.outputs
            add_to_secret(endpoint, outputs["CredentialsArn"], typed)
            tokens = {CURRENT_TOKEN: EVENTS_TOKEN} | kazoos.tokens()
            add_to_secret(endpoint, outputs["InboundTokensArn"], tokens)
            accounts = configured["kazoo"]["accounts"] if "KazooPushUrl" in outputs else []
            address = outputs.get("KazooPushUrl", "")
            system.pushes = kazoo.push_urls(kazoos, address, accounts)
        for answers in ready:
            answers()
        if bare:
            system.announce()
        else:
            system.run()
        yield system


def add_to_secret(endpoint: str, arn: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in a secret of the stack, as an operator would; return all that it holds."""
    content = _read_secret(endpoint, arn) | dict(more)
    client = aws.client("secretsmanager", endpoint)
    client.put_secret_value(SecretId=arn, SecretString=json.dumps(content))
    return content


def _read_secret(endpoint: str, arn: str) -> dict[str, Any]:
    client = aws.client("secretsmanager", endpoint)
    content: dict[str, Any] = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    return content


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
def _pools(created: Stack, place: Place) -> Iterator[Mapping[str, Pool]]:
    """Run the functions."""
    pools: dict[str, Pool] = {}
    for logical, function in created.functions.items():
        concurrency = sum(s.concurrency for s in created.sources if s.function == logical)
        pools[logical] = Pool(
            function,
            endpoint=place.seen,
            log=place.logs / f"{function.code.name}.log",
            size=concurrency or WEBHOOK_PROCESSES,
        )
    try:
        _warm([pools[logical] for logical in _hurried(created)], place.logs)
        yield pools
    finally:
        _at_once([pool.close for pool in pools.values()])


@contextlib.contextmanager
def _callers(created: Stack, place: Place, pools: Mapping[str, Pool]) -> Iterator[None]:
    """Run what calls the functions by itself: pollers, rules and schedules."""
    endpoint = place.endpoint
    parts: list[Poller | Target | Timer] = [
        *(
            Poller(source, pools[source.function].invoke, endpoint=endpoint)
            for source in created.sources
        ),
        *(Target(rule, pools[rule.function].invoke, endpoint=endpoint) for rule in created.rules),
        *(
            Timer(schedule, pools[schedule.function].invoke, seconds=place.seconds_between)
            for schedule in created.schedules
        ),
    ]
    for part in parts:
        part.start()
    try:
        yield
    finally:
        _at_once([part.stop for part in parts])


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


def _of_stack(found: Endpoints, created: Stack, system: System) -> Endpoints:
    outputs = created.outputs
    queues = created.configuration.queues if created.configuration else {}
    return replace(
        found,
        webhook=outputs["WebhookUrl"],
        webhook_token=system.secret("InboundTokensArn")[CURRENT_TOKEN],
        kazoo_push=system.pushes if "KazooPushUrl" in outputs else {},
        bucket=outputs["ArchiveBucketName"],
        inbox=outputs.get("InboxBucketName", ""),
        table=outputs["LedgerTableName"],
        queues={provider: queue.url for provider, queue in queues.items()},
        dlqs={provider: queue.dead_letters for provider, queue in queues.items()},
    )
