"""The side under `/_sim/`, which is not Kazoo's: what happens, what breaks, what was seen.

`POST /_sim/calls` places a call, and answers 201 with `accountId`, `interactionId` and
`recordingIds`. Every field is optional but a recording's `duration`; times are ISO 8601 in UTC,
lengths in seconds:

- `accountId`: the first, unless said. `interactionId`: a known one gets more recordings.
- `recordings`: a list of `id` (put behind its month, as `202611-`, unless it begins with it),
  `start` (default: after the one before, ending now), `duration`, `format` (`mp3` or `wav`),
  `audio` (base64, served as it is), `userId`, `direction` (`inbound` or `outbound`), `from` and
  `to` (numbers), `hasInteraction` (true; else its document names no interaction), `omit` (names of
  fields that its document lacks). One whose end is in the future is on the phone until then.
- `readyAfter` (0): seconds until the audio is stored, from now or from when the document is saved,
  whichever is later. `savedAfter` (`saveLag` of the configuration): seconds from a recording's end
  until its document is saved. The former may stand in a recording too, the latter only there.
- `emit`: an order for every provider may have it; Kazoo notifies nobody.
- `push`: send the audio when it is ready, to `url` with `method` (`put` or `post`). With `keeps`
  (true) Kazoo hands out a copy of its own, else it asks for the audio where it was sent.
- `plan`: store the audio in `bucket` at `endpoint` of an S3, under `keys` (`default`, which is
  `<db>/<id>_<attachment>`, or `by-fields`); from there it is handed out. A `push` goes before it.
  Both may stand in a recording too, and go over the call's. What fails is tried five times, then
  in five more rounds (`pushRetrySeconds`, `pushOuterRetrySeconds` of the configuration).

`POST /_sim/plans` takes a plan, and an `accountId`. It writes the test file by which Kazoo checks
one, and answers its `key`, the status of `written` and whether it could be `readBack`.

Fields that are not known are named in the answer's `ignored`.

`POST /_sim/raw` lists `documents` of `accountId` (the first) word for word, whatever they are: by
`created`, else `start`, in Gregorian seconds, else as if saved now; and each by its id. A text
`now-<seconds>` in them becomes that time: in Gregorian seconds in the fields that kazoo/raw.py
names (`TIMES`: `start`, `created` ...), else in ISO 8601. Documents with the id of one that was
given or placed before take its place. `audio` maps ids to base64, which is served as it is; a
document without it gets audio of its `duration_ms` or `duration`, else none is stored. The answer,
201, has the `documents` and the `recordingIds` whose audio can be fetched.

`POST /_sim/faults` takes one fault or a list: `kind`, `route` (a name from `GET /_sim/stats`, or
`any`), `times` (1), `recordingId` (only this recording). With `for`, the id of a recording, it
happens whenever that one is asked for and never else, on `any` route that names it unless `route`
says which, until it is taken back or another fault takes its place. But for `stall` and `hang`,
`seconds` is how long a fault holds, however often something is asked: `{"kind": "status", "route":
"any", "seconds": 3600}` is an outage of everything for an hour. Kinds:

- `status` (also without a `kind`): `status` (503), `errorCode` (the envelope's message),
  `retryAfter`.
- `truncate`: `share` (0.5) of the body, then the connection is dropped; `cut`: the same without the
  last `bytes` (1), or with `asIfWhole` (false) as if what comes were all.
- `stall`: `share` of the body, then nothing for `seconds` (30), then the rest; `hang`: nothing for
  `seconds`, then the answer; `slow`: `bytesPerSecond` (8000).
- `html`, `json`, `empty`: a page, an object that is no envelope, or nothing, behind a 200.
- `redirect`: 302 to `location`.
- `evict`: all tokens die, at once without a `route`, else when such a request comes.
- `repeat-key`: the page that is told to come next is the same one.
- `endless`: another page, with another key, follows for ever, until it is taken back.

What spoils an answer waits for one that is good. `DELETE /_sim/faults` takes back what did not
happen yet.

`GET /_sim/stats` counts; `DELETE /_sim/stats` begins anew. Grants, `tokensConsumed` and
`tooManyRequests` are by account, those of log-ins by `login`; `downloads` (begun),
`wholeDownloads` (sent to the last byte) and `deletes` by recording; `pushes`, their `fetches`, and
`plans` by status. `POST /_sim/drain` answers when what is due was stored, or tried.
`POST /_sim/settings` changes the configuration. `POST /_sim/reset` drops calls, faults, statistics,
and fills the buckets; tokens stay.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.simulators import control
from local.simulators.faults import EVERYWHERE, Fault, read_fault
from local.simulators.fields import Fields, read_body
from local.simulators.kazoo.calls import (
    CALLEE,
    CALLER,
    CallOrder,
    PlanOrder,
    PushOrder,
    RecordingOrder,
    StorageOrder,
)
from local.simulators.kazoo.operations import OPERATIONS
from local.simulators.kazoo.raw import written
from local.simulators.kazoo.world import World
from local.simulators.raw import AnyJson, read_raw
from local.simulators.settings import BadInput


def routes(world: World) -> list[Route]:
    """Return the routes under `/_sim/`."""

    async def place_call(request: Request) -> Response:
        fields = Fields(await read_body(request))
        answer = world.place(call_order(fields))
        if fields.ignored:
            answer["ignored"] = fields.ignored
        return JSONResponse(answer, status_code=201)

    async def take_raw(request: Request) -> Response:
        fields = Fields(await read_body(request))
        account = _account(fields, world)
        raw = read_raw(fields, "documents", now=world.clock(), write=written)
        names = world.raw.take(account, raw)
        answer = {"accountId": account, "documents": raw.entries, "recordingIds": names}
        if fields.ignored:
            answer["ignored"] = fields.ignored
        return AnyJson(answer, status_code=201)

    async def check_plan(request: Request) -> Response:
        fields = Fields(await read_body(request))
        account = _account(fields, world)
        answer = await world.storage.plans.check(_plan_order(fields), account)
        if fields.ignored:
            answer["ignored"] = fields.ignored
        return JSONResponse(answer)

    async def read_stats(_request: Request) -> Response:
        calls = world.calls
        own = {
            "calls": len(calls.interactions),
            "recordings": len(calls.recordings),
            "pendingStores": world.storage.pending,
        }
        return JSONResponse(world.stats.to_json() | own)

    async def drain(_request: Request) -> Response:
        await world.drain()
        return Response(status_code=204)

    own = (
        ("POST", "calls", place_call),
        ("POST", "raw", take_raw),
        ("POST", "plans", check_plan),
        ("GET", "stats", read_stats),
        ("POST", "drain", drain),
    )
    return control.routes(world, fault_order, own)


def _account(fields: Fields, world: World) -> str:
    account = fields.text("accountId", default=world.config.accounts[0])
    if account not in world.config.accounts:
        raise BadInput(f"accountId: {account!r} is no account")
    return account


def call_order(fields: Fields) -> CallOrder:
    """Read an order for a call."""
    fields.flag("emit", default=True)
    return CallOrder(
        account=fields.text("accountId", default=None),
        interaction_id=fields.text("interactionId", default=None),
        recordings=tuple(_recording_order(each) for each in fields.objects("recordings")),
        ready_after=fields.number("readyAfter", default=0),
        storage=_storage_order(fields),
    )


def _recording_order(fields: Fields) -> RecordingOrder:
    return RecordingOrder(
        id=fields.text("id", default=None),
        starts_at=fields.moment("start"),
        seconds=fields.number("duration"),
        format=fields.choice("format", ("mp3", "wav")),
        audio=fields.base64("audio"),
        user=fields.text("userId", default=None),
        direction=fields.choice("direction", ("inbound", "outbound")),
        caller=fields.text("from", default=CALLER),
        callee=fields.text("to", default=CALLEE),
        has_interaction=fields.flag("hasInteraction", default=True),
        omit=fields.texts("omit"),
        saved_after=fields.number("savedAfter", default=None),
        ready_after=fields.number("readyAfter", default=None),
        storage=_storage_order(fields),
    )


def _storage_order(fields: Fields) -> StorageOrder | None:
    given = fields.object("push"), fields.object("plan")
    push = None if given[0] is None else _push_order(given[0])
    plan = None if given[1] is None else _plan_order(given[1])
    return push or plan


def _push_order(fields: Fields) -> PushOrder:
    return PushOrder(
        url=fields.address("url"),
        method=fields.choice("method", ("put", "post")),
        keeps=fields.flag("keeps", default=True),
    )


def _plan_order(fields: Fields) -> PlanOrder:
    bucket = fields.text("bucket", default=None)
    if bucket is None:
        raise BadInput(f"{fields.where}bucket: is missing")
    return PlanOrder(
        endpoint=fields.address("endpoint"),
        bucket=bucket,
        keys=fields.choice("keys", ("default", "by-fields")),
    )


def fault_order(fields: Fields) -> Fault:
    """Read an order for a fault."""
    return read_fault(fields, kinds=_KINDS, damages=("",), only="recordingId", about_one=_ABOUT_ONE)


_ROUTES = ("any", *(operation.name for operation in OPERATIONS))
_ABOUT_ONE = tuple(each.name for each in OPERATIONS if "{recording}" in each.path)
_KINDS = {
    **dict.fromkeys((*EVERYWHERE, "evict"), _ROUTES),
    **dict.fromkeys(("repeat-key", "endless"), ("recordings", "user-recordings")),
}
