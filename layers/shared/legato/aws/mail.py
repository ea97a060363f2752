"""Who tells people, on SNS: a topic, to which their addresses are subscribed."""

from __future__ import annotations

from typing import Any

from legato.aws.errors import translated
from legato.printable import printable, printable_lines


class SnsMail:
    """A topic."""

    def __init__(self, sns: Any, *, topic: str) -> None:  # boto3's client, whose types are extra
        self._sns = sns
        self._topic = topic

    def send(self, subject: str, words: str) -> None:
        with translated("nobody can be told by mail"):
            self._sns.publish(
                TopicArn=self._topic, Subject=printable(subject), Message=printable_lines(words)
            )
