"""A handler that does what the event says, to try the local runner with."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    match event["do"]:
        case "return":
            return event["value"]
        case "raise":
            raise ValueError(event["value"])
        case "die":
            os._exit(3)
        case "sleep":
            time.sleep(event["value"])
            return None
        case "meet":
            place = Path(event["value"])
            (place / str(os.getpid())).touch()
            while len(list(place.iterdir())) < 2:
                time.sleep(0.01)
            return None
        case "leave":
            Path(tempfile.gettempdir(), event["value"]).touch()
            return tempfile.gettempdir()
        case "find":
            return sorted(path.name for path in Path(tempfile.gettempdir()).iterdir())
        case "print":
            for number in range(event["value"]):
                sys.stdout.write(json.dumps({"number": number}))  # in two steps, as print does
                sys.stdout.write("\n")
            return None
        case "tell":
            sys.stdout.write("a line of the log\n")
            return {
                "pid": os.getpid(),
                "environment": dict(os.environ),
                "name": context.function_name,
                "memory": context.memory_limit_in_mb,
                "arn": context.invoked_function_arn,
                "request": context.aws_request_id,
                "millis": context.get_remaining_time_in_millis(),
            }
