"""A single recording: its document or its audio, there or not there yet, until it is deleted."""

import base64
import io
import threading
import time
import wave

import httpx
import pytest
import uvicorn

from local.simulators.kazoo import create_app
from tests.integration.simulators.kazoo_driver import FIRST, KEY, SECOND, driving


@pytest.fixture
def kazoo():
    with driving() as driver:
        yield driver


@pytest.mark.parametrize(
    ("accept", "query", "kind"),
    [
        ("*/*", {}, "document"),
        ("application/json", {}, "document"),
        ("application/json, audio/mpeg", {}, "document"),
        ("audio/mpeg;q=0.5, */*", {}, "document"),
        ("audio/wav, application/json", {}, "document"),
        ("audio/mpeg", {}, "audio"),
        ("audio/mp3", {}, "audio"),
        ("audio/wav, audio/mpeg", {}, "audio"),
        ("audio/mpeg, */*;q=0.1", {}, "audio"),
        ("*/*", {"accept": "audio/mpeg"}, "audio"),
        ("audio/mpeg", {"accept": "audio/wav"}, "document"),
    ],
)
def test_who_does_not_ask_for_audio_gets_json(kazoo, accept, query, kind):
    """With 200 either way."""
    name = kazoo.one()
    answer = kazoo.ask(f"recordings/{name}", headers={"Accept": accept}, params=query)
    assert answer.status_code == 200
    if kind == "document":
        assert answer.json()["data"]["id"] == name
        assert answer.json()["revision"] == f"2-{name[7:]}"
    else:
        assert answer.headers["content-type"] == "audio/mpeg"
    assert kazoo.stats()["downloads"] == ({} if kind == "document" else {name: 1})


def test_wav_cannot_be_asked_for_by_its_name(kazoo):
    """The web server refuses it, whatever the recording is."""
    name = kazoo.one(format="wav")
    assert kazoo.audio(name, headers={"Accept": "audio/wav"}).status_code == 406


def test_audio_comes_as_what_it_is(kazoo):
    """With its own type, its name, and an entity tag; WAV has two channels of 16 kHz."""
    served = kazoo.audio(kazoo.one(format="wav", duration=2))
    assert served.headers["content-type"] == "audio/x-wav"
    assert served.headers["content-disposition"].startswith("attachment; filename=call_recording_")
    assert served.headers["content-disposition"].endswith(".wav")
    assert served.headers["etag"].startswith('"2-')
    assert int(served.headers["content-length"]) == len(served.content)
    with wave.open(io.BytesIO(served.content)) as audio:
        found = (audio.getnchannels(), audio.getsampwidth(), audio.getframerate())
        assert (*found, audio.getnframes()) == (2, 2, 16000, 32_000)
    name = kazoo.one()
    inline = kazoo.audio(name, params={"inline": "true"})
    assert inline.headers["content-disposition"].startswith("inline; ")
    assert inline.content[:2] == b"\xff\xfb"


def test_given_bytes_are_served_as_they_are(kazoo):
    """Whatever they are."""
    audio = bytes(range(256)) * 3
    name = kazoo.one(audio=base64.b64encode(audio).decode())
    assert kazoo.audio(name).content == audio
    assert kazoo.stats()["wholeDownloads"] == {name: 1}


def test_a_range_can_be_asked_for(kazoo):
    """206, and 416 behind the end."""
    name = kazoo.one()
    whole = kazoo.audio(name).content
    part = kazoo.audio(name, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert kazoo.audio(name, headers={"Range": "bytes=100-"}).content == whole[100:]
    assert kazoo.audio(name, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416


def test_audio_that_is_not_stored_is_not_there(kazoo):
    """Or comes with 200 and without a byte, by setting. The document is there."""
    [name] = kazoo.place(10, readyAfter=60)["recordingIds"]
    refused = kazoo.audio(name)
    assert refused.status_code == 404
    assert refused.json()["message"] == "bad_identifier"
    assert refused.json()["data"]["details"] == name
    assert kazoo.ask(f"recordings/{name}").status_code == 200
    kazoo.control("settings", {"notStored": "empty"})
    empty = kazoo.audio(name)
    assert (empty.status_code, empty.content) == (200, b"")
    assert kazoo.stats()["downloads"] == {}
    kazoo.clock.now += 60
    assert len(kazoo.audio(name).content) > 0


def test_an_id_must_be_of_the_account_and_say_its_month(kazoo):
    """Else it is a bad identifier, as one that is being recorded."""
    name = kazoo.one()
    future = kazoo.one(start=kazoo.clock.ago(0), duration=60)
    assert kazoo.audio(name, account=SECOND).status_code == 404
    for bad in (name[7:], "202609-" + name[7:], "209913-x", future):
        assert kazoo.audio(bad).json()["message"] == "bad_identifier"


def test_deleted_is_hidden(kazoo):
    """From lists and from who asks by name; the answer is the document."""
    name, other = kazoo.one(), kazoo.one()
    answer = kazoo.ask(f"recordings/{name}", "DELETE")
    assert (answer.status_code, answer.json()["data"]["id"]) == (200, name)
    assert kazoo.listed() == [other]
    assert kazoo.audio(name).status_code == 404
    assert kazoo.ask(f"recordings/{name}", "DELETE").status_code == 404
    assert kazoo.stats()["deletes"] == {name: 1}


def test_a_cut_line_is_seen_by_the_client():
    """What counts is what arrives on the wire, so this one is a real server."""
    server = uvicorn.Server(uvicorn.Config(create_app(), port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not server.started and time.monotonic() < deadline:
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            token = http.put("/v2/api_auth", json={"data": {"api_key": KEY}}).json()["auth_token"]
            order = {"recordings": [{"duration": 60, "format": "wav"}]}
            placed = http.post("/_sim/calls", json=order).json()
            path = f"/v2/accounts/{FIRST}/recordings/{placed['recordingIds'][0]}"
            headers = {"X-Auth-Token": token, "Accept": "audio/mpeg"}
            http.post("/_sim/faults", json={"route": "recording", "kind": "truncate"})
            with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
                http.get(path, headers=headers)
            assert len(http.get(path, headers=headers).content) == 44 + 60 * 64000
    finally:
        server.should_exit = True
        thread.join(10)
