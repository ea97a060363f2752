"""What breaks next, in the platform's words and pages: control.py documents the orders."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import RedirectResponse, Response

from local.simulators import faults
from local.simulators.faults import Fault
from local.simulators.ringex.problems import Problem

DAMAGES = ("startTime", "legs", "records")
_CODES = {429: "CMN-301", 404: "CMN-102", 401: "OAU-213", 403: "CMN-401", 503: "CMN-203"}


class Faults(faults.Faults):
    """What was asked for and did not happen yet, in the order asked."""

    def _instead(self, fault: Fault) -> Response | None:
        if fault.kind == "redirect":
            return RedirectResponse(fault.location, status_code=302)
        return super()._instead(fault)

    def _refusal(self, fault: Fault) -> Response:
        code = fault.error_code or _CODES.get(fault.status, "CMN-201")
        problem = Problem(fault.status, code, "A fault was asked for")
        if fault.retry_after is not None:
            problem.headers["Retry-After"] = str(fault.retry_after)
        return problem.response()

    def _spoiled(self, fault: Fault, response: Response) -> Response | None:
        if fault.kind == "bad-page":
            return _damaged(response, fault.damage or DAMAGES[0])
        return super()._spoiled(fault, response)


def _damaged(response: Response, damage: str) -> Response:
    page: Any = json.loads(bytes(response.body))
    records = page.get("records", [page])
    if damage == "records":
        page["records"] = {"broken": True}
    elif damage == "legs":
        for record in records[:1]:
            record["legs"] = "none"
    else:
        for record in records[:1]:
            record.pop("startTime", None)
    headers = {k: v for k, v in response.headers.items() if k != "content-length"}
    return Response(json.dumps(page), status_code=response.status_code, headers=headers)
