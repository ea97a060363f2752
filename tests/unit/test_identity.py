"""A call is one of an account: what has the same id elsewhere is another one, and related to it."""

import json
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.discovery.sweep import sweep
from legato.errors import Barred, Failed, Refused, Retry
from legato.ingest.batch import Message, archive
from legato.ledger.accounts import ours
from legato.ledger.listings import records_key, take
from legato.model import PROVIDERS, CallId, Job, Note, Priority, format_time
from legato.providers.kazoo.documents import to_gregorian
from legato.providers.kazoo.provider import Kazoo
from legato.providers.kazoo.tail import Account, change_of
from legato.providers.ringcx.provider import Ringcx
from legato.providers.ringcx.tail import RingcxTail
from legato.providers.ringex.account import RingexAccount
from legato.providers.ringex.api import ACCOUNT
from legato.providers.ringex.tail import RingexTail
from legato.tuning import Policy
from tests.fakes import (
    NOON,
    FakeClock,
    FakeNotes,
    FakeProvider,
    a_job,
    a_leg,
    a_listing,
    an_id,
    an_inbox,
    some_ports,
)
from tests.unit.test_ringex_call_log import record, recording
from tests.unit.test_ringex_tail import an_answer

A, B = "a" * 32, "b" * 32
INTERACTION = "63900000000-0badcafe"
DIALOG = "s-v-1"
BEGAN = NOON - timedelta(minutes=3)
ENDED = BEGAN + timedelta(minutes=1)
LINK = "https://platform.ringcentral.com/restapi/v1.0/account/401555000/call-log/rec"


class TestAddress:
    @given(st.sampled_from(PROVIDERS), st.text(), st.text(min_size=1))
    def test_an_address_leads_back_to_its_call(self, provider, account, call):
        """Whatever the ids consist of, it is three path segments, and nobody else's."""
        one = CallId(provider, account, call)
        assert CallId.parse(str(one)) == one
        assert str(one).count("/") == 2
        assert "#" not in str(one)
        assert not {".", ".."} & set(str(one).split("/"))

    @pytest.mark.parametrize(
        "text", ["", "s-1", "ringex/s-1", "zoom/1/s-1", "ringex/1/", "ringex/1/s/1"]
    )
    def test_what_is_no_address_is_refused(self, text):
        """An id alone does not say whose call it is."""
        with pytest.raises(Refused, match="provider/account/call"):
            CallId.parse(text)


class FakeApi:
    """Hands out audio that says for which address it was asked."""

    def __init__(self):
        self.fetched = []

    @contextmanager
    def stream(self, *address, priority=Priority.NORMAL):
        self.fetched.append(address)
        yield iter([f"mp3 {address[0]} {address[-1]}".encode()])


class Desk:
    """Archives what is found, with all that jobs lead to."""

    def __init__(self, scratch, provider):
        self.api = FakeApi()
        self.clock, notes = FakeClock(), FakeNotes()
        self.ports = some_ports(
            scratch,
            provider=provider(self.api, notes, self.clock),
            notes=notes,
            clock=self.clock,
            policy=Policy(settle=0),
        )

    def work(self):
        """Work on every job, until none is sent any more."""
        while self.ports.jobs.sent:
            jobs = [job for job, _ in self.ports.jobs.sent]
            self.clock.advance(max(delay for _, delay in self.ports.jobs.sent))
            self.ports.jobs.sent.clear()
            messages = [Message(f"m{n}", job.to_message()) for n, job in enumerate(jobs)]
            until = self.clock.now() + timedelta(minutes=15)
            archive(messages, ports=self.ports, until=until, guard=lambda ids: nullcontext())

    def newest(self, call):
        """Return the newest manifest of a call, and how many revisions it has."""
        entry = self.ports.ledger.load(call)
        assert entry.status == "archived", entry
        return json.loads(self.ports.archive.objects[entry.manifest.key]), entry.revision


