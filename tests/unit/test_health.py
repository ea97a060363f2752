"""What HealthFunction tells by mail: what is new, what is over, what stands still; and when."""

import re
import shlex
from dataclasses import replace

import pytest

from legato.errors import Retry
from legato.model import format_time
from legato.operations.health import (
    COLUMNS,
    FEW,
    GONE_AFTER,
    MOST,
    NOTE,
    KnownNeed,
    check,
    letter,
)
from legato.operations.overview import Need, Status
from tests.fakes import NOON, FakeMail, an_id
from tests.unit.test_status import HOUR, FakeQueue, World, old_tail

FIVE = 5 * 60


class Watch:
    """A stack in which all is well, and who looks at it every five minutes."""

    def __init__(self):
        self.world, self.mail = World(), FakeMail()

    def run(self, times=1):
        for _ in range(times):
            self.world.clock.advance(FIVE)
            self.keep_alive()
            report = check(self.world.overview(), mail=self.mail)
        return report

    def keep_alive(self):
        """Let all that has to be new be new, unless a test has made it old."""
        now = format_time(self.world.clock.now())
        for key, name in (("keeper#ringex", "healthy_at"), ("digests", "to")):
            note = self.world.notes.read(key)
            self.world.write(key, **note.content | {name: now})
        self.world.write("tail#ringex", read_to=now)

    def fail(self, call="s-8"):
        self.world.trouble(call, r7=("refused", "GET /x answers 403"))

    def mend(self, call="s-8"):
        state = self.world.ledger.load(an_id(call))
        self.world.ledger.save(replace(state, troubles={}))

    @property
    def subjects(self):
        return [subject for subject, _ in self.mail.sent]

    @property
    def last(self):
        return self.mail.sent[-1][1]

    @property
    def note(self):
        return self.world.notes.read(NOTE).content


@pytest.fixture
def watch():
    return Watch()


def test_while_all_is_well_nobody_gets_a_mail_and_the_result_is_kept(watch):
    report = watch.run(times=20)
    assert (report.needs, report.unknown, report.fault) == (0, {}, None)
    assert watch.mail.sent == []
    assert watch.note["at"] == format_time(watch.world.clock.now())
    assert watch.note["result"]["well"] is True
    assert watch.note["result"]["providers"][0]["queue"]["waiting"] == 12


def test_what_is_new_is_told_once_and_what_is_over_once(watch):
    """At once, and in the third run that does not see it."""
    watch.fail()
    assert watch.run().needs == 1
    assert watch.subjects == ["Legato: 1 new in archive"]
    watch.run(times=30)
    assert watch.subjects == ["Legato: 1 new in archive"]
    watch.mend()
    watch.run(times=GONE_AFTER - 1)
    assert len(watch.subjects) == 1
    watch.run(times=30)
    assert watch.subjects == ["Legato: 1 new in archive", "Legato: 1 over in archive"]
    assert watch.note["findings"].keys() == {"refused|ringex|1|s-8|r7"}, "it may come back"
    watch.run(times=300)
    assert watch.note["findings"] == {}


def test_what_does_not_say_since_when_it_is_true_is_told_by_the_second_run(watch):
    """A list of an account that was found a moment ago is read before that."""
    del watch.world.notes.notes["tail#ringex"]
    watch.keep_alive = lambda: None
    watch.run()
    assert watch.mail.sent == []
    watch.run()
    assert watch.subjects == ["Legato: 1 new in archive"]
    assert "* ringex was never read\n    since 2026-11-20 12:05 UTC\n" in watch.last


def test_the_mail_says_what_since_when_and_what_to_do(watch):
    watch.fail()
    watch.run(times=2)
    watch.world.dead_letters = FakeQueue(waiting=2)
    watch.run(times=2)
    assert watch.subjects == ["Legato: 1 new in archive", "Legato: 1 new, 1 still in archive"]
    assert watch.last.splitlines() == [
        "Stack archive, 2026-11-20 12:20 UTC",
        "",
        "New:",
        "",
        "* ringex has 2 dead letters",
        "    since 2026-11-20 12:15 UTC",
        "    $ legato --stack archive failed --provider ringex",
        "",
        "Still:",
        "",
        "* ringex/1/s-8: recording r7 is refused to us since 2026-11-20 10:00",
        "  UTC: GET /x answers 403",
        "    since 2026-11-20 10:00 UTC (tried 3 times)",
        "    $ legato --stack archive retry ringex/1/s-8",
        "",
        "All of it:",
        "    $ legato --stack archive status",
    ]


