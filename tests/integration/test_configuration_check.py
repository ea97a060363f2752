"""A deployment ends where its configuration is wrong."""

import json
from types import SimpleNamespace

import pytest

from functions.auditor.app import handler
from local import custom
from local.stack import Custom
from tests.configured import DOCUMENT, document
from tests.patience import PATIENCE_SECONDS

CONTEXT = SimpleNamespace(
    function_name="auditor",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:auditor",
    aws_request_id="1",
)


@pytest.fixture
def deploy():
    """Return a function that has a document deployed, and returns the answer."""

    def told(said, kind="Create"):
        check = Custom(
            logical="ConfigurationCheck",
            type="Custom::Configuration",
            function="AuditorFunction",
            properties={"Document": said},
        )
        with custom.sink() as (url, answers):
            handler(custom.event(kind, check, url, "configuration"), CONTEXT)
            return answers.get(timeout=PATIENCE_SECONDS)

    return told


def test_what_is_complete_is_deployed(deploy):
    """The defaults are."""
    answer = deploy(document())
    assert (answer["Status"], answer["Reason"]) == ("SUCCESS", "the configuration is complete")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (document(RetrySeconds="soon"), "Tuning: RetrySeconds is not a whole number from 1 to 900"),
        (json.dumps(DOCUMENT | {"Tuning": {"Retry": 1}}), "Tuning has unknown names: Retry"),
        (json.dumps(DOCUMENT).replace("}", ', "Tuning": {]}'), "no JSON object"),
    ],
)
def test_what_is_wrong_is_named_and_taken_back(deploy, said, reason):
    """Before any function reads it."""
    answer = deploy(said, "Update")
    assert answer["Status"] == "FAILED"
    assert reason in answer["Reason"]


def test_nothing_is_in_the_way_of_an_end(deploy):
    """Nor of the way back from a first deployment that was refused."""
    assert deploy("{", "Delete")["Status"] == "SUCCESS"
