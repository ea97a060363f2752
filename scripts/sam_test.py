"""Runs every event in events/ through `sam local invoke`: the built layers in Lambda's own image.

Needs Docker, and `make build` before. The functions in the containers talk to a local system that
listens on Docker's bridge, so that each event's effects can be checked: what an event shall do is
the function of its name in EXPECTATIONS.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import http.server
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from samcli.yamlhelper import yaml_parse

from legato.archive.layout import call_in, call_prefix, folder_of, hold_prefix
from legato.aws.ledger import DynamoLedger
from legato.discovery.push import KAZOO_PUSH_KEY
from legato.discovery.webhook import CURRENT_TOKEN
from legato.model import CallId, Job, Note, format_time, parse_time
from legato.operations.reconcile import last_days
from legato.retrieval.restore.note import key_of as restore_key
from local import aws, custom, endpoints
from local.demo.calls import AUDIO
from local.demo.evidence import read, storage_class
from local.processes import LocalError
from local.system import System, running

ROOT = Path(__file__).parent.parent
EVENTS = ROOT / "events"
BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"
IMAGE = "/lambda/python:3.13-x86_64"
# The events carry it, so that they can be used as they are.
TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of samples only
INVOKE_SECONDS = 180
SPOKEN = (AUDIO / "dialog-ivr.wav", AUDIO / "dialog-agent.wav")


class Unexpected(Exception):
    """An event did not do what it should."""


def expect(holds: object, message: str) -> None:
    if not holds:
        raise Unexpected(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One event against the running system."""

    system: System
    event: Path
    template: Path
    variables: Path
    skip_pull: bool
    host: str
    """This machine, as the containers see it."""

    def read(self) -> Any:
        """Return the event."""
        return json.loads(self.event.read_text(encoding="utf-8"))

    def invoke(self, **changes: Any) -> Any:
        """Run the event, with these changes, in a container; return the function's answer."""
        event = self.event
        if changes:
            event = self.system.directory / self.event.name
            event.write_text(json.dumps(self.read() | changes), encoding="utf-8")
        function = f"{self.event.stem.partition('-')[0].capitalize()}Function"
        sam = Path(sys.executable).with_name("sam")
        command = [str(sam), "local", "invoke", function]
        command += ["--template", str(self.template), "--event", str(event)]
        command += ["--env-vars", str(self.variables), "--region", aws.REGION]
        command += ["--add-host", "host.docker.internal:host-gateway"]
        command += ["--skip-pull-image"] if self.skip_pull else []
        done = subprocess.run(
            command,
            cwd=self.template.parent,
            env={**os.environ, **aws.CREDENTIALS, "SAM_CLI_TELEMETRY": "0"},
            capture_output=True,
            text=True,
            timeout=INVOKE_SECONDS,
            check=False,
        )
        log = self.system.directory / "logs" / f"{self.event.stem}.log"
        log.write_text(done.stderr + done.stdout, encoding="utf-8")
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        expect(done.returncode == 0 and lines, f"sam failed, see {log}")
        answer = json.loads(lines[-1])
        failed = isinstance(answer, dict) and "errorMessage" in answer
        expect(not failed, f"{answer['errorMessage'] if failed else ''}, see {log}")
        return answer

    def invoke_jobs(self, provider: str, *, bodies: list[str] | None = None) -> Any:
        """Run an event of jobs, or of these, as if they came from this system's queue."""
        queue = self.system.endpoints.queues[provider]
        [arn] = [s.queue_arn for s in self.system.stack.sources if s.queue_url == queue]
        records = self.read()["Records"]
        if bodies is not None:
            records = [records[0] | {"body": body} for body in bodies]
        records = [record | {"eventSourceARN": arn} for record in records]
        return self.invoke(Records=records)

    def take_messages(self, queue: str, *, seconds: float = 0) -> list[Any]:
        """Empty a queue, waiting that long for a message; a delayed one comes with time."""
        sqs = aws.client("sqs", self.system.endpoints.aws)
        taken: list[Any] = []
        end_at = time.monotonic() + seconds
        while True:
            received = sqs.receive_message(
                QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            ).get("Messages", [])
            for message in received:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            taken += received
            if not received and (taken or time.monotonic() > end_at):
                return taken
            time.sleep(0 if received else 0.2)

    def jobs(self, provider: str = "ringex", *, seconds: float = 0) -> list[Job]:
        """Empty the jobs queue of a provider, waiting that long for a job.

        What S3 announces there is none.
        """
        queue = self.system.endpoints.queues[provider]
        end_at = time.monotonic() + seconds
        while True:
            bodies = [message["Body"] for message in self.take_messages(queue)]
            jobs = [Job.from_message(body) for body in bodies if "v" in json.loads(body)]
            if jobs or time.monotonic() > end_at:
                return jobs
            time.sleep(0.2)


