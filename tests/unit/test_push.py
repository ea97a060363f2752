"""Recordings that Kazoo pushes: who may, what is refused, and what is stored of them."""

import hashlib
import hmac
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest

from legato.audio.formats import recognise
from legato.discovery.push import FACTS, MAX_FACTS_BYTES, Push, push, token_of
from legato.errors import Retry

AUDIO = Path(__file__).parent.parent / "fixtures" / "audio"
MP3 = (AUDIO / "cbr-bare.mp3").read_bytes()
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(28)
KEY, OLD_KEY = "f" * 64, "e" * 64
ACCOUNT = "5a2d994fbae69b1d6b01eb9f0e7dfe62"
TOKEN = token_of(ACCOUNT, KEY)
# As version 4.3 sends them.
SENT = {
    "from": "2001@acme.example.com",
    "to": "+15551234567@acme.example.com",
    "caller_id_name": "Zoë",
    "caller_id_number": "2001",
    "call_id": "0a1b@192.0.2.1",
    "cdr_id": "202611-0a1b@192.0.2.1",
    "interaction_id": "63962447024-0a1b2c3d",
    "owner_id": "",
    "account_id": ACCOUNT,
    "start": "63962447024",
    "duration_ms": "8000",
    "recording_id": "202611-0a1b2c3d4e5f60718293a4b5c6d7e8f1",
}


class FakeInbox:
    def __init__(self):
        self.objects = {}
        self.refusal = None

    def put(self, key, body, *, media_type, facts):
        if self.refusal:
            raise self.refusal
        new = key not in self.objects
        self.objects.setdefault(key, (body, media_type, facts))
        return new

    def facts(self):
        [(_, _, facts)] = self.objects.values()
        return dict(parse_qsl(facts, strict_parsing=True))


@pytest.fixture
def inbox():
    return FakeInbox()


def send(inbox, body=MP3, *, token=TOKEN, name="", query=SENT, keys=(KEY, "")):
    text = query if isinstance(query, str) else urlencode(query)
    return push(
        Push(token=token, name=name, query=text, body=body),
        keys=lambda *, fresh: keys,
        recognise=recognise,
        inbox=inbox,
    )


def test_a_recording_is_stored_as_it_came(inbox):
    """With what the address says of it; an empty field says nothing."""
    reply = send(inbox, name="call_recording_0a1b@192.0.2.1.mp3")
    assert (reply.status, reply.outcome, reply.body) == (200, "Stored", {"message": "stored"})
    [(key, (body, media_type, _))] = inbox.objects.items()
    assert re.fullmatch(rf"push/{ACCOUNT}/[0-9a-f]{{64}}\.mp3", key)
    assert (body, media_type) == (MP3, "audio/mpeg")
    expected = {name: value for name, value in SENT.items() if value}
    assert inbox.facts() == expected


def test_the_log_has_ids_and_no_secret(inbox):
    """Neither the token nor a person's number."""
    logged = send(inbox, name="call_recording_0a1b@192.0.2.1.mp3").logged
    assert logged == {
        "account": ACCOUNT,
        "size": len(MP3),
        "call_id": SENT["call_id"],
        "recording_id": SENT["recording_id"],
        "key": next(iter(inbox.objects)),
    }
    assert TOKEN not in repr(Push(token=TOKEN, body=MP3))


def test_what_kazoo_sends_again_is_stored_once(inbox):
    """It repeats a push whose answer it has not seen."""
    assert send(inbox).outcome == "Stored"
    again = send(inbox)
    assert (again.status, again.outcome) == (200, "Repeated")
    assert len(inbox.objects) == 1


def test_the_same_sound_of_another_call_is_another_object(inbox):
    """Two recordings of silence have the same bytes."""
    send(inbox)
    send(inbox, query={**SENT, "recording_id": "202611-" + "b" * 32})
    assert len(inbox.objects) == 2


