"""The catalogue in memory and in DynamoDB keep the same promises; the bucket makes it anew."""

import hashlib
import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from legato.aws.catalogue import MOST_QUERIES, DynamoCatalogue
from legato.aws.ledger import DynamoLedger
from legato.aws.library import S3Library
from legato.catalogue import index
from legato.catalogue.index import Query
from legato.errors import Refused, Stale
from legato.model import PROVIDERS, format_time
from legato.operations.catalogue_rebuild import Days, rebuild
from tests.fakes import NOON, FakeCatalogue, an_id
from tests.unit.test_catalogue import a_manifest, a_row, enter


@pytest.fixture(params=["fake", "dynamodb"])
def store(request, aws_client, table):
    if request.param == "fake":
        return FakeCatalogue()
    return DynamoCatalogue(aws_client("dynamodb"), table=table)


@pytest.fixture
def dynamo(aws_client, table):
    return DynamoCatalogue(aws_client("dynamodb"), table=table)


def found(store, **query):
    return [row.call for row in store.find(Query(**query), limit=50).rows]


def test_what_was_entered_is_read_as_it_was(store):
    enter(store, a_row(cases=()))
    assert store.row(an_id("s-1")) == replace(a_row(), version=1)
    assert store.row(an_id("s-2")) is None


def test_all_that_is_asked_for_counts(store):
    rows = [
        a_row("s-1", minutes=1),
        a_row("s-2", minutes=2, direction="outbound", people=("102",)),
        a_row("s-3", minutes=3, provider="kazoo", duration_ms=400_000, numbers=("+4989123456",)),
        a_row("s-4#5", minutes=4, duration_ms=8_000_000, ids=("s-4#5", "uii")),
    ]
    enter(store, *rows)
    assert found(store) == ["s-1", "s-2", "s-3", "s-4#5"]
    assert found(store, direction="outbound") == ["s-2"]
    assert found(store, person="101") == ["s-1", "s-3", "s-4#5"]
    assert found(store, person="101", provider="ringex") == ["s-1", "s-4#5"]
    assert found(store, number="+4989123456") == ["s-3"]
    assert found(store, number="+15551234567", person="102") == ["s-2"]
    assert found(store, min_duration_ms=300_000) == ["s-3", "s-4#5"]
    assert found(store, min_duration_ms=500_000) == ["s-4#5"]
    assert found(store, id="UII") == ["s-4#5"]
    assert found(store, id="uii", provider="kazoo") == []
    begin, end = NOON - timedelta(minutes=3), NOON - timedelta(minutes=1)
    assert found(store, begin=begin, end=end) == ["s-2", "s-3"]
    assert found(store, begin=begin) == ["s-1", "s-2", "s-3"]
    assert found(store, end=end) == ["s-2", "s-3", "s-4#5"]


def test_pages_follow_each_other_until_the_last_one_says_so(store):
    enter(store, *(a_row(f"s-{n}", minutes=n) for n in range(6)))
    calls, cursor = [], None
    for _ in range(3):
        page = store.find(Query(provider="ringex"), limit=2, cursor=cursor)
        calls += [row.call for row in page.rows]
        cursor = page.cursor
    assert calls == [f"s-{n}" for n in range(6)]
    assert cursor is None


def test_a_call_that_is_sealed_anew_is_in_its_new_lists_only(store):
    """A leg came later: the call began earlier, and with another number."""
    enter(store, a_row(numbers=("+15550000001",)))
    enter(store, a_row(minutes=9, revision=2, numbers=("+15550000002",)))
    assert found(store) == ["s-1"]
    assert found(store, number="+15550000001") == []
    assert found(store, number="+15550000002") == ["s-1"]
    assert found(store, begin=NOON) == []


def test_a_case_is_searched_and_forgotten(store):
    enter(store, a_row())
    index.mark(an_id(), store, lambda: ["A"])
    assert found(store, case="A") == ["s-1"]
    index.mark(an_id(), store, list)
    assert found(store, case="A") == []


def test_who_writes_over_what_another_one_wrote_is_told(store):
    enter(store, a_row())
    known = store.row(an_id("s-1"))
    store.write(a_row(revision=2), over=known)
    with pytest.raises(Stale):
        store.write(a_row(revision=3), over=known)


def test_what_was_taken_out_is_found_by_nothing(store):
    enter(store, a_row())
    store.remove(store.row(an_id("s-1")))
    assert found(store) == found(store, number="1234567") == found(store, id="s-1") == []
    assert store.row(an_id("s-1")) is None


