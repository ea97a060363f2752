"""Deploys in the local system that runs on this machine (local/control.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from legato.errors import Failed, Refused
from legato.providers.client import web_client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from legato.model import Json
    from legato.setup.deploy import Checkout

ANSWER_SECONDS = 240
"""A deployment starts every function anew."""
KEEPER = "KeeperFunction"


def _sender() -> httpx.Client:
    return web_client(timeout=ANSWER_SECONDS)


@dataclass(frozen=True, slots=True)
class LocalDeployer:
    """A Deployer (legato/setup/deploy.py) that asks at the system's control address."""

    control: str
    checkout: Checkout | None = None
    http: httpx.Client = field(default_factory=_sender)

    def configured(self) -> dict[str, str]:
        found = self._ask("GET", "/parameters")
        return {str(name): str(value) for name, value in found.items()}

    def deploy(self, parameters: Mapping[str, str]) -> None:
        self._ask("PUT", "/stack", {"parameters": dict(parameters)})

    def show_changes(self) -> None:
        raise Refused("the local system makes no change sets: leave out --changes")

    def keep(self, event: Json) -> Json:
        result: Json = self._ask("POST", f"/functions/{KEEPER}", event)["result"]
        return result

    def delete(self) -> None:
        self._ask("DELETE", "/stack")

    def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        request = self.http.build_request(method, f"{self.control}{path}", json=body)
        try:
            answer = self.http.send(request)
            said = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Failed(f"the local system does not answer ({error}): start it again") from error
        if not isinstance(said, dict) or answer.is_error:
            reason = said.get("error") if isinstance(said, dict) else said
            raise Failed(f"the local system refuses: {reason}")
        found: Json = said
        return found
