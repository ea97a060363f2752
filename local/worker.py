"""Runs a function of the stack as Lambda would: warm processes, one event each at a time.

Each process has the environment that the stack gives the function, the local AWS, and a folder for
temporary files that it shares with nobody. A process that dies or overruns the function's timeout
is replaced, and the next one finds what it left there, as in Lambda's /tmp.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local import aws, handler_process
from local.guard import USED, Guard
from local.processes import end, start
from local.stack import Function

START_SECONDS = 30
LAYER_BINARIES = Path(__file__).parent.parent / "layers" / "ffmpeg" / "build" / "bin"
"""Where the ffmpeg layer's binaries lie once built; in Lambda that is /opt/bin."""


class InvocationError(Exception):
    """The invocation failed: the handler raised, the process died, or the time was up."""


class Worker:
    """One process of a function."""

    def __init__(
        self, function: Function, environment: Mapping[str, str], log: Path, *, scratch: str
    ) -> None:
        self.scratch = scratch
        self._function = function
        module, attribute = function.handler.rsplit(".", 1)
        module = ".".join((*function.code.parts, module))
        self._channel, theirs = multiprocessing.Pipe()
        self._process = start(
            handler_process.serve,
            theirs,
            module,
            attribute,
            Guard(function.permissions, function.own, log.with_suffix(USED)),
            log=log,
            environment={**environment, "TMPDIR": scratch},
        )
        # With only one holder of the other end, the channel ends when the process does.
        theirs.close()
        try:
            self._take(START_SECONDS, "its import")
        except BaseException:
            self.end()
            raise

    def invoke(self, event: Any) -> Any:
        """Call the handler and return its result. Raises InvocationError."""
        function = self._function
        invocation = {
            "event": event,
            "timeout": function.timeout,
            "context": {
                "aws_request_id": str(uuid.uuid4()),
                "function_name": function.name,
                "invoked_function_arn": function.arn,
                "memory_limit_in_mb": str(function.memory),
                "log_group_name": f"/aws/lambda/{function.name}",
                "log_stream_name": "local",
            },
        }
        try:
            self._channel.send_bytes(json.dumps(invocation).encode())
        except OSError as error:
            raise InvocationError(f"{function.logical}: its process is gone") from error
        return self._take(function.timeout, "the invocation").get("result")

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        assert self._process.pid is not None  # noqa: S101 - it was started  # nosec B101
        return self._process.pid

    def alive(self) -> bool:
        return self._process.is_alive()

    def end(self) -> None:
        end(self._process)

    def _take(self, seconds: float, what: str) -> dict[str, Any]:
        name = self._function.logical
        try:
            if not self._channel.poll(seconds):
                self.end()
                raise InvocationError(f"{name}: {what} took longer than {seconds:g} s")
            answer: dict[str, Any] = json.loads(self._channel.recv_bytes())
        except (EOFError, OSError):
            self.end()
            raise InvocationError(f"{name}: the process died during {what}") from None
        if "error" in answer:
            error = answer["error"]
            raise InvocationError(f"{name}: {error['errorType']}: {error['errorMessage']}")
        return answer


class Pool:
    """The warm processes of one function, at most `size` at a time."""

    def __init__(self, function: Function, *, endpoint: str, log: Path, size: int) -> None:
        self.function = function
        self._environment = environment(function, endpoint)
        self._log = log
        self._slots = threading.BoundedSemaphore(size)
        self._scratch = tempfile.TemporaryDirectory(prefix="legato-", ignore_cleanup_errors=True)
        self._left: list[str] = []
        """Folders of processes that are gone."""
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._lock = threading.Lock()
        self._closed = False
        log.parent.mkdir(parents=True, exist_ok=True)

    def warm(self) -> None:
        """Start one process ahead of the first event. Raises InvocationError if it cannot."""
        self._give_back(self._borrow())

    def invoke(self, event: Any) -> Any:
        """Run an event in a free process, waiting for one if need be."""
        with self._slots:
            worker = self._borrow()
            try:
                return worker.invoke(event)
            finally:
                self._give_back(worker)

    def processes(self) -> list[int]:
        """Return the ids of the processes that there are now."""
        with self._lock:
            return sorted(worker.pid for worker in self._all if worker.alive())

    def close(self) -> None:
        """End all processes, also those at work."""
        with self._lock:
            self._closed = True
            workers, self._all = self._all, set()
        threads = [threading.Thread(target=worker.end) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._scratch.cleanup()

    def _borrow(self) -> Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive():
                    return worker
                self._discard(worker)
            self._check_open()
            scratch = self._left.pop() if self._left else tempfile.mkdtemp(dir=self._scratch.name)
        worker = Worker(self.function, self._environment, self._log, scratch=scratch)
        try:
            with self._lock:
                self._check_open()
                self._all.add(worker)
        except InvocationError:
            worker.end()
            raise
        return worker

    def _check_open(self) -> None:
        if self._closed:
            raise InvocationError(f"{self.function.logical}: the local system is ending")

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            if worker.alive() and not self._closed:
                self._idle.append(worker)
            else:
                self._discard(worker)

    def _discard(self, worker: Worker) -> None:
        self._all.discard(worker)
        self._left.append(worker.scratch)


def environment(function: Function, endpoint: str) -> dict[str, str]:
    """Return a function's whole environment: what the stack says, and what Lambda itself adds."""
    return {
        "PATH": f"{LAYER_BINARIES}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        **aws.environment(endpoint),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "LANG": "en_US.UTF-8",
        "TZ": "UTC",
        "POWERTOOLS_TRACE_DISABLED": "true",  # there is no X-Ray daemon here
        **function.environment,
    }
