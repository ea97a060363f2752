"""What a stack is configured to do: the template's defaults, where a test says nothing else."""

from __future__ import annotations

import json

from legato.app.root import App
from legato.config import Config, configuration
from legato.settings import names_of
from legato.tuning import Tuning

DOCUMENT = {
    "AccessReason": "optional",
    "AlarmTopic": "",
    "Bucket": "bucket",
    "Credentials": "arn:secret",
    "DeleteAtSource": "false",
    "InboundTokens": "arn:tokens",
    "Inbox": "",
    "KazooAccountIds": "",
    "KazooDeadLetters": "https://sqs/kazoo-dead",
    "KazooLockYears": "7",
    "KazooQueue": "https://sqs/kazoo",
    "KazooStorageClass": "GLACIER_IR",
    "KazooUrl": "",
    "RestoreTopic": "",
    "RetentionMode": "NONE",
    "RingcxDeadLetters": "https://sqs/ringcx-dead",
    "RingcxLockYears": "7",
    "RingcxQueue": "https://sqs/ringcx",
    "RingcxStorageClass": "GLACIER",
    "RingcxSubAccountIds": "",
    "RingexDeadLetters": "https://sqs/ringex-dead",
    "RingexLockYears": "7",
    "RingexQueue": "https://sqs/ringex",
    "RingexSettleSeconds": "120",
    "RingexStorageClass": "GLACIER_IR",
    "Stack": "arn:aws:cloudformation:us-east-1:123456789012:stack/archive/guid",
    "Table": "table",
    "TimestampAuthorityUrl": "",
    "UseRingex": "true",
}


def document(**said: str) -> str:
    """Return the document with this in it, each where it belongs."""
    tuned = {name: value for name, value in said.items() if name in names_of(Tuning)}
    rest = {name: value for name, value in said.items() if name not in tuned}
    return json.dumps(DOCUMENT | rest | {"Tuning": tuned})


def configured(**said: str) -> Config:
    """Return the configuration with this in it."""
    return configuration(document(**said))


def app(**said: str) -> App:
    """Return the App of a stack that is configured so."""
    return App(configured(**said))
