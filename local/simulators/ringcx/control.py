"""The side under `/_sim/`, which is not RingCentral's: what happens, what breaks, what was seen.

`POST /_sim/calls` places a call, and answers 201 with `dialogId`, `subAccountId`, `interactionId`
and `segmentIds`. Every field is optional but a segment's `duration`; times are ISO 8601 in UTC,
lengths in seconds:

- `dialogId`: a known dialog gets more segments. `subAccountId`: the first, unless said.
- `segments`: a list of `segmentId`, `startTime` (default: after the one before, ending now),
  `duration`, `audio` (base64, served as it is), `type` (`AGENT`, `IVR` or `BOT`), `agentId`,
  `recorded` (true), `channels`, `sampleRate`. A segment whose end is in the future is on the phone
  until then. No segments: one of `duration` (30) that was not recorded.
- `readyAfter` (0): seconds until the recordings can be fetched, from now or the segment's end,
  whichever is later.
- `listedAfter` (`metadataLag` of the configuration): seconds from the segment's end until the
  metadata have it. `recordedAfter` (0): the same, until they say `hasRecording`.
  These three may also stand in a segment.
- `interactionId`, `origination` (`INBOUND` or `OUTBOUND`), `contact` and `channel` (numbers).
- `channelClass` (`VOICE`, or `DIGITAL`, which has no recordings), `channelType`.

Fields that are not known are named in the answer's `ignored`.

`POST /_sim/raw` lists `rows` of `subAccountId` (the first) word for word, whatever they are: in the
windows that contain their `segmentStartTimeMs`; without one that can be read in every window. A
text `now-<seconds>` in them becomes that time. Rows with the id of a segment that was given or
placed before take its place. `audio` maps segment ids to base64, which is served as it is; a
segment without it gets audio of its `segmentDurationMs`, or from its start to its end, else it is
not there. The dialog of its address does not count. The answer, 201, has the `rows` and the
`segmentIds` whose recordings can be fetched.

`POST /_sim/faults` takes one fault or a list: `kind`, `route` (a name from `GET /_sim/stats`, or
`any`), `times` (1), `segmentId` (only this recording). With `for`, the id of a segment, it
happens whenever that one is asked for and never else, on `any` route that names it unless `route`
says which, until it is taken back or another fault takes its place. But for `stall` and `hang`,
`seconds` is how long a fault holds, however often something is asked: `{"kind": "status", "route":
"any", "seconds": 3600}` is an outage of everything for an hour. Kinds:

- `status` (also without a `kind`): `status` (503), `errorCode`, `retryAfter`.
- `truncate`: `share` (0.5) of the body, then the connection is dropped; `cut`: the same without the
  last `bytes` (1), or with `asIfWhole` (false) as if what comes were all.
- `stall`: `share` of the body, then nothing for `seconds` (30), then the rest; `hang`: nothing for
  `seconds`, then the answer; `slow`: `bytesPerSecond` (8000).
- `html`, `json`, `empty`: a page, an object, or nothing, behind a 200.
- `redirect`: 302 to `location`.
- `evict`: all tokens die, at once without a `route`, else when such a request comes.
- `short-riff`: `share` of a recording as if that were all, while its head promises more.
- `object-body`: the rows of the metadata come inside `{"data": …}`.
- `bad-row`: the first row's `damage` is `noIds`, `segmentID` (the old name of that key), `digital`
  (and recorded all the same) or `times` (it ends before it starts).
- `repeat`: every row comes twice.

What spoils an answer waits for one that is good, `bad-row` and `repeat` for one with rows.
`DELETE /_sim/faults` takes back what did not happen yet.

`GET /_sim/stats` counts; `DELETE /_sim/stats` begins anew. `downloads` counts by segment what was
begun, `wholeDownloads` what was sent to the last byte, `touchedYoung` requests for a recording
whose segment ended less than `settleSeconds` ago. `POST /_sim/settings` changes the configuration.
`POST /_sim/reset` drops calls, faults, statistics and rate-limit windows; tokens stay.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.simulators import control
from local.simulators.faults import EVERYWHERE, Fault, read_fault
from local.simulators.fields import Fields, read_body
from local.simulators.raw import AnyJson, read_raw
from local.simulators.ringcx.calls import CHANNEL, CONTACT, CallOrder, SegmentOrder, placed
from local.simulators.ringcx.faults import DAMAGES
from local.simulators.ringcx.operations import OPERATIONS, PLATFORM
from local.simulators.ringcx.world import World
from local.simulators.settings import BadInput


def routes(world: World) -> list[Route]:
    """Return the routes under `/_sim/`."""

    async def place_call(request: Request) -> Response:
        fields = Fields(await read_body(request))
        answer = placed(*world.calls.place(call_order(fields)))
        if fields.ignored:
            answer["ignored"] = fields.ignored
        return JSONResponse(answer, status_code=201)

    async def take_raw(request: Request) -> Response:
        fields = Fields(await read_body(request))
        known = world.config.sub_accounts
        sub_account = fields.text("subAccountId", default=known[0])
        if sub_account not in known:
            raise BadInput(f"subAccountId: {sub_account!r} is no sub-account")
        raw = read_raw(fields, "rows", now=world.clock())
        segments = world.raw.take(sub_account, raw)
        answer = {"subAccountId": sub_account, "rows": raw.entries, "segmentIds": segments}
        if fields.ignored:
            answer["ignored"] = fields.ignored
        return AnyJson(answer, status_code=201)

    async def read_stats(_request: Request) -> Response:
        counted = world.stats.to_json()
        calls = world.calls
        return JSONResponse(
            counted | {"calls": len(calls.dialogs), "segments": len(calls.segments)}
        )

    own = (
        ("POST", "calls", place_call),
        ("POST", "raw", take_raw),
        ("GET", "stats", read_stats),
    )
    return control.routes(world, fault_order, own)


def call_order(fields: Fields) -> CallOrder:
    """Read an order for a call."""
    segments = tuple(_segment_order(each) for each in fields.objects("segments"))
    unrecorded = SegmentOrder(seconds=fields.number("duration", default=30), recorded=False)
    return CallOrder(
        dialog_id=fields.text("dialogId", default=None),
        sub_account=fields.text("subAccountId", default=None),
        interaction_id=fields.text("interactionId", default=None),
        segments=segments or (unrecorded,),
        origination=fields.choice("origination", ("INBOUND", "OUTBOUND")),
        contact=fields.text("contact", default=CONTACT),
        channel=fields.text("channel", default=CHANNEL),
        channel_class=fields.choice("channelClass", ("VOICE", "DIGITAL")),
        channel_type=fields.text("channelType", default=None),
        ready_after=fields.number("readyAfter", default=0),
        listed_after=fields.number("listedAfter", default=None),
        recorded_after=fields.number("recordedAfter", default=0),
    )


def _segment_order(fields: Fields) -> SegmentOrder:
    return SegmentOrder(
        segment_id=fields.text("segmentId", default=None),
        starts_at=fields.moment("startTime"),
        seconds=fields.number("duration"),
        type=fields.choice("type", ("AGENT", "IVR", "BOT")),
        agent_id=fields.text("agentId", default=None),
        recorded=fields.flag("recorded", default=True),
        audio=fields.base64("audio"),
        channels=_whole(fields.number("channels", default=None)),
        sample_rate=_whole(fields.number("sampleRate", default=None)),
        ready_after=fields.number("readyAfter", default=None),
        listed_after=fields.number("listedAfter", default=None),
        recorded_after=fields.number("recordedAfter", default=None),
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def fault_order(fields: Fields) -> Fault:
    """Read an order for a fault."""
    return read_fault(
        fields, kinds=_KINDS, damages=DAMAGES, only="segmentId", about_one=("recording",)
    )


_ROUTES = ("any", *(operation.name for operation in (*PLATFORM, *OPERATIONS)))
_KINDS = {
    **dict.fromkeys((*EVERYWHERE, "evict"), _ROUTES),
    "short-riff": ("recording",),
    **dict.fromkeys(("object-body", "bad-row", "repeat"), ("metadata",)),
}
