"""The way of `sam local` into the running local system.

SAM runs a function in a container, where this machine's own address is another one. So a running
local system leaves a file of variables for it, of which samconfig.toml tells SAM, and listens on
Docker's bridge too.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Collection, Iterator
from functools import partial
from urllib.parse import urlsplit

import docker
from docker.errors import DockerException

from legato.app.function import PARAMETER
from local import aws
from local.system import System

HOST = "host.docker.internal"
"""This machine, as a container calls it."""
NAME = "env.json"
WEBHOOK_URL = "LEGATO_RINGEX_WEBHOOK_URL"
"""The simulator calls it, which runs on this machine itself."""
_CHUNK = 1 << 16
_DOCKER_SECONDS = 2


@contextlib.contextmanager
def reached_by_containers(system: System) -> Iterator[bool]:
    """Let containers into the system until the block is left; yields whether Docker runs."""
    file = system.directory / NAME
    file.write_text(json.dumps(_variables(system), indent=2) + "\n", encoding="utf-8")
    found = system.endpoints
    ports = {
        int(urlsplit(url).port or 0)
        for url in (found.aws, found.webhook, *found.simulators.values())
    }
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(file.unlink, missing_ok=True)
        if bridge := bridge_address():
            cleanup.enter_context(forwarding(bridge, ports))
        yield bridge is not None


def _variables(system: System) -> dict[str, dict[str, str]]:
    """Return the variables, in the shape of `sam local invoke --env-vars`.

    What is under "Parameters" is for all functions, those included that this stack goes without.
    """
    endpoint, functions = system.endpoints.aws, system.stack.functions
    addresses = [endpoint, *system.endpoints.simulators.values()]
    names = {f.environment[PARAMETER] for f in functions.values() if PARAMETER in f.environment}
    [configuration] = [_configured_inside(name, endpoint, addresses) for name in names]
    variables = {"Parameters": {"AWS_ENDPOINT_URL": _inside(endpoint), PARAMETER: configuration}}
    for logical, function in functions.items():
        variables[logical] = {
            name: value if name == WEBHOOK_URL else _led_inside(value, addresses)
            for name, value in function.environment.items()
            if name.startswith("LEGATO_") and name != PARAMETER
        }
    return variables


def _configured_inside(name: str, endpoint: str, addresses: Collection[str]) -> str:
    """Write the functions' configuration as containers need it; return its parameter's name."""
    ssm, inside = aws.client("ssm", endpoint), f"{name}-in-containers"
    document = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    document = _led_inside(document, addresses)
    ssm.put_parameter(Name=inside, Value=document, Type="String", Overwrite=True)
    return inside


def _led_inside(text: str, addresses: Collection[str]) -> str:
    for address in addresses:
        text = text.replace(address, _inside(address))
    return text


def _inside(address: str) -> str:
    return f"http://{HOST}:{urlsplit(address).port}"


def bridge_address() -> str | None:
    """Return this machine's address on Docker's bridge, or None without a Docker engine."""
    try:
        engine = docker.from_env(timeout=_DOCKER_SECONDS)
        settings = engine.networks.get("bridge").attrs["IPAM"]["Config"][0]
    except (DockerException, LookupError):
        return None
    # A fresh engine names no gateway yet: it is the first address of the subnet.
    return settings.get("Gateway") or str(ipaddress.ip_network(settings["Subnet"])[1])


@contextlib.contextmanager
def forwarding(bridge: str, ports: Collection[int]) -> Iterator[None]:
    """Pass on what comes to these ports of the bridge to the same ports of this machine.

    Where the bridge is in a virtual machine (Docker Desktop), it has no such address, and Docker
    itself passes on what containers send to HOST.
    """
    loop = asyncio.new_event_loop()
    servers = []
    for port in ports:
        with contextlib.suppress(OSError):
            passed = partial(_pass_on, port)
            servers.append(loop.run_until_complete(asyncio.start_server(passed, bridge, port)))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_end(servers), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(servers: Collection[asyncio.Server]) -> None:
    for server in servers:
        server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _pass_on(port: int, reader: StreamReader, writer: StreamWriter) -> None:
    try:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    """Copy until one side ends, then say so to the other."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()