def test_a_token_is_the_account_and_a_proof():
    """The first 40 digits of an HMAC-SHA256 of the account, by the secret's key."""
    mac = hmac.new(KEY.encode(), ACCOUNT.encode(), hashlib.sha256).hexdigest()
    assert token_of(ACCOUNT, KEY) == f"{ACCOUNT}-{mac[:40]}"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ACCOUNT,
        f"{ACCOUNT}-",
        f"{ACCOUNT}-{'0' * 40}",
        TOKEN[:-1],
        f"{TOKEN}0",
        TOKEN.upper(),
        token_of("b" * 32, KEY).replace("b" * 32, ACCOUNT),
        token_of("../x", KEY),
        token_of("", KEY),
        token_of(ACCOUNT, ""),
        f"{ACCOUNT}-é",
    ],
)
def test_a_wrong_token_gets_401_and_no_reason(inbox, token):
    """The proof of one account is none of another."""
    reply = send(inbox, token=token)
    assert (reply.status, reply.outcome, reply.body) == (401, "Unauthorized", None)
    assert reply.logged == {}
    assert inbox.objects == {}


@pytest.mark.attacks("pushes with a lone surrogate, a NUL or a path in token, name and ids")
@pytest.mark.parametrize("odd", ["\ud800", "\x00", "\u202e", "/../"])
def test_odd_characters_let_nobody_in_and_are_no_facts(inbox, odd):
    """Wherever they stand; no address of Kazoo's has them. The recording is kept."""
    assert send(inbox, token=f"{TOKEN[:-1]}{odd}").status == 401
    assert send(inbox, token=f"{odd}{TOKEN}").status == 401
    assert send(inbox, name=f"call_recording_{odd}.mp3", query=f"call_id={odd}").status == 200
    assert inbox.facts() == {"account_id": ACCOUNT}
    [key] = inbox.objects
    assert key.isascii()


def test_a_secret_without_key_lets_nobody_in(inbox):
    """A token that is made with an empty key can be made by everybody."""
    assert send(inbox, token=token_of(ACCOUNT, ""), keys=("", "")).status == 401


@pytest.mark.parametrize(("key", "status"), [(KEY, 200), (OLD_KEY, 200), ("d" * 64, 401)])
def test_while_the_key_is_changed_both_are_accepted(inbox, key, status):
    assert send(inbox, token=token_of(ACCOUNT, key), keys=(KEY, OLD_KEY)).status == status


def test_a_new_key_is_read_anew(inbox):
    """The cached ones are tried first; only a mismatch looks for fresh ones."""
    asked = []

    def keys(*, fresh):
        asked.append(fresh)
        return [KEY if fresh else OLD_KEY]

    for key in (KEY, OLD_KEY):
        pushed = Push(token=token_of(ACCOUNT, key), body=MP3)
        assert push(pushed, keys=keys, recognise=recognise, inbox=inbox).status == 200
    assert asked == [False, True, False]


def test_a_secret_that_cannot_be_read_is_worth_another_try(inbox):
    def keys(*, fresh):
        raise Retry("the secret cannot be read: ThrottlingException")

    reply = push(Push(token=TOKEN, body=MP3), keys=keys, recognise=recognise, inbox=inbox)
    assert (reply.status, reply.outcome) == (503, "Refused")
    assert "Throttling" in reply.logged["reason"]


@pytest.mark.attacks("pushes with its own token for another account")
def test_nobody_sends_for_another_account(inbox):
    reply = send(inbox, query={**SENT, "account_id": "b" * 32})
    assert (reply.status, reply.outcome) == (403, "OtherAccount")
    assert "another account" in reply.body["message"]
    assert inbox.objects == {}


@pytest.mark.parametrize("query", ["", "account_id=", urlencode({"call_id": "x"})])
def test_an_account_that_is_not_named_is_the_tokens(inbox, query):
    assert send(inbox, query=query).status == 200
    assert inbox.facts()["account_id"] == ACCOUNT


@pytest.mark.parametrize(
    ("body", "status", "outcome", "says"),
    [
        (b"", 400, "Empty", "no body"),
        (b'{"error": "404"}', 415, "NotAudio", "what came is JSON, not MP3 or WAV audio: push"),
        (b"<html><body>Not found", 415, "NotAudio", "an HTML page"),
        (b"--boundary\r\nContent-Disposition: form-data", 415, "NotAudio", "not as multipart"),
        (bytes(500), 415, "NotAudio", "zeros"),
        (b"\x89PNG" + bytes(100), 415, "NotAudio", "a PNG image"),
    ],
)
def test_what_is_no_recording_is_refused_with_advice(inbox, body, status, outcome, says):
    """By its bytes, whatever the name says."""
    reply = send(inbox, body, name="call_recording_x.mp3")
    assert (reply.status, reply.outcome) == (status, outcome)
    assert says in reply.body["message"]
    assert inbox.objects == {}


