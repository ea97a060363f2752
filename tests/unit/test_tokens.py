"""One token for all workers."""

import threading
import time
from dataclasses import replace

import pytest

from legato.clock import SystemClock
from legato.errors import Barred, Retry, Stale, Wait
from legato.providers.credentials import Credential, Pool, read_credentials
from legato.providers.tokens import Minted, Tokens
from tests.fakes import FakeNotes, LockedNotes

ONE = Credential("id", "secret", "jwt")


class Mint:
    def __init__(self):
        self.minted = 0
        self.error = None

    def __call__(self, credential, refresh):
        if self.error:
            raise self.error
        self.minted += 1
        return Minted(f"token-{self.minted}", 3600)


def tokens(notes, clock, mint):
    return Tokens(notes, clock, name="ringex", mint=mint, sleep=clock.advance)


def test_fifty_workers_starting_at_once_mint_one_token():
    """Each with nothing in memory, all on one ledger."""
    notes, mint, got = LockedNotes(), Mint(), []

    def work():
        shared = Tokens(notes, SystemClock(), name="ringex", mint=mint, sleep=time.sleep)
        got.append(shared.token(ONE))

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mint.minted == 1
    assert got == ["token-1"] * 50


def test_one_worker_renews_while_the_others_use_the_old_one(notes, clock):
    """In the last tenth of its life the token is still good."""
    mint = Mint()
    tokens(notes, clock, mint).token(ONE)
    clock.advance(3300)
    other = tokens(notes, clock, Mint())

    def while_minting(credential, refresh):
        assert other.token(credential) == "token-1"
        return Minted("token-new", 3600)

    assert tokens(notes, clock, while_minting).token(ONE) == "token-new"
    assert other.token(ONE) == "token-new"


def test_a_refused_token_is_forgotten_unless_a_newer_one_stands_there(notes, clock):
    """Two workers whose token was evicted mint one new token, not two."""
    mint = Mint()
    first, second = tokens(notes, clock, mint), tokens(notes, clock, mint)
    assert first.token(ONE) == second.token(ONE) == "token-1"
    first.refused(ONE, "token-1")
    assert first.token(ONE) == "token-2"
    second.refused(ONE, "token-1")
    assert second.token(ONE) == "token-2"


def test_a_refused_token_is_used_by_no_other_thread(notes, clock):
    """Not even by one that reads it at the moment when it is being forgotten."""
    shared = tokens(notes, clock, Mint())
    assert shared.token(ONE) == "token-1"

    class WithAnotherThread:
        def read(self, key):
            note = notes.read(key)
            shared._notes = notes
            other.append(shared.token(ONE))
            return note

    other = []
    shared._notes = WithAnotherThread()
    shared.refused(ONE, "token-1")
    assert (other, shared.token(ONE)) == (["token-2"], "token-2")


def test_a_worker_that_dies_while_minting_blocks_nobody_for_long(notes, clock):
    """After twenty seconds another one mints; until then the others wait their turn."""

    def die(_credential, _refresh):
        raise SystemExit

    broken = tokens(notes, clock, die)
    broken._written = lambda note, content, write=broken._written: (
        write(note, content) if "minting_until" in content else None
    )
    with pytest.raises(SystemExit):
        broken.token(ONE)
    with pytest.raises(Wait):
        tokens(notes, clock, Mint()).token(ONE)
    clock.advance(20)
    assert tokens(notes, clock, Mint()).token(ONE) == "token-1"


def test_a_mint_that_fails_leaves_the_others_a_free_hand(notes, clock):
    """The error is the caller's; the next one tries again at once."""
    mint = Mint()
    mint.error = Barred("invalid_client", seconds=300)
    with pytest.raises(Barred):
        tokens(notes, clock, mint).token(ONE)
    mint.error = None
    assert tokens(notes, clock, mint).token(ONE) == "token-1"


