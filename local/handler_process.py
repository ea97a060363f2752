"""The inside of a worker: imports a function's handler and calls it, one event after another.

Runs in a process of its own with the function's environment. A message on the channel is an
invocation, and one on it is its answer, both in JSON. Standard output and error are the function's
log.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from legato.aws import clients
from local.guard import Guard


@dataclass(slots=True)
class Context:
    """What Lambda passes to a handler beside the event. Names are Lambda's own."""

    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    log_group_name: str
    log_stream_name: str
    deadline: float
    function_version: str = "$LATEST"
    identity: None = None
    client_context: None = None
    _clock: Any = field(default=time.monotonic, repr=False)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline - self._clock()) * 1000))


def serve(channel: Connection, module: str, attribute: str, guard: Guard) -> None:
    """Call the handler with what comes until the channel is closed."""
    guard.watch(clients.session())
    handler = _import(module, attribute, channel)
    if handler is None:
        return
    with contextlib.suppress(EOFError):
        while True:
            invocation = json.loads(channel.recv_bytes())
            _answer(channel, _invoke(handler, invocation))


def _import(module: str, attribute: str, channel: Connection) -> Any:
    try:
        handler = getattr(importlib.import_module(module), attribute)
    except BaseException as error:  # whatever a module does when imported, the caller hears of it
        _answer(channel, _failure(error))
        return None
    _answer(channel, {"ready": True})
    return handler


def _invoke(handler: Any, invocation: dict[str, Any]) -> dict[str, Any]:
    context = Context(
        deadline=time.monotonic() + invocation["timeout"],
        **invocation["context"],
    )
    try:
        result = handler(invocation["event"], context)
        json.dumps(result)  # Lambda fails a result that is not JSON, too
    except Exception as error:  # what Lambda itself does with any exception
        return _failure(error)
    return {"result": result}


def _failure(error: BaseException) -> dict[str, Any]:
    traceback.print_exception(error)
    return {"error": {"errorType": type(error).__name__, "errorMessage": str(error)}}


def _answer(channel: Connection, value: dict[str, Any]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    channel.send_bytes(json.dumps(value).encode())
