"""docs/alarms.md says of each rule in code, and of each alarm, what it means and what to do."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from legato.app import kazoo, ringcx, ringex
from legato.ledger import provider_health
from legato.ledger.waiting import PATIENCE, PROMPT
from legato.operations import calls_in_need, overview, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from tests.template.conftest import Template

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "alarms.md").read_text()
OTHERS = "those of [Reconcile](repair.md#reconcile)"
"""Kinds of findings have a table of their own."""


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


def kinds_in_code() -> Iterator[str]:
    """Yield the first word of each need that the rules can make."""
    yield from calls_in_need.SAID
    for module in (status, calls_in_need):
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="need") | ast.Name(id="_not_archived"),
                    args=[ast.Constant(value=str(kind)), *_],
                ):
                    yield kind
                case ast.Call(func=ast.Name(id="Need"), keywords=named):
                    yield from (
                        each.value.value
                        for each in named
                        if each.arg == "kind" and isinstance(each.value, ast.Constant)
                    )


def test_each_kind_of_need_has_its_row_and_each_row_its_rule() -> None:
    told = [kind.strip("`") for kind, *_ in rows("What needs a person")]
    assert set(told) - {OTHERS} == set(kinds_in_code())
    assert OTHERS in told


def test_each_row_says_what_it_means_from_when_on_and_what_to_do() -> None:
    for row in rows("What needs a person"):
        assert len(row) == 4, row
        assert all(row), row


def words(time: timedelta) -> str:
    """Write a time as the page does."""
    minutes = time.total_seconds() / 60
    if minutes < 90 and minutes != 60:
        return f"{minutes:g} minutes"
    hours = minutes / 60
    if hours < 48:
        return f"{hours:g} hour{'' if hours == 1 else 's'}"
    return f"{hours / 24:g} days"


def test_times_and_numbers_are_those_of_the_code() -> None:
    """Each stands once there, and the page follows."""
    said: dict[str, str] = {}
    for kind, *cells in rows("What needs a person"):
        said[kind.strip("`")] = said.get(kind.strip("`"), "") + " ".join(cells)
    for kind, times in {
        "digest": (status.DIGEST_LATE,),
        "time stamp": (status.WITNESS_LATE,),
        "reconciliation": (status.RECONCILED,),
        "safeguards": (status.COMPARED,),
        "subscription": (status.UNHEALTHY, status.UNKEPT),
        "tail": (status.FAILING,),
        "gap": (status.FAILING,),
        "credential": (status.SET_ASIDE, provider_health.UNSERVED),
        "backlog": (calls_in_need.BACKLOG,),
        "failed": (calls_in_need.RETRIED,),
        "stuck": (PROMPT, PATIENCE),
        "late": (PROMPT,),
        "standstill": (PROMPT,),
    }.items():
        for time in times:
            assert words(time) in said[kind], (kind, words(time))
    assert f"{overview.MANY} calls" in said["many"]


def test_ages_of_lists_are_those_of_the_code() -> None:
    (tail,) = [row for row in rows("What needs a person") if row[0] == "`tail`"]
    late = {f"{time.total_seconds() / 60:g} minutes" for time in (ringcx.LATE, kazoo.LATE)}
    assert f"{words(ringex.LATE)} (RingEX), {late.pop()} (RingCX, Kazoo)" in tail[2]
    assert not late


def test_each_alarm_has_its_row(sam: Template) -> None:
    told = [name.strip("`") for name, *_ in rows("The alarms of CloudWatch")]
    assert told == list(sam.of("AWS::CloudWatch::Alarm"))


def test_what_they_cost_is_counted(sam: Template) -> None:
    """CloudWatch bills each metric that an alarm watches."""
    metrics = 0
    for alarm in sam.of("AWS::CloudWatch::Alarm").values():
        watched = [str(each) for each in alarm.get("Metrics", ["MetricStat"])]
        metrics += sum("MetricStat" in each and "DeletesAtSource" not in each for each in watched)
    cost = (ROOT / "docs" / "cost.md").read_text()
    assert f"{metrics / 10:.2f} for six alarms, which watch {metrics} metrics at 0.10" in cost


def test_the_mail_is_as_it_reads() -> None:
    """tests/unit/test_health.py has the same, line by line."""
    test = (ROOT / "tests" / "unit" / "test_health.py").read_text()
    mail = PAGE.partition("## The mail\n")[2].partition("```\n")[2].partition("```")[0]
    subject, _, body = mail.partition("\n")
    assert f'"{subject.removeprefix("Subject: ")}"' in test
    for line in filter(None, body.splitlines()):
        assert re.search(rf'"{re.escape(line)}"', test), line
