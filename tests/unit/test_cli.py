"""The operator's command: what it says, what it refuses, and how it ends."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError, ProfileNotFound
from typer.testing import CliRunner

from legato.aws.refusals import refusal
from legato.cli.app import app
from legato.cli.exit_codes import Exit, exit_of
from legato.cli.progress import Words, bars
from legato.errors import Barred, Failed, Refused, Retry
from tests import configured
from tests.fakes import NOON
from tests.unit.test_backfill import DAY, KazooWorld, RefusingMetadata, RingexWorld, World

FROM = "2026-11-17T12:00"
TO = "2026-11-19T12:00"


class FakePlace:
    """Hands out the world's backfill, or an error."""

    def __init__(self, world, error=None):
        self.world = world
        self.error = error
        self.asked_for = None

    def backfill(self, provider, *, begin, end, sources):
        if self.error:
            raise self.error
        assert provider == self.world.provider
        self.asked_for = (begin, end, sources)
        self.world.begin, self.world.limit = begin, end
        return self.world.work()


@pytest.fixture
def world():
    world = World(begin=NOON - 3 * DAY)
    world.dialogs_every(timedelta(hours=2))
    return world


def legato(place, *arguments, env=None):
    command = ["backfill", place.world.provider, *arguments]
    return CliRunner().invoke(app, command, obj=place, env=env)


def test_it_says_what_is_ahead_does_it_and_says_what_was_found(world):
    """A day is nine windows; every dialog's job is sent."""
    ended = legato(FakePlace(world), "--from", FROM, "--to", TO)
    assert ended.exit_code == 0, ended.output
    assert "From 2026-11-17 12:00 UTC to 2026-11-19 12:00 UTC." in ended.output
    assert "Sub-account 99: at least 17 requests of the group Metadata; the number of " in (
        ended.output
    )
    assert "At RingCX's limits that takes about 30 min" in ended.output
    assert re.search(
        r"99: 4\d%, 8 requests, .*; waits until 12:\d\d:\d\d UTC: it is not", ended.output
    )
    assert "99: 100%, 17 requests, 24 recordings of 24 calls, 24 jobs sent" in ended.output
    assert len(world.jobs.sent) == 24


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (
            RingexWorld,
            [
                "RingEX company: about 2 requests of the group Heavy, with about 24 recordings "
                "(estimated from the first 24).",
                "At RingEX's limits that takes less than a minute, or longer with new calls.",
                "Their audio takes about 24 requests of the group Recordings",
                "RingEX company: 2 requests, 24 recordings of 24 calls found, 24 jobs sent.",
            ],
        ),
        (
            KazooWorld,
            [
                f"Account {'a' * 32}: about 13 requests of the group Requests, with about 25",
                "At Kazoo's limits",
                "24 recordings of 24 calls found, 24 jobs sent.",
            ],
        ),
    ],
)
def test_the_other_providers_are_filled_by_the_same_command(kind, says):
    """What is said of them is in their words, and with a guess of how much there is."""
    world = kind(begin=NOON - 3 * DAY)
    world.dialogs_every(timedelta(hours=2))
    ended = legato(FakePlace(world), "--from", FROM, "--to", TO)
    assert ended.exit_code == 0, ended.output
    for words in says:
        assert words in ended.output
    assert len(world.jobs.sent) == 24


def test_an_unfinished_one_of_other_days_is_refused_until_it_is_given_up(world):
    """With how to go on with it."""
    world.metadata.refusal = KeyboardInterrupt()
    legato(FakePlace(world), "--from", "2026-11-18", "--to", "2026-11-18")
    world.metadata.refusal = None
    refused = legato(FakePlace(world), "--from", FROM, "--to", TO)
    assert refused.exit_code == 2
    assert "`legato backfill ringcx --from 2026-11-18 --to 2026-11-18 --zone UTC`" in refused.output
    assert (
        legato(FakePlace(world), "--from", FROM, "--to", TO, "--discard-unfinished").exit_code == 0
    )


