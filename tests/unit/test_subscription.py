"""The keeper: what it finds, and what it does about it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from legato.discovery.push import KAZOO_PUSH_KEY
from legato.discovery.subscription import HOLD, NOTE, Keeper
from legato.discovery.webhook import CURRENT_TOKEN, PREVIOUS_TOKEN
from legato.errors import Barred, Failed, NotYet, Retry
from legato.model import format_time
from legato.ports import Subscription
from tests.fakes import NOON, FakeClock, FakeNotes

HOOK = "https://hook/webhook"
ELSEWHERE = "https://elsewhere/webhook"
TOKEN = "0123456789abcdef0123456789abcdef"
TEN_YEARS = 315360000
YEARS = timedelta(seconds=TEN_YEARS)
DAY = 24 * 60 * 60


class FakeSubscriptions:
    """A provider's list. `log` has what was done, `tokens` what each carries."""

    def __init__(self, clock):
        self.clock = clock
        self.listed = {}
        self.tokens = {}
        self.log = []
        self.made = 0
        self.failures = {}
        self.flaw = None
        self.on_create = lambda: None

    def list(self):
        self._fail("list")
        return list(self.listed.values())

    def create(self, *, address, token, seconds):
        self._fail("create")
        self.made += 1
        made = self.put(f"made-{self.made}", address=address, seconds=seconds, flaw=self.flaw)
        self.tokens[made.id] = token
        self.log.append(f"create {made.id}")
        self.on_create()
        return made

    def renew(self, name):
        self._fail("renew")
        self.log.append(f"renew {name}")
        self.listed[name] = replace(self.listed[name], expires_at=self.clock.now() + YEARS)
        return self.listed[name]

    def delete(self, name):
        self._fail("delete")
        self.log.append(f"delete {name}")
        self.listed.pop(name, None)

    def put(self, name, *, address=HOOK, seconds=TEN_YEARS, flaw=None):
        ends = self.clock.now() + timedelta(seconds=seconds)
        self.listed[name] = Subscription(id=name, address=address, expires_at=ends, flaw=flaw)
        return self.listed[name]

    def _fail(self, what):
        if what in self.failures:
            raise self.failures[what]


class FakeSecret:
    def __init__(self):
        self.value = {KAZOO_PUSH_KEY: "k", CURRENT_TOKEN: TOKEN}

    def read(self):
        return dict(self.value)

    def write(self, value):
        self.value = value


class Post:
    """A keeper's post with everything faked, and shortcuts to look at it."""

    def __init__(self):
        self.clock = FakeClock()
        self.notes = FakeNotes()
        self.tokens = FakeSecret()
        self.subscriptions = FakeSubscriptions(self.clock)
        self.keeper = Keeper(
            subscriptions=self.subscriptions,
            tokens=self.tokens,
            warm=lambda address: self.subscriptions.log.append(f"warm {address}"),
            notes=self.notes,
            clock=self.clock,
            address=HOOK,
            seconds=TEN_YEARS,
            token_age=timedelta(days=90),
            settles=timedelta(seconds=10),
        )

    def keep(self, **how):
        self.subscriptions.log.clear()
        return self.keeper.keep(**how)

    def unsubscribe(self, address=HOOK):
        self.subscriptions.log.clear()
        return self.keeper.unsubscribe(address)

    @property
    def log(self):
        return self.subscriptions.log

    @property
    def note(self):
        return self.notes.read(NOTE).content

    def only(self):
        [one] = self.subscriptions.listed.values()
        return one

    def change(self, **changes):
        one = self.only()
        self.subscriptions.listed[one.id] = replace(one, **changes)
        return one.id


@pytest.fixture
def post():
    return Post()


@pytest.fixture
def kept(post):
    """A post with a healthy subscription."""
    assert post.keep().healthy
    return post


def test_a_fresh_account_is_subscribed_after_a_warm_up(post):
    """With the token of the secret, for as long as is configured."""
    report = post.keep()
    made = post.only()
    assert post.log == [f"warm {HOOK}", f"create {made.id}"]
    assert post.subscriptions.tokens[made.id] == TOKEN
    assert made.expires_at == NOON + YEARS
    assert (report.healthy, report.subscription) == (True, made.id)
    assert report.counts == {"SubscriptionCreated": 1}
    assert post.note["subscription"] == made.id
    assert TOKEN not in str(post.note), "the ledger alone gives no access"


def test_a_healthy_one_is_left_alone(kept):
    """Nothing is done, nothing is written to the secret."""
    report = kept.keep()
    assert (report.healthy, report.reasons, kept.log) == (True, [], [])
    assert "held_until" not in kept.note


