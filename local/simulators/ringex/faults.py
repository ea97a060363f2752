"""What breaks next, in the platform's words and pages: control.py documents the orders."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.responses import Response

from local.simulators import faults
from local.simulators.faults import Fault
from local.simulators.raw import AnyJson
from local.simulators.ringex.problems import Problem, lacks

DAMAGES = ("startTime", "legs", "records")
_WORDS = {
    400: ("CMN-101", "Parameter value is invalid"),
    401: ("OAU-213", "Token not found"),
    403: ("CMN-404", "Attempt to access another extension"),
    404: ("CMN-102", "Resource for parameter [callRecordingId] is not found"),
    429: ("CMN-301", "Request rate exceeded"),
    503: ("CMN-203", "Internal Server Error"),
}
"""https://developers.ringcentral.com/guide/basics/errors"""
_PERMISSIONS = {
    "recording": "ReadCallRecording",
    "content": "ReadCallRecording",
    "delete-recordings": "EditCallLog",
    "session": "CallControl",
}


class Faults(faults.Faults):
    """What was asked for and did not happen yet, in the order asked."""

    def _refusal(self, fault: Fault) -> Exception:
        permission = fault.permission
        if fault.status == 403 and not (permission or fault.only or fault.error_code):
            # What is refused whoever is asked for can only be a permission.
            permission = _PERMISSIONS.get(fault.route, "ReadCallLog")
        code, words = _WORDS.get(fault.status, ("CMN-201", "Internal Server Error"))
        problem = (
            lacks(permission, fault.error_code or "CMN-408")
            if permission
            else Problem(fault.status, fault.error_code or code, words)
        )
        problem.status = fault.status
        if fault.retry_after is not None:
            problem.headers["Retry-After"] = str(fault.retry_after)
        return problem

    def _spoiled(self, fault: Fault, response: Response) -> Response | None:
        if fault.kind == "bad-page":
            return _damaged(response, fault.damage or DAMAGES[0])
        if fault.kind == "endless":
            return _endless(response)
        return super()._spoiled(fault, response)


def _damaged(response: Response, damage: str) -> Response:
    page: Any = json.loads(bytes(response.body))
    records = page.get("records", [page]) if isinstance(page, dict) else []
    if damage == "records" and isinstance(page, dict):
        page["records"] = {"broken": True}
    for record in [each for each in records if isinstance(each, dict)][:1]:
        if damage == "legs":
            record["legs"] = "none"
        elif damage == "startTime":
            record.pop("startTime", None)
    return AnyJson(page, response.status_code)


def _endless(response: Response) -> Response:
    """Say that more follows, whatever comes."""
    page: Any = json.loads(bytes(response.body))
    if "syncInfo" in page:
        page["syncInfo"]["newerRecordsExist"] = True
    else:
        following = str(page["paging"]["page"] + 1)
        uri = re.sub(r"(?<=[?&]page=)\d+", following, page["uri"])
        page["navigation"]["nextPage"] = {"uri": uri}
    return AnyJson(page, response.status_code)
