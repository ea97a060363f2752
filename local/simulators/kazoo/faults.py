"""What breaks next, in Kazoo's envelopes: control.py documents the orders."""

from __future__ import annotations

import json

from starlette.responses import JSONResponse, Response

from local.simulators import faults
from local.simulators.faults import Fault
from local.simulators.kazoo.problems import Problem
from local.simulators.settings import Json


class Faults(faults.Faults):
    """What was asked for and did not happen yet, in the order asked."""

    def _instead(self, fault: Fault) -> Response | None:
        if fault.kind == "json":
            return JSONResponse({"message": "please try again later"})
        if fault.kind == "empty":
            return Response()
        return super()._instead(fault)

    def _refusal(self, fault: Fault) -> Response:
        problem = Problem(fault.status, fault.error_code)
        if fault.retry_after is not None:
            problem.headers["Retry-After"] = str(fault.retry_after)
        return problem.response({"request_id": "a-fault-was-asked-for"})

    def _spoiled(self, fault: Fault, response: Response) -> Response | None:
        if fault.kind != "repeat-key":
            return super()._spoiled(fault, response)
        page: Json = json.loads(bytes(response.body))
        return JSONResponse({**page, "next_start_key": page["start_key"]})
