"""What Kazoo answers: one operation for each method of a path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from local.simulators.kazoo import recordings
from local.simulators.kazoo.calls import Recording
from local.simulators.kazoo.documents import document, revision
from local.simulators.kazoo.exchange import Exchange
from local.simulators.kazoo.listing import Query, page_of, read_page
from local.simulators.kazoo.problems import bad_identifier
from local.simulators.kazoo.world import World

type Handler = Callable[[World, Exchange], Awaitable[Response]]

_ACCOUNT = "/v2/accounts/{account}"
_RECORDING = _ACCOUNT + "/recordings/{recording}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a path. Without `token` it is a log-in, which needs none."""

    name: str
    method: str
    path: str
    handler: Handler
    token: bool = True


async def _log_in_by_key(world: World, exchange: Exchange) -> Response:
    account = world.tokens.account_of_key(await exchange.data())
    return _logged_in(world, exchange, account)


async def _log_in_user(world: World, exchange: Exchange) -> Response:
    account = world.tokens.account_of_user(await exchange.data())
    return _logged_in(world, exchange, account)


def _logged_in(world: World, exchange: Exchange, account: str) -> Response:
    exchange.token = world.tokens.issue(account)
    world.stats.tokens_minted += 1
    return exchange.success(world.tokens.details(account), status=201)


async def _list_recordings(world: World, exchange: Exchange) -> Response:
    query = Query.read(exchange.request.query_params, world.config, exchange.now)
    owner = exchange.request.path_params.get("user")
    page = read_page(query, world.calls, world.raw, exchange.account, owner, exchange.now)
    return exchange.success(**page)


async def _list_descendants(world: World, exchange: Exchange) -> Response:
    config = world.config
    below = [each for each in config.accounts if each != exchange.account]
    found = [
        {
            "id": each,
            "name": each[:8],
            "realm": f"{each[:8]}.example.com",
            "tree": [exchange.account],
        }
        for each in (below if exchange.account in config.resellers else ())
    ]
    return exchange.success(**page_of(found, exchange.request.query_params, config))


async def _read_recording(world: World, exchange: Exchange) -> Response:
    wanted = recordings.wants(exchange.request)
    raw = world.raw.find(exchange.account, exchange.recording)
    if raw and wanted == "document":
        return exchange.success(raw.value)
    if raw:
        found = recordings.of_raw(raw)
        return recordings.serve(found, raw.audio, exchange.request, world.config, world.stats)
    recording = _found(world, exchange)
    if wanted == "document":
        return exchange.success(document(recording), revision=revision(recording))
    audio = await world.storage.audio(recording)
    found = recordings.of_placed(recording)
    return recordings.serve(found, audio, exchange.request, world.config, world.stats)


async def _delete_recording(world: World, exchange: Exchange) -> Response:
    raw = world.raw.find(exchange.account, exchange.recording)
    if raw:
        world.raw.drop(raw)
        world.stats.deletes[exchange.recording or ""] += 1
        return exchange.success(raw.value)
    recording = _found(world, exchange)
    recording.deleted = True
    world.stats.deletes[recording.id] += 1
    return exchange.success(document(recording), revision=revision(recording))


def _found(world: World, exchange: Exchange) -> Recording:
    recording = world.calls.find(exchange.account, exchange.recording or "")
    if recording is None:
        raise bad_identifier(exchange.recording)
    return recording


OPERATIONS = (
    Operation(
        name="api-auth", method="PUT", path="/v2/api_auth", handler=_log_in_by_key, token=False
    ),
    Operation(
        name="user-auth", method="PUT", path="/v2/user_auth", handler=_log_in_user, token=False
    ),
    Operation(
        name="recordings", method="GET", path=_ACCOUNT + "/recordings", handler=_list_recordings
    ),
    Operation(
        name="user-recordings",
        method="GET",
        path=_ACCOUNT + "/users/{user}/recordings",
        handler=_list_recordings,
    ),
    Operation(
        name="descendants", method="GET", path=_ACCOUNT + "/descendants", handler=_list_descendants
    ),
    Operation(name="recording", method="GET", path=_RECORDING, handler=_read_recording),
    Operation(name="recording-delete", method="DELETE", path=_RECORDING, handler=_delete_recording),
)
