"""Fuzzed bodies for each way in: nothing fails, nothing gets in, and every job can be worked on.

`make test` tries 1,200 of each, by four seeds; as many as LEGATO_FUZZED_BODIES says by

    LEGATO_FUZZED_BODIES=100000 make test ARGS="tests/unit/test_fuzz.py --durations=0"
"""

import base64
import json
import os
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, quote_plus, unquote, urlencode

import pytest

from legato.api_request import Request, request
from legato.app.kazoo import jobs_of
from legato.audio.formats import recognise
from legato.discovery.push import IDS, Push, push, token_of
from legato.discovery.webhook import receive
from legato.errors import LegatoError, NotYet, Refused
from legato.evidence import access_log, legal_hold
from legato.ingest.batch import Message, archive
from legato.ledger.accounts import ours
from legato.ledger.listings import records_key
from legato.model import MAX_JOB_BYTES, CallId, Job, Note, is_id
from legato.providers.kazoo.api import RecordingsPage
from legato.providers.kazoo.provider import Kazoo
from legato.providers.ringex.hook import RingexHook
from legato.retrieval.restore.event import Completing, read, restored
from legato.tuning import Policy
from tests.fakes import (
    NOON,
    FakeAccesses,
    FakeArchive,
    FakeCatalogue,
    FakeClock,
    FakeInbox,
    FakeJobs,
    FakeLedger,
    FakeNotes,
    FakeProvider,
    a_ringex_account,
    an_inbox,
    some_ports,
)
from tests.fuzz import Fuzz

SEEDS = range(1, 5)
COUNT = int(os.environ.get("LEGATO_FUZZED_BODIES", "1200")) // len(SEEDS)
FRESH = 500
"""After so many bodies the fakes are new, so that they do not grow slow."""
DYNAMODB_KEY = 2048
ACCOUNT, OTHER = "5a2d994fbae69b1d6b01eb9f0e7dfe62", "c1f8e3d7a9b04562938475acde102f36"
RECORDING = "202611-0a1b2c3d4e5f60718293a4b5c6d7e8f3"
FACTS = {"account_id": ACCOUNT, "recording_id": RECORDING, "call_id": "0a@b"}
KEY = "f" * 64
LARGEST_ANSWER = 6 * 1024 * 1024


def sample(name):
    return json.loads((Path("events") / f"{name}.json").read_bytes())


def samples(*names):
    return [sample(path.stem) for name in names for path in sorted(Path("events").glob(name))]


@pytest.fixture(params=SEEDS)
def fuzz(request):
    return Fuzz(f"{request.node.originalname} {request.param}")


def answered(reply):
    """Expect an answer that Lambda can hand on, and that is no fault of ours."""
    said = reply.to_gateway()
    assert 200 <= said["statusCode"] < 500, said
    assert len(json.dumps(said, ensure_ascii=False).encode()) < LARGEST_ANSWER


def accepted(job, provider):
    """Expect that the processor reads a job as it was sent, and works on it."""
    for part in job.parts():
        message = part.to_message()
        assert len(message) <= MAX_JOB_BYTES
        assert Job.from_message(message).to_message() == message
    assert job.provider == provider


def fits_dynamodb(notes):
    for key, note in notes.notes.items():
        assert len(key.encode()) <= DYNAMODB_KEY, key
        assert all(len(text.encode()) <= DYNAMODB_KEY for text in note.listed or ())


def with_body(fuzz, event, content):
    """Return an event of API Gateway whose body is odd, and in one run of five its frame too."""
    event = {**event, "body": fuzz.body(content)}
    if fuzz.random.random() < 0.2:
        encoded = event["body"].encode(errors="surrogatepass")
        event |= {"body": base64.b64encode(encoded).decode(), "isBase64Encoded": True}
    if fuzz.random.random() < 0.2:
        event["headers"] = fuzz.tree(event["headers"])
    if fuzz.random.random() < 0.1:
        event["body"] = fuzz.odd()
    return event