@pytest.mark.parametrize("token", [None, "", "short", "z" * 32, 7])
def test_a_secret_without_a_good_token_gets_one(post, token):
    """An operator who fills the secret in may leave it out."""
    post.tokens.value = {KAZOO_PUSH_KEY: "k", CURRENT_TOKEN: token}
    report = post.keep()
    made = post.tokens.value[CURRENT_TOKEN]
    assert len(bytes.fromhex(made)) == 16
    assert post.tokens.value[KAZOO_PUSH_KEY] == "k"
    assert post.subscriptions.tokens[post.only().id] == made
    assert report.counts == {"TokenRotated": 1, "SubscriptionCreated": 1}


@pytest.mark.parametrize(
    "flaw", ["Blacklisted: read timed out", "disabled filters: a", "missing filters: b"]
)
def test_one_with_a_flaw_is_replaced_new_first(kept, flaw):
    """There is no moment with none."""
    old = kept.change(flaw=flaw)
    report = kept.keep()
    new = kept.only().id
    assert kept.log == [f"warm {HOOK}", f"create {new}", f"delete {old}"]
    assert report.healthy
    assert report.counts == {"SubscriptionReplaced": 1, "SubscriptionDeleted": 1}
    assert flaw in report.reasons[0]


def test_one_that_vanished_is_made_again(kept):
    """Deleted by hand, or run out."""
    kept.subscriptions.listed.clear()
    report = kept.keep()
    assert report.counts == {"SubscriptionReplaced": 1}
    assert report.healthy


def test_one_that_somebody_else_made_is_replaced(post):
    """Nobody knows which token it carries."""
    post.subscriptions.put("by-hand")
    report = post.keep()
    assert post.only().id != "by-hand"
    assert report.counts == {"SubscriptionReplaced": 1, "SubscriptionDeleted": 1}


def test_duplicates_are_deleted(kept):
    """The one that the note knows stays."""
    known = kept.only().id
    kept.subscriptions.put("twin")
    report = kept.keep()
    assert kept.log == ["delete twin"]
    assert (kept.only().id, report.healthy) == (known, True)


def test_those_of_other_addresses_are_not_touched(post):
    """Another system of the same user, or another stack."""
    post.subscriptions.put("other", address=ELSEWHERE, flaw="Blacklisted: x")
    post.keep()
    post.unsubscribe()
    assert post.only().id == "other"


def test_ours_at_another_address_is_replaced(kept):
    """After the webhook has moved."""
    old = kept.only().id
    kept.keeper = replace(kept.keeper, address=ELSEWHERE)
    kept.keep()
    assert kept.only().address == ELSEWHERE
    assert kept.log[-1] == f"delete {old}"


@pytest.mark.parametrize(
    ("life", "left", "renewed"),
    [
        (TEN_YEARS, 7 * DAY, True),
        (TEN_YEARS, 7 * DAY + 1, False),
        (9 * DAY, 3 * DAY, True),
        (9 * DAY, 3 * DAY + 1, False),
    ],
)
def test_it_is_renewed_in_time(kept, life, left, renewed):
    """Seven days before its end, or at the last third of a short life."""
    kept.keeper = replace(kept.keeper, seconds=life)
    name = kept.change(expires_at=kept.clock.now() + timedelta(seconds=left))
    report = kept.keep()
    assert report.healthy
    assert kept.log == ([f"renew {name}"] if renewed else [])
    assert report.counts == ({"SubscriptionRenewed": 1} if renewed else {})


@pytest.mark.parametrize("refusal", [NotYet("gone"), Failed("no")])
def test_one_that_cannot_be_renewed_is_replaced(kept, refusal):
    """While the old one is still alive."""
    old = kept.change(expires_at=kept.clock.now() + timedelta(days=1))
    kept.subscriptions.failures["renew"] = refusal
    report = kept.keep()
    assert report.healthy
    assert kept.log[-1] == f"delete {old}"
    assert report.counts["SubscriptionReplaced"] == 1


def test_a_renewal_that_changes_nothing_is_not_believed(kept):
    """What counts is the end that the provider states."""
    kept.change(expires_at=kept.clock.now() + timedelta(days=1))
    kept.subscriptions.renew = lambda name: kept.subscriptions.listed[name]
    assert kept.keep().counts["SubscriptionReplaced"] == 1


