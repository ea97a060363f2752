"""A process that goes on takes up what a deployment has changed."""

import pytest

from legato.app import function
from legato.app.function import app
from legato.errors import Unavailable
from legato.settings import BadSettings
from tests.configured import document


class Stack:
    """The parameter, and a clock."""

    def __init__(self):
        self.said, self.reads, self.now = document(Bucket="b"), 0, 1000.0

    def parameter(self, name):
        assert name == "the-parameter"
        self.reads += 1
        if self.said is None:
            raise Unavailable("503")
        return self.said


@pytest.fixture
def stack(monkeypatch):
    stack = Stack()
    monkeypatch.setenv("LEGATO_CONFIG", "the-parameter")
    monkeypatch.setattr(function, "_known", function._Known())
    monkeypatch.setattr(function, "parameter", stack.parameter)
    monkeypatch.setattr(function.time, "monotonic", lambda: stack.now)
    return stack


def test_what_is_made_is_kept_while_the_configuration_stays(stack):
    """The parameter is read once a minute."""
    first = app()
    assert first.config.bucket == "b"
    assert app() is first
    assert stack.reads == 1
    stack.now += 60
    assert app() is first
    assert stack.reads == 2


def test_what_was_made_of_an_old_configuration_is_made_anew(stack):
    """Within a minute of the deployment."""
    first = app()
    stack.said = document(Bucket="another")
    stack.now += 59
    assert app() is first
    stack.now += 1
    assert app().config.bucket == "another"


def test_a_configuration_that_cannot_be_read_again_stays(stack):
    """Who has work goes on with it. Who has none yet cannot begin."""
    first = app()
    stack.said = None
    stack.now += 60
    assert app() is first
    function._known.document = ""
    stack.now += 60
    with pytest.raises(Unavailable):
        app()


def test_a_configuration_that_became_wrong_is_named(stack):
    """By the next event, and not by the next process."""
    app()
    stack.said = document(RetrySeconds=0)
    stack.now += 60
    with pytest.raises(BadSettings, match="RetrySeconds is not a whole number from 1 to 900: '0'"):
        app()


def test_a_function_is_told_what_is_its_own(stack, monkeypatch):
    """In its environment."""
    monkeypatch.setenv("LEGATO_SIGNING_KEY", "key")
    assert app().config.signing_key == "key"


def test_a_function_without_its_variable_is_told(monkeypatch):
    monkeypatch.delenv("LEGATO_CONFIG", raising=False)
    with pytest.raises(BadSettings, match="LEGATO_CONFIG is not set"):
        app()
