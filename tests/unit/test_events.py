"""The sample events are what the functions understand; `make sam-test` runs them where it can."""

import json
from pathlib import Path

import pytest

from legato.archive.layout import call_in, folder_of
from legato.evidence import access_log, legal_hold
from legato.model import CallId, Job
from legato.retrieval.restore import event

EVENTS = Path("events")
CALL = CallId("ringex", "401555000", "s-a0b1c2d3e4f5")
BY = "arn:aws:iam::123456789012:user/alice"


def sample(name):
    return json.loads((EVENTS / f"{name}.json").read_bytes())


@pytest.mark.parametrize("name", [path.stem for path in EVENTS.glob("holder-*.json")])
def test_a_sample_of_a_hold_names_its_call_by_address(name):
    asked = legal_hold.read(sample(name)["body"].encode(), by=BY)
    assert CallId.parse(asked.call) == CALL
    assert name == f"holder-{asked.action}"


def test_the_sample_of_an_access_names_its_call():
    asked = access_log.read(sample("access-show")["body"].encode(), by=BY, reason_required=True)
    assert asked.calls == (CALL,)


@pytest.mark.parametrize("name", [path.stem for path in EVENTS.glob("restorer-*.json")])
def test_a_sample_of_a_restore_is_of_an_object_of_a_call(name):
    key = event.read(sample(name)).key
    assert call_in(folder_of(key)) == CallId("ringcx", "21550001", "s-v-a0b1c2d3")


@pytest.mark.parametrize("name", [path.stem for path in EVENTS.glob("processor-*.json")])
def test_a_sample_of_jobs_has_what_a_job_needs(name):
    """Its account among them; but the one message that is to be buried."""
    bodies = [record["body"] for record in sample(name)["Records"]]
    jobs = [Job.from_message(body) for body in bodies if body.startswith('{"v"')]
    assert jobs
    assert all(job.account.strip("~") for job in jobs)
