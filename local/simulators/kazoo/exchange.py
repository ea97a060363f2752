"""A request while it is answered, and the envelope around every answer.

https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/basics.md#response-envelope
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from local.simulators.kazoo.problems import Problem, invalid
from local.simulators.raw import AnyJson
from local.simulators.settings import Json

NODE = "local-kazoo"


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A request and what is known of it. `consumed` and `remaining` are tokens of its bucket."""

    request: Request
    now: float
    version: str
    token: str | None = None
    consumed: int = 0
    remaining: int = 0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def account(self) -> str:
        """Return the account that the path names."""
        account: str = self.request.path_params["account"]
        return account

    @property
    def recording(self) -> str | None:
        """Return the recording that the path names, if it does."""
        return self.request.path_params.get("recording")

    def envelope(self) -> Json:
        """Return what stands in every answer."""
        moment = datetime.fromtimestamp(self.now, UTC)
        common: Json = {
            "request_id": self.id,
            "node": NODE,
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "version": self.version,
            "tokens": {"consumed": self.consumed, "remaining": self.remaining},
        }
        return common | ({} if self.token is None else {"auth_token": self.token})

    def success(
        self, data: Any, *, status: int = 200, revision: str = "automatic", **more: Any
    ) -> JSONResponse:
        """Return the answer to a request that was understood."""
        body = {"data": data, "status": "success", "revision": revision, **more}
        return AnyJson(body | self.envelope(), status_code=status)

    async def data(self) -> Json:
        """Return the `data` of the request's own envelope. Raises Problem 400."""
        try:
            given = json.loads(await self.request.body())
        except ValueError as error:
            raise Problem(400, "invalid request body") from error
        data = given.get("data") if isinstance(given, dict) else None
        if not isinstance(data, dict):
            raise invalid("data", "required", "Field is required but missing")
        return data