class TestRotation:
    def test_the_secret_comes_first_the_subscription_later(self, kept):
        """By then every webhook knows the new token, and both are accepted."""
        old = kept.only().id
        report = kept.keep(rotate=True)
        fresh = kept.tokens.value[CURRENT_TOKEN]
        assert fresh != TOKEN
        assert kept.tokens.value[PREVIOUS_TOKEN] == TOKEN
        assert (kept.only().id, kept.log, report.healthy) == (old, [], True)
        kept.clock.advance(9)
        assert kept.keep().counts == {}
        kept.clock.advance(1)
        report = kept.keep()
        assert kept.subscriptions.tokens[kept.only().id] == fresh
        assert kept.log[-2:] == [f"create {kept.only().id}", f"delete {old}"]
        assert kept.tokens.value[PREVIOUS_TOKEN] == TOKEN

    def test_the_previous_token_is_retired(self, kept):
        """When nothing that is still on its way can carry it."""
        kept.keep(rotate=True)
        kept.clock.advance(600)
        kept.keep()
        kept.clock.advance(599)
        kept.keep()
        assert PREVIOUS_TOKEN in kept.tokens.value
        kept.clock.advance(1)
        assert kept.keep().healthy
        assert PREVIOUS_TOKEN not in kept.tokens.value
        assert kept.tokens.value[KAZOO_PUSH_KEY] == "k"

    def test_asked_for_twice_it_happens_once(self, kept):
        """A second token would push out the one that deliveries carry."""
        kept.keep(rotate=True)
        fresh = kept.tokens.value[CURRENT_TOKEN]
        report = kept.keep(rotate=True)
        assert kept.tokens.value == {**kept.tokens.value, CURRENT_TOKEN: fresh}
        assert kept.tokens.value[PREVIOUS_TOKEN] == TOKEN
        assert "already" in report.reasons[0]

    def test_an_old_token_is_rotated_by_itself(self, kept):
        """At the age that is configured, not before."""
        kept.clock.advance(90 * DAY - 1)
        kept.keep()
        assert kept.tokens.value[CURRENT_TOKEN] == TOKEN
        kept.clock.advance(1)
        assert kept.keep().counts["TokenRotated"] == 1
        kept.clock.advance(600)
        assert kept.keep().counts["TokenRotated"] == 0

    def test_a_token_that_a_person_wrote_is_taken_over_at_once(self, kept):
        """What is delivered until then is refused, so there is nothing to wait for."""
        kept.tokens.value[CURRENT_TOKEN] = "f" * 32
        report = kept.keep()
        assert kept.subscriptions.tokens[kept.only().id] == "f" * 32
        assert report.counts["SubscriptionReplaced"] == 1

    def test_a_crash_between_secret_and_note_loses_nothing(self, kept):
        """The note learns of the new token in the next run, and the rotation goes on."""
        kept.tokens.value = {CURRENT_TOKEN: "f" * 32, PREVIOUS_TOKEN: TOKEN}
        assert kept.keep(rotate=True).counts == {}
        kept.clock.advance(10)
        assert kept.keep().counts["SubscriptionReplaced"] == 1
        assert kept.subscriptions.tokens[kept.only().id] == "f" * 32


