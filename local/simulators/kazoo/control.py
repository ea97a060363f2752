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
- `emit` (true): tell the webhooks.

Fields that are not known are named in the answer's `ignored`.

`POST /_sim/faults` takes one fault or a list: `kind`, `route` (a name from `GET /_sim/stats`, or
`any`), `times` (1), `recordingId` (only this recording). Kinds:

- `status`: `status` (503), `errorCode` (the envelope's message), `retryAfter`.
- `truncate`: `share` (0.5) of the body, then the connection is dropped.
- `stall`: `share` of the body, then nothing for `seconds` (30), then the rest.
- `html`, `json`, `empty`: a page, an object that is no envelope, or nothing, behind a 200.
- `evict`: all tokens die, at once without a `route`, else when such a request comes.
- `repeat-key`: the page that is told to come next is the same one.

`truncate`, `stall` and `repeat-key` wait for an answer that is good. `DELETE /_sim/faults` takes
back what did not happen yet.

`GET /_sim/stats` counts; `DELETE /_sim/stats` begins anew. Grants, `tokensConsumed` and
`tooManyRequests` are by account, those of log-ins by `login`; `downloads` (begun),
`wholeDownloads` (sent to the last byte) and `deletes` by recording. `POST /_sim/drain` answers when
the webhooks were told what is due. `POST /_sim/settings` changes the configuration.
`POST /_sim/reset` drops calls, faults, statistics, and fills the buckets; tokens and webhooks stay.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.simulators import control
from local.simulators.faults import Fault, read_fault
from local.simulators.fields import Fields, read_body
from local.simulators.kazoo.calls import CALLEE, CALLER, CallOrder, RecordingOrder
from local.simulators.kazoo.operations import OPERATIONS
from local.simulators.kazoo.world import World


def routes(world: World) -> list[Route]:
    """Return the routes under `/_sim/`."""

    async def place_call(request: Request) -> Response:
        fields = Fields(await read_body(request))
        answer = world.place(call_order(fields))
        if fields.ignored:
            answer["ignored"] = fields.ignored
        return JSONResponse(answer, status_code=201)

    async def read_stats(_request: Request) -> Response:
        calls = world.calls
        own = {
            "calls": len(calls.interactions),
            "recordings": len(calls.recordings),
            "pendingEvents": world.deliveries.pending,
        }
        return JSONResponse(world.stats.to_json() | own)

    async def drain(_request: Request) -> Response:
        await world.deliveries.drain()
        return Response(status_code=204)

    own = (("POST", "calls", place_call), ("GET", "stats", read_stats), ("POST", "drain", drain))
    return control.routes(world, fault_order, own)


def call_order(fields: Fields) -> CallOrder:
    """Read an order for a call."""
    return CallOrder(
        account=fields.text("accountId", default=None),
        interaction_id=fields.text("interactionId", default=None),
        recordings=tuple(_recording_order(each) for each in fields.objects("recordings")),
        ready_after=fields.number("readyAfter", default=0),
        emit=fields.flag("emit", default=True),
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
    )


def fault_order(fields: Fields) -> Fault:
    """Read an order for a fault."""
    return read_fault(fields, kinds=_KINDS, damages=("",), only="recordingId")


_ROUTES = ("any", *(operation.name for operation in OPERATIONS))
_KINDS = {
    **dict.fromkeys(("status", "truncate", "stall", "html", "json", "empty", "evict"), _ROUTES),
    "repeat-key": ("recordings", "user-recordings"),
}