class TestWebhook:
    TOKEN = "0123456789abcdef0123456789abcdef"

    def notifications(self):
        found = [json.loads(event["body"]) for event in samples("webhook-*") if event.get("body")]
        case = Path("tests/fixtures/cases/protocol/ringex_csn_answered_names_recording.json")
        rich = json.loads(json.dumps(found[0]))
        rich["body"]["parties"] *= 2
        rich["body"]["parties"][0] |= {
            "recordings": [{"id": "7", "active": False}, {"id": "8", "active": True}],
            "status": {
                "code": "Gone",
                "peerId": {"telephonySessionId": "s-2", "sessionId": "4", "partyId": "p-2"},
            },
        }
        return [*found, rich, json.loads(case.read_bytes())]

    @pytest.mark.attacks("sends fuzzed notifications, with and without the token")
    def test_fuzzed(self, fuzz):
        frame, bodies = sample("webhook-notification"), self.notifications()
        hook, jobs = RingexHook(lambda *, fresh: [self.TOKEN, ""]), FakeJobs()
        outcomes = set()
        for _ in range(COUNT):
            event = with_body(fuzz, frame, fuzz.random.choice(bodies))
            stranger = fuzz.random.random() < 0.3
            if stranger:
                token = fuzz.text(self.TOKEN)
                headers = {**frame["headers"], "verification-token": token}
                event["headers"] = headers if token != self.TOKEN else {}
            if fuzz.random.random() < 0.02:
                event["body"] = ""
                event["headers"] = {"validation-token": fuzz.text("8f3c1e5a-7b64-4d0e")}
            said = Request.of(event)
            reply = receive(said, hook=hook, jobs=jobs, clock=FakeClock(), settle=120)
            answered(reply)
            if said.body and stranger:
                assert reply.status in (401, 413)
                assert jobs.sent == []
            for job, _ in jobs.sent:
                accepted(job, "ringex")
                assert is_id(job.account)
                assert is_id(job.call)
                assert all(map(is_id, (*job.named, *job.hints.get("peers", ()))))
                assert len(job.named) <= 100
            jobs.sent.clear()
            outcomes.add(reply.outcome)
        assert {"Enqueued", "Ignored", "Unauthorized", "Malformed", "Handshake"} <= outcomes


class FakePushInbox:
    def __init__(self):
        self.objects = {}

    def put(self, key, body, *, media_type, facts):
        assert facts.isascii()
        self.objects[key] = dict(parse_qsl(facts))
        return True


class TestPush:
    @pytest.mark.attacks("sends fuzzed pushes, with and without a token")
    def test_fuzzed(self, fuzz):
        frame = sample("push-put")
        audio = base64.b64decode(frame["body"])
        facts, inbox, outcomes = frame["queryStringParameters"], FakePushInbox(), set()
        good = [token_of(ACCOUNT, KEY), token_of(OTHER, KEY)]
        for _ in range(COUNT):
            token, stranger = good[0], fuzz.random.random() < 0.3
            if stranger:
                token = fuzz.text(token)
                token = "" if token in good else token
            query = fuzz.tree(facts)
            query = query if isinstance(query, dict) else {"": query}
            texts = {str(name): str(value) for name, value in query.items()}
            written = urlencode(texts, errors="replace")
            path = {"token": token, "name": fuzz.text(frame["pathParameters"]["name"])}
            event = {**frame, "rawQueryString": written, "pathParameters": path}
            if fuzz.random.random() < 0.1:
                event["rawQueryString"] = fuzz.text(written)
            if fuzz.random.random() < 0.05:
                event["pathParameters"] = fuzz.tree(path)
            kind = fuzz.random.random()
            cut = audio[: fuzz.random.randrange(5000)]
            event |= {"body": base64.b64encode(cut if kind < 0.3 else audio[:2000]).decode()}
            if kind > 0.9:
                event["body"] = fuzz.odd()
            said = Push.of(event)
            reply = push(said, keys=lambda *, fresh: [KEY, ""], recognise=recognise, inbox=inbox)
            answered(reply)
            json.dumps(dict(reply.logged), ensure_ascii=False).encode()
            if said.token not in good:
                assert (reply.status, inbox.objects) == (401, {})
            for key, told in inbox.objects.items():
                owner = said.token.partition("-")[0]
                assert key.startswith(f"push/{owner}/")
                assert told["account_id"] == owner
                assert all(is_id(told[name]) for name in IDS if name in told)
                for job in jobs_of(json.dumps(announcement(key)), inbox="inbox"):
                    accepted(job, "kazoo")
            inbox.objects.clear()
            outcomes.add(reply.outcome)
        assert {"Stored", "Unauthorized", "OtherAccount", "NotAudio", "Empty"} <= outcomes


