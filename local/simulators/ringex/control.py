"""The side under `/_sim/`, which is not RingCentral's: what happens, what breaks, what was seen.

`POST /_sim/calls` places a call that has ended, and answers 201 with `accountId`,
`telephonySessionId`, `sessionId`, `recordingIds`, `recordIds` and `notifications` (how many are
sent). Every field is optional but a leg's `duration`; times are ISO 8601 in UTC, lengths in
seconds:

- `telephonySessionId`, `sessionId`: a known session gets one more record.
- `legs`: a list of `recordingId`, `extensionId`, `startTime` (default: after the one before, ending
  now), `duration`, `format` (`mp3` or `wav`), `audio` (base64, served as it is), `type`
  (`Automatic` or `OnDemand`), `contentType`. No legs: a call that was not recorded; then
  `startTime` and `duration` of the call itself count. A recording id may repeat within a session.
- `readyAfter` (0): seconds from now until the recordings can be fetched.
- `emit` (true): send notifications; `hintRecordings` (true): they name the recordings.
- `listed` (true), `listedAfter` (`logLag` of the configuration): whether and when the call log
  has it. `rewrittenAfter`: until then the log shows a snapshot without recordings, or with the
  first `legsAtFirst` legs and theirs.
- `inProgress`: seconds that the call still runs. The log says "In Progress", the last
  notifications come at the end. With `true` the log says so for ever, though the call is over
  after `overAfter` seconds (never, unless said): then the last notifications come, and the log
  shows its recordings.
- `recordPerLeg` (false): one record of the log for each leg, all of one session.
- `direction` (`Inbound`), `from` (the customer's number).
- `transferTarget`, `transferee`: the other telephony session of a warm transfer.

Fields that are not known are named in the answer's `ignored`.

`POST /_sim/raw` lists `records` word for word, whatever they are: in the call log (by `startTime`;
without one that can be read in every list), by `telephonySessionId`, `sessionId` and id, and as
changed now in `call-log-extract-sync`; other filters do not count. A text `now-<seconds>` in them
becomes that time. A record with the id of one that was given or placed before takes its place.
`audio` maps recording ids to base64, which is served as it is; a recording of a record or a leg
without it gets audio of its `duration`, else it is not there. The path's account does not count
for them. The answer, 201, has the `records` and the `recordingIds` that can be fetched.

`POST /_sim/faults` takes one fault or a list: `kind`, `route` (a name from `GET /_sim/stats`, or
`any`), `times` (1), `recordingId` (only this one). With `for`, the id of a recording, it
happens whenever that one is asked for and never else, on `any` route that names it unless `route`
says which, until it is taken back or another fault takes its place. But for `stall` and `hang`,
`seconds` is how long a fault holds, however often something is asked: `{"kind": "status", "route":
"any", "seconds": 3600}` is an outage of everything for an hour. Kinds:

- `status` (also without a `kind`): `status` (503), `errorCode`, `permissionName`, `retryAfter`.
- `truncate`: `share` (0.5) of the body, then the connection is dropped; `cut`: the same without the
  last `bytes` (1), or with `asIfWhole` (false) as if what comes were all.
- `stall`: `share` of the body, then nothing for `seconds` (30), then the rest; `hang`: nothing for
  `seconds`, then the answer; `slow`: `bytesPerSecond` (8000).
- `html`, `json`, `empty`: a page, an object, or nothing, behind a 200.
- `redirect`: 302 to `location`.
- `evict`: all sessions are gone, at once without a `route`, else when such a request comes.
- `bad-page`: a page of the call log whose `damage` is `startTime` (missing), `legs` (no list) or
  `records` (no list).
- `endless`: another page follows for ever (`nextPage` of `call-log`, `newerRecordsExist` of
  `call-log-extract-sync`), until it is taken back.

A 403 is about a permission, which it names, unless it is for one recording and `permissionName` is
missing. A sync token is refused by `{"kind": "status", "route": "call-log-extract-sync", "status":
400, "errorCode": ...}`. What spoils an answer waits for one that is good, so a 404 does not use it
up. `DELETE /_sim/faults` takes back what did not happen yet.

`GET /_sim/subscriptions` lists all subscriptions, with the `verificationToken` that the platform
never shows. `POST /_sim/subscriptions` changes the one with this `id`: `status` (`Active`,
`Blacklisted` for a `reason`, or `Deleted`), `expiresIn` (seconds from now), `disabled` (a filter
that delivers nothing any more, for want of a permission).

`GET /_sim/stats` counts, `deletes` by recording; `DELETE /_sim/stats` begins anew. `POST
/_sim/settings` changes the configuration. `POST /_sim/drain` answers when every due notification
was sent. `POST /_sim/reset` drops calls, faults, statistics and rate-limit windows; log-ins and
webhooks stay.
"""

from __future__ import annotations

import math

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.simulators import control
from local.simulators.faults import EVERYWHERE, Fault, read_fault
from local.simulators.fields import Fields, read_body
from local.simulators.raw import AnyJson, read_raw
from local.simulators.ringex.calls import CUSTOMER, CallOrder, LegOrder, placed
from local.simulators.ringex.faults import DAMAGES
from local.simulators.ringex.notifications import changes_of
from local.simulators.ringex.operations import OPERATIONS
from local.simulators.ringex.world import World
from local.simulators.settings import BadInput


