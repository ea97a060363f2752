"""The catalogue, in the ledger's table: a row for each call, and an entry in each of its lists.

A list is a partition, ordered by the time at which calls began, so that every question is a query
of one partition, the newest first. What else is asked for is filtered by DynamoDB where the entry
says it, and looked up in the row. The list of all calls is one partition, which takes 1,000 writes
a second; no provider lets its recordings be fetched a tenth as fast.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""

from __future__ import annotations

import base64
from itertools import batched
from typing import TYPE_CHECKING, Any

from legato.aws.errors import translated
from legato.aws.items import Items
from legato.catalogue.index import CataloguePage, Row, said, terms
from legato.errors import Refused, Unavailable
from legato.model import CallId, encoded, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from legato.aws.items import Item
    from legato.catalogue.index import Query
    from legato.model import Json

MOST_QUERIES = 4
"""Of one page: with that for its rows, five requests. The later ones go through a megabyte each."""
FIRST_LOOK = 500
"""Entries that are filtered first: mostly they hold a page, at a fraction of a megabyte's price."""
PROBED = ("number#", "name#", "long#")
PROBE = 100
"""Entries by which is judged how long a list is."""
MOST_ROWS = 100
MOST_WRITES = 25
"""Items in one request, by DynamoDB's own rule."""
SUGGESTIONS = 300
SHORTEST_BEGINNING = 2
"""Characters of an id. By them ids are in several lists, ordered by the whole id."""
LONGEST_BEGINNING = 200
"""Bytes of an id, percent-encoded. A key has 1,024, and its call's address stands behind it."""
MOST_PROBES = 2
MOST_SAID = 4000
"""Characters. A conference of thousands has as many entries, each of which would name them all."""
MORE_SAID = "more"
"""Stands for what is too much to be said in an entry: the row tells."""
ROW = "row"


