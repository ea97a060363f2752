"""The operator's command for Kazoo's push URLs: what it shows, asks, and changes."""

import sys

import pytest
from typer.testing import CliRunner

from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.discovery.push import KAZOO_PREVIOUS_PUSH_KEY, KAZOO_PUSH_KEY, account_of, token_of
from legato.discovery.push_addresses import PushAddresses
from legato.errors import Failed, Retry
from tests import configured
from tests.unit.test_cli import forbidden

ADDRESS = "https://abc.execute-api.eu-central-1.amazonaws.com/kazoo/recordings"
KEY = "f" * 64


class FakeSecret:
    def __init__(self, **value):
        self.value = value
        self.written = 0
        self.refusal = None

    def read(self):
        return dict(self.value)

    def write(self, value):
        if self.refusal:
            raise self.refusal
        self.value = value
        self.written += 1


class FakePlace:
    """Hands out two accounts, or an error."""

    def __init__(self, error=None, *, terminal=False, **tokens):
        self.tokens = FakeSecret(ringexVerificationToken="t", **tokens)
        self.error = error
        self.terminal = terminal

    def pushing(self):
        if self.error:
            raise self.error
        if self.terminal:
            sys.stdin.isatty = lambda: True  # the runner's stream, and gone with it
        return PushAddresses(tokens=self.tokens, address=ADDRESS, accounts=("a1", "b2"))

    def accepts(self, url):
        """Return whose URL it is, as PushFunction sees it."""
        token = url.removeprefix(f"{ADDRESS}/")
        names = (KAZOO_PUSH_KEY, KAZOO_PREVIOUS_PUSH_KEY)
        return account_of(token, lambda *, fresh: [self.tokens.value.get(n, "") for n in names])


@pytest.fixture
def place():
    return FakePlace(**{KAZOO_PUSH_KEY: KEY})


def legato(place, *arguments, given=None):
    return CliRunner().invoke(app, ["kazoo", "push-urls", *arguments], obj=place, input=given)


def urls(ended):
    """Return what stands on standard output, by account."""
    return dict(line.split(": ") for line in ended.stdout.splitlines())


def test_each_account_has_an_address_of_its_own(place):
    """On standard output there is nothing else."""
    ended = legato(place)
    assert ended.exit_code == 0, ended.output
    assert urls(ended) == {each: f"{ADDRESS}/{token_of(each, KEY)}" for each in ("a1", "b2")}
    assert {account: place.accepts(url) for account, url in urls(ended).items()} == {
        "a1": "a1",
        "b2": "b2",
    }
    assert "at most 4.5 MB" in ended.stderr
    assert place.tokens.written == 0


def test_a_key_that_is_missing_is_made():
    """What else stands in the secret stays, and the key itself is not shown."""
    place = FakePlace()
    ended = legato(place, "--yes")
    assert ended.exit_code == 0, ended.output
    assert "The secret has no push key: one is made." in ended.stderr
    key = place.tokens.value[KAZOO_PUSH_KEY]
    assert len(key) == 64
    assert key not in ended.output
    assert place.tokens.value["ringexVerificationToken"] == "t"
    assert place.accepts(urls(ended)["a1"]) == "a1"
    assert urls(legato(place)) == urls(ended)


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0), ("", 130)])
def test_a_person_is_asked_before_the_secret_is_changed(answer, code):
    """Whoever says no, or leaves, has changed nothing."""
    place = FakePlace(terminal=True)
    ended = legato(place, given=answer)
    assert "Begin? [y/N]" in ended.output
    assert ended.exit_code == code, ended.output
    assert bool(place.tokens.written) == (code == 0)


def test_a_new_key_leaves_the_old_addresses_until_they_are_revoked(place):
    """So no recording is refused while somebody changes the accounts."""
    old = urls(legato(place))["a1"]
    ended = legato(place, "--rotate", "--yes")
    new = urls(ended)["a1"]
    assert "URLs of the present key stay valid until --revoke-previous." in ended.stderr
    assert new != old
    assert (place.accepts(new), place.accepts(old)) == ("a1", "a1")
    ended = legato(place, "--revoke-previous", "--yes")
    assert "URLs of the previous push key are no longer accepted." in ended.stderr
    assert urls(ended)["a1"] == new
    assert (place.accepts(new), place.accepts(old)) == ("a1", None)
    ended = legato(place, "--revoke-previous", "--yes")
    assert ended.exit_code == 0
    assert "There is no previous push key." in ended.stderr


def test_a_second_new_key_says_whose_addresses_end(place):
    """Only one previous key is kept."""
    first = urls(legato(place))["a1"]
    legato(place, "--rotate", "--yes")
    ended = legato(place, "--rotate", "--yes")
    assert "URLs of the key before it end" in ended.stderr
    assert place.accepts(first) is None


def test_both_at_once_would_cut_every_account_off(place):
    ended = legato(place, "--rotate", "--revoke-previous")
    assert ended.exit_code == 2
    assert "set the new URLs in between" in " ".join(ended.output.split())
    assert place.tokens.written == 0


def test_a_permission_that_aws_does_not_give_is_named():
    """Without a key there is no address to show."""
    place = FakePlace()
    place.tokens.refusal = Retry("the secret cannot be written")
    place.tokens.refusal.__cause__ = forbidden("secretsmanager:PutSecretValue")
    ended = legato(place, "--yes")
    assert ended.exit_code == Exit.NOT_PERMITTED
    assert "AWS does not permit secretsmanager:PutSecretValue" in ended.output
    assert ended.stdout == ""


def test_what_keeps_it_from_beginning_is_told_in_one_line():
    ended = legato(FakePlace(Failed("the stack does not use Kazoo")))
    assert (ended.exit_code, ended.output) == (1, "legato: the stack does not use Kazoo\n")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "deploy it with KazooUrl and KazooAccountIds"),
        ({"KazooUrl": "https://kazoo/v2"}, "deploy it with KazooAccountIds"),
    ],
)
def test_a_stack_without_kazoo_is_told_what_it_lacks(environment, says):
    """Before anything of AWS is asked."""
    with pytest.raises(Failed, match=f"{says}$"):
        configured.app(**environment).kazoo.pushing(ADDRESS)
