"""What Kazoo sends by itself becomes a leg of its call, once, whichever way it came."""

import json
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import pytest

from legato.archive import Message, archive
from legato.aws.inbox import announced
from legato.bootstrap.kazoo import jobs_of
from legato.errors import NotYet, Refused
from legato.model import Arrival
from legato.policy import Policy
from legato.providers.kazoo.api import RecordingsPage
from legato.providers.kazoo.documents import to_gregorian
from legato.providers.kazoo.inbox import LOOK_BACK, job_of, sighted
from legato.providers.kazoo.provider import Kazoo
from legato.providers.kazoo.tail import Account, change_of
from legato.sweep import take
from tests.fakes import (
    NOON,
    FakeArchive,
    FakeClock,
    FakeInbox,
    FakeJobs,
    FakeLedger,
    FakeNotes,
    a_workshop,
    an_id,
    an_inbox,
)

ACCOUNT = "5a2d994fbae69b1d6b01eb9f0e7dfe62"
OTHER = "c1f8e3d7a9b04562938475acde102f36"
RECORDING = f"202611-{'a' * 32}"
TWIN = f"202611-{'b' * 32}"
INTERACTION = "63900000000-0badcafe"
SIP = "a84b4c76e66710@pbx.example.com"
PUSHED = f"push/{ACCOUNT}/{'e' * 64}.mp3"
DATABASE = f"account%2F{ACCOUNT[:2]}%2F{ACCOUNT[2:4]}%2F{ACCOUNT[4:]}-202611"
PLANNED = f"{DATABASE}/{RECORDING}_call_recording_{SIP}.mp3"
AUDIO = b"mp3 of the call"


class FakeCluster:
    """Knows `documents`; those in `listed_only` cannot be read by their id. `audio` is by id."""

    def __init__(self, *documents, listed_only=()):
        self.documents = {document["id"]: document for document in documents}
        self.listed_only = listed_only
        self.windows = []
        self.audio = {}

    def recording(self, account, recording):
        if account != ACCOUNT or recording in self.listed_only:
            raise NotYet("404")
        if recording not in self.documents:
            raise NotYet("404")
        return self.documents[recording]

    def recordings(self, account, *, created_from, created_to, filters, page_size):
        self.windows.append((created_from, created_to))
        found = [
            document
            for document in self.documents.values()
            if document.get("call_id") == filters["filter_call_id"] and account == ACCOUNT
        ]
        return RecordingsPage(found, None)

    @contextmanager
    def stream(self, account, recording, *, turn=False, behind=False):
        if recording not in self.audio:
            raise NotYet("404")
        yield iter([self.audio[recording]])


def a_document(recording=RECORDING, **fields):
    start = to_gregorian(NOON - timedelta(minutes=30))
    usual = {"call_id": SIP, "interaction_id": INTERACTION, "start": start, "duration_ms": 60_000}
    return {"id": recording, **usual, **fields}


class Desk:
    """Everything around the inbox, in memory; the queue's messages are worked on by `work`."""

    def __init__(self, scratch, cluster, *, length=0):
        self.clock, self.notes, self.ledger = FakeClock(), FakeNotes(), FakeLedger()
        self.jobs, self.archive, self.inbox = FakeJobs(), FakeArchive(), FakeInbox()
        inbox = an_inbox(
            cluster,
            length=lambda pieces: length,
            objects=self.inbox,
            jobs=self.jobs,
            ledger=self.ledger,
            notes=self.notes,
            clock=self.clock,
            accounts=(ACCOUNT, OTHER),
        )
        self.provider = Kazoo(
            cluster,
            self.notes,
            self.clock,
            quiet=timedelta(seconds=300),
            inbox=inbox,
        )
        self.shop = a_workshop(
            scratch,
            provider=self.provider,
            jobs=self.jobs,
            ledger=self.ledger,
            notes=self.notes,
            archive=self.archive,
            clock=self.clock,
            policy=Policy(settle=0, ladder=(120, 600), named_ladder=(120, 600)),
            read=jobs_of,
        )
        self.waiting = []

    def arrive(self, key, body=AUDIO, **facts):
        self.inbox.objects[key] = body
        self.inbox.facts[key] = facts
        return job_of(Arrival(key=key, version_id="v1", arrived_at=self.clock.now()))

    def work(self, *jobs, hours=0.2):
        """Work on these jobs, and on all that are due within so many hours."""
        now = self.clock.now()
        end = now + timedelta(hours=hours)
        self.waiting += [(now, job) for job in jobs]
        while True:
            now = self.clock.now()
            self.waiting += [(now + timedelta(seconds=wait), job) for job, wait in self.jobs.sent]
            self.jobs.sent.clear()
            self.waiting.sort(key=lambda one: one[0])
            if not self.waiting or self.waiting[0][0] > end:
                return
            due, job = self.waiting.pop(0)
            self.clock.moment = max(now, due)
            self.archive_messages(job.to_message())

    def list(self, document):
        """Take in a document as the sweep does, and work on what comes of it."""
        found = {document["id"]: document}
        change = change_of(ACCOUNT, INTERACTION, found, latest=self.clock.now())
        take(change, Account(ACCOUNT), self.jobs, self.notes, self.clock, 5)
        self.work()

    def archive_messages(self, *bodies):
        archive(
            [Message(f"m{number}", body) for number, body in enumerate(bodies)],
            shop=self.shop,
            until=self.clock.now() + timedelta(minutes=15),
            guard=lambda ids: nullcontext(),
        )

    def legs(self):
        return {
            key.rpartition("/")[2]: body
            for key, body in self.archive.objects.items()
            if "/legs/" in key
        }


