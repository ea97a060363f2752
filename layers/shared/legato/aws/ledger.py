"""The ledger, on DynamoDB: an item a call or note, written only over the version that was read."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from legato.aws.errors import code, translated
from legato.errors import Stale
from legato.model import CallState, Note, StoredObject, Trouble, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

_TIMES = ("seen_at", "looked_at", "next_look_at", "lease_until")
_SETS = ("named", "lease_messages", "related")
_PLAIN = (
    "provider",
    "account",
    "call",
    "status",
    "prefix",
    "revision",
    "catalogued",
    "legs",
    "reason",
    "version",
)
_FEW = 10
"""So many notes may have left the list while its index does not know it yet."""


class DynamoLedger:
    """Ledger and notes.

    The table has the keys `pk` and `sk`, and the index `Listed` with the keys `listed` and `order`,
    all strings. Only a note that is listed has the latter two.
    """

    def __init__(self, dynamodb: DynamoDBClient, *, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def load(self, provider: str, account: str, call: str) -> CallState:
        """Return the entry as it is now, or a fresh one. Raises Retry."""
        item = self._get(_key(provider, call))
        if item is None:
            return CallState(provider=provider, account=account, call=call)
        return _state({name: TypeDeserializer().deserialize(value) for name, value in item.items()})

    def save(self, state: CallState) -> CallState:
        """Write the entry over the version that it was read as. Raises Stale, Retry."""
        saved = state.changed(version=state.version + 1)
        self._put(_item(saved), over=state.version)
        return saved

    def read(self, key: str) -> Note:
        """Return a note as it is now, or an empty one. Raises Retry."""
        item = self._get(_note_key(key))
        if item is None:
            return Note(key=key)
        return Note(
            key=key,
            content=json.loads(zlib.decompress(item["content"]["B"])),
            version=int(item["version"]["N"]),
            listed=(item["listed"]["S"], item["order"]["S"]) if "listed" in item else None,
        )

    def write(self, note: Note) -> Note:
        """Write a note over the version that it was read as. Raises Stale, Retry."""
        written = replace(note, version=note.version + 1)
        content = zlib.compress(json.dumps(note.content, separators=(",", ":")).encode())
        item: dict[str, Any] = {"content": {"B": content}, "version": {"N": str(written.version)}}
        if note.listed is not None:
            name, order = note.listed
            item |= {"listed": {"S": name}, "order": {"S": order}}
        self._put(_note_key(note.key) | item, over=note.version)
        return written

    def first(self, name: str) -> Note | None:
        """Return the first of the notes listed under this name, or None. Raises Retry.

        An index cannot be read consistently, so what it says is looked up in the table.
        """
        with translated("the ledger cannot be searched"):
            found = self._dynamodb.query(
                TableName=self._table,
                IndexName="Listed",
                KeyConditionExpression="listed = :name",
                ExpressionAttributeValues={":name": {"S": name}},
                Limit=_FEW,
            )
        notes = (self.read(item["pk"]["S"]) for item in found["Items"])
        return next((note for note in notes if note.listed and note.listed[0] == name), None)

    def listed(self, name: str, *, until: str) -> Iterator[Note]:
        """Yield the notes listed under this name in their order, up to `until`. Raises Retry."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="Listed",
            KeyConditionExpression="listed = :name AND #order <= :until",
            ExpressionAttributeNames={"#order": "order"},
            ExpressionAttributeValues={":name": {"S": name}, ":until": {"S": until}},
        )
        with translated("the ledger cannot be searched"):
            for page in pages:
                for item in page["Items"]:
                    note = self.read(item["pk"]["S"])
                    if note.listed and note.listed[0] == name and note.listed[1] <= until:
                        yield note

    def _get(self, key: dict[str, Any]) -> dict[str, Any] | None:
        with translated("the ledger cannot be read"):
            found = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        item: dict[str, Any] | None = found.get("Item")
        return item

    def _put(self, item: dict[str, Any], *, over: int) -> None:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if over:
            condition = {
                "ConditionExpression": "#version = :version",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {":version": {"N": str(over)}},
            }
        with translated("the ledger cannot be written"):
            try:
                self._dynamodb.put_item(TableName=self._table, Item=item, **condition)
            except ClientError as error:
                if code(error) != "ConditionalCheckFailedException":
                    raise
                raise Stale(f"{item['pk']['S']} was changed by another worker") from error


def _note_key(key: str) -> dict[str, Any]:
    return {"pk": {"S": key}, "sk": {"S": "note"}}


def _key(provider: str, call: str) -> dict[str, Any]:
    return {"pk": {"S": f"call#{provider}#{call}"}, "sk": {"S": "state"}}


def _item(state: CallState) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(state, name) for name in _PLAIN}
    values |= {
        name: format_time(moment) for name in _TIMES if (moment := getattr(state, name)) is not None
    }
    values |= {name: sorted(getattr(state, name)) for name in _SETS}
    if state.troubles:
        values["troubles"] = {leg: one.to_json() for leg, one in state.troubles.items()}
    if state.manifest is not None:
        values["manifest"] = asdict(state.manifest)
    present = {name: value for name, value in values.items() if value is not None}
    return _key(state.provider, state.call) | {
        name: TypeSerializer().serialize(value) for name, value in present.items()
    }


def _state(values: dict[str, Any]) -> CallState:
    fields: dict[str, Any] = {name: values[name] for name in _PLAIN if name in values}
    fields |= {name: parse_time(values[name]) for name in _TIMES if name in values}
    fields |= {name: frozenset(values.get(name, ())) for name in _SETS}
    # DynamoDB's numbers come back as decimals.
    fields |= {name: int(values.get(name, 0)) for name in ("revision", "catalogued", "version")}
    troubles = values.get("troubles", {})
    fields["troubles"] = {leg: Trouble.from_json(one) for leg, one in troubles.items()}
    if (sealed := values.get("manifest")) is not None:
        fields["manifest"] = StoredObject(**{**sealed, "size": int(sealed["size"])})
    return CallState(**fields)
