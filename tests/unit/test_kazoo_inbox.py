"""What Kazoo sends by itself becomes a leg of its call, once, whichever way it came."""

import hashlib
import json
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from urllib.parse import unquote

import pytest

from legato.app.kazoo import jobs_of
from legato.aws.inbox import announced
from legato.errors import DamagedAudio, Failed, NotYet, Refused
from legato.ingest.batch import Message, archive
from legato.ledger.listings import take
from legato.model import Arrival, Job, Priority
from legato.providers.kazoo.api import RecordingsPage
from legato.providers.kazoo.documents import to_gregorian
from legato.providers.kazoo.inbox import LOOK_BACK, job_of, sighted
from legato.providers.kazoo.provider import Kazoo, KazooSource
from legato.providers.kazoo.tail import Account, change_of
from legato.tuning import Policy
from tests.fakes import (
    NOON,
    FakeArchive,
    FakeClock,
    FakeInbox,
    FakeJobs,
    FakeLedger,
    FakeNotes,
    an_id,
    an_inbox,
    some_ports,
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

    account = ACCOUNT

    def __init__(self, *documents, listed_only=()):
        self.documents = {document["id"]: document for document in documents}
        self.listed_only = listed_only
        self.windows = []
        self.audio = {}

    def recording(self, account, recording):
        if account != self.account or recording in self.listed_only:
            raise NotYet("404")
        if recording not in self.documents:
            raise NotYet("404")
        return self.documents[recording]

    def recordings(self, account, *, created_from, created_to, filters, page_size):
        self.windows.append((created_from, created_to))
        found = [
            document
            for document in self.documents.values()
            if document.get("call_id") == filters["filter_call_id"] and account == self.account
        ]
        return RecordingsPage(found, None)

    @contextmanager
    def stream(self, account, recording, *, priority=Priority.NORMAL):
        if recording not in self.audio:
            raise NotYet("404")
        yield iter([self.audio[recording]])


def a_document(recording=RECORDING, **fields):
    start = to_gregorian(NOON - timedelta(minutes=30))
    usual = {"call_id": SIP, "interaction_id": INTERACTION, "start": start, "duration_ms": 60_000}
    return {"id": recording, **usual, **fields}


def heard(pieces, length):
    """Say how long audio is; of some it cannot be told."""
    if b"cut" in b"".join(pieces):
        raise DamagedAudio("ends in the middle", extension="mp3")
    return length


class Desk:
    """Everything around the inbox, in memory; the queue's messages are worked on by `work`."""

    def __init__(self, scratch, cluster, *, length=60_000):
        self.clock, self.notes, self.ledger = FakeClock(), FakeNotes(), FakeLedger()
        self.jobs, self.archive, self.inbox = FakeJobs(), FakeArchive(), FakeInbox()
        inbox = an_inbox(
            cluster,
            length=lambda pieces: heard(pieces, length),
            objects=self.inbox,
            jobs=self.jobs,
            ledger=self.ledger,
            notes=self.notes,
            clock=self.clock,
            accounts=lambda: (ACCOUNT, OTHER),
        )
        self.provider = Kazoo(
            cluster,
            self.notes,
            self.clock,
            quiet=timedelta(seconds=300),
            inbox=inbox,
        )
        self.ports = some_ports(
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
            ports=self.ports,
            until=self.clock.now() + timedelta(minutes=15),
            guard=lambda ids: nullcontext(),
        )

    def state(self, job):
        return self.ledger.load(job.id)

    def evidence(self):
        """Return the manifest of what is kept and not believed, of which there is one."""
        [key] = [key for key in self.archive.objects if "/arrived-" in key and "manifest-" in key]
        return json.loads(self.archive.objects[key])

    def told(self):
        """Return what a person is told, and of which call."""
        return {
            note.content["reason"]: Job.from_message(note.content["job"]).call
            for note in self.notes.listed("failed#kazoo", until="9999")
        }

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
        f"{ACCOUNT}/{RECORDING}.mp3",
    ],
)
def test_an_object_of_a_storage_plan_is_known_by_its_name(tmp_path, key):
    """Whatever fields the plan makes the name of, behind the account's."""
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