def handshake(run: Run) -> None:
    """Expect the validation token back as a header, and less than 1,024 bytes in all."""
    answer = run.invoke()
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    expect(answer["statusCode"] == 200, f"status {answer['statusCode']}")
    token = run.read()["headers"]["validation-token"]
    expect(headers.get("validation-token") == token, "the Validation-Token is not echoed")
    expect(headers.get("content-type") == "application/json", "wrong content type")
    expect(len(json.dumps(answer)) < 1024, "the answer is too large")
    expect(not run.jobs(), "a handshake made a job")


def notification(run: Run) -> None:
    """Expect a job for the call that ended, with the recordings that the notification named."""
    body = json.loads(run.read()["body"])["body"]
    answer = run.invoke()
    expect(answer["statusCode"] == 200, f"status {answer['statusCode']}")
    jobs = run.jobs(seconds=10)
    expect(len(jobs) == 1, f"{len(jobs)} jobs instead of one")
    expect(jobs[0].call == body["telephonySessionId"], f"a job for {jobs[0].call}")
    named = {recording["id"] for recording in body["parties"][0]["recordings"]}
    expect(jobs[0].named == named, f"the job names {set(jobs[0].named)}")


def bad_token(run: Run) -> None:
    answer = run.invoke()
    expect(answer["statusCode"] in (401, 403), f"status {answer['statusCode']}")
    expect(not run.jobs(), "an unverified notification made a job")


def other_kind(run: Run) -> None:
    answer = run.invoke()
    expect(answer["statusCode"] == 200, f"status {answer['statusCode']}")
    expect(not run.jobs(), "a notification of no call made a job")


def ringex_jobs(run: Run) -> None:
    """Expect one call archived, one put back because it is not listed, one message buried.

    Both are from before the sweep's beginning, so the call log is asked for the unlisted one.
    """
    recorded, unlisted, broken = [record["body"] for record in run.read()["Records"]]
    job = Job.from_message(recorded)
    place_call(run, job)
    answer = run.invoke_jobs("ringex")
    expect(answer == {"batchItemFailures": []}, f"SQS would deliver again: {answer}")
    check_archive(run, job)
    # The call log's tail was read too, and has made a job of the recorded call.
    again = calls_of_jobs(run, Job.from_message(unlisted).call)
    expect(again <= {Job.from_message(unlisted).call, job.call}, f"put back: {again}")
    dead = run.take_messages(run.system.endpoints.dlqs["ringex"])
    expect([message["Body"] for message in dead] == [broken], f"buried: {dead}")
    reason = dead[0].get("MessageAttributes", {}).get("reason", {}).get("StringValue")
    expect(reason, "the dead letter has no reason")


def ringcx_dialog(run: Run) -> None:
    """Expect the segments of a dialog that a sweep has found in cold storage, and sealed apart."""
    job = Job.from_message(run.read()["Records"][0]["body"])
    segments = sorted(job.listed)
    started_at = place_dialog(run, dialog=job.call, segments=segments)
    replace(run, event=EVENTS / "sweeper-ringcx.json").invoke()
    run.jobs("ringcx", seconds=10)
    answer = run.invoke_jobs("ringcx")
    expect(answer == {"batchItemFailures": []}, f"SQS would deliver again: {answer}")
    check_apart(run, call_prefix(job.id, started_at), segments)


def ringcx_schedule(run: Run) -> None:
    """Expect RingCX asked, and a job for a dialog with its segments."""
    segments = ["p-v-0a1b-1", "p-v-0a1b-2"]
    place_dialog(run, dialog="s-v-0a1b", segments=segments)
    before = asked_for_metadata(run)
    answer = run.invoke()
    expect(answer["swept"] is True, f"not swept: {answer}")
    expect(asked_for_metadata(run) > before, "RingCX was asked for no metadata")
    found = {job.call: job for job in run.jobs("ringcx", seconds=20)}
    expect("s-v-0a1b" in found, f"jobs for {set(found)}")
    listed = found["s-v-0a1b"].listed
    expect(listed == set(segments), f"the job lists {set(listed)}")