class TestProcessor:
    ACCOUNTS = ("401555000", "21550001", ACCOUNT)

    def jobs(self):
        bodies = [each["body"] for event in samples("processor-*") for each in event["Records"]]
        found = [json.loads(body) for body in bodies if body.startswith('{"v"')]
        full = found[0] | {
            "hints": {
                **{name: ["7", "8"] for name in ("recordingIds", "listed", "peers")},
                "related": ["ringex/401555000/s-2"],
                "retry": True,
                "ongoing": False,
            },
            "not_before": "2026-11-20T09:00:05.000Z",
            "tried_at": "2026-11-20T09:00:05.000Z",
            "crashes": 1,
        }
        return [*found, full]

    @pytest.mark.attacks("puts fuzzed messages into the queues")
    def test_fuzzed(self, fuzz, tmp_path):
        outcomes = set()
        for number in range(COUNT):
            if number % FRESH == 0:
                ports, provider = self.ports(fuzz, tmp_path)
            body = fuzz.body(fuzz.random.choice(self.jobs()))
            messages = [Message("m", body, receives=fuzz.random.choice((1, 1, 1, 3, 12)))]
            until = ports.clock.now() + timedelta(minutes=15)
            archive(messages, ports=ports, until=until, guard=lambda ids: nullcontext())
            for job, _ in ports.jobs.sent:
                accepted(job, provider)
                assert job.account in self.ACCOUNTS or job.call.startswith("inbox-")
            for buried, reason in ports.jobs.buried:
                assert reason
                outcomes.add("buried" if buried == body else "failed")
            outcomes |= {"sent back"} if ports.jobs.sent else set()
            ports.jobs.sent.clear()
            ports.jobs.buried.clear()
            fits_dynamodb(ports.notes)
            for call in ports.ledger.entries:
                assert call.account in self.ACCOUNTS or call.call.startswith("inbox-")
        assert {"buried", "sent back"} <= outcomes

    def ports(self, fuzz, scratch):
        provider = fuzz.random.choice(("ringex", "ringcx", "kazoo"))
        notes = FakeNotes()
        account = a_ringex_account(self.ACCOUNTS[0], notes=notes)
        let_through = ours(lambda: self.ACCOUNTS, notes, unplaced="inbox-")
        ports = some_ports(
            scratch,
            provider=FakeProvider(name=provider),
            notes=notes,
            clock=FakeClock(),
            policy=Policy(),
            read=jobs_of if provider == "kazoo" else (lambda body: [Job.from_message(body)]),
            identified=account.identified if provider == "ringex" else let_through,
        )
        return ports, provider


def announcement(key):
    named = {"key": quote_plus(key, errors="replace"), "size": 7, "versionId": "v7"}
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-11-20T12:00:00.000Z",
        "s3": {"bucket": {"name": "inbox"}, "object": named},
    }
    return {"Records": [record]}


class FakeCluster:
    """Has a document of one recording of one account, which is odd now and then."""

    def __init__(self, fuzz):
        self.fuzz = fuzz

    def document(self):
        document = {"id": RECORDING, "call_id": "0a@b", "duration_ms": 7000}
        found = self.fuzz.tree(document) if self.fuzz.random.random() < 0.5 else document
        return found if isinstance(found, dict) else {}

    def recording(self, account, recording):
        if (account, recording) != (ACCOUNT, RECORDING):
            raise NotYet("404")
        return self.document()

    def recordings(self, account, **_):
        return RecordingsPage([self.document()] if account == ACCOUNT else [], None)


class TestInbox:
    NAMES = (
        f"push/{ACCOUNT}/{'e' * 64}.mp3",
        f"push/{OTHER}/{'e' * 64}.mp3",
        f"account%2F{ACCOUNT[:2]}%2F{ACCOUNT[2:4]}%2F{ACCOUNT[4:]}-202611/{RECORDING}_a.mp3",
        f"{OTHER}/{ACCOUNT}/{RECORDING}/call_recording_0a@b.mp3",
        f"{RECORDING}.wav",
    )

    @pytest.mark.attacks("announces fuzzed objects, with fuzzed names and facts")
    def test_fuzzed(self, fuzz):
        outcomes = set()
        for number in range(COUNT):
            if number % FRESH == 0:
                kazoo, inbox, jobs, notes = self.kazoo(fuzz)
            key = fuzz.random.choice(self.NAMES)
            key = fuzz.text(key) if fuzz.random.random() < 0.4 else key
            message = fuzz.body(announcement(key))
            try:
                found = jobs_of(message, inbox="inbox")
            except Refused:
                outcomes.add("Refused")
                continue
            for job in found:
                accepted(job, "kazoo")
                if not job.call.startswith("inbox-"):
                    continue  # a job of another kind, which the processor's test fuzzes
                read = replace(Job.from_message(job.to_message()), looks=fuzz.random.choice((0, 2)))
                facts = fuzz.tree(FACTS)
                facts = facts if isinstance(facts, dict) else {}
                inbox.objects[read.hints["key"]] = b"mp3"
                inbox.facts[read.hints["key"]] = {
                    name: value for name, value in facts.items() if isinstance(value, str)
                }
                outcomes |= {type(one).__name__ for one in kazoo.resolve([read]).values()}
            for job, _ in jobs.sent:
                accepted(job, "kazoo")
            jobs.sent.clear()
            fits_dynamodb(notes)
        for key, note in notes.notes.items():
            if key.startswith("inbox#"):
                _, account, recording = key.split("/")
                if account != "unknown":
                    named = unquote(note.content["key"]).removeprefix("push/")
                    named = named.removeprefix("account/").replace("/", "")
                    assert named.startswith(account)
                assert recording.startswith("arrived-") or account == ACCOUNT
        assert {"Refused", "Wait", "NotYet"} <= outcomes

    def kazoo(self, fuzz):
        inbox, jobs, notes = FakeInbox(), FakeJobs(), FakeNotes()
        clock = FakeClock()
        cluster = FakeCluster(fuzz)
        ports = {"objects": inbox, "jobs": jobs, "notes": notes, "clock": clock}
        taking = an_inbox(
            cluster,
            length=lambda _: 7000,
            ledger=FakeLedger(),
            accounts=lambda: (ACCOUNT, OTHER),
            **ports,
        )
        kazoo = Kazoo(cluster, notes, clock, quiet=timedelta(seconds=300), inbox=taking)
        return kazoo, inbox, jobs, notes


