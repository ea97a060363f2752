"""`legato --local setup`, typed at a terminal, from nothing to an archived call."""

import contextlib
import json
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from legato.model import provider_name
from local import aws
from local.endpoints import CREDENTIALS
from local.processes import LocalError
from local.system import running
from tests.terminal import Terminal

SECONDS_BETWEEN = 4
MOST_QUESTIONS = {"ringex": 9, "ringcx": 10, "kazoo": 9, "ringex, ringcx, kazoo": 13}
WAITING = "Ctrl-C is fine"
EVERYTHING = "ringex, ringcx, kazoo"


@pytest.fixture(scope="module")
def bare(tmp_path_factory, free_port):
    with running(
        port=free_port(),
        directory=tmp_path_factory.mktemp("system"),
        bare=True,
        seconds_between=SECONDS_BETWEEN,
    ) as system:
        yield system


@pytest.fixture
def system(bare):
    yield bare
    with contextlib.suppress(LocalError):  # a test may have deleted the stack
        bare.delete()


@pytest.fixture
def legato(bare):
    """Return a function that runs the command at a terminal."""
    opened = []

    def run(*arguments):
        code = "from legato.cli import main; main()"
        environment = {"LEGATO_LOCAL_DIR": str(bare.directory)}
        opened.append(Terminal("-c", code, "--local", *arguments, environment=environment))
        return opened[-1]

    yield run
    for terminal in opened:
        terminal.close()


def answers(system, providers):
    """Return what is right, by what is asked."""
    known = json.loads((system.directory / CREDENTIALS).read_text())
    return {
        "Which providers (ringex, ringcx, kazoo)": providers,
        "Client id": known["ringex"]["clientId"],
        "Client secret": known["ringex"]["clientSecret"],
        "JWT": known["ringex"]["jwt"],
        "Sub-accounts": "",
        "Address of the API": f"{system.endpoints.simulators['kazoo']}/v2",
        "API key": known["kazoo"]["apiKey"],
        "Accounts": "5a2d994fbae69b1d6b01eb9f0e7dfe62/*",
        "Storage class of recordings": "",
        "Retention": "",
        "Who gets a mail when something needs a person (- for nobody)": "who@example.com",
        "Must people say why they look at a call (required, optional)": "required",
        "Go on?": "y",
    }


