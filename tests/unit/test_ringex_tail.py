"""RingCentral's call log from its end: tokens, pages, and what each record belongs to."""

from datetime import timedelta

import pytest

from legato.errors import Barred, Failed, NotYet, Retry
from legato.model import Priority, format_time
from legato.providers.ringex.api import EXTRACT_SYNC
from legato.providers.ringex.provider import CALL_LOG
from legato.providers.ringex.recorded import RingexRecorded
from legato.providers.ringex.tail import MOST_PAGES, RingexTail
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
        self.priorities = []

    def get(self, path, params, *, priority=Priority.NORMAL):
        assert path in (EXTRACT_SYNC, CALL_LOG)
        self.asked.append(params)
        self.priorities.append(priority)
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
    assert api.priorities == [Priority.RESERVED]
    assert page.cursor["token"] == "t2"


def test_while_there_is_more_nothing_is_known_to_be_read(tail, api):
    """Should the token expire now, the whole stretch is read again."""
    api.answers = [an_answer(more=True)]
    page = tail.page({"first": BEFORE, "since": BEFORE, "token": "t0"})
    assert (page.more, page.read_to) == (True, None)
    assert page.cursor == {"first": BEFORE, "since": BEFORE, "token": "t1", "pages": 1}


@pytest.mark.parametrize(
    "error",
    [
        Failed("GET …/call-log-extract-sync answers 400 CLG-101"),
        Failed("GET …/call-log-extract-sync answers 400 CMN-101"),
        Failed("GET …/call-log-extract-sync answers 400"),
        NotYet("GET …/call-log-extract-sync answers 410"),
    ],
)
def test_a_refused_token_begins_anew_with_an_overlap(tail, api, error):
    """From what was last known, and a long call before it. The next page is a full sync."""
    api.answers = [error]
    first = "2026-11-01T00:00:00.000Z"
    page = tail.page({"first": first, "since": NOON, "token": "t1"})
    assert (page.changes, page.more, page.read_to) == ((), True, None)
    assert page.cursor == {"first": first, "since": "2026-11-20T08:00:00.000Z", "anew": True}
    assert page.fault is None
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
        ({}, Failed("answers 400 CLG-101")),
        ({"first": BEFORE, "since": NOON, "token": "t1"}, Barred("403 CMN-401", seconds=900)),
    ],
)
def test_any_other_refusal_is_passed_on(tail, api, cursor, error):
    """It would come again."""
    api.answers = [error, error]  # to whom the changes are refused, the call log may be too
    with pytest.raises(type(error)):
        tail.page(cursor)


def test_fresh_tokens_that_are_refused_end_the_run_and_not_the_reading(tail, api, clock):
    """The next run begins with a full sync once more, which says all that is new by itself."""
    cursor = {"first": BEFORE, "since": NOON, "token": "t1"}
    for number in range(3):
        api.answers = [Failed("answers 400 CMN-101"), an_answer(record())]
        page = tail.page(cursor)
        assert (page.fault is not None) == (number > 0)
        page = tail.page(page.cursor)
        assert (page.read_to, [change.id.call for change in page.changes]) == (clock.now(), ["s-1"])
        cursor = page.cursor
    api.answers = [an_answer(after="t2")]
    assert "anew" not in tail.page(cursor).cursor


def test_a_token_that_stays_the_same_ends_the_run(tail, api):
    """What came is taken in, and the next run asks again."""
    api.answers = [an_answer(record(), after="t1", more=True)]
    page = tail.page({"first": BEFORE, "since": BEFORE, "token": "t1", "pages": 5})
    assert "stays the same" in str(page.fault)
    assert [change.id.call for change in page.changes] == ["s-1"]
    assert page.cursor == {"first": BEFORE, "since": BEFORE, "token": "t1"}


def test_changes_without_end_end_the_run_and_keep_what_was_read(tail, api):
    """After two hundred pages; the next run goes on after them."""
    cursor, fault, count = {}, None, 0
    while fault is None:
        count += 1
        api.answers = [an_answer(after=f"t{count % 2}", more=True)]
        page = tail.page(cursor)
        cursor, fault = page.cursor, page.fault
    assert count == MOST_PAGES
    assert "no end" in str(fault)
    assert cursor["token"] == f"t{count % 2}"
    api.answers = [an_answer(after="t3", more=True)]
    assert tail.page(cursor).fault is None


def test_a_new_start_does_not_begin_in_the_future(tail, api):
    """A clock that was a day ahead wrote when all was read."""
    api.answers = [Failed("answers 400 CLG-101")]
    page = tail.page({"first": BEFORE, "since": "2026-11-21T12:00:00.000Z", "token": "t1"})
    assert page.cursor["since"] == "2026-11-20T08:00:00.000Z"


@pytest.mark.parametrize("broken", [{}, {"records": {}}, {"records": None}])
def test_an_answer_that_nobody_understands_moves_nothing(tail, api, broken):
    """The cursor stays where it was."""
    api.answers = [broken]
    with pytest.raises(Retry, match="records"):
        tail.page({})


@pytest.mark.parametrize("info", [None, {}, {"syncToken": 7}])
def test_an_answer_without_a_token_is_taken_in_and_read_again(tail, api, info):
    """Its records are none the worse for that."""
    api.answers = [{"records": [record()], "syncInfo": info}]
    cursor = {"first": BEFORE, "since": BEFORE, "token": "t1"}
    page = tail.page(cursor)
    assert [change.id.call for change in page.changes] == ["s-1"]
    assert (page.cursor, page.read_to) == (cursor, None)
    assert "syncToken" in str(page.fault)


