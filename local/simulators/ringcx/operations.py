"""What RingCX answers: one operation for each method of a path."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.simulators.raw import AnyJson
from local.simulators.ringcx import metadata, recordings
from local.simulators.ringcx.problems import Bare, Problem, Text, invalid
from local.simulators.ringcx.tokens import account_name
from local.simulators.ringcx.world import World
from local.simulators.ringex.oauth import read_form

type Handler = Callable[[World, Request], Awaitable[Response]]

_SUB_ACCOUNT = "{prefix}/accounts/{account}/sub-accounts/{sub_account}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a path. Without a group it is not limited, without `token` it needs none."""

    name: str
    method: str
    path: str
    handler: Handler
    group: str | None = None
    token: bool = True


async def _mint_token(world: World, request: Request) -> Response:
    return await world.platform.mint_token(request)


async def _read_platform_account(world: World, request: Request) -> Response:
    return await world.platform.read_account(request)


async def _exchange(world: World, request: Request) -> Response:
    given = dict(request.query_params)
    if await request.body():
        given |= await read_form(request)
    if given.get("rcTokenType") != "Bearer":
        raise invalid("rcTokenType", given.get("rcTokenType"), "must be Bearer")
    if not await world.platform.knows(given.get("rcAccessToken", "")):
        raise Text(401, "RingCentral access token is not valid")
    world.stats.exchanges += 1
    return JSONResponse(world.tokens.issue(refresh=given.get("includeRefresh") == "true"))


async def _refresh(world: World, request: Request) -> Response:
    form = await read_form(request)
    answer = world.tokens.rotate(form.get("refresh_token", ""))
    world.stats.refreshes += 1
    return JSONResponse(answer)


async def _list_accounts(world: World, _request: Request) -> Response:
    config = world.config
    days = {
        "audioRetentionDays": config.audio_retention_days,
        "dataRetentionDays": config.data_retention_days,
    }
    return JSONResponse(
        [
            {
                "accountId": sub_account,
                "accountName": account_name(sub_account),
                "mainAccountId": config.main_account_id,
                **days,
                "mainAccount": {
                    "mainAccountId": config.main_account_id,
                    "rcAccountId": config.rc_account_id,
                },
            }
            for sub_account in config.sub_accounts
        ]
    )


async def _read_metadata(world: World, request: Request) -> Response:
    config, now = world.config, world.clock()
    sub_account = request.path_params["sub_account"]
    known = request.path_params["account"] == config.rc_account_id
    if not known or sub_account not in config.sub_accounts or not config.wem_access:
        raise Problem(403)
    window = metadata.Window.read(await _json(request), now, too_fresh=config.too_fresh_seconds)
    found = world.calls.window(sub_account, window.begin, window.end)
    rows = [metadata.row(each, now) for each in found[: int(config.row_cap)]]
    return AnyJson(rows + world.raw.window(sub_account, window.begin, window.end))


async def _read_recording(world: World, request: Request) -> Response:
    config, path = world.config, request.path_params
    if path["account"] != config.rc_account_id:
        raise Bare(404, f"EvPlatform by rc_account_id={path['account']} not found")
    if path["sub_account"] not in config.sub_accounts or not config.recording_activated:
        raise Problem(403)
    placed = world.calls.find(path["sub_account"], path["dialog"], path["segment"])
    found = world.raw.find(path["segment"]) or placed
    return recordings.serve(found, request, config, world.stats, world.clock())


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        return None


PLATFORM = (
    Operation(
        name="token",
        method="POST",
        path="/restapi/oauth/token",
        handler=_mint_token,
        token=False,
    ),
    Operation(
        name="account",
        method="GET",
        path="/restapi/v1.0/account/~",
        handler=_read_platform_account,
        token=False,
    ),
)
"""RingCentral's own, for which there may be another simulator."""

OPERATIONS = (
    Operation(
        name="exchange",
        method="POST",
        path="/api/auth/login/rc/accesstoken",
        handler=_exchange,
        group="Exchange",
        token=False,
    ),
    Operation(
        name="refresh",
        method="POST",
        path="/api/auth/token/refresh",
        handler=_refresh,
        group="Exchange",
        token=False,
    ),
    Operation(
        name="accounts",
        method="GET",
        path="/voice/api/v1/admin/accounts",
        handler=_list_accounts,
    ),
    Operation(
        name="metadata",
        method="POST",
        path=_SUB_ACCOUNT + "/interaction-metadata",
        handler=_read_metadata,
        group="Metadata",
    ),
    Operation(
        name="recording",
        method="GET",
        path=_SUB_ACCOUNT + "/recordings/dialogs/{dialog}/segments/{segment}",
        handler=_read_recording,
        group="Recordings",
    ),
)
