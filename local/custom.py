"""Stands in for CloudFormation's custom resources: a function is told of what becomes of it.

The function answers by a PUT to the address in the event, as it does in AWS.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

from __future__ import annotations

import contextlib
import http.server
import json
import queue
import sys
import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from local import aws
from local.processes import LocalError
from local.stack import Custom
from local.worker import InvocationError

ANSWER_SECONDS = 5
STACK_ID = f"arn:aws:cloudformation:{aws.REGION}:123456789012:stack/legato/local"

type Invoke = Callable[[Any], Any]
type Json = dict[str, Any]


@contextlib.contextmanager
def created(resources: Sequence[Custom], functions: Mapping[str, Invoke]) -> Iterator[None]:
    """Create the resources and delete them when the block is left.

    Raises LocalError when one cannot be created. One that cannot be deleted is only complained of,
    because everything else must still be ended.
    """
    with sink() as (url, answers):
        known = Customs(url, answers)
        try:
            known.update(resources, functions)
            yield
        finally:
            known.delete({}, functions)


class Customs:
    """The custom resources of a stack, from one deployment to the next."""

    def __init__(self, url: str, answers: queue.SimpleQueue[Json]) -> None:
        self._url = url
        self._answers = answers
        self._known: dict[str, tuple[Custom, str]] = {}
        """By logical id, with the physical one."""

    def update(self, resources: Sequence[Custom], functions: Mapping[str, Invoke]) -> None:
        """Create what is new, and tell of what is changed. Raises LocalError."""
        for resource in resources:
            before, physical = self._known.get(resource.logical, (None, None))
            if before == resource:
                continue
            told = event("Update" if before else "Create", resource, self._url, physical)
            answer = _told(functions[resource.function], told, self._answers)
            self._known[resource.logical] = resource, answer["PhysicalResourceId"]

    def delete(self, kept: Collection[str], functions: Mapping[str, Invoke]) -> None:
        """Delete all but these, the last first; what cannot be deleted is only complained of."""
        for logical in [each for each in reversed(self._known) if each not in kept]:
            resource, physical = self._known.pop(logical)
            _delete(resource, physical, functions[resource.function], self._url, self._answers)


@contextlib.contextmanager
def sink(host: str = "127.0.0.1") -> Iterator[tuple[str, queue.SimpleQueue[Json]]]:
    """Listen for answers; yields the address to send them to, and where they arrive."""
    answers: queue.SimpleQueue[Json] = queue.SimpleQueue()

    class Sink(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            pass

    server = http.server.ThreadingHTTPServer((host, 0), Sink)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}/answer", answers
    finally:
        server.shutdown()
        server.server_close()


def event(kind: str, resource: Custom, url: str, physical: str | None = None) -> Json:
    """Write CloudFormation's event."""
    told: Json = {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": STACK_ID,
        "RequestId": str(uuid.uuid4()),
        "ResourceType": resource.type,
        "LogicalResourceId": resource.logical,
        "ResourceProperties": {"ServiceToken": resource.function, **resource.properties},
    }
    return told if physical is None else told | {"PhysicalResourceId": physical}


def _told(invoke: Invoke, told: Json, answers: queue.SimpleQueue[Json]) -> Json:
    what = f"{told['LogicalResourceId']}: {told['RequestType']}"
    try:
        invoke(told)
        answer = answers.get(timeout=ANSWER_SECONDS)
    except InvocationError as error:
        raise LocalError(f"{what} failed: {error}") from error
    except queue.Empty:
        raise LocalError(f"{what} was not answered") from None
    if answer["Status"] != "SUCCESS":
        raise LocalError(f"{what} was refused: {answer.get('Reason')}")
    return answer


def _delete(
    resource: Custom, physical: str, invoke: Invoke, url: str, answers: queue.SimpleQueue[Json]
) -> None:
    try:
        _told(invoke, event("Delete", resource, url, physical), answers)
    except LocalError as error:
        print(f"local: {error}", file=sys.stderr)