def test_calls_are_found_by_the_beginning_of_their_id_and_of_their_legs(store):
    """Each once, whatever characters an id has; other ids of a call are known whole only."""
    rows = [
        a_row("s-a0b1c2d3e4", ids=("s-a0b1c2d3e4", "s-a0leg", "s-a0party"), account="1/ü"),
        a_row("s-a0b1c2ffff"),
        a_row("S-A0/B#%"),
        a_row("s-ffffffff"),
        a_row("x" * 128),
    ]
    enter(store, *rows)
    first, second, odd, _, long = (row.id for row in rows)
    assert store.beginning("S-A0B1C2") == [first, second]
    assert set(store.beginning("s-a0")) == {first, second, odd}
    assert store.beginning("s-a0/b#") == [odd]
    assert store.beginning("s-a0leg") == [first]
    assert store.beginning("s-a0party") == []
    assert store.beginning("x" * 127) == [long]
    assert store.beginning("s") == store.beginning("") == []
    store.remove(store.row(first))
    assert store.beginning("s-a0leg") == []


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("Jane Smith", ["sm", "smith", "s", "JANE", "smi ja", "Smith, Jane"]),
        ("Jürgen Groß", ["jurgen", "JÜRG", "gross", "groß"]),
        ("O'Brien", ["o'brien", "obrien", "O\N{RIGHT SINGLE QUOTATION MARK}B", "brien"]),
        ("林小明", ["林", "小明", "明", "林小明"]),
        ("김민수", ["김", "민수"]),
        ("X", ["x"]),
        ("😀🎉", ["😀", "🎉"]),
        ("‫משה כהן‬", ["משה", "כה", "כהן משה"]),
        ("Łukasz Øster-Ægir", ["lukasz", "oster", "aeg"]),
        ("anonymous", ["anon"]),
        ("user_1001", ["1001", "user", "user 1001"]),
        ("n" * 1000, ["nnn"]),
    ],
)
def test_a_name_is_found_by_the_beginning_of_its_words(store, name, asked):
    """In any order and case, without diacritics; and others beside it are not."""
    enter(store, a_row("s-1", people=("Zoe Zu", name)), a_row("s-2", people=("Zoe Zu",), minutes=1))
    for each in asked:
        assert found(store, person=each) == ["s-1"], each
        assert found(store, person=each, number="1234567", provider="ringex") == ["s-1"], each
    assert found(store, person="zu") == ["s-1", "s-2"]


def test_words_of_two_people_are_no_name(store):
    enter(store, a_row(people=("Zoe Zu", "Jane Smith")))
    assert found(store, person="zoe smith") == []
    assert found(store, person="zu zoe") == ["s-1"]


@pytest.mark.parametrize("asked", ["mith", "janes", "smith x", "jane smithe", "10", "1012", ""])
def test_what_no_word_begins_with_is_not_found(store, asked):
    enter(store, a_row(people=("Jane Smith", "101")))
    assert found(store, person=asked or "!") == []


def test_calls_of_two_people_of_one_name_are_all_found(store):
    """The extension tells them apart."""
    enter(store, a_row("s-1", people=("Jane", "101")), a_row("s-2", people=("Jane", "102")))
    assert set(found(store, person="jane")) == {"s-1", "s-2"}
    assert found(store, person="102") == ["s-2"]


def test_a_number_with_its_extension_is_of_calls_that_have_both(store):
    enter(store, a_row("s-1", people=("12",)), a_row("s-2", people=("13",), minutes=1))
    assert found(store, number="(555) 123-4567") == ["s-1", "s-2"]
    assert found(store, number="(555) 123-4567 ext. 12") == ["s-1"]
    assert found(store, number="+1 555 1234567 x13") == ["s-2"]


@pytest.mark.parametrize("lead", [{"person": "zoe anna"}, {"person": "an", "number": "1234567"}])
def test_a_search_by_several_things_takes_few_requests(aws_client, table, lead):
    """Two probes, the shorter list, and the rows."""
    names = ("Anna Zoe", "Anton", "Zora")
    client, asked = aws_client("dynamodb"), []
    dynamo = DynamoCatalogue(client, table=table)
    enter(dynamo, *(a_row(f"s-{n}", minutes=n, people=(names[n % 3],)) for n in range(30)))
    client.meta.events.register("before-call", lambda model, **_: asked.append(model.name))
    assert found(dynamo, **lead, min_duration_ms=1)[0] == "s-0"
    assert len(asked) <= 4


