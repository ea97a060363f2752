"""What the platform answers: one operation for each method of a path.

Groups and permissions are those of the official description (`x-throttling-group`,
`x-app-permission`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.simulators.raw import AnyJson
from local.simulators.ringex import call_log, call_log_sync, oauth, recordings
from local.simulators.ringex.call_log import Place
from local.simulators.ringex.notifications import session_object
from local.simulators.ringex.oauth import Session
from local.simulators.ringex.problems import Problem, bad_parameter, not_found
from local.simulators.ringex.world import World
from local.simulators.settings import Json

type Handler = Callable[[World, Request, Session], Awaitable[Response]]

_ACCOUNT = "/restapi/v1.0/account/{account}"
_SUBSCRIPTION = "/restapi/v1.0/subscription"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a path. Without a permission it needs any token, without `token` none.

    `permission` is the app's, `user_permission` the one of the user's role
    (https://developers.ringcentral.com/guide/voice/call-log/access).
    """

    name: str
    method: str
    path: str
    group: str
    handler: Handler
    permission: str | None = None
    user_permission: str | None = None
    token: bool = True


async def _mint_token(world: World, request: Request, _: Session) -> Response:
    return JSONResponse(await oauth.mint_token(world.config, world.sessions, request))


async def _revoke_token(world: World, request: Request, _: Session) -> Response:
    await oauth.revoke_token(world.config, world.sessions, request)
    return Response(status_code=200)


async def _read_account(world: World, request: Request, _: Session) -> Response:
    return JSONResponse(account_info(world.config.account_id, base_of(request)))


def account_info(account: str, base: str) -> Json:
    """Return what identifies an account (`GetAccountInfoResponse`), where its id is a number."""
    return {"uri": f"{base}/restapi/v1.0/account/{account}", "id": int(account)}


async def _list_subscriptions(world: World, request: Request, session: Session) -> Response:
    base = base_of(request)
    found = [world.subscriptions.render(each, base) for each in world.subscriptions.of(session)]
    return JSONResponse({"uri": f"{base}{_SUBSCRIPTION}", "records": found})


async def _create_subscription(world: World, request: Request, session: Session) -> Response:
    given = await _json(request)
    made = await world.subscriptions.create(session, given, world.transport)
    return JSONResponse(world.subscriptions.render(made, base_of(request)))


async def _get_subscription(world: World, request: Request, session: Session) -> Response:
    found = world.subscriptions.get(session, request.path_params["subscription"])
    return JSONResponse(world.subscriptions.render(found, base_of(request)))


async def _update_subscription(world: World, request: Request, session: Session) -> Response:
    given = await _json(request) if await request.body() else {}
    name = request.path_params["subscription"]
    changed = world.subscriptions.update(session, name, given)
    return JSONResponse(world.subscriptions.render(changed, base_of(request)))


async def _renew_subscription(world: World, request: Request, session: Session) -> Response:
    renewed = world.subscriptions.renew(session, request.path_params["subscription"])
    return JSONResponse(world.subscriptions.render(renewed, base_of(request)))


async def _delete_subscription(world: World, request: Request, session: Session) -> Response:
    world.subscriptions.delete(session, request.path_params["subscription"])
    return Response(status_code=204)


async def _read_session(world: World, request: Request, _: Session) -> Response:
    session = world.calls.sessions.get(request.path_params["session"])
    now = world.clock()
    if session is None or now >= session.ended_at + world.config.session_kept:
        raise not_found("telephonySessionId")
    return JSONResponse(session_object(session, world.config.account_id, now))


async def _read_call_log(world: World, request: Request, _: Session) -> Response:
    place = _place(world, request)
    page = call_log.read_call_log(
        world.calls, world.raw, request.query_params, place, world.clock()
    )
    return AnyJson(page)


async def _read_call_record(world: World, request: Request, _: Session) -> Response:
    detailed = call_log.read_view(request.query_params)
    name = request.path_params["record"]
    place = _place(world, request)
    record = call_log.read_record(
        world.calls, world.raw, name, place, world.clock(), detailed=detailed
    )
    return AnyJson(record)


async def _extract_call_log(world: World, request: Request, _: Session) -> Response:
    place = _place(world, request)
    changes = call_log_sync.extract(
        world.calls,
        world.raw,
        request.query_params,
        place,
        world.clock(),
        token_seconds=world.config.sync_token_seconds,
    )
    return AnyJson(changes)


