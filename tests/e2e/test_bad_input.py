"""Bad input through the running system: a clear reason each time, and nothing is lost."""

import base64
import json
import struct
from datetime import UTC, datetime

import httpx
import pytest

from legato.model import Job
from tests.audio import FIXTURES, tone, write_pcm
from tests.e2e.swept import RINGEX_ACCOUNT
from tests.forked import typed
from tests.patience import until

MP3 = (FIXTURES / "cbr-bare.mp3").read_bytes()
KINDS = FIXTURES / "kinds"
SCHEDULED = ("SweeperFunction",)
# As short as it can be, so that five attempts take seconds.
PARAMETERS = {"RingexSettleSeconds": "1", "RetrySeconds": "1", "RingexLadderSeconds": "1,1"}


@pytest.fixture(scope="module")
def bad_calls(telephony):
    """Place a call of each bad kind, all at once, and wait until every one is given up."""
    cut = MP3[:-50]
    kinds = {
        "html": [b"<!DOCTYPE html><html><body>Please log in</body></html>"],
        "json": [b'{"errorCode": "CMN-102"}'],
        "empty": [b""],
        "unknown": [b"\x89PNG" + bytes(200)],
        "truncated": [cut],
        "truncated-among-good": [MP3, cut, MP3],
    }
    return placed(telephony, kinds, "failed")


def placed(telephony, kinds, status):
    """Place a call of each kind; return the ledger's entries when all have this status."""
    calls = {}
    for kind, bodies in kinds.items():
        legs = [
            {"duration": 1, "format": "wav", "audio": base64.b64encode(body).decode()}
            for body in bodies
        ]
        calls[kind] = telephony.call(legs=legs, emit=True)

    def ended():
        states = {kind: telephony.entry(call) for kind, call in calls.items()}
        return {state.status for state in states.values()} == {status} and states

    return until(ended)


@pytest.fixture(scope="module")
def odd_calls(telephony, tmp_path_factory):
    """Place calls with recordings that are odd, and wait until every one is archived."""
    wav = write_pcm(tmp_path_factory.mktemp("audio") / "leg.wav", tone(4.0)).read_bytes()
    understated = wav[:40] + struct.pack("<I", 16_000) + wav[44:]
    mp4, gsm = ((KINDS / name).read_bytes() for name in ("aac.m4a", "gsm.wav"))
    tagged = MP3 + b"ID3\4\0\0\0\0\x12\x02TIT2" + MP3[: 144 * 16 - 4] + b"<html>Bye</html>"
    kinds = {
        "tagged": [tagged, MP3, tagged],
        "gsm": [gsm, gsm, gsm],
        "understated": [understated],
        "cut": [wav[: len(wav) // 2]],
        "mp4": [mp4],
        "mp4-among-others": [MP3, mp4],
    }
    return placed(telephony, kinds, "archived")


def test_a_joined_mp3_is_the_frames_of_its_legs(telephony, odd_calls):
    """Tags and text stay in the legs, and the manifest counts them; offsets are true."""
    manifest = telephony.manifest(odd_calls["tagged"])
    assert telephony.read(manifest["recording"]["key"]) == MP3 * 3
    assert [leg["offset_ms"] for leg in manifest["legs"]] == [0, 2448, 4896]
    assert manifest["legs"][0]["beside"] == {"ID3v2 tag": 2316, "text": 14}
    assert manifest["legs"][1]["beside"] == {}


def test_a_joined_gsm_says_how_many_samples_it_has(telephony, odd_calls):
    """In its `fact`, so that players say how long it is."""
    manifest = telephony.manifest(odd_calls["gsm"])
    assert manifest["recording"]["duration_ms"] == 3 * 1720
    body = telephony.read(manifest["recording"]["key"])
    assert struct.pack("<4sII", b"fact", 4, 3 * 1720 * 8) in body


def test_what_a_header_does_not_say_is_heard(telephony, odd_calls):
    """Audio that goes on behind its length."""
    assert telephony.manifest(odd_calls["understated"])["legs"][0]["duration_ms"] == 4000


def test_a_wav_that_lacks_its_end_is_kept_and_told(telephony, odd_calls, person):
    """It lacks the same each time that it is fetched, so it is all that there is."""
    state = odd_calls["cut"]
    [leg] = telephony.manifest(state)["legs"]
    assert leg["short_ms"] == pytest.approx(2000, abs=5)
    assert ("short", leg["id"]) in person.needs(state)


def test_what_nobody_decodes_is_kept_as_it_came_and_told(telephony, odd_calls, person):
    """It is found, fetched and verified; its call is sealed with its legs, and not joined."""
    alone, among = odd_calls["mp4"], odd_calls["mp4-among-others"]
    [leg] = telephony.manifest(alone)["legs"]
    assert leg["unsupported"] == "MP4"
    assert leg["key"].endswith(".mp4")
    assert ("unheard", leg["id"]) in person.needs(alone)
    manifest = telephony.manifest(among)
    assert manifest["recording"] is None
    assert [one["media_type"] for one in manifest["legs"]] == ["audio/mpeg", "audio/mp4"]
    assert {kind for kind, _ in person.needs(among)} == {"unheard", "unjoined"}
    mp4 = (KINDS / "aac.m4a").read_bytes()
    for state, options in ((alone, ()), (among, ("--legs",))):
        folder = person.folder / state.call
        person.says("get", str(state.id), "--out", str(folder), "--reason", "complaint", *options)
        assert mp4 in [path.read_bytes() for path in folder.rglob("*.mp4")]
        shown = person.says("show", str(state.id), "--reason", "complaint")
        assert "unsupported codec: MP4; the original is kept" in shown
        assert state.call in person.says("find", "--from", "2026-11-01", "--json")
    package = person.folder / "package"
    words = ("export", str(among.id), str(alone.id), "--name", "2026-117", "--out", str(package))
    person.says(*words, "--reason", "complaint")
    assert len([path for path in package.rglob("*.mp4") if path.read_bytes() == mp4]) == 2
    [page] = package.rglob("index.html")
    assert "one has a codec that is not supported" in page.read_text()
    findings = json.loads(person.says("verify", "--deep", "--json"))["findings"]
    assert [one["kind"] for one in findings] == ["chain-missing"], "no auditor runs here"


class Person:
    def __init__(self, system, folder):
        self.system, self.folder = system, folder

    def says(self, *words):
        return typed(self.system, *words, folder=self.folder).stdout

    def needs(self, state):
        """Return what is said of a call: kinds and recordings."""
        needs = json.loads(self.says("status", "--json"))["needs"]
        return {(need["kind"], need["recording"]) for need in needs if need["call"] == state.call}


@pytest.fixture
def person(system, tmp_path):
    return Person(system, tmp_path)


def kept(telephony, state):
    """Return the keys of all that is kept of a call."""
    listed = telephony.s3.list_objects_v2(Bucket=telephony.system.endpoints.bucket)
    return sorted(item["Key"] for item in listed["Contents"] if f"/{state.call}/" in item["Key"])


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("html", "HTML"), ("json", "JSON"), ("empty", "empty"), ("unknown", "PNG")],
)
def test_what_is_no_audio_fails_with_its_reason(telephony, bad_calls, kind, reason):
    """The ledger says what came instead of audio, and nothing is sealed."""
    state = bad_calls[kind]
    assert state.status == "failed"
    assert reason.lower() in state.reason.lower()
    assert all(key.startswith(f"refused/{state.id}/") for key in kept(telephony, state))
    assert len(kept(telephony, state)) == (kind != "empty"), (
        "the bytes that came are kept, if any did"
    )