class TestTrouble:
    @pytest.mark.parametrize("what", ["list", "create"])
    @pytest.mark.parametrize(
        "error", [Barred("the secret has no jwt", seconds=300), Retry("503"), Failed("SUB-520")]
    )
    def test_what_cannot_be_done_is_said(self, post, what, error):
        """And tried again by the next run, which is let in."""
        post.subscriptions.failures[what] = error
        report = post.keep()
        assert (report.healthy, report.counts) == (False, {"KeeperFailed": 1})
        assert report.reasons == [str(error)]
        post.subscriptions.failures.clear()
        assert post.keep().healthy

    def test_a_replacement_that_fails_leaves_the_old_one(self, kept):
        """A blacklisted one is no worse than none."""
        old = kept.change(flaw="Blacklisted: x")
        kept.subscriptions.failures["create"] = Failed("SUB-521")
        assert kept.keep().healthy is False
        assert kept.only().id == old

    def test_an_old_one_that_cannot_be_deleted_is_deleted_later(self, kept):
        """The new one is there, so this is no reason to be ill."""
        old = kept.change(flaw="Blacklisted: x")
        kept.subscriptions.failures["delete"] = Retry("503")
        report = kept.keep()
        assert report.healthy
        assert report.counts == {"SubscriptionReplaced": 1, "KeeperFailed": 1}
        kept.subscriptions.failures.clear()
        kept.keep()
        assert kept.log == [f"delete {old}"]

    def test_a_flaw_that_a_fresh_one_has_too_is_no_reason_for_another(self, post):
        """A missing permission stays missing: one try an hour, and somebody is told."""
        post.subscriptions.flaw = "disabled filters: a (CMN-408)"
        report = post.keep()
        assert (report.healthy, report.counts["KeeperFailed"]) == (False, 1)
        post.clock.advance(3599)
        report = post.keep()
        assert (post.log, report.healthy, report.counts) == ([], False, {"KeeperFailed": 1})
        post.clock.advance(1)
        post.subscriptions.flaw = None
        assert post.keep().healthy

    def test_a_ledger_that_cannot_be_read_is_said(self, post):
        """Without it nobody knows which subscription is ours."""

        def fail(_key):
            raise Retry("the ledger cannot be read")

        post.notes.read = fail
        report = post.keep()
        assert (report.healthy, report.reasons) == (False, ["the ledger cannot be read"])

    def test_only_one_keeper_works_at_a_time(self, kept):
        """One that died is waited for, and no longer."""
        note = kept.notes.read(NOTE)
        until = (kept.clock.now() + HOLD).isoformat()
        kept.notes.write(replace(note, content={**note.content, "held_until": until}))
        kept.subscriptions.listed.clear()
        report = kept.keep()
        assert (report.healthy, report.counts, kept.log) == (None, {}, [])
        kept.clock.advance(HOLD.total_seconds())
        assert kept.keep().healthy


class TestUnsubscribe:
    def test_all_of_our_address_are_deleted(self, kept):
        """Also those that are not of our making: they would only be refused."""
        kept.subscriptions.put("by-hand")
        report = kept.unsubscribe()
        assert kept.subscriptions.listed == {}
        assert report.counts == {"SubscriptionDeleted": 2}

    def test_a_schedule_that_fires_once_more_does_nothing(self, kept):
        """It goes after the custom resource. A stack that comes back begins anew."""
        kept.unsubscribe()
        report = kept.keep()
        assert (report.healthy, report.counts, kept.log) == (None, {}, [])
        assert kept.keep(reopen=True).healthy
        assert kept.keep().healthy

    def test_a_keeper_at_work_undoes_what_it_makes(self, post):
        """The stack is deleted while it subscribes."""
        other = replace(post.keeper, subscriptions=FakeSubscriptions(post.clock))
        post.subscriptions.on_create = lambda: other.unsubscribe(HOOK)
        report = post.keep()
        assert post.subscriptions.listed == {}
        assert report.counts == {"KeeperFailed": 1}
        assert post.note["closed"] is True

    def test_an_old_address_is_no_end(self, kept):
        """The webhook has moved, and its old subscription goes."""
        kept.subscriptions.put("old", address=ELSEWHERE)
        kept.unsubscribe(ELSEWHERE)
        assert kept.log == ["delete old"]
        assert kept.keep().healthy

    @pytest.mark.parametrize("what", ["list", "delete"])
    def test_what_is_left_is_said(self, kept, what):
        """It never raises: the stack is deleted all the same."""
        kept.subscriptions.failures[what] = Barred("revoked", seconds=300)
        report = kept.unsubscribe()
        assert report.counts == {"KeeperFailed": 1}
        assert "left" in report.reasons[0]
        assert "revoked" in report.reasons[0]

    def test_without_the_ledger_the_list_is_enough(self, kept):
        """The note only prevents what comes later."""

        def fail(_key):
            raise Retry("the ledger cannot be read")

        kept.notes.read = fail
        report = kept.unsubscribe()
        assert kept.subscriptions.listed == {}
        assert report.counts == {"KeeperFailed": 1, "SubscriptionDeleted": 1}


class TestRemembered:
    """What `legato status` tells a person from."""

    def test_when_it_was_last_seen_healthy(self, kept):
        kept.clock.advance(600)
        kept.keep()
        assert kept.note["healthy_at"] == format_time(kept.clock.now())
        assert "failing" not in kept.note

    def test_since_when_and_why_it_cannot_be_looked_after(self, kept):
        healthy_at, began = kept.note["healthy_at"], kept.clock.now()
        kept.subscriptions.failures["list"] = Retry("503")
        for _ in range(3):
            kept.keep()
            kept.clock.advance(600)
        assert kept.note["healthy_at"] == healthy_at
        assert (kept.note["failing"], kept.note["failing_since"]) == ("503", format_time(began))
        kept.subscriptions.failures.clear()
        kept.keep()
        assert "failing_since" not in kept.note