def ringcx_goes_on(run: Run) -> None:
    """Expect RingCX left alone, because the last run came to its end."""
    run.invoke(goOn=False)
    place_dialog(run, dialog="s-v-0a2b", segments=["p-v-0a2b-1"])
    before = asked_for_metadata(run)
    answer = run.invoke()
    expect(answer["jobs"] == 0, f"jobs: {answer}")
    expect(asked_for_metadata(run) == before, "RingCX was asked for metadata")
    expect(not run.jobs("ringcx"), "what was not asked for made a job")


def pushed(run: Run) -> None:
    """Expect the recording in the inbox as it came, with its facts, and S3's word of it."""
    run.take_messages(run.system.endpoints.queues["kazoo"])
    event = run.read()
    answer = run.invoke()
    expect(answer["statusCode"] == 200, f"status {answer['statusCode']}: {answer.get('body')}")
    [key] = inbox_keys(run)
    expect(key.endswith(".mp3"), f"stored as {key}")
    inbox = run.system.endpoints.inbox
    stored = aws.client("s3", run.system.endpoints.aws).get_object(Bucket=inbox, Key=key)
    expect(stored["Body"].read() == base64.b64decode(event["body"]), f"{key} is not what came")
    facts = dict(parse_qsl(stored["Metadata"]["facts"]))
    sent = dict(parse_qsl(event["rawQueryString"]))
    expect(facts == sent, f"its facts: {facts}")
    told = run.take_messages(run.system.endpoints.queues["kazoo"], seconds=10)
    names = [unquote_plus(message["Body"]) for message in told]
    expect(any(key in name for name in names), f"S3 announced {names}")


def push_bad_token(run: Run) -> None:
    before = inbox_keys(run)
    answer = run.invoke()
    expect(answer["statusCode"] == 401, f"status {answer['statusCode']}")
    expect(inbox_keys(run) == before, "an unverified push was stored")


def inbox_keys(run: Run) -> list[str]:
    s3, inbox = aws.client("s3", run.system.endpoints.aws), run.system.endpoints.inbox
    return [item["Key"] for item in s3.list_objects_v2(Bucket=inbox).get("Contents", [])]


def kazoo_interaction(run: Run) -> None:
    """Expect the recordings of an interaction that a sweep has found joined and archived."""
    job = Job.from_message(run.read()["Records"][0]["body"])
    started_at = place_interaction(run, job)
    replace(run, event=EVENTS / "sweeper-kazoo.json").invoke()
    run.jobs("kazoo", seconds=10)
    answer = run.invoke_jobs("kazoo")
    expect(answer == {"batchItemFailures": []}, f"SQS would deliver again: {answer}")
    check_archive(run, replace(job, seen_at=started_at))


def kazoo_schedule(run: Run) -> None:
    """Expect a job for an interaction that nobody has told of, with its recordings."""
    order = {"recordings": [{"duration": 8}, {"duration": 8}]}
    placed = place(run, "kazoo", order)
    answer = run.invoke()
    expect(answer["swept"] is True, f"not swept: {answer}")
    found = {job.call: job for job in run.jobs("kazoo", seconds=20)}
    expect(placed["interactionId"] in found, f"jobs for {set(found)}")
    listed = found[placed["interactionId"]].listed
    expect(listed == set(placed["recordingIds"]), f"the job lists {set(listed)}")


def remover_schedule(run: Run) -> None:
    """Expect the recordings of an archived call deleted at Kazoo, and the ledger to say so."""
    start = datetime.now(UTC) - timedelta(seconds=60)
    order = {"recordings": [{"start": format_time(start), "duration": 8}]}
    placed = place(run, "kazoo", order)
    replace(run, event=EVENTS / "sweeper-kazoo.json").invoke()
    [job] = [j for j in run.jobs("kazoo", seconds=20) if j.call == placed["interactionId"]]
    processor = replace(run, event=EVENTS / "processor-kazoo.json")
    processor.invoke_jobs("kazoo", bodies=[job.to_message()])
    answer = run.invoke()
    expect(answer["kazoo"]["RecordingRemoved"] >= 1, f"removed: {answer}")
    expect(answer["kazoo"]["RemovalUnproven"] == 0, f"unproven: {answer}")
    [recording] = placed["recordingIds"]
    simulator = run.system.endpoints.simulators["kazoo"]
    stats = httpx.get(f"{simulator}/_sim/stats", timeout=30).raise_for_status().json()
    expect(stats["deletes"].get(recording) == 1, f"deleted at Kazoo: {stats['deletes']}")
    dynamodb = aws.client("dynamodb", run.system.endpoints.aws)
    ledger = DynamoLedger(dynamodb, table=run.system.endpoints.table)
    note = ledger.read(f"removed#{job.id._replace(call=recording)}").content
    expect(note.get("proof") == "read-back", f"the ledger says {note}")


