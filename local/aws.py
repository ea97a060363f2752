"""The local AWS: a moto server in a process of its own, and clients for it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.processes import running_module, wait_until_answers

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


def environment(endpoint: str) -> dict[str, str]:
    """Return the variables that lead every AWS client of a process to the local AWS."""
    return {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        # A developer's own profile must not slip in.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client(service: str, endpoint: str) -> Any:
    """Return a boto3 client for the local AWS, whatever the environment says."""
    make: Any = boto3.client  # typed one service at a time
    return make(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 2}, max_pool_connections=50),
    )


@contextlib.contextmanager
def moto_server(host: str, port: int, *, log: Path) -> Iterator[str]:
    """Run a moto server; yields its endpoint URL as soon as it answers."""
    endpoint = f"http://{host}:{port}"
    arguments = ["--host", host, "--port", str(port)]
    with running_module("local.moto_server", arguments, log=log) as process:
        wait_until_answers(f"{endpoint}/moto-api/", process, log=log)
        yield endpoint
