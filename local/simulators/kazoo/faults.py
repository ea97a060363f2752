"""What breaks next, in Kazoo's envelopes: control.py documents the orders."""

from __future__ import annotations

import json

from starlette.responses import Response

from local.simulators import faults
from local.simulators.faults import Fault
from local.simulators.kazoo.listing import key_after
from local.simulators.kazoo.problems import Problem
from local.simulators.raw import AnyJson
from local.simulators.settings import Json


class Faults(faults.Faults):
    """What was asked for and did not happen yet, in the order asked."""

    def _refusal(self, fault: Fault) -> Exception:
        problem = Problem(fault.status, fault.error_code)
        if fault.retry_after is not None:
            problem.headers["Retry-After"] = str(fault.retry_after)
        return problem

    def _spoiled(self, fault: Fault, response: Response) -> Response | None:
        if fault.kind not in ("repeat-key", "endless"):
            return super()._spoiled(fault, response)
        page: Json = json.loads(bytes(response.body))
        following = page["start_key"]
        if fault.kind == "endless":
            following = page.get("next_start_key") or key_after(following)
        return AnyJson({**page, "next_start_key": following})
