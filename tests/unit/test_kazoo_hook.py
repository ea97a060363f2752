"""Kazoo's webhook: what is answered, and what is put in the queue."""

import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from legato.errors import NotYet, Retry
from legato.model import Job, Listing
from legato.providers.kazoo.hook import KazooHook
from legato.providers.kazoo.provider import Kazoo
from legato.receive import Request, receive
from legato.sweep import records_key
from tests.fakes import NOON, FakeClock, FakeJobs, FakeNotes, an_inbox

TOKEN = "0123456789abcdef"
ACCOUNT = "a" * 32
RECORDING = "202611-" + "b" * 32


def a_notification(**fields):
    return {
        "id": RECORDING,
        "account_id": ACCOUNT,
        "action": "doc_created",
        "type": "call_recording",
        "cluster_id": "c",
        "legato_token": TOKEN,
        **fields,
    }


def post(jobs, fields, *, kind="form", secret=TOKEN):
    body, content_type = urlencode(fields), "application/x-www-form-urlencoded"
    if kind == "json":
        body, content_type = json.dumps(fields), "application/json; charset=utf-8"
    return receive(
        Request(headers={"content-type": content_type}, body=body.encode()),
        hook=KazooHook(lambda *, fresh: [secret]),
        jobs=jobs,
        clock=FakeClock(),
        settle=120,
    )


@pytest.mark.parametrize("kind", ["form", "json"])
@pytest.mark.parametrize("action", ["doc_created", "doc_edited"])
def test_a_saved_recording_becomes_a_job(kind, action):
    """The answer is exactly 200: Kazoo takes any other for a failure."""
    jobs = FakeJobs()
    reply = post(jobs, a_notification(action=action), kind=kind)
    assert (reply.status, reply.outcome) == (200, "Enqueued")
    ((job, delay),) = jobs.sent
    assert (job.provider, job.account, job.call) == ("kazoo", ACCOUNT, RECORDING)
    assert job.named == frozenset()
    assert delay == 120


@pytest.mark.parametrize("kind", ["form", "json"])
@pytest.mark.parametrize("token", ["", "wrong", TOKEN.upper()])
def test_without_our_secret_nothing_is_taken(kind, token):
    """Whatever the rest says."""
    jobs = FakeJobs()
    assert post(jobs, a_notification(legato_token=token), kind=kind).status == 401
    assert jobs.sent == []


def test_an_empty_secret_of_ours_lets_nobody_in():
    """A stack that was just deployed has none yet."""
    assert post(FakeJobs(), a_notification(legato_token=""), secret="").status == 401


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "fax"},
        {"action": "doc_deleted"},
        {"id": ""},
        {"id": "../x"},
        {"account_id": "a b"},
    ],
)
def test_what_is_of_no_interest_is_answered_200_and_dropped(fields):
    """A hook that fails six times in a minute is disabled."""
    jobs = FakeJobs()
    reply = post(jobs, a_notification(**fields))
    assert (reply.status, reply.outcome) == (200, "Ignored")
    assert jobs.sent == []


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[]", b"{", b"a=" * 500])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_what_cannot_be_read_is_nobody_we_know(body, content_type):
    """The secret stands in the body."""
    reply = receive(
        Request(headers={"content-type": content_type}, body=body),
        hook=KazooHook(lambda *, fresh: [TOKEN]),
        jobs=FakeJobs(),
        clock=FakeClock(),
        settle=120,
    )
    assert reply.status == 401


def test_a_queue_that_refuses_is_a_503():
    """The sweep finds the recording all the same."""
    jobs = FakeJobs()
    jobs.refusal = Retry("SQS is down")
    assert post(jobs, a_notification()).status == 503


class FakeApi:
    def __init__(self, document):
        self.document = document
        self.asked = []

    def recording(self, account, recording):
        self.asked.append((account, recording))
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


def a_kazoo(api, jobs, notes, clock):
    return Kazoo(
        api,
        jobs,
        notes,
        clock,
        quiet=timedelta(),
        accounts=frozenset({ACCOUNT}),
        inbox=an_inbox(api, jobs=jobs, notes=notes, clock=clock),
    )


def resolved(document, *, call=RECORDING, account=ACCOUNT):
    api, jobs, notes, clock = FakeApi(document), FakeJobs(), FakeNotes(), FakeClock()
    provider = a_kazoo(api, jobs, notes, clock)
    job = Job(provider="kazoo", account=account, call=call, seen_at=NOON)
    return provider.resolve([job]).get(call), api, jobs, notes


def test_a_recording_that_a_webhook_named_gives_its_interaction_a_job():
    """As if it had been listed; nothing is archived under the recording's own id."""
    document = {
        "id": RECORDING,
        "interaction_id": "63900000000-0badcafe",
        "url": "https://x/s3cret",
    }
    found, _, jobs, notes = resolved(document)
    assert found == Listing(call=RECORDING, account=ACCOUNT, final=True)
    ((job, _),) = jobs.sent
    assert (job.call, job.account, job.named) == ("63900000000-0badcafe", ACCOUNT, {RECORDING})
    note = notes.read(records_key("kazoo", "63900000000-0badcafe"))
    assert "s3cret" not in str(note.content)
    assert note.listed[0] == f"unarchived#kazoo#{ACCOUNT}"


def test_a_recording_without_an_interaction_is_archived_itself():
    """It is a call of its own."""
    found, _, _, _ = resolved({"id": RECORDING, "interaction_id": ""})
    assert [leg.id for leg in found.legs] == [RECORDING]


def test_a_document_that_is_not_there_yet_is_waited_for():
    """Or it lies in another month's database than its id says: then the sweep finds it."""
    found, _, jobs, _ = resolved(NotYet("404"))
    assert isinstance(found, NotYet)
    assert jobs.sent == []


def test_a_document_that_never_comes_is_left_to_the_sweep():
    """No alarm rings for a webhook that cannot be followed."""
    api, jobs, notes, clock = FakeApi(NotYet("404")), FakeJobs(), FakeNotes(), FakeClock()
    provider = a_kazoo(api, jobs, notes, clock)
    job = Job(provider="kazoo", account=ACCOUNT, call=RECORDING, seen_at=NOON, looks=2)
    assert provider.resolve([job])[RECORDING] == Listing(
        call=RECORDING, account=ACCOUNT, final=True
    )


def test_of_an_account_that_is_kept_in_part_a_webhook_leads_to_nothing():
    """Only the sweep can tell which of its recordings are wanted."""
    found, api, jobs, _ = resolved({"id": RECORDING}, account="b" * 32)
    assert found == Listing(call=RECORDING, account="b" * 32, final=True)
    assert api.asked == []
    assert jobs.sent == []


def test_an_interaction_that_nobody_has_listed_is_not_looked_up():
    """It is no recording's id."""
    found, api, _, _ = resolved(NotYet("404"), call="63900000000-0badcafe")
    assert found is None
    assert api.asked == []