def test_the_same_command_again_asks_nothing(world):
    """It is done."""
    legato(FakePlace(world), "--from", FROM, "--to", TO)
    asked = len(world.metadata.asked)
    again = legato(FakePlace(world), "--from", FROM, "--to", TO)
    assert again.exit_code == 0
    assert "already read to the end, nothing is left to do" in again.output
    assert len(world.metadata.asked) == asked


def test_a_dry_run_says_what_a_run_would_do(world):
    """With how much audio it is; nothing is sent."""
    ended = legato(FakePlace(world), "--from", FROM, "--to", TO, "--dry-run")
    assert ended.exit_code == 0
    assert "24 recordings of 24 calls found, 0 of them known and 0 archived" in ended.output
    assert "24 jobs would be sent; 0.4 h of audio, about 46.1 MB (estimated" in ended.output
    assert world.jobs.sent == []


def test_times_are_taken_as_everywhere_else(world):
    """Without a zone they are UTC, and what is meant is said."""
    place = FakePlace(world)
    ended = legato(place, "--from", "2026-11-18", "--to", "2026-11-19T01:00+02:00")
    assert "From 2026-11-18 00:00 UTC to 2026-11-18 23:00 UTC." in ended.output
    berlin = ("--from", "2026-11-18", "--to", "2026-11-18T09:00", "--zone", "Europe/Berlin")
    ended = legato(FakePlace(world), *berlin, "--dry-run")
    assert "From 2026-11-17 23:00 UTC to 2026-11-18 08:00 UTC." in ended.output
    assert place.asked_for[1] - place.asked_for[0] == timedelta(hours=23)


def test_a_day_is_meant_as_a_whole(world):
    """The last one too; a time is taken exactly."""
    ended = legato(FakePlace(world), "--from", "2026-11-18", "--to", "2026-11-18", "--dry-run")
    assert "From 2026-11-18 00:00 UTC to 2026-11-19 00:00 UTC." in ended.output
    assert "12 recordings" in ended.output


def test_sub_accounts_may_be_chosen_and_the_end_left_out(world):
    """Without a choice it is all of them, without an end it is the present."""
    place = FakePlace(world)
    legato(place, "--from", FROM, "--sub-account", "1", "--sub-account", "2")
    assert place.asked_for[1:] == (None, ["1", "2"])


def test_a_beginning_that_ringcx_has_forgotten_is_refused_or_warned_of(world):
    """Whatever is older than its retention is gone, which one sub-account may have longer."""
    old = legato(FakePlace(world), "--from", "2026-08-01", "--to", "2026-08-02")
    assert old.exit_code == 2
    assert "there is nothing from before 2026-08-22" in old.output
    border = legato(FakePlace(world), "--from", "2026-08-22", "--to", "2026-08-22")
    assert "warning: RingCX keeps recordings of 99 for 90 days" in border.output
    young = legato(FakePlace(world), "--from", FROM, "--to", TO)
    assert "warning" not in young.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "2026-13-01"], "'2026-13-01' is not a time: write a day (2026-11-01,"),
        (["--from", "someday"], "'someday' is not a time"),
        (["--from", TO, "--to", FROM], f"--from {TO} is not before --to {FROM}"),
        (["--from", FROM, "--to", FROM], "is not before"),
        (["--from", "2026-11-18", "--to", "2026-11-17"], "is not before --to 2026-11-17"),
        ([], "Missing option '--from'"),
        (["--from", FROM, "--until", TO], "No such option: --until"),
    ],
)
def test_wrong_usage_is_told_in_one_line(world, arguments, says):
    """And nothing is asked of anybody."""
    place = FakePlace(world)
    ended = legato(place, *arguments)
    assert ended.exit_code == 2
    (line,) = [
        line
        for line in ended.output.splitlines()
        if line.startswith(("Error: ", "legato: ")) and "offset are UTC" not in line
    ]
    assert says in line
    assert place.asked_for is None