def schedule(run: Run) -> None:
    """Expect a job for a call of which no notification told, with its recordings."""
    placed = place(run, "ringex", {"legs": [{"duration": 8, "format": "mp3"}], "emit": False})
    answer = run.invoke()
    expect(answer["swept"] is True, f"not swept: {answer}")
    found = {job.call: job for job in run.jobs(seconds=20)}
    expect(placed["telephonySessionId"] in found, f"jobs for {set(found)}")
    listed = found[placed["telephonySessionId"]].listed
    expect(listed == set(placed["recordingIds"]), f"the job lists {set(listed)}")


def keeper_create(run: Run) -> None:
    """Expect the webhook subscribed with the token of the secret, and CloudFormation told so."""
    with custom.sink(run.host) as (url, answers):
        run.invoke(ResponseURL=url)
        told = answers.get(timeout=10)
    expect(told["Status"] == "SUCCESS", f"CloudFormation was told {told}")
    expect(told["PhysicalResourceId"] == run.system.endpoints.webhook, f"told {told}")
    expect(told["RequestId"] == run.read()["RequestId"], f"told {told}")
    check_subscription(run)


def digest_written(run: Run) -> None:
    """Expect the digest of the last hour, with a signature that fits it."""
    answer = run.invoke()
    expect(not answer["stopped"], f"stopped: {answer['stopped']}")
    if not answer["digests"] and datetime.now(UTC).minute < 3:
        return  # the hour may still go on at somebody's clock
    [key, *_] = answer["digests"]
    s3, bucket = aws.client("s3", run.system.endpoints.aws), run.system.endpoints.bucket
    body, signature = (
        s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in (key, f"{key}.sig")
    )
    named = json.loads(body)["signed_with"]["public_key"]["key"]
    pem = s3.get_object(Bucket=bucket, Key=named)["Body"].read()
    public_key = load_pem_public_key(pem)
    expect(isinstance(public_key, EllipticCurvePublicKey), f"{named} is no ECDSA key")
    public_key.verify(signature, body, ECDSA(SHA256()))


def reconciled(run: Run) -> None:
    """Expect a job for a recording that nobody has looked for, of the last day that is due."""
    begin, _ = last_days(datetime.now(UTC), 1)
    start = begin + timedelta(hours=12)
    order = {"recordings": [{"start": format_time(start), "duration": 8}]}
    placed = place(run, "kazoo", order)
    run.invoke()  # it may say that there is more to read: RingCX is slow
    found = {job.call: job for job in run.jobs("kazoo", seconds=20)}
    expect(placed["interactionId"] in found, f"jobs for {set(found)}")
    named = found[placed["interactionId"]].named
    expect(named == set(placed["recordingIds"]), f"hints: {named}")


def held(run: Run) -> None:
    """Expect the call held for the case, with a record of who did it and why."""
    answer = asked(run)
    request = json.loads(run.read()["body"])
    expect(list(answer["cases"]) == [request["case"]], f"held for {answer['cases']}")
    s3, bucket = aws.client("s3", run.system.endpoints.aws), run.system.endpoints.bucket
    folder = hold_prefix(CallId.parse(request["call"]))
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=folder).get("Contents", [])
    records = [s3.get_object(Bucket=bucket, Key=o["Key"])["Body"].read() for o in listed]
    steps = [json.loads(record) for record in records]
    expect(any(step["reason"] == request["reason"] for step in steps), f"recorded: {steps}")


def release_requested(run: Run) -> None:
    """Expect the call held as before, and the request noted."""
    asked(replace(run, event=EVENTS / "holder-hold.json"))
    answer = asked(run)
    [case] = answer["cases"].values()
    expect(answer["held"] and case["release"], f"the case is {case}")