class Control:
    """Answers under `/_sim/`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def place_call(self, request: Request) -> Response:
        """Place a call and say its ids."""
        world = self._world
        fields = Fields(await read_body(request))
        emit = fields.flag("emit", default=True)
        hint = fields.flag("hintRecordings", default=True)
        order = call_order(fields, extension=f"{world.config.account_id[:-3]}101")
        session, rows = world.calls.place(order)
        answer = placed(session, rows) | {"accountId": world.config.account_id}
        answer["notifications"] = 0
        if emit:
            changes = list(changes_of(rows, world.config.account_id, hint=hint))
            at_end = [each for each in changes if each.last and order.runs_for is not None]
            so_far = [each for each in changes if each not in at_end]
            answer["notifications"] = world.deliveries.announce(session, so_far)
            if at_end and math.isfinite(session.ended_at):
                world.deliveries.announce_later(session.ended_at, session, at_end)
        if fields.ignored:
            answer["ignored"] = fields.ignored
        return JSONResponse(answer, status_code=201)

    async def take_raw(self, request: Request) -> Response:
        """List records word for word, and say what they became."""
        world = self._world
        fields = Fields(await read_body(request))
        raw = read_raw(fields, "records", now=world.clock())
        answer = {"records": raw.entries, "recordingIds": world.raw.take(raw)}
        if fields.ignored:
            answer["ignored"] = fields.ignored
        return AnyJson(answer, status_code=201)

    async def read_stats(self, _request: Request) -> Response:
        """Return what was counted."""
        world = self._world
        return JSONResponse(
            world.stats.to_json()
            | {
                "pendingNotifications": world.deliveries.pending,
                "calls": len(world.calls.sessions),
                "recordings": len(world.recordings),
                "subscriptions": len(world.subscriptions.living()),
            }
        )

    async def list_subscriptions(self, request: Request) -> Response:
        """Return every subscription, whoever made it."""
        subscriptions = self._world.subscriptions
        base = str(request.base_url).rstrip("/")
        return JSONResponse(
            [
                subscriptions.render(each, base) | {"verificationToken": each.token}
                for each in subscriptions.living()
            ]
        )

    async def change_subscription(self, request: Request) -> Response:
        """Let something happen to a subscription."""
        world = self._world
        fields = Fields(await read_body(request))
        name = fields.text("id", default=None)
        found = [each for each in world.subscriptions.living() if each.id == name]
        if not found:
            raise BadInput(f"id: {name!r} is no subscription")
        status = fields.choice("status", ("Active", "Blacklisted", "Deleted"))
        reason = fields.text("reason", default="I/O operation is failed. Details: [Read timed out]")
        world.subscriptions.change(
            found[0], status, reason, disabled=fields.text("disabled", default=None)
        )
        if (seconds := fields.number("expiresIn", default=None)) is not None:
            found[0].expires_at = world.clock() + seconds
        return Response(status_code=204)

    async def drain(self, _request: Request) -> Response:
        """Answer when every notification that is due was sent."""
        self._world.deliveries.pump()
        await self._world.deliveries.drain()
        return Response(status_code=204)


def routes(world: World) -> list[Route]:
    """Return the routes under `/_sim/`."""
    own = Control(world)
    return control.routes(
        world,
        fault_order,
        (
            ("POST", "calls", own.place_call),
            ("POST", "raw", own.take_raw),
            ("GET", "stats", own.read_stats),
            ("GET", "subscriptions", own.list_subscriptions),
            ("POST", "subscriptions", own.change_subscription),
            ("POST", "drain", own.drain),
        ),
    )


def call_order(fields: Fields, *, extension: str) -> CallOrder:
    """Read an order for a call. `extension` is who talks on a leg that names nobody."""
    stuck = fields.is_true("inProgress")
    runs_for = fields.number("overAfter" if stuck else "inProgress", default=None)
    return CallOrder(
        telephony_session_id=fields.text("telephonySessionId", default=None),
        session_id=fields.text("sessionId", default=None),
        legs=tuple(_leg_order(each, extension) for each in fields.objects("legs")),
        direction=fields.choice("direction", ("Inbound", "Outbound")),
        customer=fields.text("from", default=CUSTOMER),
        starts_at=fields.moment("startTime"),
        seconds=fields.number("duration", default=30),
        ready_after=fields.number("readyAfter", default=0),
        listed=fields.flag("listed", default=True),
        listed_after=fields.number("listedAfter", default=None),
        rewritten_after=fields.number("rewrittenAfter", default=None),
        legs_at_first=int(fields.number("legsAtFirst", default=0)),
        runs_for=math.inf if stuck and runs_for is None else runs_for,
        stuck=stuck,
        record_per_leg=fields.flag("recordPerLeg", default=False),
        transfer_target=fields.text("transferTarget", default=None),
        transferee=fields.text("transferee", default=None),
    )


def _leg_order(fields: Fields, extension: str) -> LegOrder:
    extension = fields.text("extensionId", default=extension)
    if not extension.isdecimal():
        raise BadInput(f"{fields.where}extensionId: {extension!r} is not a number in a string")
    return LegOrder(
        recording_id=fields.text("recordingId", default=None),
        extension_id=extension,
        starts_at=fields.moment("startTime"),
        seconds=fields.number("duration"),
        format=fields.choice("format", ("mp3", "wav")),
        type=fields.choice("type", ("Automatic", "OnDemand")),
        content_type=fields.text("contentType", default=None),
        audio=fields.base64("audio"),
    )


def fault_order(fields: Fields) -> Fault:
    """Read an order for a fault."""
    return read_fault(
        fields, kinds=_KINDS, damages=DAMAGES, only="recordingId", about_one=_ABOUT_ONE
    )


_ROUTES = ("any", *(operation.name for operation in OPERATIONS))
_ABOUT_ONE = tuple(each.name for each in OPERATIONS if "{recording}" in each.path)
_KINDS = dict.fromkeys((*EVERYWHERE, "evict"), _ROUTES) | {
    "bad-page": tuple(route for route in _ROUTES if "call-log" in route),
    "endless": ("call-log", "call-log-extract-sync"),
}
