"""A worker may die at any moment: the redelivered job finishes what it began."""

from datetime import UTC, datetime

import pytest

from legato.model import Job
from local.worker import environment
from tests.e2e.dying import process

FUNCTIONS = False
# A job may look at once: the call that was just placed is listed.
PARAMETERS = {"RingexSettleSeconds": "0", "RingexLogLagSeconds": "0", "RingexTailSeconds": "0"}
STEPS_OF_A_CALL = 40


@pytest.fixture(scope="module")
def processor(system):
    """The environment of the processor, and what it is configured to do."""
    function = system.stack.functions["ProcessorFunction"]
    return environment(function, system.endpoints.aws), system.stack.configuration


def steps_of(journal):
    return journal.read_text().split()


def test_a_worker_may_die_after_every_single_step(telephony, processor, tmp_path, subtests):
    """Killed after claim, resolve, each fetch, join, each put, seal and index, then redelivered.

    Each time the archive is complete, each key has exactly one version, the ledger says
    `archived`, and every SHA-256 holds.
    """
    whole = tmp_path / "whole"
    assert process(*processor, job_of(place(telephony)), journal=whole) == 0
    steps = steps_of(whole)
    assert {"provider.resolve", "stitcher.join", "archive.put_bytes"} < set(steps)
    assert steps.count("provider.open_leg") == 3
    assert steps.count("archive.put_file") == 4, "three legs and the recording"
    assert steps[-1] == "ledger.save"
    assert len(steps) < STEPS_OF_A_CALL

    for number, step in enumerate(steps, 1):
        with subtests.test(killed_after=f"step {number}, {step}"):
            placed = place(telephony)
            body, journal = job_of(placed), tmp_path / f"died-{number}"
            code = process(*processor, body, journal=journal, die_after=number)
            assert code == -9
            assert steps_of(journal) == steps[:number]
            again = tmp_path / f"again-{number}"
            assert process(*processor, body, journal=again, receives=2) == 0
            assert_archived_once(telephony, placed)


def place(telephony):
    return telephony.place(3, listedAfter=0)


def job_of(placed):
    return Job(
        provider="ringex", account=placed.account, call=placed.id, seen_at=datetime.now(UTC)
    ).to_message()


def assert_archived_once(telephony, placed):
    telephony.assert_archived(placed)
    state = telephony.state(placed)
    assert (state.status, state.revision) == ("archived", 1)
    assert state.lease_until is None
    assert len(telephony.versions(state)) == 6
    assert telephony.letters() == []
