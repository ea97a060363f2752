"""Texts of others, in the places where they are shown."""

import io
import json
import logging
import unicodedata

import pytest
from aws_lambda_powertools import Logger
from hypothesis import given
from hypothesis import strategies as st

from legato.printable import (
    html_address,
    html_text,
    log_line,
    printable,
    printable_json,
    printable_lines,
    spreadsheet_cell,
)

REPLACED = "\N{REPLACEMENT CHARACTER}"
ANY_TEXT = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(text, shown, marks=pytest.mark.attacks(f"a name with {what}"))
        for text, shown, what in [
            ("\x1b[2JErika", f"{REPLACED}[2JErika", "an escape sequence"),
            ("\x9b31mErika", f"{REPLACED}31mErika", "an escape sequence of one character"),
            ("Erika\rdone", "Erika done", "a carriage return"),
            ("Erika\nAll is well.", "Erika All is well.", "a line break"),
            ("Erika\u2028x\x85y", "Erika x y", "line breaks of Unicode"),
            ("a\tb\xa0c\u3000d", "a b c d", "tabs and wide spaces"),
            ("\u202egnp.exe\u202c", f"{REPLACED}gnp.exe{REPLACED}", "the direction turned round"),
            ("\u2066a\u2069", f"{REPLACED}a{REPLACED}", "an isolated direction"),
            ("Eri\u200bka\ufeff", f"Eri{REPLACED}ka{REPLACED}", "characters of no width"),
            ("\u3164\u115f\uffa0", REPLACED * 3, "letters that show nothing"),
            ("a\U000e0041\U000e0100", f"a{REPLACED}{REPLACED}", "hidden tags and selectors"),
            ("\ud800", REPLACED, "half a character"),
            ("\x00\x7f\x08", REPLACED * 3, "NUL, delete and backspace"),
        ]
    ],
)
def test_a_text_shows_itself_and_does_nothing_else(text, shown):
    """On a terminal, and wherever else a person reads it."""
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["", "Jürgen Groß", "山田太郎", "שלום", "👩 ☎️", "a = b; c"])
def test_an_honest_name_stays_as_it_is(text):
    """In any language."""
    assert printable(text) == text


@given(ANY_TEXT)
def test_whatever_comes_is_one_line_of_characters_that_are_seen(text):
    """And making it printable twice changes nothing."""
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert printable(shown) == shown
    assert printable_lines(f"{text}\n").endswith("\n")


@given(st.recursive(ANY_TEXT | st.integers(), lambda some: st.dictionaries(ANY_TEXT, some)))
def test_json_loses_nothing(said):
    """It is what a script reads, on a terminal too."""
    written = printable_json(said, indent=2)
    assert all(line.isprintable() for line in written.split("\n"))
    # A surrogate pair that came as two characters is one when it is read again.
    assert json.loads(written) == json.loads(json.dumps(said))


@pytest.mark.attacks("an id that commands the terminal on which a log is read")
def test_a_log_has_nothing_that_is_not_printable():
    """CloudWatch's logs are read with `aws logs tail`."""
    hostile = "\x1b[2J\x9b31m\u202e\ud800\n{}"
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logger = Logger(service="x", logger_handler=handler, json_serializer=log_line)
    logging.getLogger("x").propagate = False  # pytest would show it as it is
    logger.info(hostile, extra={"call": hostile, hostile: [hostile]})
    try:
        raise ValueError(hostile)
    except ValueError:
        logger.exception("unforeseen error")
    first, second = written.getvalue().splitlines()
    assert first.isprintable()
    assert second.isprintable()
    assert json.loads(first)["call"] == hostile
    assert hostile in json.loads(second)["exception"]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        pytest.param(text, cell, marks=pytest.mark.attacks(f"a spreadsheet's formula: {what}"))
        for text, cell, what in [
            ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")', "a link"),
            ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0", "a command"),
            ("-2+3", "'-2+3", "a minus sign"),
            ("+1", "'+1", "a plus sign"),
            ("@SUM(1)", "'@SUM(1)", "a function by its sign"),
            ("  =1", "'  =1", "behind spaces"),
            ("\xa0=1", "' =1", "behind a space that does not break"),
            ("\t=1", "' =1", "behind a tab"),
            ("\r\n=1", "'  =1", "behind a line break"),
            ("\uff1d1", "'\uff1d1", "a full-width equals sign"),
            ("\uff0b1", "'\uff0b1", "a full-width plus sign"),
            ("\uff0d1", "'\uff0d1", "a full-width minus sign"),
            ("\uff20A1", "'\uff20A1", "a full-width at sign"),
            ("\u22121", "'\u22121", "a mathematical minus sign"),
            ("Erika;=1+1", "Erika;'=1+1", "behind a semicolon"),
            ("Erika; @A1;-1", "Erika;' @A1;'-1", "behind several semicolons"),
            ("\x1b[2J", f"{REPLACED}[2J", "none, but an escape sequence"),
        ]
    ],
)
def test_no_cell_is_a_formula(text, cell):
    """Callers choose their names, and a spreadsheet calculates what begins like one."""
    assert spreadsheet_cell(text) == cell


@pytest.mark.parametrize(
    "text", ["", "Jane", "+15551230000", "+1555, +4930", "+1555; +4930", "4930", "a=b", "s-1/2"]
)
def test_other_cells_are_as_they_are(text):
    """Numbers are what is looked for most."""
    assert spreadsheet_cell(text) == text


@pytest.mark.attacks("a name that is markup")
def test_a_text_for_html_has_no_markup():
    """Nor anything that ends an attribute, or turns the line round."""
    assert html_text("<b a=\"'&\u202e") == f"&lt;b a=&quot;&#x27;&amp;{REPLACED}"


@pytest.mark.parametrize(
    ("path", "address"),
    [
        pytest.param(path, address, marks=pytest.mark.attacks(f"a file whose name is {what}"))
        for path, address, what in [
            ("javascript:alert(1)", "./javascript%3Aalert%281%29", "a script"),
            ("//evil.example/x", ".///evil.example/x", "another host"),
            ("https://evil.example", "./https%3A//evil.example", "another address"),
            ('a"b?c#d', "./a%22b%3Fc%23d", "more than a name"),
            ("\ud800", "./%3F", "half a character"),
        ]
    ],
)
def test_an_address_stays_below_the_page(path, address):
    """Whatever an object is called."""
    assert html_address(path) == address