@pytest.mark.parametrize(
    ("error", "code"),
    [(Refused("there is no stack x"), 2), (Failed("the stack does not use RingCX"), 1)],
)
def test_what_keeps_it_from_beginning_is_told_in_one_line(world, error, code):
    """The wrong input is another exit code than what else may be."""
    ended = legato(FakePlace(world, error), "--from", FROM)
    assert ended.exit_code == code
    assert ended.stderr.splitlines()[-1] == f"legato: {error}"


def test_a_sub_account_that_is_given_up_makes_the_run_fail(world):
    """With the reason, and how to go on."""
    world.sub_accounts = ("1", "2")
    world.metadata = RefusingMetadata(world, {"1": Barred("403 access denied", seconds=300)})
    ended = legato(FakePlace(world), "--from", FROM, "--to", TO)
    assert ended.exit_code == Exit.NEEDS_PERSON
    assert "legato: Sub-account 1: gave up at 0%: 403 access denied\n" in ended.output
    assert "legato: 1 list not read to the end: run the same command to resume\n" in ended.output
    assert "Sub-account 2: 17 requests, " in ended.output


def test_a_missing_permission_ends_it_at_once_and_is_named(world):
    """AWS says which one; to repeat it would be no use."""
    refusal = Retry("the ledger cannot be written")
    refusal.__cause__ = forbidden("dynamodb:PutItem")
    world.metadata = RefusingMetadata(world, {"99": refusal})
    ended = legato(FakePlace(world), "--from", FROM, "--to", TO)
    assert ended.exit_code == Exit.NOT_PERMITTED
    assert "AWS does not permit dynamodb:PutItem" in ended.output
    assert world.clock.now() == NOON


@pytest.mark.parametrize(
    ("options", "says"), [([], "run the same command to resume"), (["--dry-run"], "nothing was")]
)
def test_an_interruption_says_how_to_go_on(world, options, says):
    """Ctrl-C is no failure."""
    world.metadata.refusal = KeyboardInterrupt()
    ended = legato(FakePlace(world), "--from", FROM, "--to", TO, *options)
    assert ended.exit_code == 130
    assert f"legato: interrupted: {says}" in ended.output.splitlines()[-1]


def test_a_terminal_gets_a_bar_and_no_colours_if_it_wants_none(world):
    """NO_COLOR is heeded."""
    terminal = {"TTY_COMPATIBLE": "1", "TERM": "xterm", "COLUMNS": "160"}
    coloured = legato(FakePlace(world), "--from", FROM, "--to", TO, "--dry-run", env=terminal)
    plain = legato(
        FakePlace(world), "--from", FROM, "--to", TO, "--dry-run", env=terminal | {"NO_COLOR": "1"}
    )
    assert "━" in coloured.output
    assert "━" in plain.output
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", coloured.output)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", plain.output)


@pytest.mark.attacks("an account whose name is markup, and commands the terminal")
def test_a_bar_shows_a_name_as_text():
    """Markup that ends nothing would end the command."""
    shown = bars()
    shown.add_task("[/bold][red]\x1b[2J", words="[/]\u202e")
    [task] = shown.tasks
    assert Words().render(task).plain == "[/bold][red]\ufffd[2J"
    assert Words("words").render(task).plain == "[/]\ufffd"


def forbidden(action):
    message = f"User: arn:aws:iam::1:user/o is not authorized to perform: {action} on resource: x"
    return ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": message}}, "Operation"
    )


@pytest.mark.parametrize(
    ("error", "says", "code"),
    [
        (
            forbidden("cloudformation:DescribeStacks"),
            "cloudformation:DescribeStacks",
            Exit.NOT_PERMITTED,
        ),
        (NoCredentialsError(), "no AWS credentials", Exit.NOT_PERMITTED),
        (NoRegionError(), "give --region", Exit.WRONG_USAGE),
        (ProfileNotFound(profile="x"), "aws configure list-profiles", Exit.WRONG_USAGE),
        (
            ClientError({"Error": {"Code": "ExpiredToken"}}, "Operation"),
            "log in again",
            Exit.NOT_PERMITTED,
        ),
    ],
)
def test_what_aws_wants_of_a_person_is_said(error, says, code):
    """Also if it is the cause of an error of ours, which another one wraps."""
    wrapped = Retry("it did not work")
    wrapped.__cause__ = error
    outer = Failed("nothing was done")
    outer.__cause__ = wrapped
    for one in (error, wrapped, outer):
        assert says in str(refusal(one))
    assert exit_of(wrapped) == exit_of(outer) == code