class Death(Exception):
    """Comes when a call's entries are written, and not its row."""


def test_entries_of_a_worker_that_died_lead_nowhere(dynamo, aws_client, table):
    def die(**_):
        raise Death

    dynamodb = aws_client("dynamodb")
    dynamodb.meta.events.register("before-call.dynamodb.PutItem", die)
    with pytest.raises(Death):
        DynamoCatalogue(dynamodb, table=table).write(a_row(), over=None)
    assert found(dynamo) == []
    enter(dynamo, a_row())
    assert found(dynamo) == ["s-1"]


class Endless:
    """A DynamoDB whose list is as long as it can be, and has nothing that is looked for."""

    def __init__(self):
        self.asked = 0

    def query(self, **asked):
        self.asked += 1
        moment = format_time(NOON - timedelta(days=self.asked))
        last = {"pk": {"S": "find#all"}, "sk": {"S": f"{moment}#ringex/1/s-{self.asked}"}}
        return {"Items": [], "LastEvaluatedKey": last}


def test_a_search_that_goes_far_ends_early_and_can_go_on():
    """After so many requests as one page may take."""
    endless = Endless()
    page = DynamoCatalogue(endless, table="t").find(Query(direction="inbound"), limit=50)
    assert endless.asked == MOST_QUERIES
    assert page.rows == ()
    assert page.reached == NOON - timedelta(days=MOST_QUERIES)
    assert page.cursor is not None


def test_a_name_of_any_length_is_entered_and_found(store):
    enter(store, a_row(people=("x" * 5000,)))
    assert found(store, person="x" * 5000) == ["s-1"]


def a_conference(legs):
    """Return the row of a call of so many people, each with a number."""
    people = tuple(hashlib.sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(legs))
    numbers = tuple(f"+1555{n:07}" for n in range(legs))
    ids = tuple(f"leg-{name}" for name in people)
    return a_row("s-many", minutes=1, people=people, numbers=numbers, ids=ids, legs=legs)


def test_a_conference_of_hundreds_is_found_by_everybody_in_it(store):
    """Also by several things at once, without each entry naming all people."""
    enter(store, many := a_conference(300), a_row("s-1", minutes=2))
    assert found(store, id=many.ids[-1]) == ["s-many"]
    assert found(store, person=many.people[-1], number=many.numbers[0]) == ["s-many"]
    assert found(store, person=many.people[-1], number="+15559999999") == []
    assert found(store, number=many.numbers[7], direction="inbound") == ["s-many"]


def test_a_row_of_any_size_is_read_and_taken_out(dynamo, aws_client, table):
    """Its entries apart, of which there are ever so many."""
    many = a_conference(10_000)
    dynamo._items.put(
        {"pk": {"S": "catalogue#ringex/1/s-many"}, "sk": {"S": "row"}}, many.to_json(), over=0
    )
    place = {"pk": {"S": "find#all"}, "sk": {"S": many.place}}
    aws_client("dynamodb").put_item(TableName=table, Item=place)
    assert dynamo.row(an_id("s-many")) == replace(many, version=1)
    assert found(dynamo) == ["s-many"]
    dynamo.remove(replace(many, people=(), numbers=(), ids=()))
    assert aws_client("dynamodb").scan(TableName=table)["Items"] == []


@pytest.mark.parametrize("cursor", ["?", "bm9uc2Vuc2U", "\N{PILE OF POO}"])
def test_a_cursor_that_is_none_is_refused(dynamo, cursor):
    with pytest.raises(Refused, match="is no cursor"):
        dynamo.find(Query(), limit=50, cursor=cursor)