def released(run: Run) -> None:
    """Expect a release refused to the one who asked for it, and granted to another."""
    request = replace(run, event=EVENTS / "holder-request-release.json")
    asked(replace(run, event=EVENTS / "holder-hold.json"))
    asked(request)
    alone = run.invoke(requestContext=request.read()["requestContext"])
    expect(alone["statusCode"] == 403, f"released alone: {alone}")
    expect(not asked(run)["held"], "two people did not release it")


def restored(run: Run) -> None:
    """Expect the call off the list of what is under way, with how long its copy stays."""
    ledger, note = under_way(run)
    answer = run.invoke()
    expect(answer["outcome"] == "Restored", f"answered {answer}")
    [entry] = ledger.read(note.key).content["objects"].values()
    said = run.read()["detail"]["restore-expiry-time"]
    expect(parse_time(entry["until"]) == parse_time(said), f"the note says {entry}")
    expect(not on_list(ledger, "restores"), "it is still under way")


def copy_gone(run: Run) -> None:
    """Expect a call whose copy is gone to be off all lists."""
    ledger, note = under_way(run)
    replace(run, event=EVENTS / "restorer-completed.json").invoke()
    answer = run.invoke()
    expect(answer["outcome"] == "Expired", f"answered {answer}")
    expect(not ledger.read(note.key).content["objects"], "the note has it still")
    expect(not on_list(ledger, "restored"), "it is listed still")


def under_way(run: Run) -> tuple[DynamoLedger, Note]:
    """Note that the object of the event was asked for; return the ledger and the note."""
    told = run.read()["detail"]["object"]
    ledger = DynamoLedger(
        aws.client("dynamodb", run.system.endpoints.aws), table=run.system.endpoints.table
    )
    note = ledger.read(restore_key(call_in(folder_of(told["key"]))))
    at = format_time(datetime.now(UTC))
    objects = {told["key"]: {"version_id": told["version-id"], "bytes": 1}}
    order = {"request": at, "requested_at": at, "tier": "Standard", "days": 7}
    noted = replace(note, content={**order, "objects": objects}, listed=("restores", at))
    return ledger, ledger.write(noted)


def on_list(ledger: DynamoLedger, name: str) -> list[Note]:
    return list(ledger.listed(name, until="9999"))


def looked_at(run: Run) -> None:
    """Expect a record of who is about to look at the call, and why."""
    answer = asked(run)
    asking = run.read()
    caller = asking["requestContext"]["authorizer"]["iam"]["userArn"]
    expect(answer["by"] == caller, f"written down for {answer['by']}")
    s3, bucket = aws.client("s3", run.system.endpoints.aws), run.system.endpoints.bucket
    record = json.loads(s3.get_object(Bucket=bucket, Key=answer["key"])["Body"].read())
    request = json.loads(asking["body"])
    expect({name: record[name] for name in request} == request, f"recorded: {record}")


def asked(run: Run) -> Any:
    """Run an event that a person has signed; return what its function says."""
    answer = run.invoke()
    expect(answer["statusCode"] == 200, f"status {answer['statusCode']}: {answer['body']}")
    return json.loads(answer["body"])


def keeper_schedule(run: Run) -> None:
    answer = run.invoke()
    expect(answer["healthy"] is True, f"not healthy: {answer}")
    check_subscription(run)


def keeper_rotate(run: Run) -> None:
    """Expect a new token in the secret beside the old one, and a subscription all the time."""
    before = read_tokens(run.system)[1]
    answer = run.invoke()
    after = read_tokens(run.system)[1]
    expect(answer["counts"].get("TokenRotated") == 1, f"not rotated: {answer}")
    token = after["ringexVerificationToken"]
    expect(len(token) == 32 and int(token, 16), "the new token is none")
    kept = after["ringexPreviousVerificationToken"]
    expect(kept == before["ringexVerificationToken"], "the old token is accepted no more")
    check_subscription(run)