class KazooDesk(Desk):
    """Kazoo, which lists an interaction that began in one account and went on in another."""

    call = INTERACTION
    accounts = (A, B)

    def __init__(self, scratch):
        super().__init__(
            scratch,
            lambda api, notes, clock: Kazoo(
                api,
                notes,
                clock,
                quiet=timedelta(seconds=300),
                inbox=an_inbox(api, notes=notes, clock=clock),
            ),
        )

    def find(self, account):
        leg = f"202611-{account}"
        document = {
            "id": leg,
            "interaction_id": INTERACTION,
            "start": to_gregorian(BEGAN),
            "duration_ms": 60_000,
        }
        change = change_of(account, INTERACTION, {leg: document}, latest=self.clock.now())
        take(change, Account(account), self.ports.jobs, self.ports.notes, self.clock, 5)

    def address(self, account):
        return (account, f"202611-{account}")


class RingcxDesk(Desk):
    """RingCX, which lists the segments of a dialog in two sub-accounts."""

    call = DIALOG
    accounts = ("7", "8")

    def __init__(self, scratch):
        self.rows = []
        super().__init__(
            scratch,
            lambda api, notes, clock: Ringcx(
                api, notes, clock, settle=timedelta(minutes=15), otherwise=90
            ),
        )

    def interactions(self, sub_account, **_window):
        return [row for row in self.rows if row["subAccountId"] == sub_account]

    def find(self, account):
        self.rows.append(
            {
                "subAccountId": account,
                "dialogId": DIALOG,
                "segmentId": f"p-{account}",
                "channelClass": "VOICE",
                "hasRecording": True,
                "segmentStartTimeMs": format_time(BEGAN),
                "segmentEndTimeMs": format_time(ENDED),
            }
        )
        tail = RingcxTail(
            self,
            self.clock,
            sub_account=account,
            key="",
            first=BEGAN,
            lag=timedelta(),
            overlap=timedelta(),
        )
        until = self.clock.now() + timedelta(minutes=5)
        ports = self.ports
        swept = sweep(
            tail=tail, jobs=ports.jobs, notes=ports.notes, clock=self.clock, until=until, settle=5
        )
        assert swept.done, swept

    def address(self, account):
        return (account, DIALOG, f"p-{account}")


@pytest.mark.parametrize("kind", [KazooDesk, RingcxDesk])
def test_what_began_after_an_old_message_lies_under_its_own_day(tmp_path, kind):
    """What the list said when it was read is believed, however old the job is."""
    desk = kind(tmp_path)
    desk.find(desk.accounts[0])
    sent = desk.ports.jobs.sent
    sent[:] = [(replace(job, seen_at=BEGAN - timedelta(days=9)), delay) for job, delay in sent]
    desk.work()
    call = CallId(desk.ports.provider.name, desk.accounts[0], desk.call)
    assert f"/{BEGAN:%Y/%m/%d}/" in desk.ports.ledger.load(call).prefix


@pytest.mark.parametrize("kind", [KazooDesk, RingcxDesk])
class TestSeveralAccounts:
    def test_one_id_in_two_accounts_is_two_calls_that_name_each_other(self, tmp_path, kind):
        """Two folders, two manifests, each leg from its own account by its own address."""
        desk = kind(tmp_path)
        for account in desk.accounts:
            desk.find(account)
        desk.work()
        provider = desk.ports.provider.name
        one, other = (CallId(provider, account, desk.call) for account in desk.accounts)
        for call, related in ((one, other), (other, one)):
            manifest, revision = desk.newest(call)
            assert (manifest["account"], manifest["call"]) == (call.account, desk.call)
            assert manifest["related"] == [str(related)]
            assert revision == 1, "each knew the other one before it was sealed"
            [leg] = manifest["legs"]
            folder = f"calls/{provider}/{call.account}/2026/11/20/{desk.call}/"
            assert leg["key"] == f"{folder}legs/{leg['id']}.mp3"
            body = desk.ports.archive.objects[leg["key"]]
            assert body == f"mp3 {call.account} {leg['id']}".encode()
            assert desk.ports.catalogue.row(call).prefix == folder
        assert sorted(desk.api.fetched) == sorted(map(desk.address, desk.accounts))
        assert len([key for key in desk.ports.archive.objects if "manifest-" in key]) == 2

    def test_a_call_that_is_found_elsewhere_later_is_named_by_another_revision(
        self, tmp_path, kind
    ):
        """The one that was sealed before is told, and nothing is fetched again."""
        desk = kind(tmp_path)
        provider = desk.ports.provider.name
        one, other = (CallId(provider, account, desk.call) for account in desk.accounts)
        desk.find(one.account)
        desk.work()
        assert desk.newest(one)[0]["related"] == []
        desk.find(other.account)
        desk.work()
        assert [desk.newest(call)[0]["related"] for call in (one, other)] == [
            [str(other)],
            [str(one)],
        ]
        assert [desk.newest(call)[1] for call in (one, other)] == [2, 1]
        assert len(desk.api.fetched) == 2