@pytest.mark.parametrize("facts", [{"recording_id": RECORDING}, {"call_id": SIP}])
def test_a_pushed_recording_becomes_a_leg_of_its_interaction(tmp_path, facts):
    """4.3 sends the recording's id, master only the call's; Kazoo's document says the rest."""
    desk = Desk(tmp_path, FakeCluster(a_document()))
    desk.work(desk.arrive(PUSHED, account_id=ACCOUNT, **facts))
    assert desk.legs() == {f"{RECORDING}.mp3": AUDIO}
    state = desk.ledger.load(an_id(INTERACTION, provider="kazoo", account=ACCOUNT))
    assert (state.status, set(state.legs)) == ("archived", {RECORDING})
    assert desk.inbox.archived == [PUSHED]


@pytest.mark.parametrize(
    "key",
    [
        PLANNED,
        f"{ACCOUNT}/{'0' * 32}/{RECORDING}/call_recording_{SIP}.mp3",
        f"{RECORDING}.mp3",
    ],
)
def test_an_object_of_a_storage_plan_is_known_by_its_name(tmp_path, key):
    """Whatever fields the plan makes the name of; without an account all of ours are asked."""
    desk = Desk(tmp_path, FakeCluster(a_document()))
    desk.work(desk.arrive(key))
    assert desk.legs() == {f"{RECORDING}.mp3": AUDIO}
    assert desk.inbox.archived == [key]


def test_a_recording_that_comes_twice_is_archived_once(tmp_path):
    """Pushed, and by a plan, and the same again."""
    desk = Desk(tmp_path, FakeCluster(a_document()))
    pushed = desk.arrive(PUSHED, account_id=ACCOUNT, recording_id=RECORDING)
    desk.work(pushed, desk.arrive(PLANNED), pushed)
    desk.work(pushed)
    assert desk.legs() == {f"{RECORDING}.mp3": AUDIO}
    assert desk.ledger.load(an_id(INTERACTION, provider="kazoo", account=ACCOUNT)).revision == 1
    assert set(desk.inbox.archived) == {PUSHED, PLANNED}


def test_a_call_that_waits_for_audio_goes_on_as_soon_as_it_arrives(tmp_path):
    """The sweep found its document, and Kazoo has no audio of it; its next try may be hours off."""
    desk = Desk(tmp_path, FakeCluster(a_document()))
    desk.list(a_document())
    assert not desk.legs()
    desk.clock.advance(60)
    desk.work(desk.arrive(PUSHED, account_id=ACCOUNT, recording_id=RECORDING), hours=0.01)
    assert desk.legs() == {f"{RECORDING}.mp3": AUDIO}


def test_what_kazoo_lists_and_cannot_hand_out_is_archived_from_the_inbox(tmp_path):
    """A recording over the end of a month, which newer versions look for in the wrong place."""
    cluster = FakeCluster(a_document(), listed_only={RECORDING})
    desk = Desk(tmp_path, cluster)
    desk.work(desk.arrive(PUSHED, account_id=ACCOUNT, recording_id=RECORDING, call_id=SIP))
    state = desk.ledger.load(an_id(INTERACTION, provider="kazoo", account=ACCOUNT))
    assert (state.status, set(state.legs)) == ("archived", {RECORDING})
    ((begin, end),) = cluster.windows
    assert (begin, end) == (NOON - LOOK_BACK, NOON)


