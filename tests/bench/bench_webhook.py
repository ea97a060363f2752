"""How quickly the webhook answers and starts.

Run it with: .venv/bin/python -m tests.bench.bench_webhook
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.table import Row, show

EVENT = Path(__file__).parents[2] / "events" / "webhook-notification.json"
CALLS = 3000
ROUNDS = 15
TOKEN = "0123456789abcdef0123456789abcdef"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "LEGATO_INBOUND_TOKENS": "secret",
    "LEGATO_RINGEX_QUEUE": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs",
    "LEGATO_RINGEX_SETTLE_SECONDS": "120",
    "POWERTOOLS_SERVICE_NAME": "webhook",
    "POWERTOOLS_METRICS_NAMESPACE": "Legato",
    "POWERTOOLS_TRACE_DISABLED": "true",
}
REFERENCE = "import boto3; boto3.client('sqs')"
# What a cold start does: import the handler and make what it works with.
OURS = "from functions.webhook.app import receiver; receiver()"


def main() -> list[Row]:
    """Measure and return the rows."""
    os.environ.update(ENVIRONMENT)
    return [_warm(), _cold()]


def _warm() -> Row:
    with contextlib.redirect_stdout(io.StringIO()):
        # The logger binds to what is standard output when it is made.
        return _measured_warm()


def _measured_warm() -> Row:
    from functions.webhook import app

    made = app.receiver().keywords
    # Everything of ours and boto3's runs; only the sending over the network is answered at once.
    made["jobs"]._sqs.meta.events.register("before-send", lambda **_: _answer({"MessageId": "1"}))
    made["hook"]._tokens = lambda *, fresh: [TOKEN]
    event, context = _event(), _Context()
    seconds = []
    for _ in range(CALLS):
        started = time.perf_counter()
        answer = app.handler(event, context)
        seconds.append(time.perf_counter() - started)
        if answer["statusCode"] != 200:
            raise RuntimeError(f"the webhook answers {answer}")
    p99 = statistics.quantiles(seconds[100:], n=100)[98] * 1000
    median = statistics.median(seconds[100:]) * 1000
    return Row(
        what="webhook handler, warm, without SQS's own time",
        measured=f"p99 {p99:.2f} ms, median {median:.2f} ms",
        budget="p99 ≤ 5 ms",
        holds=p99 <= 5,
    )


def _cold() -> Row:
    """Import times by turns, so that a busy moment of the machine meets both."""
    pairs = [(_seconds(OURS), _seconds(REFERENCE)) for _ in range(ROUNDS)]
    ours, reference = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Row(
        what="webhook import, against boto3 with an SQS client",
        measured=f"{ours / reference:.2f} x ({ours * 1000:.0f} ms; {reference * 1000:.0f} ms)",
        budget="≤ 1.5 x",
        holds=ours <= 1.5 * reference,
    )


def _seconds(code: str) -> float:
    timed = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    said = subprocess.run(
        [sys.executable, "-c", timed], capture_output=True, text=True, check=True
    ).stdout
    return float(said.split()[-1])


def _answer(body: dict[str, Any]) -> Any:
    from botocore.awsrequest import AWSResponse

    class Raw(io.BytesIO):
        def stream(self, **_: Any) -> Any:
            yield self.read()

    content = json.dumps(body).encode()
    return AWSResponse("https://sqs", 200, {"content-length": str(len(content))}, Raw(content))


def _event() -> dict[str, Any]:
    event: dict[str, Any] = json.loads(EVENT.read_text(encoding="utf-8"))
    event["headers"]["verification-token"] = TOKEN
    return event


class _Context:
    function_name = "webhook"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:webhook"
    aws_request_id = "1"


if __name__ == "__main__":
    sys.exit(0 if show(main(), title="Webhook") else 1)