def check_subscription(run: Run) -> None:
    """Expect one good subscription that leads to the webhook, with a token of the secret."""
    simulator = run.system.endpoints.simulators["ringex"]
    found = httpx.get(f"{simulator}/_sim/subscriptions", timeout=30).raise_for_status().json()
    expect(len(found) == 1, f"{len(found)} subscriptions")
    expect(found[0]["status"] == "Active", f"the subscription is {found[0]['status']}")
    address = found[0]["deliveryMode"]["address"]
    expect(address == run.system.endpoints.webhook, f"it leads to {address}")
    known = read_tokens(run.system)[1].values()
    expect(found[0]["verificationToken"] in known, "it carries a token that the secret lacks")


def calls_of_jobs(run: Run, wanted: str) -> set[str]:
    """Empty the jobs queue until the wanted call is among them; return the calls."""
    calls: set[str] = set()
    end_at = time.monotonic() + 20
    while wanted not in calls:
        expect(time.monotonic() < end_at, f"no job for {wanted}, only for {calls}")
        calls |= {job.call for job in run.jobs(seconds=1)}
    return calls


def place_call(run: Run, job: Job) -> None:
    """Place the call of a job in the simulator: two legs, one after the other."""
    legs = [{"startTime": start, "duration": 8, "format": "mp3"} for start in starts_before(job, 2)]
    place(run, "ringex", {"telephonySessionId": job.call, "legs": legs, "emit": False})


def place_interaction(run: Run, job: Job) -> datetime:
    """Place the interaction of a job, two recordings that ended a moment ago; return its start."""
    started_at = datetime.now(UTC) - timedelta(seconds=60)
    starts = [started_at, started_at + timedelta(seconds=10)]
    recordings = [{"start": format_time(start), "duration": 8} for start in starts]
    order = {"accountId": job.account, "interactionId": job.call, "recordings": recordings}
    place(run, "kazoo", order)
    return started_at


def starts_before(job: Job, legs: int) -> list[str]:
    """Return when the legs of a job's call began: each ten seconds after the one before."""
    start = job.seen_at - timedelta(seconds=30)
    return [format_time(start + timedelta(seconds=10 * number)) for number in range(legs)]


def place(run: Run, provider: str, order: dict[str, Any]) -> Any:
    """Place a call in a provider's simulator; return its ids."""
    simulator = run.system.endpoints.simulators[provider]
    placed = httpx.post(f"{simulator}/_sim/calls", json=order, timeout=30)
    return placed.raise_for_status().json()


def place_dialog(run: Run, *, dialog: str, segments: list[str]) -> datetime:
    """Place a dialog that ended a moment ago in the simulator; return when it began."""
    started_at = datetime.now(UTC) - timedelta(seconds=60)
    placed = [
        {
            "segmentId": segment,
            "startTime": format_time(started_at + timedelta(seconds=10 * number)),
            "duration": 3,
            "audio": base64.b64encode(SPOKEN[number].read_bytes()).decode(),
        }
        for number, segment in enumerate(segments)
    ]
    place(run, "ringcx", {"dialogId": dialog, "segments": placed})
    return started_at


def asked_for_metadata(run: Run) -> int:
    """Return how often RingCX was asked for metadata so far."""
    simulator = run.system.endpoints.simulators["ringcx"]
    stats = httpx.get(f"{simulator}/_sim/stats", timeout=30).raise_for_status().json()
    return sum(stats["requests"].get("metadata", {}).values())


def check_apart(run: Run, prefix: str, segments: list[str]) -> None:
    """Expect nothing but these segments, as they were sent and cold, and a manifest of them."""
    s3, bucket = aws.client("s3", run.system.endpoints.aws), run.system.endpoints.bucket
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    names = sorted(item["Key"].removeprefix(prefix) for item in listed)
    legs = [f"legs/{segment}.wav" for segment in segments]
    expect(names == [*legs, "manifest-1.json", "peaks-1.json"], f"archived: {names}")
    manifest = json.loads(
        s3.get_object(Bucket=bucket, Key=f"{prefix}manifest-1.json")["Body"].read()
    )
    expect([leg["id"] for leg in manifest["legs"]] == segments, "other legs in the manifest")
    expect(manifest["recording"] is None, f"joined: {manifest['recording']}")
    for leg, spoken in zip(manifest["legs"], SPOKEN, strict=False):
        kept_in = storage_class(s3, bucket, leg)
        expect(kept_in == "GLACIER", f"{leg['key']} is in {kept_in}")
        sent = hashlib.sha256(spoken.read_bytes()).hexdigest()
        expect(leg["sha256"] == sent, f"{leg['key']} is not what RingCX sent, says the manifest")
        found = hashlib.sha256(read(s3, bucket, leg)).hexdigest()
        expect(found == sent, f"{leg['key']} is not what RingCX sent")


