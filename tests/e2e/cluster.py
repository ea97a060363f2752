"""The Kazoo cluster of the running system, as a test sees it: from outside."""

import base64
import io
import json
import wave
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from legato.model import format_time
from local import aws
from local.kazoo import ACCOUNTS
from tests.e2e.swept import Names, Placed, Swept

FIRST, SECOND = ACCOUNTS
KAZOO = {"bucketTokens": 100_000, "tokensPerSecond": 100_000}
SCHEDULED = ("SweeperFunction",)
"""The auditor would list recordings too, and take the faults that are meant for sweeps."""
# As short as it can be.
PARAMETERS = {
    "RingexSettleSeconds": "0",
    "RetrySeconds": "1",
    "KazooLimits": "Requests=1000/1",
    "KazooLadderSeconds": "1,1,2,2,2,2,2,2",
    "KazooQuietSeconds": "1",
    "KazooSweepHours": "1",
}


def seconds_of(wav):
    """Return how long a WAV is."""
    with wave.open(io.BytesIO(wav)) as audio:
        return audio.getnframes() / audio.getframerate()


class Cluster(Swept):
    """The Kazoo cluster, and what the archive has of it."""

    provider = "kazoo"
    account = FIRST
    names = Names(
        account="accountId",
        call="interactionId",
        legs="recordings",
        leg="recording",
        start="start",
    )

    def __init__(self, system, folder):
        super().__init__(system, folder)
        self.secrets = aws.client("secretsmanager", system.endpoints.aws)

    def place(self, recordings=1, *, audio=(), recording=None, **order):
        leg = {"format": "mp3" if audio else "wav", **(recording or {})}
        return super().place(recordings, audio=audio, leg=leg, **order)

    def place_these(self, bodies, *, account=FIRST, **order):
        """Place recordings of this WAV, one after the other, of which the last one is over."""
        lengths = [round(seconds_of(body), 3) for body in bodies]
        began = datetime.now(UTC) - timedelta(seconds=60 + sum(lengths))
        order["recordings"] = [
            {
                "start": format_time(began + timedelta(seconds=number + sum(lengths[:number]))),
                "duration": length,
                "format": "wav",
                "audio": base64.b64encode(body).decode(),
            }
            for number, (length, body) in enumerate(zip(lengths, bodies, strict=True))
        ]
        return self.order(bodies, accountId=account, **order)

    def check_plan(self, plan):
        """Let Kazoo try a storage plan."""
        return self._http.post("/plans", json=plan).raise_for_status().json()

    def place_lone(self, **recording):
        """Place a recording whose document names no interaction: its own id is the call's."""
        placed = self.place(recording=recording)
        return Placed(next(iter(placed.sent)), placed.account, placed.sent)

    def drain(self):
        self._http.post("/drain").raise_for_status()

    @contextmanager
    def secret(self, output="CredentialsArn"):
        """Change a secret of the stack: its credentials, unless said."""
        arn = self.system.stack.outputs[output]
        content = json.loads(self.secrets.get_secret_value(SecretId=arn)["SecretString"])
        yield content
        self.secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(content))

    def reasons_to_stop(self):
        """Return why sweeps of the first account ended early, as the sweeper's log says."""
        reasons = super().reasons_to_stop()
        return [reason for reason in reasons if reason.startswith(f"kazoo#{FIRST}: ")]