class Rotating:
    """Gives each token a refresh token that serves once, and remembers with what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, credential, refresh):
        self.asked.append(refresh)
        n = len(self.asked)
        return Minted(f"token-{n}", 300, f"refresh-{n}", {"account": "9"} if n == 1 else {})


def test_a_refresh_token_is_used_once_and_by_any_worker(notes, clock):
    """It stands in the ledger beside the token; what the log-in told outlives the renewals."""
    mint = Rotating()
    for _ in range(3):
        assert tokens(notes, clock, mint).token_and_facts(ONE)[1] == {"account": "9"}
        clock.advance(271)
    assert mint.asked == [None, "refresh-1", "refresh-2"]


def test_a_token_that_was_refused_is_not_renewed(notes, clock):
    """Whatever ended it may have ended its refresh token too, so there is a new log-in."""
    mint = Rotating()
    shared = tokens(notes, clock, mint)
    shared.refused(ONE, shared.token(ONE))
    assert shared.token(ONE) == "token-2"
    assert mint.asked == [None, None]


def test_a_renewal_that_fails_keeps_what_there_was(notes, clock):
    """The token for the others, the refresh token for the next attempt."""
    mint = Rotating()
    tokens(notes, clock, mint).token(ONE)
    before = notes.read(f"token#ringex#{ONE.id}").content
    clock.advance(271)

    def fail(credential, refresh):
        raise Retry("down")

    with pytest.raises(Retry):
        tokens(notes, clock, fail).token(ONE)
    assert notes.read(f"token#ringex#{ONE.id}").content == before
    tokens(notes, clock, mint).token(ONE)
    assert mint.asked == [None, "refresh-1"]


def test_tokens_of_two_providers_are_told_apart(notes, clock):
    """One service user may serve both."""
    ringex = Tokens(notes, clock, name="ringex", mint=Mint(), sleep=clock.advance)
    ringcx = Tokens(notes, clock, name="ringcx", mint=Rotating(), sleep=clock.advance)
    assert ringex.token_and_facts(ONE) == ("token-1", {})
    assert ringcx.token_and_facts(ONE) == ("token-1", {"account": "9"})
    assert sorted(notes.notes) == [f"token#ringcx#{ONE.id}", f"token#ringex#{ONE.id}"]


def test_the_ledger_alone_gives_no_access(notes, clock):
    """The key is in the secret; with other credentials the tokens cannot be read."""
    tokens(notes, clock, Rotating()).token(ONE)
    [note] = notes.notes.values()
    assert "token-1" not in str(note.content)
    assert "refresh-1" not in str(note.content)
    changed = Credential("id", "other secret", "jwt")
    assert tokens(notes, clock, lambda *_: Minted("other", 60)).token(changed) == "other"


@pytest.mark.parametrize(
    "rubbish",
    [
        {"renew_at": None},
        {"renew_at": "soon"},
        {"expires_at": []},
        {"token": 7},
        {"token": "no token of ours"},
        {"token": "é"},
        {"renew_at": float("nan")},
        {"minting_until": "soon", "renew_at": "soon"},
        {"facts": 7, "token": 7, "refresh": 7},
    ],
)
def test_a_note_that_holds_rubbish_is_as_good_as_none(notes, clock, rubbish):
    """There is a new log-in, and the note is whole again."""
    mint = Mint()
    tokens(notes, clock, mint).token(ONE)
    note = notes.read(f"token#ringex#{ONE.id}")
    notes.write(replace(note, content=note.content | rubbish))
    assert tokens(notes, clock, mint).token_and_facts(ONE) == ("token-2", {})
    assert tokens(notes, clock, mint).token(ONE) == "token-2"


def test_a_token_that_cannot_be_sent_is_not_kept(notes, clock):
    """A line break would end the header that it stands in."""
    with pytest.raises(Retry, match="cannot be sent"):
        tokens(notes, clock, lambda *_: Minted("a\r\nb", 60)).token(ONE)


def test_one_jwt_or_many():
    """A list of service users; a double counts once, an empty one not at all."""
    both, many = {"clientId": "id", "clientSecret": "s"}, ["a", "b\n", "a", "", None]
    assert [c.jwt for c in read_credentials({**both, "jwt": "a"}, "ringex")] == ["a"]
    assert [c.jwt for c in read_credentials({**both, "jwt": many}, "ringex")] == ["a", "b"]


@pytest.mark.parametrize(
    ("secret", "named"),
    [
        ({}, "clientId, clientSecret, jwt"),
        ({"clientId": "id", "clientSecret": "", "jwt": "a"}, "clientSecret"),
        ({"clientId": "id", "clientSecret": "s", "jwt": []}, "jwt"),
        ({"clientId": "id", "clientSecret": "s", "jwt": 7}, "jwt"),
        ({"clientId": "id", "clientSecret": "s", "jwt": ["", " ", None, 7]}, "jwt"),
        ({"clientId": "id", "clientSecret": "s", "jwt": "\ud800"}, "jwt"),
        ({"clientId": 7, "clientSecret": ["s"], "jwt": "a"}, "clientId, clientSecret"),
        (None, "clientId, clientSecret, jwt"),
        ("text", "clientId, clientSecret, jwt"),
        ([], "clientId, clientSecret, jwt"),
    ],
)
def test_what_lacks_in_the_secret_is_named(secret, named):
    """For the operator who has just deployed."""
    with pytest.raises(Barred, match=f"no RingCentral {named} in its part `ringcx`"):
        read_credentials(secret, "ringcx")


def test_a_credential_tells_nothing_of_itself():
    """Neither its id nor its repr holds a secret."""
    assert "jwt" not in ONE.id
    assert "secret" not in repr(ONE).replace("client_secret", "")


def test_all_set_aside_is_told_with_the_soonest_return(notes, clock):
    """And each comes back when its time is over."""
    secret = {"clientId": "id", "clientSecret": "s", "jwt": ["a", "b"]}
    pool = Pool(lambda: read_credentials(secret, "ringex"), notes, clock, provider="ringex")
    first, second = credentials(pool)
    pool.set_aside(first, "revoked", seconds=300)
    assert credentials(pool) == [second]
    pool.set_aside(second, "no permission", seconds=900)
    with pytest.raises(Barred, match="revoked") as barred:
        pool.usable()
    assert barred.value.seconds == 300
    clock.advance(301)
    assert credentials(pool) == [first]


def credentials(pool):
    return [usable.credential for usable in pool.usable()]


def test_a_note_that_others_write_all_the_time_ends_in_an_error(clock):
    """It is not tried for ever."""

    class Busy(FakeNotes):
        def write(self, note):
            raise Stale("changed in between")

    pool = Pool(lambda: [Key("k")], Busy(), clock, provider="kazoo")
    with pytest.raises(Retry):
        pool.set_aside(Key("k"), "unknown", seconds=300)


def test_workers_that_are_refused_at_the_same_time_count_once(notes, clock, caplog):
    """Ten of them do not make the credential rest for ten times as long."""
    pool = Pool(lambda: [Key("k")], notes, clock, provider="kazoo")
    for _ in range(10):
        pool.set_aside(Key("k"), "unknown", seconds=300)
    with pytest.raises(Barred) as barred:
        pool.usable()
    assert barred.value.seconds == 300
    assert len(caplog.records) == 1


def test_what_is_noted_of_a_credential_is_forgotten_in_the_end(notes, clock):
    """Nobody uses it any more."""
    pool = Pool(lambda: [Key("k")], notes, clock, provider="kazoo")
    pool.set_aside(Key("old"), "unknown", seconds=300)
    clock.advance(25 * 3600)
    pool.set_aside(Key("k"), "unknown", seconds=300)
    assert len(notes.read("credentials#kazoo").content) == 1


class Key:
    """A credential of another provider: it fits by its shape."""

    def __init__(self, secret):
        self.id, self.secret = "key", secret


def test_credentials_of_any_provider_are_set_aside_and_keep_tokens(notes, clock):
    """One that was mended counts at once, and cannot read the token of the old one."""
    keys = [Key("old")]
    pool = Pool(lambda: keys, notes, clock, provider="kazoo")
    assert tokens(notes, clock, Mint()).token(*credentials(pool)) == "token-1"
    pool.set_aside(keys[0], "unknown", seconds=300)
    with pytest.raises(Barred, match="unknown"):
        pool.usable()
    keys[:] = [Key("new")]
    fresh = tokens(notes, clock, lambda *_: Minted("token-2", 3600))
    assert fresh.token(*credentials(pool)) == "token-2"