def test_numbers_that_change_within_a_sentence_send_no_mail(watch):
    """A count, an age, a reason: it is the same finding."""
    for number in range(1, 30):
        watch.world.dead_letters = FakeQueue(waiting=number)
        watch.run()
    assert watch.subjects == ["Legato: 1 new in archive"]
    assert watch.note["findings"]["dead letters|ringex"]["what"] == "ringex has 29 dead letters"


def test_what_comes_and_goes_with_each_run_is_told_once(watch):
    for number in range(100):
        watch.world.dead_letters = FakeQueue(waiting=number % 2)
        watch.run()
    assert watch.subjects == ["Legato: 1 new in archive"]


def test_what_comes_back_again_and_again_is_told_less_and_less(watch):
    """Each time it has to stay away for twice as long before it counts as over."""
    for number in range(288):
        watch.world.dead_letters = FakeQueue(waiting=number // 4 % 2)
        watch.run()
    assert 1 <= len(watch.subjects) <= 5


def test_one_more_of_many_alike_sends_no_mail_but_twice_as_many_does(watch):
    """A storm is told when it begins, and when it grows."""
    for number in range(FEW):
        watch.fail(f"s-{number:03}")
    watch.run(times=2)
    assert watch.subjects == ["Legato: 10 new in archive"]
    watch.fail("s-more")
    watch.run(times=5)
    assert len(watch.subjects) == 1
    for number in range(100, 100 + FEW):
        watch.fail(f"s-{number:03}")
    watch.run(times=2)
    assert watch.subjects[1:] == ["Legato: 11 new, 10 still in archive"]
    assert "* and 1 more in trouble at ringex\n" in watch.last
    assert "    $ legato --stack archive failed --provider ringex\n" in watch.last
    for number in range(3):
        watch.mend(f"s-{number:03}")
        watch.run(times=GONE_AFTER)
    assert len(watch.subjects) == 2, "there is enough left to do"


def test_a_dead_letter_of_a_call_that_is_told_sends_no_mail_of_its_own(watch):
    """It is named by the next one that is sent; one of no call does."""
    watch.world.fail("s-8")
    watch.run(times=2)
    watch.world.dead_letters = FakeQueue(waiting=1)
    watch.run(times=5)
    assert watch.subjects == ["Legato: 1 new in archive"]
    watch.world.dead_letters = FakeQueue(waiting=2)
    watch.run(times=5)
    assert watch.subjects[1:] == ["Legato: 1 new, 1 still in archive"]
    assert "* ringex has 2 dead letters\n" in watch.last


def test_a_mail_that_cannot_be_sent_is_sent_by_the_next_run(watch):
    """What was told is written down only when it was."""
    watch.run()
    watch.fail()
    watch.mail.refusal = Retry("nobody can be told by mail: Throttling")
    before = watch.note
    report = watch.run()
    assert report.fault is watch.mail.refusal
    assert (report.needs, report.mailed) == (1, False)
    assert watch.note == before
    watch.mail.refusal = None
    assert watch.run().mailed
    assert watch.subjects == ["Legato: 1 new in archive"]


def test_a_note_that_cannot_be_written_is_a_fault(watch):
    def refuse(note):
        raise Retry("the ledger cannot be written")

    watch.keep_alive()
    watch.world.notes.write = refuse
    report = check(watch.world.overview(), mail=watch.mail)
    assert str(report.fault) == "the ledger cannot be written"


def test_without_an_address_nothing_counts_as_told(watch):
    """Whoever gives one later hears of all that stands."""
    watch.mail = None
    watch.fail()
    watch.run(times=10)
    watch.mail = FakeMail()
    watch.run()
    assert watch.subjects == ["Legato: 1 new in archive"]


def test_while_something_cannot_be_read_nothing_is_over_and_what_is_new_is_told(watch):
    watch.fail()
    watch.run(times=2)
    watch.mend()
    watch.world.jobs.refusal = Retry("a queue does not say how much it holds")
    watch.world.dead_letters = FakeQueue(waiting=1)
    report = watch.run(times=10)
    assert report.unknown.keys() == {"ringex: queue", "ringex: calls that are stuck"}
    assert watch.subjects == ["Legato: 1 new in archive", "Legato: 1 new, 1 still in archive"]
    assert "Could not be read:\n\n* ringex: queue: a queue does not say how" in watch.last
    watch.world.jobs.refusal = None
    watch.run(times=GONE_AFTER)
    assert watch.subjects[2:] == ["Legato: 1 over, 1 still in archive"]


def test_what_another_version_has_noted_keeps_nobody_from_looking(watch):
    watch.world.dead_letters = FakeQueue(waiting=1)
    watch.run()
    [(name, one)] = watch.note["findings"].items()
    del one["told"]
    watch.world.write(NOTE, findings={name: one | {"a_field_of": "tomorrow"}})
    assert watch.run().mailed


def test_a_gap_that_is_narrowed_down_stays_one_finding():
    """Its bounds change with each try, and since when it is bad does not."""
    gap = Need(kind="gap", what="from 1 to 2", do="x", provider="ringex", about="ringex 11:00")
    assert gap.identity == replace(gap, what="from 1 to 1.5", detail="later").identity
    assert gap.identity != replace(gap, about="ringex 12:00").identity


def test_since_when_it_was_first_seen_stays(watch):
    """Of a tail it may be said in two ways."""
    old_tail(watch.world)
    watch.keep_alive = lambda: None
    watch.run()
    [first] = watch.note["findings"].values()
    since = format_time(watch.world.clock.now() - HOUR)
    fault = {"failing": "503", "failing_since": format_time(NOON)}
    watch.world.write("tail#ringex", read_to=since, **fault)
    watch.run()
    found = watch.note["findings"]["tail|ringex||||ringex"]
    assert found["since"] == first["since"]
    assert found["what"].startswith("ringex cannot be read since")


def a_finding(number=0, **more):
    account = "5a2d994fbae69b1d6b01eb9f0e7dfe62"
    call = f"kazoo/{account}/202611-{number:032x}@10.0.0.1%3A5060"
    words = {
        "what": f"{call}: recording r-{number:032x} cannot be fetched since 2026-11-20 10:00 UTC: "
        "GET /v2/accounts answers 503 and 503 again",
        "do": f"legato retry {shlex.quote(call)}",
        "since": format_time(NOON),
        "detail": "tried 3 times, again at 2026-11-20 13:00 UTC",
    }
    return KnownNeed(**words | more)


def test_a_mail_fits_into_72_columns_and_its_commands_can_be_copied():
    """A word that is longer, as an address of a call, stands in a line of its own."""
    stack, logs = "archive-of-a-company", "sam logs --stack-name archive-of-a-company --name X"
    parts = {
        "New": [a_finding(), a_finding(1, do=f"{logs} --filter " + "word " * 20)],
        "Over": [a_finding(2)],
        "Still": [a_finding(3, do=logs)],
    }
    subject, words = letter(parts, Status(), stack=stack, now=NOON)
    assert subject == "Legato: 2 new, 1 over, 1 still in archive-of-a-company"
    for line in words.splitlines():
        text = line.removesuffix(" \\").strip().removeprefix("* ").removeprefix("$ ")
        assert len(line) <= COLUMNS or " " not in text, line
    assert words.isascii()
    copied = words.replace(" \\\n", "")
    call = a_finding().do.removeprefix("legato ")
    assert f"$ legato --stack {stack} {call}" in re.sub(" +", " ", copied)


def test_a_subject_is_what_sns_takes():
    """ASCII without line breaks, at most 100 characters, whatever the stack is called."""
    subject, _ = letter({"New": [a_finding()]}, Status(), stack="a" * 128, now=NOON)
    assert len(subject) <= 100
    assert subject.isascii()
    assert subject.isprintable()
    assert subject.startswith("Legato: 1 new in aaa")


def test_a_mail_stays_below_what_sns_takes():
    """However much is wrong, and however alike it is."""
    many = [a_finding(number, alike="of kazoo", do_all="legato failed") for number in range(5000)]
    other = [a_finding(number) for number in range(5000)]
    parts = {"New": [*many, *other], "Over": [*many, *other], "Still": [*many, *other]}
    _, words = letter(parts, Status(), stack="archive", now=NOON)
    assert len(words.encode()) < 256 * 1024
    assert f"* and {5000 - FEW} more of kazoo" in words
    assert f"* and {5000 - (MOST - FEW)} more\n" in words


def test_the_default_stack_is_not_named_in_commands():
    _, words = letter({"New": [a_finding()]}, Status(), stack="legato", now=NOON)
    assert "    $ legato retry" in words
    assert "--stack" not in words


def test_what_others_have_worded_commands_no_terminal():
    """Nor does it break the lines of a mail."""
    odd = a_finding(what="a reason\x1b[2J\nNew:\n\u202e")
    _, words = letter({"New": [odd]}, Status(), stack="legato", now=NOON)
    assert "\x1b" not in words
    assert words.count("New:") == 2
    assert "\nNew:\n\u202e" not in words
