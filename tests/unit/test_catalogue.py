"""What is found, by what, and what is said where nothing is."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.catalogue import index
from legato.catalogue.index import Query, Row, row_of, terms
from legato.catalogue.named import Ambiguous, UnknownCriterion, named
from legato.catalogue.numbers import digits, split_extension
from legato.catalogue.suggest import did_you_mean
from legato.errors import Refused, Stale
from legato.model import Party, StoredObject
from tests.fakes import NOON, FakeCatalogue, an_id

SEALED = StoredObject(
    key="calls/ringex/1/2026/11/20/s-1/manifest-1.json", version_id="v", size=9, sha256="aa"
)


def a_row(call="s-1", *, minutes=0, **fields):
    said = {
        "provider": "ringex",
        "account": "1",
        "started_at": NOON - timedelta(minutes=minutes),
        "ended_at": None,
        "duration_ms": 60_000,
        "direction": "inbound",
        "parties": (),
        "numbers": ("+15551234567",),
        "people": ("101", "Jane Doe"),
        "ids": (call,),
        "legs": 1,
        "size": 1000,
        "how": "single",
        "storage_class": "GLACIER_IR",
        "revision": 1,
        "manifest": replace(SEALED, key=f"calls/ringex/1/2026/11/20/{call}/manifest-1.json"),
    }
    return Row(call=call, **{**said, **fields})


@pytest.fixture
def store():
    return FakeCatalogue()


def enter(store, *rows):
    for row in rows:
        index.enter(row, store, list)


class TestNumbers:
    @pytest.mark.parametrize(
        "written",
        [
            "+1 (555) 123-4567",
            "+15551234567",
            "0015551234567",
            "01115551234567",
            "1-555-123-4567",
            "555.123.4567",
            "(555) 123 4567",
            "tel:+1-555-123-4567",
            "+1 555 123\u2011\u20114567",
            "\u202a+1 (555) 123-4567\u202c",
            "\uff0b\uff11 \uff15\uff15\uff15 \uff11\uff12\uff13 \uff14\uff15\uff16\uff17",
            "\u0661\u0662\u0663\u0664\u0665\u0666\u0667",
            "(555) \u2026 4567",
            "+1 555 .. 34567",
            "555***4567",
            "...4567",
            "sip:+15551234567@example.com",
            "1234567",
            "4567",
            "34567",
        ],
    )
    def test_a_number_is_found_in_any_notation(self, store, written):
        enter(store, a_row())
        assert [row.call for row in store.find(Query(number=written), limit=5).rows] == ["s-1"]

    @pytest.mark.parametrize(
        "written",
        [
            "+15551234568",
            "5554567",
            "+445551234567",
            "567",
            "444 \u2026 4567",
            "5551234567 \u2026 4567",
            "(555) 123-4567 ext. 12",
        ],
    )
    def test_another_number_is_not_found(self, store, written):
        """Nor one of another country with the same digits at its end."""
        enter(store, a_row())
        assert store.find(Query(number=written), limit=5).rows == ()

    def test_a_german_number_is_found_with_and_without_its_country(self, store):
        enter(store, a_row(numbers=("+49891234567",)))
        for written in ("089 1234567", "+49 (0)89 1234567", "0049 89 1234567", "1234567"):
            assert store.find(Query(number=written), limit=5).rows, written

    def test_a_number_that_was_given_without_its_country_is_found_with_it(self, store):
        enter(store, a_row(numbers=("5551234567",)))
        assert store.find(Query(number="+15551234567"), limit=5).rows

    @pytest.mark.parametrize("written", ["0151 \u2026 6789", "0151 23456789", "+49151...456789"])
    def test_a_mobile_number_is_found_as_people_at_home_write_it(self, store, written):
        enter(store, a_row(numbers=("+4915123456789",)), a_row("s-2", numbers=("+4916123456789",)))
        assert [row.call for row in store.find(Query(number=written), limit=5).rows] == ["s-1"]

    @pytest.mark.parametrize(
        ("written", "bare", "extension"),
        [
            ("(555) 123-0000 ext. 12", "5551230000", "12"),
            ("+1 555 123 0000 x12", "15551230000", "12"),
            ("+1-555-123-0000;ext=12", "15551230000", "12"),
            ("555 123 0000, Extension: 12", "5551230000", "12"),
            ("089 1234567 Durchwahl 12", "891234567", "12"),
            ("5551230000#12", "5551230000", "12"),
            ("5551230000", "5551230000", None),
            ("ext 12", "", None),
        ],
    )
    def test_an_extension_stands_behind_its_number(self, written, bare, extension):
        assert digits(split_extension(written)[0]) == digits(written) == bare
        assert split_extension(written)[1] == extension

    def test_a_number_that_came_with_an_extension_is_found_by_both(self):
        record = {"caller_id_number": "+1 555 123 0000 ext. 12"}
        row = row_of(a_manifest("kazoo", records=[record]), SEALED, storage_class="GLACIER_IR")
        assert (row.numbers, row.people) == (("+1 555 123 0000",), ("12",))

    def test_a_short_number_is_itself_only(self, store):
        enter(store, a_row(numbers=("101",)), a_row("s-2", numbers=("+15550000101",)))
        assert [row.call for row in store.find(Query(number="101"), limit=5).rows] == ["s-1"]

    @pytest.mark.parametrize(
        "written",
        [
            "",
            "+",
            "anonymous",
            "user_4567",
            "1-800-FLOWERS",
            "0151 \u2026 9",
            "\u2026",
            "x \u2026 4567",
        ],
    )
    def test_what_is_no_number_is_refused(self, written):
        assert digits(written) == ""
        with pytest.raises(Refused, match="not a telephone number"):
            Query(number=written)

    @given(st.from_regex(r"\+[1-9]\d{5,13}", fullmatch=True), st.integers(4, 14))
    def test_whoever_asks_for_the_last_digits_looks_into_a_list_that_the_number_is_in(
        self, number, last
    ):
        query, row = Query(number=number[1:][-last:]), a_row(numbers=(number,))
        assert set(query.terms()) <= terms(row)
        assert query.matches(row)


class TestFound:
    def test_the_newest_comes_first_and_pages_follow_each_other(self, store):
        enter(store, *(a_row(f"s-{n}", minutes=n) for n in range(7)))
        calls, cursor, pages = [], None, 0
        while pages == 0 or cursor:
            page = store.find(Query(), limit=3, cursor=cursor)
            calls += [row.call for row in page.rows]
            cursor, pages = page.cursor, pages + 1
        assert calls == [f"s-{n}" for n in range(7)]
        assert pages == 3

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"person": "jane doe"}, True),
            ({"person": "101"}, True),
            ({"person": "jane"}, True),
            ({"person": "DO jan"}, True),
            ({"person": "ane"}, False),
            ({"person": "jane 101"}, False),
            ({"person": "10"}, False),
            ({"person": "1011"}, False),
            ({"provider": "kazoo"}, False),
            ({"direction": "outbound"}, False),
            ({"min_duration_ms": 60_000}, True),
            ({"min_duration_ms": 60_001}, False),
            ({"begin": NOON, "end": NOON + timedelta(seconds=1)}, True),
            ({"end": NOON}, False),
            ({"begin": NOON + timedelta(seconds=1)}, False),
            ({"case": "A"}, False),
            ({"id": "S-1"}, True),
        ],
    )
    def test_all_that_is_asked_for_counts(self, store, query, found):
        enter(store, a_row())
        assert bool(store.find(Query(**query), limit=5).rows) is found

    def test_a_name_that_is_longer_than_any_store_takes_is_found_all_the_same(self, store):
        """Callers choose their names, and one must not keep a call out of the archive."""
        name = "\N{GRINNING FACE}" * 5000
        row = a_row(people=(name,))
        assert max(len(term.encode()) for term in terms(row)) < 2000
        assert set(Query(person=name).terms()) <= terms(row)
        assert Query(person=name).matches(row)
        assert not Query(person="x").matches(row)

    def test_a_hold_shows_as_soon_as_it_is_marked(self, store):
        enter(store, a_row())
        index.mark(an_id(), store, lambda: ["B", "A"])
        assert store.find(Query(case="A"), limit=5).rows[0].cases == ("A", "B")
        index.mark(an_id(), store, list)
        assert store.find(Query(case="A"), limit=5).rows == ()

    def test_a_hold_of_a_call_that_is_not_sealed_yet_comes_with_its_seal(self, store):
        index.mark(an_id(), store, lambda: ["A"])
        assert store.rows == {}
        index.enter(a_row(), store, lambda: ["A"])
        assert store.row(an_id("s-1")).cases == ("A",)

    def test_who_comes_second_looks_at_the_cases_again(self, store):
        """A call is sealed anew while a case takes hold of it: whoever writes last knows both."""
        enter(store, a_row())
        cases = []

        def while_another_one_marks():
            if not cases:
                cases.append("A")
                index.mark(an_id(), store, lambda: cases)
                return []
            return cases

        index.enter(a_row(revision=2), store, while_another_one_marks)
        assert store.row(an_id("s-1")).cases == ("A",)
        assert store.row(an_id("s-1")).revision == 2

    def test_who_wants_all_gets_all_pages(self, store):
        enter(store, *(a_row(f"s-{n}", minutes=n) for n in range(7)))
        rows = index.every(Query(), store, at_once=3)
        assert [row.call for row in rows] == [f"s-{n}" for n in range(7)]

    def test_the_words_of_a_query_say_all_that_was_looked_for(self):
        query = Query(number="4567", provider="kazoo", end=NOON, min_duration_ms=90_000)
        assert str(query) == (
            "number 4567, provider kazoo, until 2026-11-20T12:00:00.000Z, at least 90 s long"
        )
        assert str(Query()) == "everything"


class TestNamed:
    @pytest.mark.parametrize(
        "text",
        [
            "s-a0b1c2d3e4",
            " S-A0B1C2D3E4 ",
            "a0b1c2d3e4",
            "'s-a0b1c2d3e4'",
            "calls/ringex/1/2026/11/20/s-a0b1c2d3e4/manifest-1.json",
            "202611201200",
        ],
    )
    def test_a_call_is_known_by_any_of_its_ids(self, store, text):
        enter(store, a_row("s-a0b1c2d3e4", ids=("s-a0b1c2d3e4", "202611201200")), a_row("s-2"))
        assert named(text, store).call == "s-a0b1c2d3e4"

    def test_an_id_of_several_calls_names_them(self, store):
        enter(store, a_row(ids=("s-1", "77")), a_row("s-2", ids=("s-2", "77")))
        with pytest.raises(Ambiguous, match=r"77 is an id of several calls: .*s-2 of 2026.*s-1"):
            named("77", store)

    def test_a_calls_own_id_goes_before_that_of_a_part(self, store):
        enter(store, a_row("77"), a_row("s-2", ids=("s-2", "77")))
        assert named("77", store).call == "77"

    def test_an_id_that_is_almost_right_is_told_what_may_be_meant(self, store):
        enter(store, a_row("s-a0b1c2d3e4"), a_row("s-ffffffffff"))
        with pytest.raises(UnknownCriterion, match=r"did you mean ringex/1/s-a0b1c2d3e4\?"):
            named("s-a0b1c2d3e5", store)

    @pytest.mark.parametrize(
        "text",
        [
            "kazoo/b/k-1",
            " 'kazoo/b/k%2D1' ",
            "calls/kazoo/b/2026/11/20/k-1/legs/1.mp3",
        ],
    )
    def test_an_address_names_one_call_of_several_with_the_same_id(self, store, text):
        """As lists and hints print it."""
        enter(store, *(a_row("k-1", provider="kazoo", account=account) for account in "abc"))
        assert named(text, store).id == an_id("k-1", provider="kazoo", account="b")

    def test_an_id_in_several_accounts_is_told_by_the_addresses(self, store):
        """With its provider before it, calls of the others are not meant."""
        enter(store, a_row("x-1", provider="kazoo", account="a"), a_row("x-1"))
        assert named("kazoo/x-1", store).id == an_id("x-1", provider="kazoo", account="a")
        enter(store, a_row("x-1", provider="kazoo", account="b"))
        for text in ("x-1", "kazoo/x-1"):
            with pytest.raises(Ambiguous, match=r"kazoo/a/x-1 of 2026-11-20 .*name one of them"):
                named(text, store)

    @pytest.mark.parametrize(
        "text",
        ["s-a0", "S-A0B1", "a0b1", "ringex/s-a0", "ringex/1/s-a0b1", "leg-7", "ringex/leg-7"],
    )
    def test_the_beginning_of_an_id_is_enough_if_no_other_begins_so(self, store, text):
        """Of the call or of a leg, with its provider or its account before it."""
        long = a_row("s-a0b1c2d3e4", ids=("s-a0b1c2d3e4", "leg-77", "party-77"))
        enter(store, long, a_row("s-b1"), a_row("s-a0b1", provider="kazoo", account="a/b"))
        if text in ("s-a0", "S-A0B1", "a0b1"):
            store.remove(store.row(an_id("s-a0b1", provider="kazoo", account="a/b")))
        assert named(text, store) == store.row(long.id)

    @pytest.mark.parametrize("text", ["s-a0", "leg-"])
    def test_a_beginning_of_several_ids_names_them(self, store, text):
        enter(
            store,
            a_row("s-a0b1", ids=("s-a0b1", "leg-1")),
            a_row("s-a0c1", ids=("s-a0c1", "leg-2")),
        )
        with pytest.raises(
            Ambiguous, match=r"is the beginning of several ids: ringex/1/s-a0b1 of .*s-a0c1 of"
        ):
            named(text, store)

    @pytest.mark.parametrize("text", ["s-a", "party-7", "", "*", "b1c2d3"])
    def test_too_few_characters_and_the_middle_of_an_id_name_nothing(self, store, text):
        """Nor does an id that nobody would begin to write."""
        enter(store, a_row("s-a0b1c2d3e4", ids=("s-a0b1c2d3e4", "leg-77", "party-77")))
        with pytest.raises(UnknownCriterion):
            named(text, store)

    def test_a_whole_id_goes_before_the_beginning_of_another_one(self, store):
        enter(store, a_row("s-a0b1"), a_row("s-a0b1c2"))
        assert named("s-a0b1", store).call == "s-a0b1"
        assert named("ringex/1/s-a0b1", store).call == "s-a0b1"

    def test_an_address_never_leads_to_another_accounts_call(self, store):
        """Which is only told."""
        enter(store, a_row("x-a0b1c2d3", account="1"))
        with pytest.raises(UnknownCriterion, match=r"did you mean ringex/1/x-a0b1c2d3\?"):
            named("ringex/2/x-a0b1c2d3", store)

    def test_an_id_of_nothing_says_what_to_do(self, store):
        with pytest.raises(UnknownCriterion, match=r"nothing with the id zz: `legato find`"):
            named("zz", store)


def a_manifest(provider, *, records=(), parties=(), legs=(), **fields):
    leg = {"id": "leg-1", "bytes": 10, "duration_ms": 1500, "heard_in": None, "parties": []}
    return {
        "provider": provider,
        "account": "1",
        "call": "c-1",
        "revision": 1,
        "started_at": "2026-11-20T12:00:00.000Z",
        "ended_at": None,
        "direction": "inbound",
        "parties": [party.to_json() for party in parties],
        "legs": [leg | each for each in legs or ({},)],
        "recording": {"bytes": 10, "how": "single"},
        "provider_records": list(records),
        **fields,
    }


class TestDidYouMean:
    @pytest.mark.parametrize(
        ("asked", "meant"),
        [
            ({"person": "Jane Smiht"}, ["Jane Smith"]),
            ({"person": "shmith"}, ["Jane Smith"]),
            ({"person": "Jnae"}, ["Jane Smith"]),
            ({"person": "muler"}, ["J\u00fcrgen M\u00fcller"]),
            ({"person": "102"}, []),
            ({"person": "Qqqq"}, []),
            ({"number": "+1 555 999 4567"}, ["+15551234567"]),
            ({"number": "555 123 4567 ext. 12"}, ["+15551234567"]),
            ({"number": "4568"}, []),
            ({"id": "s-11"}, []),
        ],
    )
    def test_what_is_like_it_is_suggested(self, store, asked, meant):
        enter(
            store,
            a_row("s-1", people=("Jane Smith", "101")),
            a_row("s-2", people=("J\u00fcrgen M\u00fcller",), numbers=()),
        )
        assert did_you_mean(Query(**asked), store) == meant


class TestRow:
    def test_ringex_is_known_by_every_id_and_person_of_its_records_and_their_legs(self):
        record = {
            "id": "rec",
            "sessionId": 777,
            "telephonySessionId": "c-1",
            "extension": {"id": 42},
            "from": {"phoneNumber": "+15551110000", "name": "Ann"},
            "transferTarget": {"telephonySessionId": "s-other"},
            "legs": [
                {
                    "partyId": "p-1",
                    "recording": {"id": "leg-1"},
                    "to": {"extensionNumber": "101", "dialedPhoneNumber": "5552220000"},
                },
                "damaged",
            ],
        }
        sealed = replace(SEALED, checksum="what S3 says")
        row = row_of(a_manifest("ringex", records=[record]), sealed, storage_class="GLACIER_IR")
        assert set(row.ids) == {"c-1", "leg-1", "rec", "777", "p-1"}
        assert set(row.people) == {"Ann", "101", "42"}
        assert set(row.numbers) == {"+15551110000", "5552220000"}
        assert row.manifest == SEALED

    def test_ringcx_is_known_by_uii_and_segment_and_agent(self):
        record = {"dialogId": "c-1", "segmentId": "leg-1", "interactionId": "2026" * 7}
        agent = Party(role="agent", agent="900", extension="4711")
        leg = {"parties": [agent.to_json()], "bytes": 5}
        manifest = a_manifest("ringcx", records=[record], legs=[leg, leg], recording=None)
        row = row_of(manifest, SEALED, storage_class="GLACIER")
        assert set(row.ids) == {"c-1", "leg-1", "2026" * 7}
        assert {"900", "4711"} <= set(row.people)
        assert (row.how, row.size, row.duration_ms, row.legs) == ("apart", 10, 3000, 2)

    def test_kazoo_is_known_by_sip_call_id_and_owner_and_the_user_of_an_address(self):
        record = {
            "id": "leg-1",
            "call_id": "abc@10.0.0.1",
            "cdr_id": "202611-abc@10.0.0.1",
            "interaction_id": "c-1",
            "owner_id": "owner",
            "from": "user_1001@realm.example.com",
            "to": "+15553330000@realm.example.com",
            "caller_id_number": "1001",
        }
        row = row_of(a_manifest("kazoo", records=[record]), SEALED, storage_class="GLACIER_IR")
        assert {"abc@10.0.0.1", "202611-abc@10.0.0.1", "c-1", "leg-1"} == set(row.ids)
        assert {"owner", "user_1001", "1001"} <= set(row.people)
        assert set(row.numbers) == {"1001", "+15553330000"}

    def test_what_is_written_is_read_again(self):
        row = a_row(
            parties=(Party(role="from", number="+1"),),
            ended_at=datetime(2026, 11, 20, 12, 1, tzinfo=UTC),
            cases=("A",),
        )
        assert Row.from_json(json.loads(json.dumps(row.to_json()))) == row


def test_a_row_that_was_written_meanwhile_is_not_overwritten(store):
    enter(store, a_row())
    known = store.row(an_id("s-1"))
    store.write(a_row(revision=2), over=known)
    with pytest.raises(Stale):
        store.write(a_row(revision=3), over=known)
