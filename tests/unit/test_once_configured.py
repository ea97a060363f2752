"""A process that goes on takes up what a deployment has changed."""

import json

import pytest

from legato.bootstrap import configuration
from legato.bootstrap.configuration import function_configuration, once_configured
from legato.config import BadSettings
from legato.errors import Unavailable


class Stack:
    """The parameter, and a clock."""

    def __init__(self):
        self.said, self.reads, self.now = {"Bucket": "b", "Tuning": {}}, 0, 1000.0

    def parameter(self, name):
        assert name == "the-parameter"
        self.reads += 1
        if self.said is None:
            raise Unavailable("503")
        return json.dumps(self.said)


@pytest.fixture
def stack(monkeypatch):
    stack = Stack()
    monkeypatch.setenv("LEGATO_CONFIG", "the-parameter")
    monkeypatch.setattr(configuration, "_known", configuration._Known())
    monkeypatch.setattr(configuration, "parameter", stack.parameter)
    monkeypatch.setattr(configuration.time, "monotonic", lambda: stack.now)
    return stack


@once_configured
def made(name):
    """Return something new each time."""
    return [name, function_configuration()["Bucket"]]


def test_what_is_made_is_kept_while_the_configuration_stays(stack):
    """By its arguments; the parameter is read once a minute."""
    first, other = made("ringex"), made("kazoo")
    assert made("ringex") is first
    assert made("kazoo") is other
    assert first != other
    assert stack.reads == 1
    stack.now += 60
    assert made("ringex") is first
    assert stack.reads == 2


def test_what_was_made_of_an_old_configuration_is_made_anew(stack):
    """Within a minute of the deployment."""
    first = made("ringex")
    stack.said = {"Bucket": "another", "Tuning": {}}
    stack.now += 59
    assert made("ringex") is first
    stack.now += 1
    assert made("ringex") == ["ringex", "another"]


def test_a_configuration_that_cannot_be_read_again_stays(stack):
    """Who has work goes on with it. Who has none yet cannot begin."""
    first = made("ringex")
    stack.said = None
    stack.now += 60
    assert made("ringex") is first
    configuration._known.document = ""
    stack.now += 60
    with pytest.raises(Unavailable):
        made("ringex")


def test_a_configuration_that_became_wrong_is_named(stack):
    """By the next event, and not by the next process."""
    made("ringex")
    stack.said = {"Bucket": "b", "Tuning": {"Buckets": 1}}
    stack.now += 60
    with pytest.raises(BadSettings, match="unknown names: Buckets"):
        made("ringex")


def test_a_function_without_its_variable_is_told(monkeypatch):
    with pytest.raises(BadSettings, match="LEGATO_CONFIG is not set"):
        function_configuration({})