def check_archive(run: Run, job: Job) -> None:
    """Expect both legs, the joined recording, all of it at hand, and a manifest that fits them."""
    s3, bucket = aws.client("s3", run.system.endpoints.aws), run.system.endpoints.bucket
    prefix = call_prefix(job.id, job.seen_at)
    keys = {o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])}
    names = sorted(key.removeprefix(prefix) for key in keys if "/legs/" not in key)
    expect(names == ["manifest-1.json", "peaks-1.json", "recording-1.mp3"], f"archived: {names}")
    manifest = json.loads(
        s3.get_object(Bucket=bucket, Key=f"{prefix}manifest-1.json")["Body"].read()
    )
    expect(len(manifest["legs"]) == 2, f"{len(manifest['legs'])} legs in the manifest")
    for entry in (*manifest["legs"], manifest["recording"]):
        stored = s3.get_object(Bucket=bucket, Key=entry["key"], VersionId=entry["version_id"])
        content = stored["Body"].read()
        found = hashlib.sha256(content).hexdigest()
        expect(found == entry["sha256"], f"{entry['key']} is not what the manifest says")
        kept_in = storage_class(s3, bucket, entry)
        expect(kept_in == "GLACIER_IR", f"{entry['key']} is in {kept_in}")
    played = manifest["recording"]["duration_ms"]
    expect(15_000 < played < 17_000, f"the joined recording plays {played} ms")


def health_schedule(run: Run) -> None:
    """Expect everything looked at, and the result in the ledger."""
    answer = run.invoke()
    expect(answer["unknown"] == [], f"not known: {answer}")
    dynamodb = aws.client("dynamodb", run.system.endpoints.aws)
    note = DynamoLedger(dynamodb, table=run.system.endpoints.table).read("status").content
    providers = [one["provider"] for one in note["result"]["providers"]]
    expect(providers == ["ringex", "ringcx", "kazoo"], f"looked at {providers}")
    expect(len(note["result"]["needs"]) == answer["needs"], f"needs: {answer}")


EXPECTATIONS: dict[str, Callable[[Run], None]] = {
    "webhook-handshake": handshake,
    "webhook-notification": notification,
    "webhook-bad-token": bad_token,
    "webhook-other-kind": other_kind,
    "processor-ringex-jobs": ringex_jobs,
    "push-put": pushed,
    "push-bad-token": push_bad_token,
    "processor-ringcx": ringcx_dialog,
    "processor-kazoo": kazoo_interaction,
    "sweeper-schedule": schedule,
    "sweeper-ringcx": ringcx_schedule,
    "sweeper-ringcx-goes-on": ringcx_goes_on,
    "sweeper-kazoo": kazoo_schedule,
    "remover-schedule": remover_schedule,
    "health-schedule": health_schedule,
    "auditor-digest": digest_written,
    "auditor-reconcile": reconciled,
    "access-show": looked_at,
    "restorer-completed": restored,
    "restorer-expired": copy_gone,
    "holder-hold": held,
    "holder-request-release": release_requested,
    "holder-confirm-release": released,
    "keeper-create": keeper_create,
    "keeper-schedule": keeper_schedule,
    "keeper-rotate": keeper_rotate,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("--allow-skip", action="store_true", help="exit 0 where Docker is missing")
    parser.add_argument("names", nargs="*", help="run only these events")
    given = parser.parse_args()
    if not docker("info"):
        print("SKIPPED: no Docker engine answers. No event ran in Lambda's image.", flush=True)
        return 0 if given.allow_skip else 1
    if not BUILT.exists():
        print("sam-test: nothing is built yet. Run: make build", file=sys.stderr)
        return 1
    try:
        failed = run_all(given.names)
    except LocalError as error:
        print(f"sam-test: {error}", file=sys.stderr)
        return 1
    return 1 if failed else 0


def run_all(names: list[str]) -> int:
    """Run the events and print a line for each; return how many failed."""
    events = sorted(EVENTS.glob("*.json"))
    failed = 0
    for name in sorted(EXPECTATIONS.keys() ^ {event.stem for event in events}):
        print(f"FAIL  {name}: an event and its expectation belong together", flush=True)
        failed += 1
    host = bridge_address()
    directory = endpoints.directory() / "sam-test"
    with running(
        host=host,
        directory=directory,
        functions=False,
        # SAM tells the container the template's own default level, and Powertools compares.
        parameters={
            "RingexSettleSeconds": "0",
            "RingexSweepHours": "1",
            "RingexTailSeconds": "0",
            "RingcxSweepHours": "1",
            "RingcxSettleMinutes": "0",
            "KazooSweepHours": "1",
            "DeleteAtSource": "true",
            "LogLevel": "INFO",
        },
        ringex_settings={"logLag": 0},
    ) as system:
        use_sample_token(system)
        template, variables = write_inputs(system)
        images = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
        skip_pull = any(image.endswith(IMAGE) for image in images)
        try:
            for event in events:
                expectation = EXPECTATIONS.get(event.stem)
                if expectation is None or (names and event.stem not in names):
                    continue
                run = Run(
                    system=system,
                    event=event,
                    template=template,
                    variables=variables,
                    skip_pull=skip_pull,
                    host=host,
                )
                with answering_webhook(system.endpoints.webhook):
                    failed += not passes(run, expectation)
        finally:
            template.unlink()
    return failed


def passes(run: Run, expectation: Callable[[Run], None]) -> bool:
    began = time.monotonic()
    try:
        expectation(run)
    except (Unexpected, KeyError, ValueError, httpx.HTTPError, subprocess.TimeoutExpired) as error:
        print(f"FAIL  {run.event.stem}: {type(error).__name__}: {error}", flush=True)
        return False
    print(f"ok    {run.event.stem} ({time.monotonic() - began:.1f} s)", flush=True)
    return True


def use_sample_token(system: System) -> None:
    """Make the token of the sample events the one that the webhook and pushes know."""
    arn, content = read_tokens(system)
    content |= dict.fromkeys((CURRENT_TOKEN, KAZOO_PUSH_KEY), TOKEN)
    secrets = aws.client("secretsmanager", system.endpoints.aws)
    secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(content))