class FakeRingex:
    """Answers who the account is, and what is new, or raises what is no answer."""

    def __init__(self, answer=None, records=()):
        self.answer = answer or {"id": 401555000}
        self.records = records
        self.asked = 0

    def get(self, path, params, *, priority=Priority.NORMAL):
        if path != ACCOUNT:
            return an_answer(*self.records)
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class RingexDesk:
    """A processor and a sweeper of RingEX, each with an account of its own, over one ledger."""

    def __init__(self, scratch, api):
        self.api, self.clock, self.notes = api, FakeClock(), FakeNotes()
        self.provider = FakeProvider(
            listings={"s-1": a_listing(a_leg("a")), "s-2": a_listing(a_leg("b"), call="s-2")},
            audio={"a": b"mp3-a", "b": b"mp3-b"},
        )
        self.ports = some_ports(
            scratch,
            provider=self.provider,
            notes=self.notes,
            clock=self.clock,
            identified=RingexAccount(api, self.notes).identified,
        )

    def archive(self, *jobs):
        messages = [Message(f"m{n}", job.to_message()) for n, job in enumerate(jobs)]
        until = self.clock.now() + timedelta(minutes=15)
        return archive(messages, ports=self.ports, until=until, guard=lambda ids: nullcontext())

    def sweep(self):
        tail = RingexTail(
            self.api,
            RingexAccount(self.api, self.notes),
            self.clock,
            first=timedelta(hours=24),
            overlap=timedelta(hours=4),
        )
        until = self.clock.now() + timedelta(minutes=5)
        return sweep(
            tail=tail,
            jobs=self.ports.jobs,
            notes=self.notes,
            clock=self.clock,
            until=until,
            settle=0,
        )

    def sent(self):
        return [job for job, _ in self.ports.jobs.sent]