@pytest.mark.parametrize(("length", "recording"), [(61_000, RECORDING), (199_500, TWIN)])
def test_of_two_recordings_of_one_leg_the_length_tells_which_it_is(tmp_path, length, recording):
    """Both have the same call id, and master sends no other."""
    cluster = FakeCluster(a_document(), a_document(TWIN, duration_ms=200_000))
    desk = Desk(tmp_path, cluster, length=length)
    desk.work(desk.arrive(PUSHED, account_id=ACCOUNT, call_id=SIP), hours=0)
    assert desk.notes.read(f"inbox#kazoo/{ACCOUNT}/{recording}").content["key"] == PUSHED


def test_a_recording_as_long_as_none_of_them_is_kept_as_one_of_its_own(tmp_path):
    """Rather twice than under the wrong name."""
    cluster = FakeCluster(a_document(), a_document(TWIN, duration_ms=200_000))
    desk = Desk(tmp_path, cluster, length=5000)
    desk.work(
        desk.arrive(PUSHED, account_id=ACCOUNT, call_id=SIP, interaction_id="63900000001-0badcafe"),
        hours=1,
    )
    ((name, body),) = desk.legs().items()
    assert name.startswith("arrived-")
    assert body == AUDIO
    assert (
        desk.ledger.load(an_id("63900000001-0badcafe", provider="kazoo", account=ACCOUNT)).status
        == "archived"
    )


def test_a_document_that_is_not_there_yet_is_waited_for(tmp_path):
    """Kazoo saves it before it sends the audio, so not for long."""
    cluster = FakeCluster()
    desk = Desk(tmp_path, cluster)
    job = desk.arrive(PUSHED, account_id=ACCOUNT, recording_id=RECORDING)
    desk.work(job, hours=0)
    assert desk.ledger.load(an_id(job.call, provider="kazoo", account="")).status == "waiting"
    assert not desk.legs()


def test_audio_whose_document_was_never_saved_is_archived_with_what_came_with_it(tmp_path):
    """Nothing else is known of it, and the record in its manifest says that it is ours."""
    desk = Desk(tmp_path, FakeCluster())
    facts = {
        "account_id": ACCOUNT,
        "recording_id": RECORDING,
        "interaction_id": INTERACTION,
        "call_id": SIP,
        "start": str(to_gregorian(NOON - timedelta(hours=1))),
        "duration_ms": "60000",
        "caller_id_number": "+4930111",
    }
    desk.work(desk.arrive(PUSHED, **facts), hours=1)
    assert desk.legs() == {f"{RECORDING}.mp3": AUDIO}
    (key,) = (key for key in desk.archive.objects if "manifest" in key)
    manifest = json.loads(desk.archive.objects[key])
    assert manifest["started_at"] == "2026-11-20T11:00:00.000Z"
    assert manifest["parties"][0]["number"] == "+4930111"
    assert manifest["provider_records"][0]["legato_arrived_at"] == "2026-11-20T12:00:00.000Z"
    assert desk.inbox.archived == [PUSHED]


def test_audio_of_which_nothing_is_known_is_a_call_of_its_own(tmp_path):
    """A push without a query: it began, as far as anybody knows, when it arrived."""
    desk = Desk(tmp_path, FakeCluster())
    desk.work(desk.arrive(PUSHED), hours=1)
    assert len(desk.legs()) == 1
    (key,) = (key for key in desk.archive.objects if "manifest" in key)
    assert key.startswith(f"calls/kazoo/{ACCOUNT}/2026/11/20/arrived-")


def test_a_copy_that_is_damaged_is_asked_of_kazoo_at_the_next_attempt(tmp_path):
    """The provider may hold a good one."""
    cluster = FakeCluster(a_document())
    cluster.audio[RECORDING] = AUDIO
    desk = Desk(tmp_path, cluster)
    desk.work(desk.arrive(PUSHED, b"mp3 cut", account_id=ACCOUNT, recording_id=RECORDING))
    assert desk.legs() == {f"{RECORDING}.mp3": AUDIO}


def test_a_copy_that_is_gone_is_asked_of_kazoo(tmp_path):
    """Whoever removed it from the inbox."""
    cluster = FakeCluster(a_document())
    cluster.audio[RECORDING] = AUDIO
    desk = Desk(tmp_path, cluster)
    desk.work(desk.arrive(PUSHED, account_id=ACCOUNT, recording_id=RECORDING), hours=0)
    desk.inbox.objects.clear()
    desk.list(a_document())
    assert desk.legs() == {f"{RECORDING}.mp3": AUDIO}


