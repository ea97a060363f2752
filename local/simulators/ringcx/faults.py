"""What breaks next, in RingCX's words and rows: control.py documents the orders."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from local.simulators import faults
from local.simulators.faults import Fault, Interrupted
from local.simulators.media import AudioResponse
from local.simulators.raw import AnyJson
from local.simulators.ringcx.problems import Problem, expired, too_many
from local.simulators.settings import Json

DAMAGES = ("noIds", "segmentID", "digital", "times")


class Faults(faults.Faults):
    """What was asked for and did not happen yet, in the order asked."""

    def _refusal(self, fault: Fault) -> Exception:
        if fault.status == 401:
            return expired()
        if fault.status == 429:
            return too_many(1 if fault.retry_after is None else fault.retry_after)
        problem = Problem(fault.status, code=fault.error_code)
        if fault.retry_after is not None:
            problem.headers["Retry-After"] = str(fault.retry_after)
        return problem

    def _spoiled(self, fault: Fault, response: Response) -> Response | None:
        if fault.kind == "short-riff":
            size = response.size if isinstance(response, AudioResponse) else len(response.body)
            return Interrupted(response, int(size * fault.share), complete=True)
        if fault.kind not in ("object-body", "bad-row", "repeat"):
            return super()._spoiled(fault, response)
        rows: list[Any] = json.loads(bytes(response.body))
        if fault.kind == "object-body":
            return AnyJson({"data": rows})
        if not rows:
            return None
        if fault.kind == "repeat":
            return AnyJson([each for each in rows for _ in range(2)])
        if not isinstance(rows[0], dict):
            return None
        return AnyJson([_damaged(rows[0], fault.damage or DAMAGES[0]), *rows[1:]])


def _damaged(row: Json, damage: str) -> Json:
    changes: dict[str, Any] = {
        "noIds": {"dialogId": None, "segmentId": None},
        "segmentID": {"segmentId": None, "segmentID": row.get("segmentId")},
        "digital": {"channelClass": "DIGITAL", "channelType": "EMAIL", "hasRecording": True},
        "times": {
            "segmentStartTimeMs": row.get("segmentEndTimeMs"),
            "segmentEndTimeMs": row.get("segmentStartTimeMs"),
        },
    }
    ids = ("dialogId", "segmentId")
    changed = row | changes[damage]
    return {key: value for key, value in changed.items() if key not in ids or value is not None}