class DynamoCatalogue:
    """As catalogue.index.Catalogue."""

    def __init__(self, dynamodb: DynamoDBClient, *, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._items = Items(dynamodb, table=table, name="the catalogue")

    @property
    def where(self) -> str:
        """The table, whose name CloudFormation has made, at its endpoint, which has the region."""
        return f"{self._dynamodb.meta.endpoint_url}/{self._table}"

    def row(self, call: CallId) -> Row | None:
        found = self._items.get(_key(call))
        return None if found is None else _row(*found)

    def write(self, row: Row, *, over: Row | None) -> None:
        """Write a call's entries, then its row, and take away the entries that it had before.

        Who dies in between leaves entries that lead to a row which does not have them; they are
        passed over. Raises Stale, Retry.
        """
        before = {} if over is None else _entries(over)
        now = _entries(row)
        self._change([{"PutRequest": {"Item": item}} for item in now.values()])
        version = 0 if over is None else over.version
        self._items.put(_key(row.id), row.to_json(), over=version)
        self._delete([before[key] for key in before.keys() - now.keys()])

    def remove(self, row: Row) -> None:
        """Take a call out, its entries first. Raises Retry."""
        self._delete([*_entries(row).values()])
        self._delete(self._items.keys(_key(row.id)))

    def find(self, query: Query, *, limit: int, cursor: str | None = None) -> CataloguePage:
        before = None if cursor is None else _place(cursor)
        limit = min(limit, MOST_ROWS)
        lists = query.terms()
        probed = _unlike(term for term in lists if term.startswith(PROBED))
        probes = len(probed) if len(probed) > 1 and probed[0] == lists[0] else 0
        lead = self._shortest(probed, query, after=before) if probes else lists[0]
        asked = _asked(query, lead)
        # One more says whether there is another page.
        asked["Limit"] = FIRST_LOOK if "FilterExpression" in asked else limit + 1
        places: list[str] = []
        last: str | None = before
        for _ in range(MOST_QUERIES - probes):
            found = self._query(asked, after=last)
            places += [item["sk"]["S"] for item in found["Items"]]
            last = found["LastEvaluatedKey"]["sk"]["S"] if "LastEvaluatedKey" in found else None
            if last is None or len(places) > limit:
                break
            asked.pop("Limit", None)
        if len(places) > limit:
            places = places[:limit]
            last = places[-1]
        rows = self._rows(places)
        return CataloguePage(
            rows=tuple(row for row in rows if query.matches(row)),
            cursor=None if last is None else _cursor(last),
            reached=None if last is None else parse_time(last.partition("#")[0]),
        )

    def beginning(self, begins: str) -> Sequence[CallId]:
        """Return calls whose own id or that of a leg begins so, some hundreds at most.

        Raises Retry.
        """
        if len(begins) < SHORTEST_BEGINNING:
            return []
        with translated("the catalogue cannot be searched"):
            found = self._dynamodb.query(
                TableName=self._table,
                KeyConditionExpression="pk = :list AND begins_with(sk, :begins)",
                ExpressionAttributeValues={
                    ":list": {"S": _list(_ids_alike(begins))},
                    ":begins": {"S": _in_order(begins)},
                },
                Limit=SUGGESTIONS,
            )
        return list(dict.fromkeys(_call_at(item["sk"]["S"]) for item in found["Items"]))

    def _shortest(self, lists: Sequence[str], query: Query, *, after: str | None) -> str:
        """Return the list that has the fewest entries, or whose entries lie the furthest apart."""

        def length(term: str) -> tuple[int, str]:
            found = self._query(_in_time(query, term) | {"Limit": PROBE}, after=after)
            places = [item["sk"]["S"] for item in found["Items"]]
            return len(places), places[-1] if places else ""

        return min(lists, key=length)

    def _query(self, asked: dict[str, Any], *, after: str | None) -> Any:
        more: dict[str, Any] = {}
        if after is not None:
            start = asked["ExpressionAttributeValues"][":list"]
            more["ExclusiveStartKey"] = {"pk": start, "sk": {"S": after}}
        with translated("the catalogue cannot be searched"):
            return self._dynamodb.query(
                TableName=self._table, ScanIndexForward=False, **asked, **more
            )

    def _rows(self, places: Sequence[str]) -> list[Row]:
        """Return the rows at these places in their order, without those that are elsewhere now."""
        calls = self._items.get_all([_key(_call_at(place)) for place in places])
        found = {row.place: row for row in (_row(*call) for call in calls if call is not None)}
        return [found[place] for place in places if place in found]

    def _delete(self, items: Sequence[dict[str, Any]]) -> None:
        keys = ({name: item[name] for name in _KEY} for item in items)
        self._change([{"DeleteRequest": {"Key": key}} for key in keys])

    def _change(self, changes: Sequence[Any]) -> None:
        for batch in batched(changes, MOST_WRITES, strict=False):
            left: Any = list(batch)
            while left:
                with translated("the catalogue cannot be written"):
                    answer = self._dynamodb.batch_write_item(RequestItems={self._table: left})
                undone = answer.get("UnprocessedItems", {}).get(self._table, [])
                if len(undone) == len(left):
                    raise Unavailable("the catalogue cannot be written: DynamoDB takes no more")
                left = undone


_KEY = ("pk", "sk")


def _key(call: CallId) -> dict[str, Any]:
    return {"pk": {"S": f"catalogue#{call}"}, "sk": {"S": ROW}}


def _call_at(place: str) -> CallId:
    return CallId.parse(place.partition("#")[2])


def _list(term: str) -> str:
    # Providers' texts need not be Unicode's, DynamoDB's are.
    return f"find#{term}".encode(errors="backslashreplace").decode()


def _row(item: Item, content: Json) -> Row:
    return Row.from_json(content, version=int(item["version"]["N"]))


def _entries(row: Row) -> dict[tuple[str, str], dict[str, Any]]:
    """Return an item for each list that a call is in, with what may be asked for beside it."""
    marks = "".join(_mark(each, is_whole=True) for each in sorted(said(row)))
    beside: dict[str, Any] = {
        "said": {"S": marks if len(marks) <= MOST_SAID else MORE_SAID},
        "ms": {"N": str(row.duration_ms)},
    }
    by_time = {
        (_list(term), row.place): beside if not term.startswith("id#") else {}
        for term in terms(row)
    }
    by_id: dict[tuple[str, str], dict[str, Any]] = {
        (_list(_ids_alike(each)), f"{_in_order(each)}#{row.id}"): {}
        for each in row.own_ids
        if len(each) >= SHORTEST_BEGINNING
    }
    return {
        (pk, sk): {"pk": {"S": pk}, "sk": {"S": sk}} | more
        for (pk, sk), more in (by_time | by_id).items()
    }


def _ids_alike(begins: str) -> str:
    return f"begins#{begins[:SHORTEST_BEGINNING].casefold()}"


def _in_order(begins: str) -> str:
    """Return an id, or the beginning of one, as its list is ordered."""
    return encoded(begins.casefold())[:LONGEST_BEGINNING]


def _unlike(lists: Iterable[str]) -> list[str]:
    """Return the first list of each kind, as many as may be probed."""
    return list({term.partition("#")[0]: term for term in reversed(list(lists))}.values())[::-1][
        :MOST_PROBES
    ]


def _mark(said: str, *, is_whole: bool) -> str:
    """Return a part of what an entry says, or the beginning of one; it is no part of another."""
    end = "\n" if is_whole else ""
    return f"\n{said}{end}".encode(errors="backslashreplace").decode()


def _asked(query: Query, lead: str) -> dict[str, Any]:
    """Return what DynamoDB is asked: the list, and what its entries have to say."""
    asked = _in_time(query, lead)
    values, filters = asked["ExpressionAttributeValues"], []
    if not lead.startswith("id#"):
        for number, each in enumerate(query.criteria()):
            if each.said is None or each.said == each.term == lead:
                continue
            filters.append(f"(contains(said, :said{number}) OR said = :more)")
            mark = _mark(each.said, is_whole=each.is_whole)
            values |= {f":said{number}": {"S": mark}, ":more": {"S": MORE_SAID}}
        if query.min_duration_ms:
            filters.append("ms >= :ms")
            values[":ms"] = {"N": str(query.min_duration_ms)}
    return asked | ({"FilterExpression": " AND ".join(filters)} if filters else {})


def _in_time(query: Query, term: str) -> dict[str, Any]:
    """Return what DynamoDB is asked for the part of a list that the query's times cut out."""
    values: dict[str, Any] = {":list": {"S": _list(term)}}
    if query.begin:
        values[":begin"] = {"S": format_time(query.begin)}
    if query.end:
        values[":end"] = {"S": format_time(query.end)}
    # BETWEEN takes in its end; but no place is a bare time.
    place = {
        (True, True): " AND sk BETWEEN :begin AND :end",
        (True, False): " AND sk >= :begin",
        (False, True): " AND sk < :end",
        (False, False): "",
    }[query.begin is not None, query.end is not None]
    return {
        "KeyConditionExpression": f"pk = :list{place}",
        "ExpressionAttributeValues": values,
        "ProjectionExpression": "sk",
    }


def _cursor(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(cursor: str) -> str:
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        parse_time(place.split("#", 2)[0])
    except ValueError:
        raise Refused(f"{cursor!r} is no cursor: take the one of the page before") from None
    return place
