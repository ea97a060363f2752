"""The access log's index, in the ledger's table: an item for each call of an access, and one more.

So that both who looked at a call and what was looked at in a month are queries. Such items have no
version, because what they say never changes: written again they are the same.
"""

from __future__ import annotations

import json
import time
import zlib
from itertools import batched
from typing import TYPE_CHECKING, Any

from legato.aws.errors import translated
from legato.errors import Unavailable
from legato.model import CallId, format_time, parse_time
from legato.ports import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

AT_ONCE = 25
"""DynamoDB takes no more in one request.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
"""
TRIES = 8
PAUSE_SECONDS = 0.05
"""Before the second try; each one after that waits twice as long."""
_PLAIN = ("id", "by", "action", "reason", "case", "details", "key")


class DynamoAccesses:
    """The access log by call and by month, as ports.Accesses; the table is the ledger's."""

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        *,
        table: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._sleep = sleep

    def note(self, access: Access) -> None:
        """Note an access for each of its calls and for its month. Raises Retry."""
        items = [_item(_month_key(access.at), access, access.calls)]
        # A call's item leaves the other calls out: a thousand items of a thousand calls are many.
        items += [_item(_call_key(call), access, (call,)) for call in access.calls]
        for batch in batched(items, AT_ONCE, strict=False):
            self._put([{"PutRequest": {"Item": item}} for item in batch])

    def of_call(self, call: CallId) -> Iterator[Access]:
        yield from self._query("pk = :pk", {":pk": {"S": _call_key(call)}})

    def between(self, begin: datetime, end: datetime) -> Iterator[Access]:
        # Every sort key goes on behind its time, so none is `end` itself.
        span = {":begin": {"S": format_time(begin)}, ":end": {"S": format_time(end)}}
        for month in _months(begin, end):
            yield from self._query(
                "pk = :pk AND sk BETWEEN :begin AND :end", {":pk": {"S": month}, **span}
            )

    def _put(self, requests: list[Any]) -> None:
        left, pause = requests, PAUSE_SECONDS
        for _ in range(TRIES):
            with translated("the access log cannot be written"):
                answer = self._dynamodb.batch_write_item(RequestItems={self._table: left})
            left = list(answer["UnprocessedItems"].get(self._table, ()))
            if not left:
                return
            self._sleep(pause)
            pause *= 2
        raise Unavailable("the access log cannot be written: the ledger takes no more now")

    def _query(self, condition: str, values: dict[str, Any]) -> Iterator[Access]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            ConsistentRead=True,
        )
        with translated("the access log cannot be read"):
            for page in pages:
                yield from map(_access, page["Items"])


def _item(pk: str, access: Access, calls: tuple[CallId, ...]) -> dict[str, Any]:
    content = {name: getattr(access, name) for name in _PLAIN}
    content |= {"at": format_time(access.at), "calls": calls}
    body = json.dumps(content, separators=(",", ":")).encode()
    return {
        "pk": {"S": pk},
        "sk": {"S": f"{content['at']}#{access.id}"},
        "content": {"B": zlib.compress(body)},
    }


def _access(item: dict[str, Any]) -> Access:
    content = json.loads(zlib.decompress(item["content"]["B"]))
    calls = tuple(CallId(*call) for call in content["calls"])
    plain = {name: content[name] for name in _PLAIN}
    return Access(**plain, at=parse_time(content["at"]), calls=calls)


def _call_key(call: CallId) -> str:
    return f"access#{call}"


def _month_key(moment: datetime) -> str:
    return f"access#{format_time(moment)[:7]}"


def _months(begin: datetime, end: datetime) -> Iterator[str]:
    """Yield the keys of the months from `end` back to `begin`."""
    (first, from_month), (year, month) = _month(begin), _month(end)
    while (year, month) >= (first, from_month):
        yield f"access#{year:04}-{month:02}"
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)


def _month(moment: datetime) -> tuple[int, int]:
    year, month, _ = format_time(moment).split("-", 2)
    return int(year), int(month)
