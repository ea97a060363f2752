"""The end of the demo fits a terminal, and counts what became of the calls."""

from pathlib import Path

import pytest

from local.demo.__main__ import refuse_faults
from local.demo.calls import CALLS
from local.demo.evidence import Evidence
from local.demo.placed import Placed
from local.demo.summary import WIDTH, summary
from local.processes import LocalError


def archived(call, *, wrong=()):
    hashes = call.sha256
    legs = [
        {"key": "calls/x", "sha256": each, "offset_ms": 3000 * at, "duration_ms": 3000}
        for at, each in enumerate(hashes)
    ]
    recording = None if call.how == "apart" else {"how": call.how, "duration_ms": 3000 * len(legs)}
    evidence = Evidence(
        manifest={"legs": legs, "recording": recording},
        checked=len(legs) + 2,
        wrong=wrong,
        classes=frozenset([call.storage_class]),
        restored=len(legs) if call.how == "apart" else 0,
    )
    return placed(call, evidence=evidence, file=Path("x"))


def placed(call, **more):
    return Placed(call=call, id=None, entry={"status": call.status}, **more)


@pytest.fixture
def calls():
    return [archived(call) if call.how else placed(call) for call in CALLS]


def test_the_end_of_the_demo_fits_a_terminal(calls, tmp_path):
    """But for the address, which is in one piece. Ten lines, then what to type next."""
    lines = summary(calls, Path(".local/demo/export/demo-20261201"))
    [address] = [line for line in lines if "file://" in line]
    assert address.endswith("/.local/demo/export/demo-20261201/data/index.html")
    assert [line for line in lines if len(line) > WIDTH and line != address] == []
    assert lines.index("Next:") == 9
    assert len(lines) == 13


def test_the_end_of_the_demo_counts(calls):
    """A wrong byte is not counted as archived and verified."""
    last = len(CALLS) - 1
    well, silent = sum(call.how is not None for call in CALLS), sum(not call.how for call in CALLS)
    first, *_ = summary(calls, Path("x"))
    assert f"{len(CALLS)} calls placed: {well} archived and verified, {silent} never" in first
    calls[last] = archived(CALLS[last], wrong=("calls/x",))
    first, *rest = summary(calls, Path("x"))
    assert f"{well - 1} archived and verified" in first
    [sums] = [line for line in rest if "SHA-256" in line]
    good, _, of, *_ = sums.split()[1:]
    assert int(good) == int(of) - 1


def test_a_wrong_byte_fails_the_demo(calls):
    """Before anything is exported, and all that is wrong is named."""
    refuse_faults(calls)
    for at in (0, 1):
        calls[at] = archived(CALLS[at], wrong=("calls/x",))
    with pytest.raises(LocalError) as raised:
        refuse_faults(calls)
    said = [f"{call.title}: calls/x has other bytes" for call in CALLS[:2]]
    assert str(raised.value).split("\n") == said
