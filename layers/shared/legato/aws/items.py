"""Items of the ledger's table: JSON of any size, written only over the version that was read.

DynamoDB takes items of at most 400 KB, and a call may have thousands of recordings. What is larger,
compressed, lies in parts beside its item, and is written with it in one transaction: who dies in
between has written nothing.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

import json
import secrets
import zlib
from itertools import batched
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from legato.aws.errors import code, translated
from legato.errors import Retry, Stale, TooLarge, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from legato.model import Json

PART_BYTES = 350 * 1024
MOST_PARTS = 11
"""A transaction takes 4 MB.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""
TRIES = 5
MOST_READ = 100
"""Items of one request, by DynamoDB's own rule."""

type Item = dict[str, Any]
"""Attributes as DynamoDB has them. A key is an item of `pk` and `sk`."""


class Items:
    """An item has what its owner puts there, and of ours `version`, `write` and `content`.

    `write` is another one for each write. Where an answer is lost, botocore asks once more and is
    told that the version is another one already: by it we know our own. `parts` stands instead of
    `content` where that lies in so many items of the same `pk`, each with the same `write`.

    `name` is how errors call the table.
    """

    def __init__(self, dynamodb: DynamoDBClient, *, table: str, name: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._name = name

    def get(self, key: Item) -> tuple[Item, Json] | None:
        """Return an item as it is now, with its content, or None. Raises Retry."""
        item = self._get(key)
        return None if item is None else self.whole(item)

    def get_all(self, keys: Sequence[Item]) -> list[tuple[Item, Json] | None]:
        """Return items as `get` does, in this order, a hundred in a request. Raises Retry."""
        found: dict[tuple[str, str], Item] = {}
        for some in batched(dict.fromkeys(map(_plain, keys)), MOST_READ, strict=False):
            named = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in some]
            asked: Any = {self._table: {"Keys": named, "ConsistentRead": True}}
            while asked:
                with translated(f"{self._name} cannot be read"):
                    answer = self._dynamodb.batch_get_item(RequestItems=asked)
                items = answer["Responses"].get(self._table, [])
                asked = answer.get("UnprocessedKeys")
                if asked and not items:
                    raise Unavailable(f"{self._name} cannot be read: DynamoDB gives no more now")
                found |= {_plain(item): item for item in items}
        there = (found.get(_plain(key)) for key in keys)
        return [None if item is None else self.whole(item) for item in there]

    def whole(self, item: Item) -> tuple[Item, Json] | None:
        """Return an item that was read with its content, or as it is now; None if it is gone.

        Raises Retry.
        """
        for _ in range(TRIES):
            body = self._body(item)
            if body is not None:
                return item, json.loads(zlib.decompress(body))
            again = self._get({name: item[name] for name in ("pk", "sk")})
            if again is None:
                return None
            item = again
        raise Retry(f"{item['pk']['S']} is written faster than it is read")

    def put(self, key: Item, content: Json, *, over: int, **more: Any) -> None:
        """Write an item, with `more` attributes, over the version that was read; 0 is none at all.

        Raises Stale if it is another one by now, TooLarge, Retry.
        """
        body = zlib.compress(json.dumps(content, separators=(",", ":")).encode())
        parts = [body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES)]
        if len(parts) > MOST_PARTS:
            most = MOST_PARTS * PART_BYTES
            raise TooLarge(
                f"{key['pk']['S']} does not fit into {self._name}: {len(body)} bytes, compressed, "
                f"are more than {most}"
            )
        write = secrets.token_urlsafe(12)
        item = {**key, **more, "version": {"N": str(over + 1)}, "write": {"S": write}}
        if len(parts) == 1:
            item["content"], parts = {"B": body}, []
        else:
            item["parts"] = {"N": str(len(parts))}
        with translated(f"{self._name} cannot be written"):
            found = self._put(item, parts, over)
            if found is not None and found.get("version") == {"N": str(over)}:
                # It has more parts than it is to have now: they are emptied with this write.
                parts += [b""] * (int(found["parts"]["N"]) - len(parts))
                found = self._put(item, parts, over)
        if found is not None and found.get("write") != item["write"]:
            raise Stale(f"{key['pk']['S']} was changed by another worker")

    def keys(self, key: Item) -> list[Item]:
        """Return the keys of an item and of its parts. Raises Retry."""
        item = self._get(key) or {}
        parts = int(item.get("parts", {"N": "0"})["N"])
        return [key, *(_part_key(key, number) for number in range(1, parts + 1))]

    def _put(self, item: Item, parts: Sequence[bytes], over: int) -> Item | None:
        """Write and return None, or return what is there instead. Raises ClientError."""
        put: Any = {
            "TableName": self._table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if over:
            put |= {
                "ConditionExpression": "#version = :version "
                "AND (attribute_not_exists(#parts) OR #parts <= :parts)",
                "ExpressionAttributeNames": {"#version": "version", "#parts": "parts"},
                "ExpressionAttributeValues": {
                    ":version": {"N": str(over)},
                    ":parts": {"N": str(len(parts))},
                },
            }
        try:
            if not parts:
                self._dynamodb.put_item(**put)
                return None
            beside: list[Any] = [
                {"Put": {"TableName": self._table, "Item": _part(item, number, body)}}
                for number, body in enumerate(parts, start=1)
            ]
            self._dynamodb.transact_write_items(TransactItems=[{"Put": put}, *beside])
        except ClientError as error:
            refusal: Any = error.response
            if code(error) == "TransactionCanceledException":
                refusal = refusal["CancellationReasons"][0]
                if refusal["Code"] != "ConditionalCheckFailed":
                    raise
            elif code(error) != "ConditionalCheckFailedException":
                raise
            there: Item = refusal.get("Item", {})
            return there
        return None

    def _get(self, key: Item) -> Item | None:
        with translated(f"{self._name} cannot be read"):
            found = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        item: Item | None = found.get("Item")
        return item

    def _body(self, item: Item) -> bytes | None:
        """Return an item's content as it is stored; None if it was written anew meanwhile."""
        if "parts" not in item:
            body: bytes = item["content"]["B"]
            return body
        bodies = []
        for number in range(1, int(item["parts"]["N"]) + 1):
            part = self._get(_part_key(item, number))
            if part is None or part["write"] != item["write"]:
                return None
            bodies.append(part["content"]["B"])
        return b"".join(bodies)


def _plain(item: Item) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _part_key(item: Item, number: int) -> Item:
    return {"pk": item["pk"], "sk": {"S": f"{item['sk']['S']}#{number}"}}


def _part(item: Item, number: int, body: bytes) -> Item:
    return _part_key(item, number) | {"write": item["write"], "content": {"B": body}}