def test_a_document_that_is_not_there_yet_is_waited_for(tmp_path):
    """Kazoo saves it before it sends the audio, so not for long."""
    cluster = FakeCluster()
    desk = Desk(tmp_path, cluster)
    job = desk.arrive(PUSHED, account_id=ACCOUNT, recording_id=RECORDING)
    desk.work(job, hours=0)
    assert desk.state(job).status == "waiting"
    assert not desk.legs()


def test_audio_of_which_nothing_is_known_is_a_call_of_its_own(tmp_path):
    """A push without a query: it began, as far as anybody knows, when it arrived."""
    desk = Desk(tmp_path, FakeCluster())
    desk.work(desk.arrive(PUSHED), hours=1)
    manifest = desk.evidence()
    assert manifest["legs"][0]["key"].startswith(f"calls/kazoo/{ACCOUNT}/2026/11/20/arrived-")
    assert desk.inbox.archived == [PUSHED]


def test_a_copy_that_is_damaged_is_asked_of_kazoo_at_the_next_attempt(tmp_path):
    """The provider may hold a good one."""
    cluster = FakeCluster(a_document())
    cluster.audio[RECORDING] = AUDIO
    desk = Desk(tmp_path, cluster)
    desk.list(a_document())
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
    assert desk.state(job).status == "empty"
    assert desk.jobs.buried == []


def test_an_object_stays_until_its_call_is_archived(tmp_path):
    """Waiting costs less and less: what fails is looked at until somebody mends it."""
    desk = Desk(tmp_path, FakeCluster())
    job = desk.arrive(PUSHED, b"<html>", account_id=ACCOUNT, recording_id=RECORDING)
    desk.work(job, hours=72)
    [failed] = [one for one in desk.ledger.entries.values() if one.status == "failed"]
    assert failed.call.startswith("arrived-")
    assert desk.inbox.archived == []
    assert desk.state(job).status == "waiting"
    assert desk.inbox.looks < 25


@pytest.mark.parametrize("name", ["0a1b_test_credentials_file.txt", "notes/readme.md", "x.mp3/"])
def test_what_is_no_recording_by_its_name_is_of_no_interest(name):
    """Kazoo tries a storage plan with a file of its own."""
    assert job_of(Arrival(key=name, version_id="v1", arrived_at=NOON)) is None


@pytest.mark.parametrize(
    ("key", "facts", "account", "recording", "call_id"),
    [
        (PUSHED, {"account_id": ACCOUNT, "call_id": SIP}, ACCOUNT, None, SIP),
        (PLANNED, {}, ACCOUNT, RECORDING, SIP),
        (unquote(PLANNED), {}, ACCOUNT, RECORDING, SIP),
        (f"{OTHER}/x/{RECORDING}/a.wav", {}, OTHER, RECORDING, None),
        (f"{OTHER}/{ACCOUNT}/{RECORDING}/call_recording_{SIP}..mp3", {}, OTHER, RECORDING, SIP),
        ("x.mp3", {}, None, None, None),
        (f"{'0' * 32}/{ACCOUNT}/{RECORDING}.mp3", {}, None, RECORDING, None),
        (f"x/{ACCOUNT}/{RECORDING}.mp3", {}, None, RECORDING, None),
        (f"push%2F{ACCOUNT}%2F{RECORDING}.mp3", {}, None, RECORDING, None),
        (PUSHED, {"recording_id": "../../x"}, ACCOUNT, None, None),
        (f"{OTHER}/x.mp3", {"account_id": ACCOUNT, "recording_id": RECORDING}, OTHER, None, None),
    ],
)
def test_keys_say_whose_it_is_and_names_and_facts_which(key, facts, account, recording, call_id):
    """Only the beginning of a key, and no facts but those of a push."""
    found = sighted(
        Arrival(key=key, version_id="v1", arrived_at=NOON, facts=facts), [ACCOUNT, OTHER]
    )
    assert (found.account, found.recording, found.call_id) == (account, recording, call_id)


def test_where_there_is_one_account_only_a_plan_need_not_name_it():
    found = sighted(Arrival(key=f"{RECORDING}.mp3", version_id="v1", arrived_at=NOON), [ACCOUNT])
    assert (found.account, found.recording) == (ACCOUNT, RECORDING)


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
    keys = [f"{ACCOUNT}/{RECORDING}.mp3", f"{ACCOUNT}/{TWIN}.mp3", "test.txt"]
    for key in keys:
        desk.inbox.objects[key] = AUDIO
    desk.archive_messages("no job", json.dumps(an_announcement(*keys)))
    desk.work()
    assert set(desk.legs()) == {f"{RECORDING}.mp3", f"{TWIN}.mp3"}
    assert len(desk.jobs.buried) == 1


