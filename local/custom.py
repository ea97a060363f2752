"""Stands in for CloudFormation's custom resources: a function is told of Create and of Delete.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    with contextlib.ExitStack() as cleanup:
        if resources:
            url, answers = cleanup.enter_context(sink())
        for resource in resources:
            invoke = functions[resource.function]
            answer = _told(invoke, event("Create", resource, url), answers)
            cleanup.callback(_delete, resource, answer["PhysicalResourceId"], invoke, url, answers)
        yield


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