class TestRebuild:
    @pytest.fixture
    def world(self, aws_client, bucket, table):
        return World(aws_client, bucket, table)

    def test_the_bucket_makes_the_same_catalogue(self, world):
        world.seal("ringex", "s-1")
        world.seal("ringcx", "s-v-1", storage_class="GLACIER")
        world.seal("kazoo", "63962447024-1a2b", revision=2)
        before = world.rows()
        assert [row.storage_class for row in before] == ["GLACIER_IR", "GLACIER", "GLACIER_IR"]
        world.forget()
        assert world.rows() == []
        report = world.rebuild()
        assert (report.calls, report.unread, report.removed) == (3, {}, 0)
        assert world.rows() == before

    def test_entries_that_were_lost_come_back_though_their_row_is_there(self, world):
        world.seal("ringex", "s-1")
        row = world.catalogue.row(an_id("s-1"))
        world.catalogue._delete([{"pk": {"S": "find#all"}, "sk": {"S": row.place}}])
        assert world.rows() == []
        world.rebuild()
        assert [row.call for row in world.rows()] == ["s-1"]

    def test_cases_come_from_the_ledger(self, world):
        world.seal("ringex", "s-1")
        note = world.ledger.read("hold#ringex/1/s-1")
        world.ledger.write(replace(note, content={"cases": {"A": {}}}))
        world.rebuild()
        assert found(world.catalogue, case="A") == ["s-1"]

    def test_a_folder_without_a_manifest_is_counted_and_one_that_cannot_be_read_is_named(
        self, world
    ):
        world.put("calls/ringex/1/2026/11/20/s-9/legs/1.mp3", b"mp3")
        world.put("calls/ringex/1/2026/11/20/s-8/manifest-1.json", b"{")
        world.seal("ringex", "s-1")
        report = world.rebuild()
        assert (report.calls, report.unsealed) == (1, 1)
        assert list(report.unread) == ["calls/ringex/1/2026/11/20/s-8/"]

    def test_what_the_bucket_does_not_have_is_taken_out(self, world):
        enter(world.catalogue, a_row("s-gone"))
        world.seal("ringex", "s-1")
        assert world.rebuild().removed == 1
        assert [row.call for row in world.rows()] == ["s-1"]

    def test_some_days_are_made_anew_and_no_others(self, world):
        for day in (17, 18, 19, 20):
            enter(world.catalogue, a_row(f"gone-{day}", minutes=(20 - day) * 24 * 60))
            for provider in PROVIDERS:
                world.seal(provider, f"{provider}-{day}", day=day)
                world.catalogue.remove(
                    world.catalogue.row(an_id(f"{provider}-{day}", provider=provider))
                )
        report = world.rebuild(Days(date(2026, 11, 18), date(2026, 11, 19)))
        assert (report.calls, report.removed) == (6, 2)
        anew = {f"{provider}-{day}" for provider in PROVIDERS for day in (18, 19)}
        assert {row.call for row in world.rows()} == anew | {"gone-17", "gone-20"}


class World:
    """A bucket and a ledger, in which calls are sealed as they are by the processor."""

    def __init__(self, aws_client, bucket, table):
        self.s3, self.bucket = aws_client("s3"), bucket
        self.library = S3Library(self.s3, bucket=bucket)
        self.ledger = DynamoLedger(aws_client("dynamodb"), table=table)
        self.catalogue = DynamoCatalogue(aws_client("dynamodb"), table=table)
        self.dynamodb, self.table = aws_client("dynamodb"), table

    def put(self, key, body, storage_class="STANDARD"):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, StorageClass=storage_class)

    def seal(self, provider, call, *, day=20, storage_class="GLACIER_IR", revision=1):
        prefix = f"calls/{provider}/1/2026/11/{day}/{call}/"
        began = f"2026-11-{day}T12:00:00.000Z"
        self.put(f"{prefix}legs/leg-1.mp3", b"mp3", storage_class)
        for number in range(1, revision + 1):
            manifest = a_manifest(provider, call=call, revision=number, started_at=began)
            self.put(f"{prefix}manifest-{number}.json", json.dumps(manifest).encode())
        [stored] = [
            each
            for each in self.library.listed(prefix)
            if each.key == f"{prefix}manifest-{revision}.json"
        ]
        sealed = index.StoredObject(
            key=stored.key,
            version_id=stored.version_id,
            size=stored.size,
            sha256=sha256_of(json.dumps(manifest).encode()),
        )
        row = index.row_of(manifest, sealed, storage_class=storage_class)
        index.enter(row, self.catalogue, list)

    def rows(self):
        return [replace(row, version=0) for row in index.every(Query(), self.catalogue)][::-1]

    def forget(self):
        for row in list(index.every(Query(), self.catalogue)):
            self.catalogue.remove(row)
        assert self.dynamodb.scan(TableName=self.table)["Items"] == []

    def rebuild(self, days=None):
        return rebuild(self.library, self.catalogue, self.ledger, days=days)


def sha256_of(body):
    return hashlib.sha256(body).hexdigest()
