"""What HealthFunction tells of a recording that is refused for good, on the running system."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from legato.model import CallId, format_time
from legato.operations.health import NOTE
from local import aws
from tests.e2e.telephony import Telephony
from tests.forked import legato
from tests.patience import until

SCHEDULED = ("SweeperFunction", "HealthFunction")
PARAMETERS = {"AlarmEmail": "alarms@example.com"}
CALL = "s-refused"


class Watched(Telephony):
    """The running system, and a queue into which all mails come."""

    def __init__(self, system, folder):
        super().__init__(system, folder)
        self.queue = self.sqs.create_queue(QueueName="mails")["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        aws.client("sns", system.endpoints.aws).subscribe(
            TopicArn=system.stack.configuration.alarm_topic,
            Protocol="sqs",
            Endpoint=attributes["Attributes"]["QueueArn"],
        )
        self.mails = []

    def mailed(self):
        """Return subject and words of all mails that have come so far."""
        while some := self.sqs.receive_message(QueueUrl=self.queue).get("Messages"):
            for message in some:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                mail = json.loads(message["Body"])
                self.mails.append((mail["Subject"], mail["Message"]))
        return self.mails

    def runs(self, times):
        """Wait until HealthFunction has looked so many times more."""
        since = self.ledger.read(NOTE).version
        until(lambda: self.ledger.read(NOTE).version >= since + times)

    def command(self, *words):
        return legato("--local", *words, LEGATO_LOCAL_DIR=str(self.system.directory))


@pytest.fixture(scope="module")
def watched(system, tmp_path_factory):
    return Watched(system, tmp_path_factory.mktemp("audio"))


def test_one_mail_tells_it_and_one_that_it_is_over_and_none_in_between(watched):
    """With what, since when and what to do; the command is run as it stands there."""
    watched.runs(2)
    assert watched.mailed() == []
    watched.faults({"kind": "status", "status": 403, "for": "77"})
    began = format_time(datetime.now(UTC) - timedelta(seconds=30))
    leg = {"recordingId": "77", "duration": 1, "startTime": began}
    watched.call(telephonySessionId=CALL, legs=[leg])
    [(subject, words)] = until(watched.mailed)
    assert subject == "Legato: 1 new in legato"
    name = f"ringex/401555000/{CALL}"
    assert f"* {name}: recording 77 is refused to us since" in words
    command = f"legato retry {name}"
    assert f"\n    $ {command}\n" in words
    until(lambda: watched.ledger.load(CallId.parse(name)).status == "failed")
    watched.runs(5)
    assert len(watched.mailed()) == 1, "it is the same, also when it is given up"

    watched.mend()
    ended = watched.command(*command.split()[1:])
    assert ended.returncode == 0, ended.stderr
    until(lambda: len(watched.mailed()) > 1)
    subject, words = watched.mails[1]
    assert subject == "Legato: 1 over in legato"
    assert f"Over:\n\n* {name}: recording 77 is refused" in words
    watched.runs(5)
    assert len(watched.mailed()) == 2
    result = watched.ledger.read(NOTE).content["result"]
    assert (result["needs"], result["unknown"]) == ([], {})