class TestRingex:
    NAMED = "401555000"

    @pytest.mark.parametrize("first", ["~", "", NAMED])
    @pytest.mark.parametrize("second", ["~", "", NAMED])
    def test_a_call_is_the_same_one_however_its_account_is_called(self, tmp_path, first, second):
        """In one batch, and in a later one: it is archived once, under the account's id."""
        desk = RingexDesk(tmp_path, FakeRingex())
        report = desk.archive(a_job(account=first), a_job(account=second))
        assert report.counts["CallArchived"] == 1
        desk.archive(a_job(account=second))
        assert list(desk.ports.ledger.entries) == [an_id(account=self.NAMED)]
        assert len(desk.provider.asked) == 1
        [leg] = [key for key in desk.ports.archive.objects if "/legs/" in key]
        assert leg == f"calls/ringex/{self.NAMED}/2026/11/20/s-1/legs/a.mp3"

    def test_the_account_is_asked_for_once(self, tmp_path):
        """Whoever comes next reads it in the ledger."""
        desk = RingexDesk(tmp_path, FakeRingex())
        desk.archive(a_job(account="~"), a_job("s-2", account=""))
        assert RingexAccount(desk.api, desk.notes).id() == self.NAMED
        assert desk.api.asked == 1

    @pytest.mark.attacks("sends the first notification of a stack in another account's name")
    def test_what_a_notification_names_makes_no_account_known(self, tmp_path):
        """RingCentral says whose the credentials are; until it does the job waits."""
        desk = RingexDesk(tmp_path, FakeRingex(answer=Barred("403", seconds=900)))
        desk.archive(a_job(account="999"))
        assert desk.ports.ledger.entries == {}
        [job] = desk.sent()
        assert job.not_before == NOON + timedelta(seconds=900)
        desk.api.answer = {"id": self.NAMED}
        desk.clock.advance(900)
        desk.archive(job, a_job("s-2", account="~"))
        assert list(desk.ports.ledger.entries) == [an_id("s-2", account=self.NAMED)]

    @pytest.mark.attacks("sends a notification in another account's name")
    def test_a_job_of_another_account_is_refused(self, tmp_path):
        """It would archive our calls once more under a foreign name. A person is told."""
        desk = RingexDesk(tmp_path, FakeRingex())
        report = desk.archive(a_job(account="999"), a_job("s-2", account=self.NAMED))
        assert list(desk.ports.ledger.entries) == [an_id("s-2", account=self.NAMED)]
        assert report.counts["JobRefused"] == 1
        [(body, reason)] = desk.ports.jobs.buried
        assert Job.from_message(body).account == "999"
        assert "account '999', which is none of ours" in reason

    def test_a_call_that_the_sweep_has_found_is_archived_whatever_its_account(self, tmp_path):
        """RingCentral itself has listed it under that name."""
        records = [record(uri=LINK.replace("401555000", "401555999"), recording={"id": "7"})]
        api = FakeRingex(records=records)
        desk = RingexDesk(tmp_path, api)
        RingexAccount(api, desk.notes).id()
        desk.sweep()
        [job] = desk.sent()
        assert job.account == "401555999"
        desk.archive(job)
        assert [call.account for call in desk.ports.ledger.entries] == ["401555999"]

    @pytest.mark.parametrize(
        "named",
        [
            {"uri": LINK},
            {"uri": None, "recording": recording("7") | {"uri": f"{LINK}/recording/7"}},
            {
                "uri": LINK.replace("401555000", "~"),
                "recording": recording("7") | {"contentUri": f"{LINK}/content"},
            },
        ],
    )
    def test_a_record_that_names_no_account_is_of_the_one_that_another_names(self, tmp_path, named):
        """Also where it comes before that; an address of the recording will do."""
        records = [
            record(id="1", uri=None, telephonySessionId="s-2", recording={"id": "8"}),
            record(id="2", **{"recording": recording("7"), **named}),
        ]
        desk = RingexDesk(tmp_path, FakeRingex(answer=Failed("never asked"), records=records))
        assert desk.sweep().jobs == 2
        assert [job.id for job in desk.sent()] == [
            an_id("s-2", account=self.NAMED),
            an_id("s-1", account=self.NAMED),
        ]
        assert desk.api.asked == 0

    def test_where_nothing_names_it_the_sweep_asks(self, tmp_path):
        """A page that says nothing but `~`."""
        records = [record(uri=LINK.replace("401555000", "~"), recording={"id": "7"})]
        desk = RingexDesk(tmp_path, FakeRingex(records=records))
        desk.sweep()
        assert [job.account for job in desk.sent()] == [self.NAMED]

    @pytest.mark.parametrize(
        ("error", "seconds", "refused"),
        [
            (Barred("403 ReadAccounts", seconds=600), 600, 1),
            (Failed("400"), 900, 1),
            (Retry("503"), 60, 0),
        ],
    )
    def test_a_job_whose_account_is_not_told_waits_and_stops_no_other(
        self, tmp_path, error, seconds, refused
    ):
        """It is not claimed, spends nothing, and a person is told if it takes one."""
        desk = RingexDesk(tmp_path, FakeRingex(answer=error))
        report = desk.archive(a_job(account="~"))
        [job] = desk.sent()
        assert (job.account, job.attempt, job.looks) == ("~", 0, 0)
        assert job.not_before == NOON + timedelta(seconds=seconds)
        assert report.counts["ProviderRefused"] == refused
        assert desk.ports.ledger.entries == {}
        desk.api.answer = {"id": self.NAMED}
        desk.clock.advance(seconds)
        desk.archive(job)
        assert desk.ports.ledger.load(an_id(account=self.NAMED)).status == "archived"


@pytest.mark.attacks("puts a job of a foreign account into a queue")
def test_a_job_of_an_account_that_is_not_configured_is_refused(notes):
    """Unless a sweep has found its call, before the account was taken out."""
    let_through = ours(lambda: (A,), notes, unplaced="inbox-")
    for job in (a_job(account=A), a_job("inbox-7", account="")):
        assert let_through(job) == job
    foreign = a_job("inbox-7", account=B)
    for job in (foreign, a_job("x", account="")):
        with pytest.raises(Refused, match="none of ours"):
            let_through(job)
    notes.write(Note(key=records_key(foreign.id), content={"records": {}}))
    assert let_through(foreign) == foreign