def read_tokens(system: System) -> tuple[str, Any]:
    """Return the ARN of the inbound tokens' secret and what it holds."""
    arn = system.stack.outputs["InboundTokensArn"]
    secrets = aws.client("secretsmanager", system.endpoints.aws)
    return arn, json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])


@contextlib.contextmanager
def answering_webhook(address: str) -> Iterator[None]:
    """Shake hands in the webhook's place: what runs it in AWS is left out here."""

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "0")
            self.send_header("Validation-Token", self.headers.get("Validation-Token", ""))
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            pass

    split = urlsplit(address)
    server = http.server.ThreadingHTTPServer((split.hostname or "", split.port or 80), Webhook)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def write_inputs(system: System) -> tuple[Path, Path]:
    """Write the variables for the containers, and a template in which all of them are declared.

    SAM passes on only what the template declares, and the real one does not name the endpoint.
    """
    values = {
        logical: {**function.environment, **aws.environment(system.endpoints.aws)}
        for logical, function in system.stack.functions.items()
    }
    variables = system.directory / "variables.json"
    variables.write_text(json.dumps(values, indent=2), encoding="utf-8")
    built = yaml_parse(BUILT.read_text(encoding="utf-8"))
    for logical, names in values.items():
        # By its defaults the template leaves some of the functions out.
        built["Resources"][logical].pop("Condition", None)
        declared = built["Resources"][logical]["Properties"]["Environment"]["Variables"]
        for name in names:
            declared[name] = ""
    template = BUILT.with_name("sam-test.json")  # beside the original: its paths are relative
    template.write_text(json.dumps(built), encoding="utf-8")
    return template, variables


def bridge_address() -> str:
    """Return this machine's address on Docker's bridge, where containers reach it."""
    described = json.loads(docker("network", "inspect", "bridge") or "[]")
    if not described:
        raise LocalError("Docker has no network called bridge")
    settings = described[0]["IPAM"]["Config"][0]
    # A fresh engine names no gateway yet: it is the first address of the subnet.
    first = ipaddress.ip_network(settings["Subnet"])[1]
    return settings.get("Gateway") or str(first)


def docker(*arguments: str) -> str:
    """Return what a docker command prints; nothing when it fails or there is no docker."""
    if shutil.which("docker") is None:
        return ""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
