"""Each function is told exactly what the code reads, in its environment or in the one document."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from legato.config import OWN, Config, PushSettings, WebhookSettings, configuration
from legato.settings import names_of
from legato.tuning import Tuning

if TYPE_CHECKING:
    from tests.template.conftest import Template

ROOT = Path(__file__).parent.parent.parent
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))
QUICK = {"webhook": WebhookSettings, "push": PushSettings}
"""They are told all that they need in their environment."""
TOLD = {"keeper": {"LEGATO_RINGEX_WEBHOOK_URL"}, "auditor": {"LEGATO_SIGNING_KEY"}}
"""What else a function is told that reads the document."""
MOST_DOCUMENT_BYTES = 8192
"""Of a parameter of SSM's advanced tier."""
MOST_PARAMETER_BYTES = 4096
"""Of a template's parameter."""


def document(sam: Template) -> str:
    """Return the document with the template's defaults, and names in the place of resources."""
    text, more = sam.source["Resources"]["ConfigParameter"]["Properties"]["Value"]["Fn::Sub"]
    parameters = sam.source["Parameters"]

    def said(match: re.Match[str]) -> str:
        name = match[1]
        assert name in (parameters.keys() | more.keys() | sam.source["Resources"].keys()) or (
            name == "AWS::StackId"
        )
        return str(parameters[name]["Default"]) if name in parameters else name

    return re.sub(r"\$\{([\w:]+)\}", said, text)


def set_for(sam: Template, logical: str) -> set[str]:
    common = sam.source["Globals"]["Function"]["Environment"]["Variables"]
    own = sam.functions[logical]["Environment"]["Variables"]
    return {*common, *own}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_variable_that_is_read_is_set_and_the_other_way_round(
    sam: Template, function: str
) -> None:
    names = set_for(sam, f"{function.capitalize()}Function")
    own = {name for name in names if name.startswith("LEGATO_")}
    if function in QUICK:
        assert own == {f"LEGATO_{field.name.upper()}" for field in fields(QUICK[function])}
    else:
        assert own == {"LEGATO_CONFIG"} | TOLD.get(function, set())
    assert set().union(*TOLD.values()) == OWN.keys()


def test_the_document_says_all_that_is_read_and_no_more(sam: Template) -> None:
    said = json.loads(document(sam))
    assert said.keys() - {"Tuning"} == {*names_of(Config)} - {*OWN.values()}


def test_the_defaults_are_a_configuration(sam: Template) -> None:
    assert configuration(document(sam)).tuning == Tuning()


def test_what_is_tuned_is_no_parameter_too(sam: Template) -> None:
    """A fact stands once."""
    said = json.loads(document(sam))
    assert not {*names_of(Tuning)} & (said.keys() | sam.source["Parameters"].keys())


def test_no_parameter_breaks_the_document(sam: Template) -> None:
    """What stands between quotes can hold none, nor what escapes them."""
    text, _ = sam.source["Resources"]["ConfigParameter"]["Properties"]["Value"]["Fn::Sub"]
    for name in re.findall(r'"\$\{(\w+)\}"', text):
        parameter = sam.source["Parameters"].get(name)
        if parameter and parameter["Type"] == "String" and "AllowedValues" not in parameter:
            for wrong in ('https://a.b/x"', "https://a.b/x\\", 'a"b', "a\\b"):
                assert not re.search(parameter["AllowedPattern"], wrong), name


def test_the_longest_list_of_accounts_fits(sam: Template) -> None:
    """Whatever CloudFormation takes for a parameter; more accounts are found by `account/*`."""
    rest = len(document(sam)) + 90 * 6 + 100 * 8  # addresses of queues, and names as AWS makes them
    assert rest + MOST_PARAMETER_BYTES + 1024 <= MOST_DOCUMENT_BYTES


def test_every_function_is_among_them(sam: Template) -> None:
    assert set(sam.functions) == {f"{function.capitalize()}Function" for function in FUNCTIONS}


def test_powertools_gets_what_it_needs(sam: Template) -> None:
    wanted = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
    for logical in sam.functions:
        names = set_for(sam, logical)
        assert {name for name in names if name.startswith("POWERTOOLS_")} == wanted, logical
        others = {name for name in names if not name.startswith(("LEGATO_", "POWERTOOLS_"))}
        assert others == {"AWS_ENDPOINT_URL"}, logical


def test_no_endpoint_is_set_in_aws(sam: Template) -> None:
    """`sam local` sets only what the template names; CloudFormation drops this one."""
    common = sam.source["Globals"]["Function"]["Environment"]["Variables"]
    assert common["AWS_ENDPOINT_URL"] == {"Ref": "AWS::NoValue"}