def test_an_object_that_is_gone_before_it_was_looked_at_is_let_go(tmp_path):
    """There is nothing to archive; whatever Kazoo lists is found by the sweep."""
    desk = Desk(tmp_path, FakeCluster(a_document()))
    job = desk.arrive(PUSHED, account_id=ACCOUNT)
    desk.inbox.objects.clear()
    desk.work(job)
    assert desk.ledger.load(an_id(job.call, provider="kazoo", account="")).status == "empty"
    assert desk.jobs.buried == []


def test_an_object_stays_until_its_call_is_archived(tmp_path):
    """Waiting costs less and less: what fails is looked at until somebody mends it."""
    cluster = FakeCluster(a_document(start=to_gregorian(NOON), duration_ms=7_000_000))
    desk = Desk(tmp_path, cluster)
    desk.work(desk.arrive(PUSHED, b"<html>", account_id=ACCOUNT, recording_id=RECORDING), hours=72)
    assert (
        desk.ledger.load(an_id(INTERACTION, provider="kazoo", account=ACCOUNT)).status == "failed"
    )
    assert desk.inbox.archived == []
    assert (
        desk.ledger.load(an_id(f"inbox:{PUSHED}", provider="kazoo", account="")).status == "waiting"
    )
    assert desk.inbox.looks < 25


@pytest.mark.parametrize("name", ["0a1b_test_credentials_file.txt", "notes/readme.md", "x.mp3/"])
def test_what_is_no_recording_by_its_name_is_of_no_interest(name):
    """Kazoo tries a storage plan with a file of its own."""
    assert job_of(Arrival(key=name, version_id="v1", arrived_at=NOON)) is None


@pytest.mark.parametrize(
    ("key", "facts", "accounts", "recording", "call_id"),
    [
        (PUSHED, {"account_id": ACCOUNT}, (ACCOUNT,), None, None),
        (PUSHED, {"name": f"call_recording_{SIP}..mp3"}, (ACCOUNT,), None, SIP),
        (PLANNED, {}, (ACCOUNT,), RECORDING, SIP),
        (f"{OTHER}/x/{RECORDING}/a.wav", {}, (OTHER,), RECORDING, None),
        ("x.mp3", {}, (ACCOUNT, OTHER), None, None),
        (PUSHED, {"recording_id": "../../x"}, (ACCOUNT,), None, None),
    ],
)
def test_names_and_facts_say_which_recording_it_is(key, facts, accounts, recording, call_id):
    """A double dot in the name, which newer versions make, is read over."""
    found = sighted(
        Arrival(key=key, version_id="v1", arrived_at=NOON, facts=facts), [ACCOUNT, OTHER]
    )
    assert (found.accounts, found.recording, found.call_id) == (accounts, recording, call_id)


def an_announcement(*keys):
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "eventTime": "2026-11-20T12:00:00.000Z",
                "s3": {"bucket": {"name": "inbox"}, "object": {"key": key, "versionId": "v7"}},
            }
            for key in keys
        ]
    }


def test_s3_announces_objects_with_encoded_names():
    """As in a form: a plus is a blank."""
    found = announced(json.dumps(an_announcement("account%252F5a/a+b%40c.mp3", "x.wav")))
    assert [one.key for one in found] == ["account%2F5a/a b@c.mp3", "x.wav"]
    assert {(one.version_id, one.arrived_at) for one in found} == {("v7", NOON)}


def test_the_message_with_which_s3_tries_a_queue_announces_nothing():
    """It comes once, when the notification is configured."""
    assert announced(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})) == []


@pytest.mark.parametrize("body", ["", "{", "[]", '{"v": 1}', "7"])
def test_other_messages_are_not_of_s3(body):
    """They are read as jobs."""
    assert announced(body) is None


@pytest.mark.parametrize("record", [{}, {"s3": {}}, {"s3": {"object": {"key": 7}}}, 7])
def test_a_broken_announcement_is_refused(record):
    """It goes to the dead letters, where somebody sees it."""
    with pytest.raises(Refused, match="announcement"):
        announced(json.dumps({"Records": [record]}))


def test_several_objects_may_stand_in_one_message(tmp_path):
    """One that is broken in the batch stops none of the others."""
    cluster = FakeCluster(a_document(), a_document(TWIN, call_id="other@host"))
    desk = Desk(tmp_path, cluster)
    keys = [f"{RECORDING}.mp3", f"{TWIN}.mp3", "test.txt"]
    for key in keys:
        desk.inbox.objects[key] = AUDIO
    desk.archive_messages("no job", json.dumps(an_announcement(*keys)))
    desk.work()
    assert set(desk.legs()) == set(keys[:2])
    assert len(desk.jobs.buried) == 1
