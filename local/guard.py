"""Lets a function send no request to AWS that its role does not permit.

It stands in the process of the function, between its code and the local AWS. What permits a request
is written down, so that the tests can say which grants nobody uses.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from botocore.model import OperationModel
from botocore.session import Session

from local.permissions import READING, Asked, Denied, Grant, Permissions

USED = ".used"
"""What the names of the files end with that tell which grants were used."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What one function may do. `own` is the template's name of each resource of the stack."""

    permissions: Permissions
    own: Mapping[str, str]
    used: Path

    def watch(self, session: Session) -> None:
        """Look at every request of the clients that this session makes from now on."""
        _Watch(self).begin(session)


class _Watch:
    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._written: set[Grant] = set()

    def begin(self, session: Session) -> None:
        session.register("before-parameter-build", self._before)  # type: ignore[arg-type]
        session.register("after-call.s3", self._after)  # type: ignore[arg-type]

    def _before(self, params: Any, model: OperationModel, context: Any, **_more: Any) -> None:
        """Refuse what is not granted. Raises ClientError, as AWS would make botocore do."""
        permissions, own = self._guard.permissions, self._guard.own
        context["bucket"] = params.get("Bucket")
        try:
            service = model.service_model.service_name
            for asked in permissions.asked(service, model.name, params, own):
                self._note(permissions.check(asked))
        except Denied as error:
            raise _refusal(error, model) from error

    def _after(self, http_response: Any, model: OperationModel, context: Any, **_more: Any) -> None:
        """Refuse to say that an object is not there, unless the function may list the bucket."""
        if model.name not in READING or http_response.status_code != 404:
            return
        bucket = f"arn:{self._guard.own[context['bucket']]}"
        try:
            self._note(self._guard.permissions.check(Asked("s3:ListBucket", bucket)))
        except Denied as error:
            raise _refusal(error, model) from error

    def _note(self, grants: set[Grant]) -> None:
        for grant in sorted(grants - self._written, key=str):
            line = json.dumps([grant.function, grant.action, grant.resource, grant.value])
            with self._guard.used.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        self._written |= grants


def read_used(folder: Path) -> set[Grant]:
    """Return the grants that were used, by all that is written below a folder."""
    return {
        Grant(*json.loads(line))
        for path in folder.rglob(f"*{USED}")
        for line in path.read_text(encoding="utf-8").splitlines()
    }


def _refusal(error: Denied, model: OperationModel) -> ClientError:
    print(f"refused: {error}", file=sys.stderr, flush=True)
    told = {"Error": {"Code": "AccessDenied", "Message": str(error)}}
    return ClientError(told, model.name)  # type: ignore[arg-type]
