"""The ledger, on DynamoDB: an item a call or note, written only over the version that was read."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import batched
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from legato.aws.errors import translated
from legato.aws.items import Items
from legato.model import CallId, CallState, Note, StoredObject, Trouble, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from legato.aws.items import Item
    from legato.model import Json

_TIMES = ("seen_at", "looked_at", "next_look_at", "lease_until")
_SETS = ("named", "lease_messages")
_PLAIN = ("provider", "account", "call", "status", "prefix", "revision", "catalogued")
"""Attributes of their own, so that an item says to a person what it is."""
_FEW = 10
"""So many notes may have left the list while its index does not know it yet."""


class DynamoLedger:
    """Ledger and notes.

    The table has the keys `pk` and `sk`, and the index `Listed` with the keys `listed` and `order`,
    all strings. Only a note that is listed has the latter two. Of what is listed, so many notes are
    read `at_once`: whoever takes his time for each reads them one by one.
    """

    def __init__(self, dynamodb: DynamoDBClient, *, table: str, at_once: int = 1) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._at_once = at_once
        self._items = Items(dynamodb, table=table, name="the ledger")

    def load(self, call: CallId) -> CallState:
        """Return the entry as it is now, or a fresh one. Raises Retry."""
        return _call(call, self._items.get(_key(call)))

    def load_all(self, calls: Iterable[CallId]) -> list[CallState]:
        """Return entries as `load` does, a hundred in a request. Raises Retry."""
        wanted = list(calls)
        found = self._items.get_all([_key(call) for call in wanted])
        return list(map(_call, wanted, found))

    def save(self, state: CallState) -> CallState:
        """Write the entry over the version that it was read as. Raises Stale, TooLarge, Retry."""
        plain, content = _written(state)
        key = _key(state.id)
        self._items.put(key, content, over=state.version, **plain)
        return state.changed(version=state.version + 1)

    def read(self, key: str) -> Note:
        return _note(key, self._items.get(_note_key(key)))

    def read_all(self, keys: Iterable[str]) -> list[Note]:
        """Return notes as `read` does, a hundred in a request. Raises Retry."""
        wanted = list(keys)
        return list(map(_note, wanted, self._items.get_all(list(map(_note_key, wanted)))))

    def write(self, note: Note) -> Note:
        """Write a note over the version that it was read as. Raises Stale, TooLarge, Retry."""
        more: Item = {}
        if note.listed is not None:
            name, order = note.listed
            more = {"listed": {"S": name}, "order": {"S": order}}
        self._items.put(_note_key(note.key), note.content, over=note.version, **more)
        return replace(note, version=note.version + 1)

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
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="Listed",
            KeyConditionExpression="listed = :name AND #order <= :until",
            ExpressionAttributeNames={"#order": "order"},
            ExpressionAttributeValues={":name": {"S": name}, ":until": {"S": until}},
        )
        with translated("the ledger cannot be searched"):
            for page in pages:
                for items in batched(page["Items"], self._at_once, strict=False):
                    keys = [item["pk"]["S"] for item in items]
                    for note in self.read_all(keys) if self._at_once > 1 else map(self.read, keys):
                        if note.listed and note.listed[0] == name and note.listed[1] <= until:
                            yield note

    def count(self, name: str, *, most: int) -> int:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="Listed",
            KeyConditionExpression="listed = :name",
            ExpressionAttributeValues={":name": {"S": name}},
            Select="COUNT",
        )
        counted = 0
        with translated("the ledger cannot be searched"):
            for page in pages:
                counted += page["Count"]
                if counted >= most:
                    break
        return min(counted, most)


def _call(call: CallId, found: tuple[Item, Json] | None) -> CallState:
    return CallState(**call._asdict()) if found is None else _state(*found)


def _note(key: str, found: tuple[Item, Json] | None) -> Note:
    if found is None:
        return Note(key=key)
    item, content = found
    return Note(
        key=key,
        content=content,
        version=int(item["version"]["N"]),
        listed=(item["listed"]["S"], item["order"]["S"]) if "listed" in item else None,
    )


def _note_key(key: str) -> dict[str, Any]:
    return {"pk": {"S": key}, "sk": {"S": "note"}}


def _key(call: CallId) -> dict[str, Any]:
    return {"pk": {"S": f"call#{call}"}, "sk": {"S": "state"}}


def _written(state: CallState) -> tuple[Item, Json]:
    """Return an entry as plain attributes, and as the content that may grow with its call."""
    plain: dict[str, Any] = {name: getattr(state, name) for name in _PLAIN}
    plain |= {
        name: format_time(moment) for name in _TIMES if (moment := getattr(state, name)) is not None
    }
    if state.manifest is not None:
        plain["manifest"] = asdict(state.manifest)
    content: Json = {name: sorted(getattr(state, name)) for name in _SETS}
    content |= {
        "related": sorted(map(str, state.related)),
        "legs": state.legs,
        "troubles": {leg: one.to_json() for leg, one in state.troubles.items()},
        "reason": state.reason,
    }
    serialized = {
        name: TypeSerializer().serialize(value)
        for name, value in plain.items()
        if value is not None
    }
    return serialized, {name: value for name, value in content.items() if value}


def _state(item: Item, content: Json) -> CallState:
    values = {name: TypeDeserializer().deserialize(value) for name, value in item.items()}
    fields: dict[str, Any] = {name: values[name] for name in _PLAIN if name in values}
    fields |= {name: parse_time(values[name]) for name in _TIMES if name in values}
    fields |= {name: frozenset(content.get(name, ())) for name in _SETS}
    fields["related"] = frozenset(map(CallId.parse, content.get("related", ())))
    fields |= {name: content[name] for name in ("legs", "reason") if name in content}
    troubles = content.get("troubles", {})
    fields["troubles"] = {leg: Trouble.from_json(one) for leg, one in troubles.items()}
    # DynamoDB's numbers come back as decimals.
    fields |= {name: int(values[name]) for name in ("revision", "catalogued", "version")}
    if (sealed := values.get("manifest")) is not None:
        fields["manifest"] = StoredObject(**{**sealed, "size": int(sealed["size"])})
    return CallState(**fields)
