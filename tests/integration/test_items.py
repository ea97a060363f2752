"""Items of any size, written once whatever becomes of the answers, by one writer at a time."""

import random
from dataclasses import replace

import pytest
from botocore.exceptions import ConnectionClosedError

from legato.aws.items import MOST_PARTS, PART_BYTES, Items
from legato.aws.ledger import DynamoLedger
from legato.errors import Stale, TooLarge, Unavailable
from legato.model import Note, Trouble
from tests.fakes import NOON, an_id
from tests.lost_answers import lose_answers

KEY = {"pk": {"S": "k"}, "sk": {"S": "note"}}


@pytest.fixture
def dynamodb(own_client):
    return own_client("dynamodb")


@pytest.fixture
def items(dynamodb, table):
    return Items(dynamodb, table=table, name="the ledger")


def large(size, seed=1):
    """Return a content that is so many bytes long however it is compressed, or hardly less."""
    return {"seed": seed, "noise": random.Random(seed).randbytes(size // 2).hex()}


def version_of(items):
    return int(items.get(KEY)[0]["version"]["N"])


class Requests(list):
    """The names of what DynamoDB is asked."""

    def __init__(self, dynamodb):
        super().__init__()
        dynamodb.meta.events.register(
            "request-created.dynamodb", lambda operation_name, **_: self.append(operation_name)
        )


class TestAnswersThatAreLost:
    @pytest.mark.parametrize("size", [10, 2 * PART_BYTES])
    def test_a_write_that_finds_itself_has_succeeded(self, dynamodb, items, size):
        """botocore asks once more, and DynamoDB says that the version is another one by now."""
        operation = "PutItem" if size == 10 else "TransactWriteItems"
        lose_answers(dynamodb, operation)
        requests = Requests(dynamodb)
        items.put(KEY, large(size), over=0)
        assert requests == [operation, operation]
        lose_answers(dynamodb, operation)
        items.put(KEY, large(size, seed=2), over=1)
        assert items.get(KEY)[1] == large(size, seed=2)
        assert version_of(items) == 2

    def test_another_ones_write_is_not_taken_for_ones_own(self, dynamodb, items, aws_client, table):
        """Though it says the same: each of two who claim a call writes that it is claimed."""
        other = Items(aws_client("dynamodb"), table=table, name="the ledger")
        other.put(KEY, {"claimed": True}, over=0)
        with pytest.raises(Stale, match="k was changed by another worker"):
            items.put(KEY, {"claimed": True}, over=0)

    def test_who_was_overtaken_while_the_answer_was_lost_is_told(
        self, dynamodb, items, aws_client, table
    ):
        other = Items(aws_client("dynamodb"), table=table, name="the ledger")
        lose_answers(dynamodb, "PutItem", before=lambda: other.put(KEY, {"b": 1}, over=1))
        with pytest.raises(Stale):
            items.put(KEY, {"a": 1}, over=0)
        assert items.get(KEY)[1] == {"b": 1}

    def test_who_never_hears_is_told_that_aws_does_not_answer(self, dynamodb, items):
        """It may have happened or not: the next one reads."""

        def cut(request, **_):
            raise ConnectionClosedError(endpoint_url=request.url)

        dynamodb.meta.events.register("before-send.dynamodb.PutItem", cut)
        with pytest.raises(Unavailable, match="ledger cannot be written: ConnectionClosedError"):
            items.put(KEY, {"a": 1}, over=0)

    def test_a_state_and_a_note_are_written_once(self, dynamodb, table):
        ledger = DynamoLedger(dynamodb, table=table)
        lose_answers(dynamodb, "PutItem", count=2)
        state = ledger.save(ledger.load(an_id("c", provider="kazoo")).changed(status="working"))
        assert ledger.load(an_id("c", provider="kazoo")) == state
        note = ledger.write(Note(key="n", content={"a": 1}))
        assert ledger.read("n") == note
        assert (state.version, note.version) == (1, 1)


class TestSize:
    def test_what_is_small_is_one_item_and_one_request(self, dynamodb, items, table):
        requests = Requests(dynamodb)
        items.put(KEY, {"a": 1}, over=0)
        items.put(KEY, {"a": 2}, over=1)
        assert items.get(KEY)[1] == {"a": 2}
        assert requests == ["PutItem", "PutItem", "GetItem"]
        assert dynamodb.scan(TableName=table)["Count"] == 1

    @pytest.mark.parametrize("legs", [3500, 10_000])
    def test_a_call_of_thousands_of_legs_is_known_and_noted(self, dynamodb, table, legs):
        """With random ids and digests, which nothing makes shorter."""
        ledger, dice = DynamoLedger(dynamodb, table=table), random.Random(legs)
        ids = [dice.randbytes(16).hex() for _ in range(legs)]
        trouble = Trouble(kind="missing", reason="x" * 100, since=NOON, tried_at=NOON)
        state = ledger.load(an_id("c", provider="ringcx")).changed(
            legs={leg: dice.randbytes(32).hex() for leg in ids},
            named=frozenset(ids),
            related=frozenset(map(an_id, ids[:100])),
            troubles=dict.fromkeys(ids[::10], trouble),
            reason="; ".join(ids),
        )
        assert ledger.load(an_id("c", provider="ringcx")) != (saved := ledger.save(state))
        assert ledger.load(an_id("c", provider="ringcx")) == saved
        record = {"reason": "Call connected", "result": "x" * 500}
        records = {leg: {"id": leg, "from": dice.randbytes(6).hex(), **record} for leg in ids}
        note = Note(key="records#c", content={"records": records}, listed=("unarchived", "0"))
        note = ledger.write(note)
        assert ledger.read("records#c") == ledger.first("unarchived") == note
        note = ledger.write(replace(note, content={"records": {}}, listed=None))
        assert ledger.read("records#c") == note
        assert ledger.first("unarchived") is None

    def test_one_that_grows_and_shrinks_is_always_read_whole(self, items, dynamodb, table):
        """And nothing is left of what it does not say any more."""
        sizes = [10, 3 * PART_BYTES, 5 * PART_BYTES, 2 * PART_BYTES, 10, 2 * PART_BYTES, 10]
        for version, size in enumerate(sizes):
            items.put(KEY, large(size, seed=version), over=version)
            assert items.get(KEY)[1] == large(size, seed=version)
        left = dynamodb.scan(TableName=table)["Items"]
        assert sum(len(item["content"]["B"]) for item in left) < 100

    def test_what_has_no_room_is_named_with_its_size(self, items):
        """And changes nothing."""
        items.put(KEY, {"a": 1}, over=0)
        with pytest.raises(TooLarge, match=r"^k does not fit into the ledger: \d{7} bytes"):
            items.put(KEY, large(3 * MOST_PARTS * PART_BYTES), over=1)
        assert items.get(KEY)[1] == {"a": 1}
        items.put(KEY, large(int(1.7 * MOST_PARTS * PART_BYTES)), over=1)

    def test_a_writer_that_is_refused_changes_no_part(self, items):
        """As one that dies: parts appear with their item or not at all."""
        items.put(KEY, large(3 * PART_BYTES), over=0)
        with pytest.raises(Stale):
            items.put(KEY, large(3 * PART_BYTES, seed=2), over=0)
        with pytest.raises(Stale):
            items.put(KEY, large(3 * PART_BYTES, seed=2), over=2)
        assert items.get(KEY)[1] == large(3 * PART_BYTES)

    def test_who_reads_while_it_is_written_reads_one_or_the_other(
        self, items, dynamodb, aws_client, table
    ):
        """Never the parts of both."""
        other = Items(aws_client("dynamodb"), table=table, name="the ledger")
        items.put(KEY, large(3 * PART_BYTES), over=0)
        reads = []

        def overtake(**_):
            reads.append("read")
            if len(reads) == 2:
                other.put(KEY, large(2 * PART_BYTES, seed=2), over=1)

        dynamodb.meta.events.register("before-call.dynamodb.GetItem", overtake)
        assert items.get(KEY)[1] == large(2 * PART_BYTES, seed=2)

    def test_an_item_that_is_gone_is_nobodys_version(self, items, dynamodb, table):
        items.put(KEY, {"a": 1}, over=0)
        dynamodb.delete_item(TableName=table, Key=KEY)
        with pytest.raises(Stale):
            items.put(KEY, {"a": 2}, over=1)
        assert items.get(KEY) is None
