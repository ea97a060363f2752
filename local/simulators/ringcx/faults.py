"""What breaks next, in RingCX's words and rows: control.py documents the orders."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from local.simulators import faults
from local.simulators.faults import Fault, Interrupted
from local.simulators.settings import Json

DAMAGES = ("noIds", "segmentID", "digital", "times")
_TEXTS = {401: "Jwt is expired", 429: "rate"}


class Faults(faults.Faults):
    """What was asked for and did not happen yet, in the order asked."""

    def _instead(self, fault: Fault) -> Response | None:
        if fault.kind == "json":
            return JSONResponse({"message": "Please try again later"})
        return super()._instead(fault)

    def _refusal(self, fault: Fault) -> Response:
        after = 1 if fault.status == 429 and fault.retry_after is None else fault.retry_after
        headers = {} if after is None else {"Retry-After": str(after)}
        if fault.status in _TEXTS:
            return PlainTextResponse(_TEXTS[fault.status], fault.status, headers)
        body = {"developerMessage": "A fault was asked for", "generalMessage": "", "details": ""}
        if fault.error_code:
            body["errorCode"] = fault.error_code
        return JSONResponse(body, fault.status, headers)

    def _spoiled(self, fault: Fault, response: Response) -> Response | None:
        if fault.kind == "short-riff":
            return Interrupted(response, fault.share, complete=True)
        if fault.kind not in ("object-body", "bad-row", "repeat"):
            return super()._spoiled(fault, response)
        rows: list[Json] = json.loads(bytes(response.body))
        if fault.kind == "object-body":
            return JSONResponse({"data": rows})
        if not rows:
            return None
        if fault.kind == "repeat":
            return JSONResponse([each for each in rows for _ in range(2)])
        return JSONResponse([_damaged(rows[0], fault.damage or DAMAGES[0]), *rows[1:]])


def _damaged(row: Json, damage: str) -> Json:
    changes: dict[str, Any] = {
        "noIds": {"dialogId": None, "segmentId": None},
        "segmentID": {"segmentId": None, "segmentID": row["segmentId"]},
        "digital": {"channelClass": "DIGITAL", "channelType": "EMAIL", "hasRecording": True},
        "times": {
            "segmentStartTimeMs": row["segmentEndTimeMs"],
            "segmentEndTimeMs": row["segmentStartTimeMs"],
        },
    }
    ids = ("dialogId", "segmentId")
    changed = row | changes[damage]
    return {key: value for key, value in changed.items() if key not in ids or value is not None}