async def _read_recording(world: World, request: Request, _: Session) -> Response:
    recording = world.recordings.ready(request.path_params["recording"])
    address = _place(world, request).content(recording.id)
    return JSONResponse(recordings.metadata(recording, address))


async def _read_content(world: World, request: Request, _: Session) -> Response:
    recording = world.recordings.ready(request.path_params["recording"])
    return recordings.content(recording, request)


async def _delete_recordings(world: World, request: Request, _: Session) -> Response:
    ids = (await _json(request)).get("records")
    if not isinstance(ids, list) or not 1 <= len(ids) <= 100:
        raise bad_parameter("records", ids)
    if not all(isinstance(each, str) for each in ids):
        raise bad_parameter("records", ids)
    world.recordings.delete(ids)
    world.stats.deletes.update(set(ids))
    return Response(status_code=204)


async def _json(request: Request) -> Json:
    try:
        given = json.loads(await request.body())
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise Problem(400, "CMN-100", "Cannot parse the request body as a JSON object")
    return given


def base_of(request: Request) -> str:
    """Return the address by which the client reached us: links work under any host name."""
    return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


def _place(world: World, request: Request) -> Place:
    return Place(base=base_of(request), account=world.config.account_id)


OPERATIONS = (
    Operation(
        name="token",
        method="POST",
        path="/restapi/oauth/token",
        group="Auth",
        handler=_mint_token,
        token=False,
    ),
    Operation(
        name="revoke",
        method="POST",
        path="/restapi/oauth/revoke",
        group="Auth",
        handler=_revoke_token,
        token=False,
    ),
    Operation(
        name="account",
        method="GET",
        path=_ACCOUNT,
        group="Light",
        handler=_read_account,
        permission="ReadAccounts",
    ),
    Operation(
        name="subscription-list",
        method="GET",
        path=_SUBSCRIPTION,
        group="Light",
        handler=_list_subscriptions,
    ),
    Operation(
        name="subscription-create",
        method="POST",
        path=_SUBSCRIPTION,
        group="Medium",
        handler=_create_subscription,
        permission="SubscriptionWebhook",
    ),
    Operation(
        name="subscription-get",
        method="GET",
        path=_SUBSCRIPTION + "/{subscription}",
        group="Light",
        handler=_get_subscription,
    ),
    Operation(
        name="subscription-update",
        method="PUT",
        path=_SUBSCRIPTION + "/{subscription}",
        group="Medium",
        handler=_update_subscription,
    ),
    Operation(
        name="subscription-delete",
        method="DELETE",
        path=_SUBSCRIPTION + "/{subscription}",
        group="Medium",
        handler=_delete_subscription,
    ),
    Operation(
        name="subscription-renew",
        method="POST",
        path=_SUBSCRIPTION + "/{subscription}/renew",
        group="Light",
        handler=_renew_subscription,
    ),
    Operation(
        name="session",
        method="GET",
        path=_ACCOUNT + "/telephony/sessions/{session}",
        group="Light",
        handler=_read_session,
        permission="CallControl",
    ),
    Operation(
        name="call-log",
        method="GET",
        path=_ACCOUNT + "/call-log",
        group="Heavy",
        handler=_read_call_log,
        permission="ReadCallLog",
        user_permission="ReadCompanyCallLog",
    ),
    Operation(
        name="call-log-record",
        method="GET",
        path=_ACCOUNT + "/call-log/{record}",
        group="Heavy",
        handler=_read_call_record,
        permission="ReadCallLog",
        user_permission="ReadCompanyCallLog",
    ),
    Operation(
        name="call-log-extract-sync",
        method="GET",
        path=_ACCOUNT + "/call-log-extract-sync",
        group="Heavy",
        handler=_extract_call_log,
        permission="ReadCallLog",
        user_permission="ReadCompanyCallLog",
    ),
    Operation(
        name="recording",
        method="GET",
        path=_ACCOUNT + "/recording/{recording}",
        group="Heavy",
        handler=_read_recording,
        permission="ReadCallRecording",
        user_permission="ReadCallRecording",
    ),
    Operation(
        name="content",
        method="GET",
        path=_ACCOUNT + "/recording/{recording}/content",
        group="Heavy",
        handler=_read_content,
        permission="ReadCallRecording",
        user_permission="ReadCallRecording",
    ),
    Operation(
        name="delete-recordings",
        method="DELETE",
        path=_ACCOUNT + "/call-recordings",
        group="Heavy",
        handler=_delete_recordings,
        permission="EditCallLog",
    ),
)
