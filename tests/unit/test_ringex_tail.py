"""RingCentral's call log from its end: tokens, pages, and what each record belongs to."""

from datetime import timedelta

import pytest

from legato.errors import Barred, Failed, Retry
from legato.providers.ringex.tail import EXTRACT_SYNC, RingexTail
from tests.fakes import FakeClock, a_ringex_account, an_id
from tests.unit.test_ringex_call_log import leg, record, recording

BEFORE = "2026-11-19T12:00:00.000Z"
NOON = "2026-11-20T12:00:00.000Z"
URI = "https://platform.ringcentral.com/restapi/v1.0/account/401555000/call-log/rec?view=Detailed"


class FakeApi:
    """Answers what `answers` holds, in this order; what is no answer is raised."""

    def __init__(self):
        self.answers = []
        self.asked = []
        self.turns = []

    def get(self, path, params, *, turn=False):
        assert path == EXTRACT_SYNC
        self.asked.append(params)
        self.turns.append(turn)
        answer = self.answers.pop(0) if self.answers else an_answer()
        if isinstance(answer, Exception):
            raise answer
        return answer


def an_answer(*records, after="t1", more=False):
    info = {"syncType": "FSync", "syncToken": after, "newerRecordsExist": more}
    return {"uri": "…", "records": list(records), "syncInfo": info}


@pytest.fixture
def api():
    return FakeApi()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def tail(api, clock):
    return RingexTail(
        api, a_ringex_account(), clock, first=timedelta(hours=24), overlap=timedelta(hours=4)
    )


def test_the_very_first_read_looks_back_as_far_as_was_configured(tail, api, clock):
    """A full sync of the largest pages there are."""
    page = tail.page({})
    assert api.asked == [
        {"view": "Detailed", "syncType": "FSync", "dateFrom": BEFORE, "recordCount": 1000}
    ]
    assert page.cursor == {"first": BEFORE, "since": NOON, "token": "t1"}
    assert (page.more, page.read_to) == (False, clock.now())


def test_later_reads_follow_the_token(tail, api):
    """`recordCount` is allowed in a full sync only."""
    api.answers = [an_answer(after="t2")]
    page = tail.page({"first": BEFORE, "since": BEFORE, "token": "t1"}, turn=True)
    assert api.asked == [{"view": "Detailed", "syncType": "ISync", "syncToken": "t1"}]
    assert api.turns == [True]
    assert page.cursor["token"] == "t2"


def test_while_there_is_more_nothing_is_known_to_be_read(tail, api):
    """Should the token expire now, the whole stretch is read again."""
    api.answers = [an_answer(more=True)]
    page = tail.page({"first": BEFORE, "since": BEFORE, "token": "t0"})
    assert (page.more, page.read_to) == (True, None)
    assert page.cursor == {"first": BEFORE, "since": BEFORE, "token": "t1"}


@pytest.mark.parametrize("code", ["CLG-101", "CLG-105", "InvalidParameter CLG-102"])
def test_an_expired_token_begins_anew_with_an_overlap(tail, api, code):
    """From what was last known, and a long call before it. The next page is a full sync."""
    api.answers = [Failed(f"GET …/call-log-extract-sync answers 400 {code}")]
    first = "2026-11-01T00:00:00.000Z"
    page = tail.page({"first": first, "since": NOON, "token": "t1"})
    assert (page.changes, page.more, page.read_to) == ((), True, None)
    assert page.cursor == {"first": first, "since": "2026-11-20T08:00:00.000Z"}
    tail.page(page.cursor)
    assert api.asked[-1]["syncType"] == "FSync"
    assert api.asked[-1]["dateFrom"] == "2026-11-20T08:00:00.000Z"


def test_no_new_start_goes_back_further_than_the_first(tail, api):
    """What was never wanted is not read because of an overlap."""
    api.answers = [Failed("answers 400 CLG-101")]
    page = tail.page({"first": BEFORE, "since": BEFORE, "token": "t1"})
    assert page.cursor["since"] == BEFORE


@pytest.mark.parametrize(
    ("cursor", "error"),
    [
        ({"first": BEFORE, "since": NOON, "token": "t1"}, Failed("answers 400 CMN-101")),
        ({}, Failed("answers 400 CLG-101")),
        ({"first": BEFORE, "since": NOON, "token": "t1"}, Barred("403 CMN-401", seconds=900)),
    ],
)
def test_any_other_refusal_is_passed_on(tail, api, cursor, error):
    """It would come again."""
    api.answers = [error]
    with pytest.raises(type(error)):
        tail.page(cursor)


@pytest.mark.parametrize(
    "broken",
    [{}, {"records": {}}, {"records": ["x"]}, {"records": []}, {"records": [], "syncInfo": {}}],
)
def test_an_answer_that_nobody_understands_moves_nothing(tail, api, broken):
    """The cursor stays where it was."""
    api.answers = [broken]
    with pytest.raises(Retry, match=r"records|syncToken"):
        tail.page({})


def test_records_are_gathered_by_session(tail, api):
    """Kept verbatim by their id; the account is the one that an address names."""
    one, two = record(uri=URI), record(id="two", uri=URI)
    other = record(id="three", telephonySessionId="s-2")
    api.answers = [an_answer(one, other, two)]
    changes = {change.id: change.records for change in tail.page({}).changes}
    assert changes == {
        an_id(account="401555000"): {"rec": one, "two": two},
        an_id("s-2", account="401555000"): {"three": other},
    }


def test_a_recording_without_its_session_is_a_stray(tail, api):
    """A record without either is of no interest."""
    stray = record(id="x", telephonySessionId=None, legs=[leg(recording=recording("7"))])
    api.answers = [an_answer(stray, record(id="y", telephonySessionId=None))]
    page = tail.page({})
    assert page.strays == (stray,)
    assert page.changes == ()


def test_recordings_are_those_of_records_and_legs(tail):
    """Each once."""
    one = record(recording=recording("7"), legs=[leg(recording=recording("7"))])
    two = record(legs=[leg(recording=recording("8")), leg()])
    assert tail.recordings([one, two]) == {"7", "8"}
    with pytest.raises(Retry, match="legs"):
        tail.recordings([record(legs="none")])