class TestImpostors:
    """Who has an account's push address, or the key of its storage plan, says what he likes."""

    def unverified(self, desk, reason, key=PUSHED):
        """Expect what came to be kept apart, with the reason, and a person to be told."""
        manifest = desk.evidence()
        [leg] = manifest["legs"]
        assert leg["id"] == manifest["call"]
        assert desk.archive.objects[leg["key"]] == desk.inbox.objects[key]
        [record] = manifest["provider_records"]
        assert reason in record["legato_unverified"]
        assert record["inbox_key"] == key
        [said] = [said for said, call in desk.told().items() if call == manifest["call"]]
        assert reason in said
        assert key in desk.inbox.archived
        return record

    @pytest.mark.attacks("pushes with its own token another account's recording id")
    def test_a_recording_of_another_account_is_not_bound(self, tmp_path):
        """Kazoo has no such document in the pusher's account; the true one is archived."""
        cluster = FakeCluster(a_document())
        cluster.audio[RECORDING] = b"mp3 true"
        desk = Desk(tmp_path, cluster)
        key = PUSHED.replace(ACCOUNT, OTHER)
        facts = {"account_id": OTHER, "recording_id": RECORDING, "interaction_id": INTERACTION}
        desk.work(desk.arrive(key, **facts), hours=1)
        desk.list(a_document())
        record = self.unverified(desk, "no document", key)
        assert (record["recording_id"], record["interaction_id"]) == (RECORDING, INTERACTION)
        true = an_id(INTERACTION, provider="kazoo", account=ACCOUNT)
        assert set(desk.ledger.load(true).legs) == {RECORDING}
        assert desk.legs()[f"{RECORDING}.mp3"] == b"mp3 true"
        assert desk.ledger.load(true._replace(account=OTHER)).version == 0

    @pytest.mark.attacks("invents a recording, its interaction, its time and its length")
    def test_what_kazoo_has_no_document_of_joins_no_call(self, tmp_path):
        """It is kept alone, under the day of its arrival."""
        desk = Desk(tmp_path, FakeCluster())
        facts = {
            "account_id": ACCOUNT,
            "recording_id": RECORDING,
            "interaction_id": INTERACTION,
            "call_id": SIP,
            "start": str(to_gregorian(NOON - timedelta(days=3000))),
            "duration_ms": "3600000",
            "caller_id_number": "+4930111",
        }
        desk.work(desk.arrive(PUSHED, **facts), hours=1)
        record = self.unverified(desk, "no document")
        assert record["caller_id_number"] == "+4930111"
        assert desk.evidence()["started_at"] == "2026-11-20T12:00:00.000Z"
        assert desk.evidence()["legs"][0]["announced_ms"] is None

    @pytest.mark.parametrize(
        ("document", "facts", "reason"),
        [
            pytest.param(
                {"account_id": OTHER},
                {},
                "of another account",
                marks=pytest.mark.attacks("pushes for a document that names another account"),
            ),
            pytest.param(
                {"custom_channel_vars": {"Account-ID": OTHER}},
                {},
                "of another account",
                marks=pytest.mark.attacks("pushes for a document of another account's channel"),
            ),
            pytest.param(
                {},
                {"call_id": "other@host"},
                "another call_id",
                marks=pytest.mark.attacks("pushes a recording with another call's id"),
            ),
            pytest.param(
                {},
                {"interaction_id": "63900000009-0badcafe"},
                "another interaction_id",
                marks=pytest.mark.attacks("pushes a recording into another interaction"),
            ),
            pytest.param(
                {"duration_ms": 50_000},
                {},
                "lasts 60.000 s, and Kazoo says",
                marks=pytest.mark.attacks("pushes audio that is longer than Kazoo says"),
            ),
            pytest.param(
                {"duration_ms": 70_000},
                {},
                "lasts 60.000 s, and Kazoo says",
                marks=pytest.mark.attacks("pushes audio that is shorter than Kazoo says"),
            ),
        ],
    )
    def test_what_does_not_fit_is_kept_apart_and_the_true_one_is_fetched(
        self, tmp_path, document, facts, reason
    ):
        """Kazoo's own document decides."""
        cluster = FakeCluster(a_document(**document))
        cluster.audio[RECORDING] = b"mp3 true"
        desk = Desk(tmp_path, cluster)
        usual = {"account_id": ACCOUNT, "recording_id": RECORDING}
        desk.work(desk.arrive(PUSHED, **{**usual, **facts}), hours=1)
        desk.list(a_document(**document))
        self.unverified(desk, reason)
        assert desk.legs()[f"{RECORDING}.mp3"] == b"mp3 true"

    @pytest.mark.attacks("names a recording, and Kazoo answers with the document of another")
    def test_the_document_of_another_recording_is_not_taken(self, tmp_path):
        cluster = FakeCluster(a_document())
        cluster.documents[TWIN] = a_document()
        desk = Desk(tmp_path, cluster)
        desk.work(desk.arrive(PUSHED, account_id=ACCOUNT, recording_id=TWIN), hours=1)
        self.unverified(desk, "of another recording")

    @pytest.mark.attacks("pushes other audio under an id that has arrived before")
    @pytest.mark.parametrize("hours", [0, 1])
    def test_the_first_audio_of_a_recording_stays(self, tmp_path, hours):
        """Whether it is sealed by then or not; the second is kept, and a person is told."""
        desk = Desk(tmp_path, FakeCluster(a_document()))
        facts = {"account_id": ACCOUNT, "recording_id": RECORDING}
        desk.work(desk.arrive(PUSHED, **facts), hours=hours)
        second = PUSHED.replace("e" * 64, "f" * 64)
        desk.work(desk.arrive(second, b"mp3 of another call", **facts), hours=1)
        self.unverified(desk, f"recording {RECORDING}", second)
        assert desk.legs()[f"{RECORDING}.mp3"] == AUDIO
        assert set(desk.inbox.archived) == {PUSHED, second}

    @pytest.mark.attacks("pushes other audio of a recording that was fetched from Kazoo")
    def test_what_was_sealed_from_kazoo_is_not_replaced(self, tmp_path):
        """Nor is the copy bound, which would be taken if the sealed one were ever lost."""
        cluster = FakeCluster(a_document())
        cluster.audio[RECORDING] = b"mp3 true"
        desk = Desk(tmp_path, cluster)
        desk.list(a_document())
        desk.work(desk.arrive(PUSHED, account_id=ACCOUNT, recording_id=RECORDING), hours=1)
        self.unverified(desk, "archived, and has other bytes")
        assert desk.legs()[f"{RECORDING}.mp3"] == b"mp3 true"
        assert not desk.notes.read(f"inbox#kazoo/{ACCOUNT}/{RECORDING}").version

    @pytest.mark.attacks("writes a key of the inbox again, with other audio")
    def test_a_key_that_is_written_again_is_another_object(self, tmp_path):
        """Each version has a job of its own, and neither goes without a word."""
        desk = Desk(tmp_path, FakeCluster(a_document()))
        first = desk.arrive(PLANNED)
        again = job_of(Arrival(key=PLANNED, version_id="v2", arrived_at=NOON))
        assert first.id != again.id
        desk.work(first)
        desk.inbox.objects[PLANNED] = b"mp3 of another call"
        desk.work(again, hours=1)
        self.unverified(desk, "archived, and has other bytes", PLANNED)
        assert desk.legs()[f"{RECORDING}.mp3"] == AUDIO

    @pytest.mark.attacks("writes into its part of the inbox, and names another account")
    def test_a_plan_names_its_account_at_the_beginning_of_the_key(self, tmp_path):
        """Where its IAM user may write; what stands behind is only a name."""
        desk = Desk(tmp_path, FakeCluster(a_document()))
        key = f"{OTHER}/{ACCOUNT}/{RECORDING}.mp3"
        desk.work(desk.arrive(key), hours=1)
        self.unverified(desk, "no document", key)

    @pytest.mark.attacks("forges the facts of a push in a storage plan's object")
    def test_facts_of_a_plans_object_are_nobodys(self, tmp_path):
        desk = Desk(tmp_path, FakeCluster(a_document()))
        key = f"{OTHER}/x.mp3"
        desk.work(desk.arrive(key, account_id=ACCOUNT, recording_id=RECORDING), hours=1)
        assert "recording_id" not in self.unverified(desk, "no document", key)

    def test_who_has_seen_to_it_takes_it_off_the_list(self, tmp_path):
        """By trying it again; it stays archived as it is."""
        desk = Desk(tmp_path, FakeCluster())
        desk.work(desk.arrive(PUSHED), hours=1)
        [call] = desk.told().values()
        again = Job(
            provider="kazoo",
            account=ACCOUNT,
            call=call,
            seen_at=desk.clock.now(),
            hints={"retry": True},
        )
        desk.work(again, hours=1)
        assert desk.told() == {}
        state = desk.state(again)
        assert (state.status, state.revision, state.troubles) == ("archived", 1, {})

    @pytest.mark.attacks("writes into nobody's part of the inbox")
    def test_an_object_of_no_account_is_kept_under_none(self, tmp_path):
        desk = Desk(tmp_path, FakeCluster(a_document()))
        desk.work(desk.arrive(f"{RECORDING}.mp3"), hours=1)
        self.unverified(desk, "no account of ours", f"{RECORDING}.mp3")
        assert desk.evidence()["account"] == "unknown"

    @pytest.mark.attacks("fills the inbox with objects that take long to read")
    def test_one_batch_reads_no_more_than_it_has_time_for(self, tmp_path):
        """The others come again at once."""
        desk = Desk(tmp_path, FakeCluster(a_document()))
        opened = desk.inbox.open

        @contextmanager
        def slowly(key, version_id):
            desk.clock.advance(61)
            with opened(key, version_id) as pieces:
                yield pieces

        desk.inbox.open = slowly
        keys = [PUSHED.replace("e" * 64, digit * 64) for digit in "0123"]
        jobs = [desk.arrive(key, account_id=ACCOUNT, recording_id=RECORDING) for key in keys]
        began = desk.clock.now()
        desk.archive_messages(*(job.to_message() for job in jobs))
        assert desk.clock.now() - began == timedelta(seconds=61)
        assert sum(job.call.startswith("inbox-") for job, _ in desk.jobs.sent) == len(keys)

    @pytest.mark.attacks("fills the inbox with an object without an end")
    def test_an_object_that_is_larger_than_any_recording_is_not_read(self, tmp_path):
        desk = Desk(tmp_path, FakeCluster(a_document()))
        job = desk.arrive(PUSHED, account_id=ACCOUNT, recording_id=RECORDING)
        desk.inbox.size = 1001
        desk.work(job, hours=1)
        self.unverified(desk, "more than 1000")

    @pytest.mark.attacks("announces an object of another bucket to the queue")
    def test_another_buckets_object_is_refused(self):
        body = json.dumps(an_announcement(PUSHED))
        assert len(jobs_of(body, inbox="inbox")) == 1
        with pytest.raises(Refused, match="another bucket"):
            jobs_of(body, inbox="archive")