def test_truncated_audio_fails_and_stays_as_evidence(telephony, bad_calls):
    """Apart from the archived calls, and nothing is sealed."""
    state = bad_calls["truncated"]
    assert state.status == "failed"
    assert all(key.startswith(f"refused/{state.id}/") for key in kept(telephony, state))
    assert kept(telephony, state)


def test_good_legs_beside_a_truncated_one_are_sealed(telephony, bad_calls):
    """The joined file has the two of them, the manifest names the third leg and why."""
    state = bad_calls["truncated-among-good"]
    assert (state.status, state.revision) == ("failed", 1)
    manifest = telephony.manifest(state)
    assert manifest["recording"]["duration_ms"] == 2 * 2448
    [missing] = manifest["missing"]
    assert f"refused/{state.id}/{missing['leg']}-1" in kept(telephony, state)
    assert missing["leg"] in state.reason


def test_every_failed_call_is_a_dead_letter_with_its_reason(telephony, bad_calls):
    """Somebody is told, and can move it back."""
    letters = telephony.letters()
    buried = {Job.from_message(body).call for body, _ in letters}
    assert buried == {state.call for state in bad_calls.values()}
    assert all(reason for _, reason in letters)


def test_a_message_that_is_no_job_is_buried_and_stops_nothing(telephony, bad_calls):
    """Each with its own reason."""
    queue, _ = telephony.queue()
    good = Job(
        provider="ringex", account=RINGEX_ACCOUNT, call="s-unlisted", seen_at=datetime.now(UTC)
    )
    version_9 = good.to_message().replace('"v":1', '"v":9')
    zoom = good.to_message().replace('"ringex"', '"zoom"')
    for body in ("nonsense", version_9, zoom, good.to_message()):
        telephony.sqs.send_message(QueueUrl=queue, MessageBody=body)
    letters = {}

    def buried():
        letters.update(telephony.letters())
        return len(letters) >= 3

    until(buried)
    assert letters.keys() == {"nonsense", version_9, zoom}
    assert "JSON" in letters["nonsense"]
    assert "version" in letters[version_9]
    assert "zoom" in letters[zoom]


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Verification-Token": "0" * 32}, b"{}", 401),
        ({}, b"{}", 401),
        (None, b"nonsense", 400),
        (None, b"[]", 400),
        (None, b"x" * 300_000, 413),
        (None, b'{"event": "/restapi/v1.0/account/1/extension/2/presence"}', 200),
        ({"Validation-Token": "a" * 512}, b"", 200),
    ],
)
def test_answers_of_the_webhook_are_short(system, headers, content, status):
    """RingCentral reads 1,024 bytes of headers and body, and blacklists whoever sends more."""
    own = {"Verification-Token": system.endpoints.webhook_token}
    answer = httpx.post(
        system.endpoints.webhook, content=content, headers=own if headers is None else headers
    )
    assert answer.status_code == status
    raw = sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)
    assert raw + len(answer.content) <= 1024 - 200, "the gateway adds some of its own"