def test_what_is_no_record_is_a_stray_beside_the_others(tail, api):
    """One odd entry must not hold up a whole company."""
    api.answers = [an_answer("odd", None, [record()], record(), 7)]
    page = tail.page({})
    assert [change.id.call for change in page.changes] == ["s-1"]
    assert [one["record"] for one in page.strays[:2]] == ["odd", None]
    assert len(page.strays) == 4


def test_a_call_without_telephony_session_id_is_named_by_its_session_id(tail, api):
    """Older records have no other; a conference's is 0, and says nothing."""
    older = record(telephonySessionId=None, recording=recording("1"))
    conference = record(telephonySessionId=None, sessionId="0", recording=recording("2"))
    api.answers = [an_answer(older, conference)]
    page = tail.page({})
    assert [(change.id.call, dict(change.records)) for change in page.changes] == [
        ("4000", {"rec": older})
    ]
    assert page.strays == (conference,)


def test_a_record_without_id_is_the_same_one_wherever_it_is_listed(tail, api):
    """A list that overlaps with itself must not make two of it."""
    nameless = record(id=None, recording=recording("1"))
    api.answers = [an_answer(record(), nameless), an_answer(nameless)]
    [first], [second] = tail.page({}).changes, tail.page({}).changes
    assert set(second.records) <= set(first.records)


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", None, {}])
def test_a_beginning_that_cannot_be_orders_nothing(tail, api, start):
    """The oldest call would be two thousand years old, or come after all others for ever."""
    api.answers = [an_answer(record(start, recording=recording("1")))]
    assert tail.page({}).changes[0].began_at is None


def test_records_are_gathered_by_session(tail, api):
    """Kept verbatim by their id; the account is the one that an address names, or our own."""
    one, two = record(uri=URI), record(id="two", uri=URI)
    other = record(id="three", telephonySessionId="s-2")
    api.answers = [an_answer(one, other, two)]
    changes = {change.id: change.records for change in tail.page({}).changes}
    assert changes == {
        an_id(account="401555000"): {"rec": one, "two": two},
        an_id("s-2"): {"three": other},
    }


def test_a_recording_without_its_session_is_a_stray(tail, api):
    """A record without either is of no interest."""
    nobody = {"telephonySessionId": None, "sessionId": []}
    stray = record(id="x", legs=[leg(recording=recording("7"))], **nobody)
    odd = record(id="z", recording={}, **nobody)
    api.answers = [an_answer(stray, record(id="y", **nobody), odd)]
    page = tail.page({})
    assert page.strays == (stray, odd)
    assert page.changes == ()


def test_recordings_are_those_of_records_and_legs(tail):
    """Each once."""
    one = record(recording=recording("7"), legs=[leg(recording=recording("7"))])
    two = record(legs=[leg(recording=recording("8")), leg()])
    assert tail.recordings([one, two]) == {"7", "8"}
    odd = record(legs="none")
    assert (tail.recordings([odd]), len(tail.unreadable([odd]))) == (set(), 1)


def test_a_log_of_the_past_without_an_end_is_read_no_further(api):
    """Its hundredth page says that there is another one, and so did all before it."""
    log = RingexRecorded(
        api,
        a_ringex_account(),
        begin=FakeClock().now() - timedelta(days=1),
        end=FakeClock().now(),
        kept=timedelta(90),
    )
    asked = []

    def get(_path, params, *, priority):
        asked.append(params["page"])
        return {"records": ["odd", record(None)], "navigation": {"nextPage": {"uri": "x"}}}

    api.get = get
    page = log.page({"top": NOON, "to": NOON, "page": 99})
    assert (page.cursor["page"], len(page.strays)) == (100, 1)
    with pytest.raises(Retry, match="no end after 100 pages"):
        log.page(page.cursor)
    assert asked == [99, 100]


def test_what_cannot_be_read_is_stepped_over_by_a_full_sync_from_now_on(tail, api):
    """What it has not said is read in the call log, as are the calls that were going on."""
    beyond = tail.beyond({"first": BEFORE, "since": "2026-11-20T11:00:00.000Z", "token": "t1"})
    assert beyond.cursor == {"first": NOON, "since": NOON}
    assert (format_time(beyond.begin), format_time(beyond.end)) == (
        "2026-11-20T07:00:00.000Z",
        NOON,
    )
    assert beyond.again_after == timedelta(hours=4)
    tail.page(beyond.cursor)
    assert (api.asked[-1]["syncType"], api.asked[-1]["dateFrom"]) == ("FSync", NOON)


def test_what_was_stepped_over_before_is_not_in_the_next_gap(tail):
    """A sync that never works makes gaps that touch each other."""
    beyond = tail.beyond({"first": "2026-11-20T11:58:00.000Z", "since": "2026-11-20T11:58:00.000Z"})
    assert format_time(beyond.begin) == "2026-11-20T11:58:00.000Z"
    assert format_time(tail.beyond({}).begin) == BEFORE


def test_a_gap_is_read_in_the_call_log(tail):
    """By the time at which calls began, under a cursor of its own."""
    beyond = tail.beyond({"first": BEFORE, "since": BEFORE})
    stretch = tail.stretch(beyond.begin, beyond.end, key="ringex#gap-x")
    assert isinstance(stretch, RingexRecorded)
    assert (stretch.begin, stretch.end, stretch.key) == (beyond.begin, beyond.end, "ringex#gap-x")