class TestRemoval:
    """Kazoo's own recording goes only if it is the one that was sealed."""

    def leg(self, details):
        digest = hashlib.sha256(AUDIO).hexdigest()
        return {"id": RECORDING, "named_only": False, "sha256": digest, "details": details}

    def source(self, audio):
        cluster = FakeCluster(a_document())
        cluster.audio |= {} if audio is None else {RECORDING: audio}
        return KazooSource(cluster)

    @pytest.mark.attacks("has Kazoo's true recording deleted by pushing a false one before it")
    def test_other_audio_at_kazoo_is_not_removed(self):
        """A person is told: one of the two is false."""
        with pytest.raises(Failed, match="other audio"):
            self.source(b"mp3 true").removable(ACCOUNT, self.leg({"inbox_key": PUSHED}))

    @pytest.mark.attacks("pushes a false recording before Kazoo has stored the true one")
    def test_what_kazoo_may_still_store_is_left_alone(self):
        """Nobody can compare it."""
        assert self.source(None).removable(ACCOUNT, self.leg({"inbox_key": PUSHED})) is False

    @pytest.mark.parametrize("details", [{"inbox_key": PUSHED}, {"call_id": SIP}, None])
    def test_the_same_audio_is_removed_and_what_did_not_arrive_is_not_compared(self, details):
        audio = AUDIO if details and "inbox_key" in details else b"mp3 never asked for"
        assert self.source(audio).removable(ACCOUNT, self.leg(details))
