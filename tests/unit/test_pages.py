"""Pages that show what callers and providers wrote."""

import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from legato.operations.report import page as report_page
from legato.operations.report.reconciliation import Found, NotAsked, Reconciliation
from legato.retrieval.export import page as package_page
from legato.retrieval.export.call_summary import call_summary
from tests.manifests import manifests

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PAYLOADS = [
    pytest.param(text, marks=pytest.mark.attacks(f"in every field of a page: {what}"))
    for text, what in [
        ("<script>alert(1)</script>", "a script"),
        ('"><img src=x onerror=alert(1)>', "an image that ends an attribute"),
        ("' onmouseover='alert(1)", "an attribute"),
        ("javascript:alert(1)//", "an address that is a script"),
        ("//evil.example/x", "an address of another host"),
        ("</title></style></script><base href=//evil.example>", "the end of what is around it"),
        ("<!--", "a comment that goes on to the end"),
        ("&lt;script&gt;", "what is escaped already"),
    ]
]
KEPT = {"how", "role", "started_at", "ended_at", "sealed_at"}
"""Fields that are one of our own words, or a time that was read as one."""


class Shape(HTMLParser):
    """The tags of a page with the names of their attributes, its text, and where it leads."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.addresses = [], [], []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, [name for name, _ in attrs]))
        self.addresses += [value for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == ("script", ["type", "id"]) and data.strip():
            self.take(json.loads(data))
        else:
            self.texts.append(data)

    def take(self, said, name=""):
        """Take what the page's own script shows: it makes text of each string, or an address."""
        match said:
            case dict():
                for each, value in said.items():
                    self.take(value, each)
            case list():
                for value in said:
                    self.take(value, name)
            case str():
                (self.addresses if name == "href" else self.texts).append(said)

    def handle_comment(self, data):
        raise AssertionError(data)


def filled(content, text, *, name=""):
    """Return JSON with this text in each field that is one, or may be."""
    match content:
        case dict():
            return {each: filled(value, text, name=each) for each, value in content.items()}
        case list():
            return [filled(each, text, name=name) for each in content]
        case str() if name not in KEPT:
            return text
        case None if name in ("number", "name", "extension", "agent", "direction"):
            return text
        case _:
            return content


def a_package(text):
    [(_, manifest)] = manifests(1, seed=2)
    missing = {"leg": "x", "reason": "x", "evidence": None}
    spoke = {"role": "to", "number": "x", "name": "x", "extension": "x", "agent": "x"}
    manifest["legs"] = [
        manifest["legs"][0] | {"parties": [spoke], "offset_ms": 0, "sha256": "x", "heard_in": None}
    ] * 2
    manifest["missing"] = [missing]
    parts = {"key": "x", "sha256": "x", "file": "x", "file_sha256": "x", "digest": "x"}
    shown = call_summary(
        filled(manifest, text),
        **filled(parts, text),
        peaks=json.dumps({"data": [0, 1]}).encode(),
        cases=[text],
    )
    access = dict.fromkeys(("at", "by", "action", "reason", "case", "record"), text)
    custody = {
        **dict.fromkeys(("name", "reason", "exported_by", "exported_at", "query"), text),
        "legato_version": text,
        "part": 1,
        "parts": 2,
        "access_records": [text],
        "accesses": [access],
    }
    cards = [shown, replace(shown, digest=None), replace(shown, peaks=text, provider=text)]
    return package_page.to_html(cards, custody, name=text, unchained=[text])


def a_report(text):
    texts = {one.name: text for one in fields(Found) if one.type in ("str", "Fate")}
    found = [
        Found(**texts | {"fate": fate}, day=date(2026, 11, 20), began_at=None, times_seen=1)
        for fate in ("missing", "failed")
    ]
    return report_page.to_html(
        Reconciliation(
            run=text,
            begin=NOON,
            end=NOON,
            began_at=NOON,
            ended_at=NOON,
            providers=[text],
            found=found,
            flaws=found,
            not_asked=[NotAsked(provider=text, what=text, reason=text)],
        )
    )


@pytest.mark.parametrize("made", [a_package, a_report])
@pytest.mark.parametrize("text", PAYLOADS)
def test_no_field_becomes_markup(made, text):
    """A page has the same tags and attributes, whatever its fields say, and shows them as text."""
    harmless, hostile = Shape(made("harmless")), Shape(made(text))
    assert hostile.tags == harmless.tags
    assert text in "".join(hostile.texts)
    assert not [each for each in hostile.addresses if not each.startswith("./")]


def test_the_script_of_a_package_makes_no_markup():
    """It has nothing that could make markup of a text, and the browser would refuse it."""
    script = (Path(package_page.__file__).parent / "page.js").read_text()
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert unsafe not in script
    assert b"require-trusted-types-for 'script'" in a_package("x")


@pytest.mark.parametrize("made", [a_package, a_report])
@pytest.mark.attacks("a page whose lines are turned round by a name")
def test_no_field_turns_the_line_round(made):
    """Or is not seen."""
    assert "\u202e" not in made("\u202e\u200b").decode()
