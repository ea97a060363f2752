"""Bodies, headers, paths and queries that nobody sends on purpose, made from real ones by a seed.

A mutation puts something odd where a sample has something good: another type, a text that no id may
be, a list without an end, a nest, a key too many or none at all; or it spoils the text itself.
"""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any

LONG = "x" * 129
TEXTS = (
    *(
        "",
        " ",
        ".",
        "..",
        "../../x",
        "a/b",
        "a#b",
        "a b",
        "a\nb",
        "\x00",
        "\x1b[2J",
        "\u202e",
        "\ufeff",
    ),
    *(
        "\ud800",
        "a\udfff",
        "ü",
        "\U0001f4de",
        "=1+1",
        "@x",
        "-1",
        "<script>",
        "'\"`",
        "%00",
        "%2e%2e",
    ),
    *(
        "~",
        "null",
        "true",
        "NaN",
        "0x7",
        "1e999",
        LONG,
        "x" * 5000,
        "\ufffd",
        "\uff12\uff10",
        "{}",
        "[]",
    ),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "20261120"),
)
NUMBERS = (0, -1, 1, 2**31, 2**63, 10**400, -(10**30), 0.5, -0.0, 1e308, float("nan"), float("inf"))


def nested(depth: int, leaf: Any = 7) -> Any:
    """Return lists and objects in each other."""
    for number in range(depth):
        leaf = {"id": leaf} if number % 2 else [leaf]
    return leaf


class Fuzz:
    """Mutates samples. The same seed makes the same ones."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def odd(self) -> Any:
        """Return what no sample has."""
        kind = self.random.randrange(12)
        if kind < 5:
            return self.random.choice(TEXTS)
        if kind < 7:
            return self.random.choice(NUMBERS)
        if kind == 7:
            return self.random.choice((None, True, False, [], {}, [[]], {"id": []}, {"": ""}))
        if kind == 8:
            return nested(self.random.choice((2, 9, 11, 80)))
        if kind == 9:
            return [self.random.choice(TEXTS) for _ in range(self.random.choice((2, 101, 300)))]
        if kind == 10:
            count = self.random.choice((2, 101, 300))
            return [
                {"id": f"{number}-{self.random.choice(('r', LONG))}"} for number in range(count)
            ]
        return {self.random.choice(TEXTS): self.random.choice(TEXTS) for _ in range(3)}

    def text(self, text: str) -> str:
        """Return a text that is a little, or wholly, another one."""
        at = self.random.randrange(len(text) + 1)
        kind = self.random.randrange(6)
        if kind == 0:
            return text[:at]
        if kind == 1:
            return text[at:] + text[:at]
        if kind == 2:
            return text + text[at:]
        if kind == 3:
            return text[:at] + chr(self.random.choice((0, 10, 34, 92, 0xD800, 0x2028))) + text[at:]
        if kind == 4:
            return text[:at] + self.random.choice(TEXTS) + text[at + 1 :]
        return self.random.choice(TEXTS)

    def tree(self, sample: Any) -> Any:
        """Return a copy of some JSON with up to four odd things in it."""
        whole = [deepcopy(sample)]
        for _ in range(self.random.randint(0, 4)):
            self._spoil(whole)
        return whole[0]

    def body(self, sample: Any) -> str:
        """Return the text of some JSON, odd within, or spoilt as a text."""
        if self.random.random() < 0.01:
            return self.random.choice(("[", '{"a":', '[{"a":')) * self.random.choice((200, 5000))
        text = json.dumps(self.tree(sample), ensure_ascii=self.random.random() < 0.7)
        return self.text(text) if self.random.random() < 0.1 else text

    def _spoil(self, whole: list[Any]) -> None:
        places = list(_places(whole))
        holder, name = self.random.choice(places)
        kind = self.random.randrange(8)
        if kind == 0 and holder is not whole:
            del holder[name]
        elif kind == 1:
            holder[name] = [holder[name]]
        elif kind == 2 and isinstance(holder, dict):
            holder[self.random.choice(TEXTS)] = holder[name]
        elif kind == 3:
            other, there = self.random.choice(places)
            if there in (other if isinstance(other, dict) else range(len(other))):
                holder[name] = deepcopy(other[there])
        elif kind == 4 and isinstance(holder[name], str):
            holder[name] = self.text(holder[name])
        elif kind == 5 and isinstance(holder[name], list):
            holder[name] = holder[name] * self.random.choice((0, 2, 150))
        else:
            holder[name] = self.odd()


def _places(node: Any, depth: int = 0) -> Any:
    """Yield every place of a tree, as what holds it and its name there."""
    names = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for name in names:
        yield node, name
        if depth < 12:
            yield from _places(node[name], depth + 1)