def test_what_passes_by_itself_asks_nothing_of_a_person():
    """It is worth repeating."""
    throttled = Retry("the ledger cannot be read")
    throttled.__cause__ = ClientError({"Error": {"Code": "ThrottlingException"}}, "GetItem")
    assert refusal(throttled) is None
    assert refusal(Retry("503")) is None
    assert exit_of(throttled) == Exit.UNAVAILABLE


def test_a_stack_without_ringcx_or_without_the_sub_account_is_named(monkeypatch):
    """Before anything of AWS is asked."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(Failed, match="RingcxSubAccountIds"):
        configured.app().ringcx.backfill(begin=NOON)
    with pytest.raises(Refused, match="no sub-account 7; it has 1, 2"):
        configured.app(RingcxSubAccountIds="1,2").ringcx.backfill(begin=NOON, sources=["1", "7"])


def test_a_stack_without_kazoo_or_without_the_account_is_named(monkeypatch):
    """Before anything of AWS is asked."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(Failed, match="KazooUrl and KazooAccountIds"):
        configured.app().kazoo.backfill(begin=NOON)
    uses = configured.app(KazooUrl="https://kazoo", KazooAccountIds="a,b/u")
    with pytest.raises(Refused, match="no account b; it has a, b/u"):
        uses.kazoo.backfill(begin=NOON, sources=["a", "b"])


def test_a_stack_without_ringex_is_named():
    """Before anything of AWS is asked."""
    with pytest.raises(Failed, match="UseRingex=true"):
        configured.app(UseRingex="false").ringex.backfill(begin=datetime.now(UTC) - DAY)


@pytest.mark.parametrize("provider", ["ringex", "kazoo"])
def test_days_to_come_are_refused(provider):
    """Before anything of AWS is asked."""
    uses = configured.app(KazooUrl="https://kazoo", KazooAccountIds="a")
    with pytest.raises(Refused, match="--from lies in the future"):
        uses.provider(provider).backfill(begin=datetime(2999, 1, 1, tzinfo=UTC))


def test_what_has_not_come_yet_is_refused():
    """Nor is what ended less than a quarter of an hour ago read."""
    uses = configured.app(RingcxSubAccountIds="1")
    for begin in (datetime(2999, 1, 1, tzinfo=UTC), datetime.now(UTC) - timedelta(minutes=14)):
        says = "--from lies in the future" if begin.year == 2999 else "left alone for 15 min"
        with pytest.raises(Refused, match=says):
            uses.ringcx.backfill(begin=begin)


@pytest.mark.parametrize("written", [None, "{"], ids=["no file", "half a file"])
def test_no_local_system_is_told_with_how_to_start_one(tmp_path, monkeypatch, written):
    """The file that it writes is not there, or not whole."""
    if written is not None:
        (tmp_path / "endpoints.json").write_text(written)
    monkeypatch.setenv("LEGATO_LOCAL_DIR", str(tmp_path))
    ended = CliRunner().invoke(app, ["--local", "backfill", "ringcx", "--from", FROM])
    assert ended.exit_code == Exit.NO_STACK
    assert ended.output.startswith("legato: no local system runs")
    assert "make local" in ended.output


def test_the_local_system_has_no_profile():
    """Either one or the other."""
    ended = CliRunner().invoke(
        app, ["--local", "--profile", "p", "backfill", "ringcx", "--from", FROM]
    )
    assert ended.exit_code == 2
    assert "--local cannot be combined with --region or --profile" in ended.output