def place_calls(system, providers):
    start = (datetime.now(UTC) - timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    calls = {
        "ringex": {
            "legs": [{"startTime": start, "duration": 5, "format": "mp3"}],
            "readyAfter": 1,
            "emit": True,
        },
        "ringcx": {"segments": [{"duration": 5}], "readyAfter": 1},
        "kazoo": {"recordings": [{"duration": 5}], "readyAfter": 1},
    }
    for provider in providers.split(", "):
        url = f"{system.endpoints.simulators[provider]}/_sim/calls"
        httpx.post(url, json=calls[provider]).raise_for_status()


def typed(terminal, system, providers, mistakes=()):
    """Answer all that is asked, what is in `mistakes` wrongly at first; return the exit code."""
    right, wrong = answers(system, providers), dict(mistakes)
    while (asked := terminal.question(WAITING)) is not None:
        if asked == WAITING:
            place_calls(system, providers)
            break
        terminal.type(wrong.pop(asked, None) or right[asked])
    assert not wrong, terminal.shown
    return terminal.code()


def archived(terminal, providers):
    return [each for each in providers.split(", ") if f"Archived: {each}/" in terminal.shown]


@pytest.mark.parametrize("providers", MOST_QUESTIONS)
def test_the_first_call_is_archived_after_a_few_questions(
    system, legato, providers, record_property
):
    """Each provider alone, and all; then there is nothing to change."""
    began = time.monotonic()
    terminal = legato("setup")
    assert typed(terminal, system, providers) == 0, terminal.shown
    record_property("questions", len(terminal.asked))
    record_property("seconds", round(time.monotonic() - began))
    assert archived(terminal, providers) == providers.split(", "), terminal.shown
    assert len(terminal.asked) <= MOST_QUESTIONS[providers], terminal.asked
    known = json.loads((system.directory / CREDENTIALS).read_text())
    for hidden in (known["ringex"]["clientSecret"], known["ringex"]["jwt"]):
        assert hidden not in terminal.shown
    assert known["kazoo"]["apiKey"] not in terminal.shown
    again = legato("setup", "--yes")
    assert again.code() == 0, again.shown
    assert "Nothing to change" in again.shown


@pytest.mark.parametrize("providers", MOST_QUESTIONS)
def test_a_wrong_answer_is_told_and_asked_for_again(system, legato, providers):
    """Before anything is deployed, with what to do; then the call is archived all the same."""
    mistakes = {
        "Which providers (ringex, ringcx, kazoo)": "ringo",
        "Storage class of recordings": "FLOPPY",
        "Retention": "FOREVER",
        "Who gets a mail when something needs a person (- for nobody)": "nobody at all",
    }
    if providers != "kazoo":
        mistakes |= {"Client id": "two words", "JWT": "not.a.jwt"}
    if "kazoo" in providers:
        mistakes |= {"Address of the API": "kazoo", "API key": "0" * 64}
    terminal = legato("setup")
    assert typed(terminal, system, providers, mistakes) == 0, terminal.shown
    assert archived(terminal, providers) == providers.split(", "), terminal.shown
    before = terminal.shown.partition("Deploying")[0]
    assert "Client id must be" in before or providers == "kazoo"
    for provider in providers.split(", "):
        if provider != "ringcx" or providers == "ringcx":
            part = before.partition(f"Checking {provider_name(provider)}")[2]
            assert "  wrong   " in part.partition("Mend it")[0], before


def ringex_file(system):
    """Return a file that says what `legato setup` needs of RingEX."""
    known = json.loads((system.directory / CREDENTIALS).read_text())["ringex"]
    names = {"client_id": "clientId", "client_secret": "clientSecret", "jwt": "jwt"}
    file = system.directory / "ringex.json"
    file.write_text(json.dumps({"ringex": {name: known[each] for name, each in names.items()}}))
    return str(file)


def test_a_stack_is_upgraded_and_deleted_with_all_that_stays(system, legato):
    """Each says what it would do first; a name that is typed wrongly deletes nothing."""
    first = legato("setup", "--file", ringex_file(system), "--yes")
    assert first.code() == 0, first.shown
    before = dict(system.stack.outputs)
    shown = legato("upgrade")
    assert shown.question() == "Deploy it?", shown.shown
    assert "has version 0.1.0, this checkout 0.1.0" in shown.shown
    assert "New parameters: none." in shown.shown
    assert "Parameters that go: none." in shown.shown
    shown.type("y")
    assert shown.code() == 0, shown.shown
    assert system.stack.outputs == before
    wrong = legato("uninstall")
    wrong.question()
    wrong.type("y")
    wrong.question()
    wrong.type("logato")
    assert wrong.code() == 2, wrong.shown
    assert before["ArchiveBucketName"] in wrong.shown
    assert system.stack.outputs == before
    last = legato("uninstall", "--everything", "--yes", "--name", "legato")
    assert last.code() == 0, last.shown
    assert "RingEX's webhook subscription is removed." in last.shown
    buckets = aws.client("s3", system.endpoints.aws).list_buckets()["Buckets"]
    assert before["ArchiveBucketName"] not in [each["Name"] for each in buckets]
    assert legato("status").code() == 9
    with pytest.raises(LocalError, match="there is no stack"):
        _ = system.stack


def test_what_is_locked_is_not_removed(system, legato):
    """Nor is the stack, when everything was to be removed."""
    place_calls(system, "ringex")
    lock = ("--set", "retention=GOVERNANCE", "--minutes", "3")
    first = legato("setup", "--file", ringex_file(system), "--yes", *lock)
    assert first.code() == 0, first.shown
    last = legato("uninstall", "--everything", "--yes", "--name", "legato")
    assert last.code() == 2, last.shown
    assert "objects are locked until" in last.shown
    assert system.stack.outputs


def test_what_is_changed_later_changes_that_alone(system, legato):
    """Another provider joins by a file; what was typed before stays."""
    first = legato("setup")
    assert typed(first, system, "kazoo") == 0, first.shown
    known = json.loads((system.directory / CREDENTIALS).read_text())["ringex"]
    file = ringex_file(system)
    both = ("--provider", "ringex", "--provider", "kazoo", "--yes")
    shown = legato("setup", "--file", file, *both, "--dry-run")
    assert shown.code() == 0, shown.shown
    assert "UseRingex: false -> true" in shown.shown
    assert "AlarmEmail" not in shown.shown.partition("is changed")[2]
    assert "Nothing was changed" in shown.shown
    assert "KeeperFunction" not in system.pools
    second = legato("setup", "--file", file, *both)
    assert second.code() == 0, second.shown
    assert "RingEX's webhook subscription is in place." in second.shown
    held = system.secret("CredentialsArn")
    assert held.keys() == {"ringex", "kazoo"}
    assert held["ringex"] == known
    place_calls(system, "ringex")
    third = legato("setup", "--yes", "--minutes", "5")
    assert third.code() == 0, third.shown
    assert "Nothing to change" in third.shown


def test_wrong_credentials_without_a_terminal_change_nothing(bare, legato):
    file = bare.directory / "wrong.toml"
    url = bare.endpoints.simulators["kazoo"]
    file.write_text(f'[kazoo]\nurl = "{url}/v2"\napi_key = "{"0" * 64}"\naccounts = "abc"\n')
    terminal = legato("setup", "--file", str(file), "--yes")
    assert terminal.code() == 3, terminal.shown
    assert "0" * 64 not in terminal.shown
    found = legato("status")
    assert found.code() == 9
