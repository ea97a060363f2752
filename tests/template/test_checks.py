"""Who deploys is checked for what the template's resources take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legato.setup.aws import DEPLOYS, OWN_OUTPUT
from legato.setup.stack import ALARM, SCHEDULE

if TYPE_CHECKING:
    from tests.template.conftest import Template


def test_each_type_of_resource_says_who_may_create_it(sam: Template) -> None:
    """And no other does."""
    types = {resource["Type"] for resource in sam.translated["Resources"].values()}
    assert {each for each in types if each.startswith("AWS::")} == DEPLOYS.keys()
    assert {ALARM, SCHEDULE} <= types


def test_a_stack_is_known_by_an_output_that_it_has(sam: Template) -> None:
    assert OWN_OUTPUT in sam.source["Outputs"]