@pytest.mark.parametrize(
    ("body", "extension", "media_type"), [(MP3, "mp3", "audio/mpeg"), (WAV, "wav", "audio/wav")]
)
def test_the_bytes_decide_what_it_is(inbox, body, extension, media_type):
    """A name may be wrong."""
    send(inbox, body, name="call_recording_x.ogg")
    [(key, (_, stored_as, _))] = inbox.objects.items()
    assert key.endswith(f".{extension}")
    assert stored_as == media_type


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("call_recording_0a1b@192.0.2.1.mp3", ""),
        ("call_recording_0a1b@192.0.2.1..mp3", "call_id="),
        ("calls/call_recording_0a1b@192.0.2.1.wav", ""),
        ("", "site=4&recording=call_recording_0a1b%40192.0.2.1.mp3"),
        ("", "site=4&file=call_recording_0a1b%40192.0.2.1..mp3&from="),
    ],
)
def test_the_call_is_found_in_the_files_name(inbox, name, query):
    """Behind the address, or as the parameter that Kazoo adds or fills; one version doubles a dot.

    https://github.com/2600hz/kazoo/blob/master/core/kazoo_attachments/src/kz_att_http.erl
    """
    send(inbox, name=name, query=query)
    assert inbox.facts()["call_id"] == "0a1b@192.0.2.1"


def test_without_name_and_query_the_facts_stay_empty(inbox):
    """The recording is stored all the same."""
    assert send(inbox, query="").status == 200
    assert inbox.facts() == {"account_id": ACCOUNT}


def test_facts_fit_an_objects_metadata(inbox):
    """Each is cut, and what tells least is left out when all are long."""
    send(inbox, query={**dict.fromkeys(FACTS, "ü" * 500), "account_id": ACCOUNT})
    [(_, _, facts)] = inbox.objects.values()
    assert facts.isascii()
    assert len(facts) <= MAX_FACTS_BYTES
    assert inbox.facts() == {"account_id": ACCOUNT, "from": "ü" * 200}


def test_a_field_that_is_too_long_does_not_keep_shorter_ones_out(inbox):
    send(inbox, query={**SENT, "from": "é" * 200, "to": "é" * 200, "caller_id_name": "Zoë"})
    facts = inbox.facts()
    assert facts["from"] == "é" * 200
    assert "to" not in facts
    assert facts["caller_id_name"] == "Zoë"


@pytest.mark.attacks("pushes ids and numbers that are none")
@pytest.mark.parametrize("name", [name for name in FACTS if name.endswith("_id")][1:])
@pytest.mark.parametrize("odd", ["x" * 129, "a b", "a\n", "..", "ü", "<script>", "a#b", "a/b"])
def test_an_id_that_is_none_is_no_fact(inbox, name, odd):
    """It would go into jobs, keys and logs; the recording is kept all the same."""
    reply = send(inbox, query={**SENT, name: odd})
    assert reply.status == 200
    assert name not in inbox.facts()
    assert odd not in reply.logged.values()


@pytest.mark.parametrize("odd", ["-1", "1.5", "٣", "x"])
def test_a_number_that_is_none_is_no_fact(inbox, odd):
    assert send(inbox, query={**SENT, "start": odd}).status == 200
    assert "start" not in inbox.facts()


def test_what_nobody_knows_is_not_kept(inbox):
    """A secret may stand in a parameter that somebody has added."""
    send(inbox, query={**SENT, "password": "secret"})
    assert "password" not in inbox.facts()


def test_too_many_parameters_are_refused(inbox):
    reply = send(inbox, query="&".join(f"a{number}=1" for number in range(200)))
    assert (reply.status, reply.outcome) == (400, "Malformed")


def test_storage_that_fails_is_a_503(inbox):
    """Kazoo sends again what is not answered 2xx."""
    inbox.refusal = Retry("the inbox does not take it: SlowDown")
    reply = send(inbox)
    assert (reply.status, reply.outcome) == (503, "Refused")
    assert "SlowDown" in reply.logged["reason"]
    assert "SlowDown" not in reply.body["message"]