class Signed:
    """Requests that people sign, of which API Gateway says whose they are."""

    def tried(self, fuzz, kind, answer):
        """Send fuzzed requests; yield each reply, and whether nobody has signed it."""
        events = samples(f"{kind}-*")
        for _ in range(COUNT):
            event = fuzz.random.choice(events)
            event = with_body(fuzz, event, json.loads(event["body"]))
            unsigned = fuzz.random.random() < 0.2
            if unsigned:
                said = fuzz.random.choice((None, [], {}, {"iam": None}, {"iam": {"userArn": 7}}))
                event["requestContext"] = {**event["requestContext"], "authorizer": said}
            body, by = request(event)
            reply = answer(body, by)
            answered(reply)
            json.dumps(reply.logged).encode()
            yield reply, unsigned


class TestHolder(Signed):
    @pytest.mark.attacks("sends fuzzed requests for legal holds, signed and unsigned")
    def test_fuzzed(self, fuzz):
        notes = FakeNotes()
        work = legal_hold.LegalHolds(
            archive=FakeArchive(),
            ledger=FakeLedger(),
            notes=notes,
            clock=FakeClock(),
            accesses=FakeAccesses(),
            catalogue=FakeCatalogue(),
        )
        notes.write(Note(key=records_key(CallId("ringex", "401555000", "s-a0b1c2d3e4f5"))))
        statuses, before = set(), 0
        for reply, unsigned in self.tried(
            fuzz, "holder", lambda body, by: work.answer(body, by=by)
        ):
            if unsigned:
                assert reply.status == 403
                assert len(work.accesses.noted) == before
            statuses.add(reply.status)
            before = len(work.accesses.noted)
        fits_dynamodb(notes)
        assert {200, 400, 403, 409} <= statuses


class TestAccess(Signed):
    @pytest.mark.attacks("sends fuzzed requests to the access log, signed and unsigned")
    def test_fuzzed(self, fuzz):
        work = access_log.AccessLog(
            archive=FakeArchive(), notes=FakeNotes(), accesses=FakeAccesses(), clock=FakeClock()
        )
        statuses, before = set(), 0
        for reply, unsigned in self.tried(
            fuzz, "access", lambda body, by: work.answer(body, by=by)
        ):
            if unsigned:
                assert reply.status == 403
                assert len(work.accesses.noted) == before
            statuses.add(reply.status)
            before = len(work.accesses.noted)
        for noted in work.accesses.noted.values():
            assert all(len(str(call).encode()) <= DYNAMODB_KEY for call in noted.calls)
        assert {200, 400, 403} <= statuses


class TestRestorer:
    @pytest.mark.attacks("sends fuzzed events of restores")
    def test_fuzzed(self, fuzz):
        events, outcomes = samples("restorer-*"), set()
        for number in range(COUNT):
            if number % FRESH == 0:
                notes = FakeNotes()
                work = Completing(notes=notes, clock=FakeClock(NOON))
            event = fuzz.random.choice(events)
            event = event if fuzz.random.random() < 0.2 else fuzz.tree(event)
            with suppress(ValueError):
                event = json.loads(json.dumps(event))
            try:
                outcomes.add(restored(read(event), work))
            except LegatoError as error:
                outcomes.add(type(error).__name__)
            fits_dynamodb(notes)
        assert outcomes == {"Refused", "Unknown"}
