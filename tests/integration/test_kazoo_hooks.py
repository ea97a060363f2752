"""The operator's command installs webhooks at a Kazoo that speaks, and removes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from legato.receive import KAZOO_TOKEN
from local import aws
from local.system import running
from tests.forked import legato

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.system import System

STRANGE = {"name": "CRM", "uri": "https://crm.example.com/hooks", "hook": "channel_destroy"}


class Kazoo:
    """A client of its own, logged in with the stack's key."""

    def __init__(self, system: System) -> None:
        self._secrets = aws.client("secretsmanager", system.endpoints.aws)
        [listed] = self._secrets.list_secrets()["SecretList"]
        self._arn = listed["ARN"]
        self._url = f"{system.endpoints.simulators['kazoo']}/v2"
        key = self.secret()["kazoo"]["apiKey"]
        answer = httpx.put(f"{self._url}/api_auth", json={"data": {"api_key": key}}).json()
        self._token = {"X-Auth-Token": answer["auth_token"]}
        self.account = answer["data"]["account_id"]

    def secret(self) -> dict[str, Any]:
        """Return the stack's secret."""
        value: dict[str, Any] = json.loads(
            self._secrets.get_secret_value(SecretId=self._arn)["SecretString"]
        )
        return value

    def fill(self, secret: dict[str, Any]) -> None:
        """Put another secret in place."""
        self._secrets.put_secret_value(SecretId=self._arn, SecretString=json.dumps(secret))

    def ask(self, method: str, *names: str, data: Any = None) -> Any:
        """Return the answer's data."""
        address = "/".join((self._url, "accounts", self.account, "webhooks", *names))
        body = None if data is None else {"data": data}
        answer = httpx.request(method, address, headers=self._token, json=body)
        assert answer.is_success, answer.text
        return answer.json()["data"]


@pytest.fixture
def system(free_port: Callable[[], int], tmp_path: Any) -> Iterator[System]:
    with running(port=free_port(), directory=tmp_path, functions=False) as system:
        yield system


def test_webhooks_of_the_local_system(system: System) -> None:
    """Refused, installed, left, replaced, removed: one start, which costs seconds."""
    here = {"LEGATO_LOCAL_DIR": str(system.directory)}
    kazoo = Kazoo(system)
    theirs = kazoo.ask("PUT", data=STRANGE)["id"]
    before = {name: value for name, value in kazoo.secret().items() if name != KAZOO_TOKEN}

    kazoo.fill(before | {"kazoo": {"apiKey": "nobodys!" * 8}})
    refused = legato("--local", "kazoo", "install-hooks", **here)
    assert refused.returncode == 1
    assert "bad identifier: mend the part `kazoo` of the secret" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "nobodys" not in refused.stdout + refused.stderr
    kazoo.fill(before)

    tried = legato("--local", "kazoo", "install-hooks", "--dry-run", **here)
    assert (tried.returncode, tried.stderr) == (0, "")
    assert tried.stdout.count("create") == 2
    assert [hook["id"] for hook in kazoo.ask("GET")] == [theirs]

    assert kazoo.secret() == before

    done = legato("--local", "kazoo", "install-hooks", **here)
    assert (done.returncode, done.stderr) == (0, "")
    token = kazoo.secret()[KAZOO_TOKEN]
    assert kazoo.secret() == before | {KAZOO_TOKEN: token}
    assert len(token) == 32
    assert token not in done.stdout
    [ours] = [hook for hook in kazoo.ask("GET") if hook["id"] != theirs]
    assert ours["custom_data"] == {
        "type": "call_recording",
        "action": "all",
        "legato_token": token,
    }

    again = legato("--local", "kazoo", "install-hooks", **here)
    assert again.stdout.count("leave") == 2
    kazoo.ask("PATCH", ours["id"], data={"enabled": False})
    mended = legato("--local", "kazoo", "install-hooks", **here)
    assert f"{ours['id']} removed" in mended.stdout
    assert mended.stdout.count("leave") == 1

    removed = legato("--local", "kazoo", "remove-hooks", **here)
    assert (removed.returncode, removed.stderr) == (0, "")
    assert [hook["id"] for hook in kazoo.ask("GET")] == [theirs]
