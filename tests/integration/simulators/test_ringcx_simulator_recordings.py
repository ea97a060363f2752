"""The recordings of segments: when they can be had, and that they are audio of any length."""

import asyncio
import base64
import io
import struct
import threading
import time
import tracemalloc
import wave

import httpx
import pytest
import uvicorn

from local.simulators.ringcx import create_app
from tests.integration.simulators.ringcx_driver import EXCHANGE, MAIN, driving
from tests.integration.simulators.ringex_driver import CLIENT, JWT_BEARER


@pytest.fixture
def ringcx():
    with driving() as driver:
        yield driver


def parameters(content):
    with wave.open(io.BytesIO(content)) as audio:
        return audio.getnchannels(), audio.getsampwidth(), audio.getframerate(), audio.getnframes()


def test_a_recording_is_wav_of_the_segments_length(ringcx):
    """Two channels of 8 kHz, unless the account or the segment says otherwise."""
    served = ringcx.recording(ringcx.place(12.5))
    assert served.headers["content-type"] == "audio/wav"
    assert int(served.headers["content-length"]) == len(served.content)
    assert parameters(served.content) == (2, 2, 8000, 100_000)

    ringcx.control("settings", {"channels": 1, "sampleRate": 16000})
    assert parameters(ringcx.recording(ringcx.place(2)).content) == (1, 2, 16000, 32_000)
    order = {"segments": [{"duration": 1, "channels": 2, "sampleRate": 44100}]}
    placed = ringcx.control("calls", order).json()
    assert parameters(ringcx.recording(placed).content) == (2, 2, 44100, 44_100)


def test_no_two_segments_sound_the_same(ringcx):
    """Not even for a second, but each always the same."""
    placed = ringcx.place(*[1] * 20)
    heard = [ringcx.recording(placed, at).content for at in range(20)]
    assert len(set(heard)) == 20
    assert ringcx.recording(placed, 3).content == heard[3]
    left, right = heard[0][44::4], heard[0][46::4]
    assert left != right


def test_given_bytes_are_served_as_they_are(ringcx):
    """Whatever they are."""
    audio = bytes(range(256)) * 3
    order = {"segments": [{"duration": 5, "audio": base64.b64encode(audio).decode()}]}
    assert ringcx.recording(ringcx.control("calls", order).json()).content == audio


def test_a_recording_is_not_there_until_it_is_ready(ringcx):
    """Seconds from now, or from its end when that is still to come; JSON or a bare string."""
    placed = ringcx.place(30, ago=1000, readyAfter=60)
    refused = ringcx.recording(placed)
    assert refused.status_code == 404
    assert refused.json()["developerMessage"] == "Not found"
    ringcx.control("settings", {"bareNotFound": True})
    assert isinstance(ringcx.recording(placed).json(), str)
    ringcx.clock.now += 60
    assert ringcx.recording(placed).status_code == 200

    running = ringcx.place(30, ago=-20, readyAfter=5)
    ringcx.clock.now += 24
    assert ringcx.recording(running).status_code == 404
    ringcx.clock.now += 1
    assert ringcx.recording(running).status_code == 200


def test_what_was_not_recorded_or_is_no_call_is_not_found(ringcx):
    """As are ids that do not belong together."""
    order = {"segments": [{"duration": 5, "recorded": False}]}
    silent = ringcx.control("calls", order).json()
    message = ringcx.place(5, channelClass="DIGITAL")
    placed, other = ringcx.place(5), ringcx.place(5)
    for wrong in (
        silent,
        message,
        placed | {"dialogId": other["dialogId"]},
        placed | {"segmentIds": ["p-v-0"]},
        placed | {"subAccountId": "21550002"},
    ):
        assert ringcx.recording(wrong).status_code == 404


def test_a_wrong_account_is_not_found_in_a_bare_string(ringcx):
    """An unknown sub-account is denied, as is everything before recording is activated."""
    placed = ringcx.place(5)
    refused = ringcx.recording(placed, account=MAIN)
    assert refused.status_code == 404
    assert refused.json() == f"EvPlatform by rc_account_id={MAIN} not found"
    assert ringcx.recording(placed | {"subAccountId": "1"}).status_code == 403
    ringcx.control("settings", {"recordingActivated": False})
    assert ringcx.recording(placed).json()["errorCode"] == "access.denied.exception"


def test_a_browser_gets_mp3_and_that_is_noted(ringcx):
    """Compressed audio is not what is to be kept."""
    browser = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
    served = ringcx.recording(ringcx.place(5), headers=browser, check=False)
    assert served.headers["content-type"] == "audio/mpeg"
    assert served.content[:2] == b"\xff\xfb"
    assert ringcx.stats()["rulesBroken"]["browser-like user agent"] == 1


def test_the_length_may_not_be_announced_and_ranges_be_understood(ringcx):
    """None of it is documented, so both can be had."""
    placed = ringcx.place(5)
    whole = ringcx.recording(placed).content
    part = {"headers": {"Range": "bytes=100-199"}, "check": False}
    assert ringcx.recording(placed, **part).content == whole

    ringcx.control("settings", {"contentLength": False, "ranges": True})
    chunked = ringcx.recording(placed)
    assert "content-length" not in chunked.headers
    assert chunked.content == whole
    ranged = ringcx.recording(placed, **part)
    assert (ranged.status_code, ranged.content) == (206, whole[100:200])
    assert ranged.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    behind = {"headers": {"Range": "bytes=999999999-"}, "check": False}
    assert ringcx.recording(placed, **behind).status_code == 416


def test_a_hundred_and_twenty_a_minute():
    """For all tokens together."""
    with driving(limits={"Recordings": [{"limit": 120, "window": 60}]}) as ringcx:
        placed = ringcx.place(0.1)
        for at in range(120):
            if at == 60:
                ringcx.log_in()
            assert ringcx.recording(placed).status_code == 200
        refused = ringcx.recording(placed)
        assert (refused.status_code, refused.text) == (429, "rate")
        assert ringcx.stats()["tooManyRequests"] == {"Recordings": 1}


def test_downloads_are_counted_and_early_ones_noted(ringcx):
    """Begun and whole, by segment; early is what a setting says."""
    placed = ringcx.place(5, 5)
    first, second = placed["segmentIds"]
    ringcx.recording(placed)
    ringcx.recording(placed)
    ringcx.break_next(route="recording", kind="short-riff", segmentId=second)
    ringcx.recording(placed, 1)
    assert ringcx.stats()["downloads"] == {first: 2, second: 1}
    assert ringcx.stats()["wholeDownloads"] == {first: 2}
    assert ringcx.stats()["touchedYoung"] == 0

    ringcx.control("settings", {"settleSeconds": 60})
    ringcx.recording(placed)
    ringcx.clock.now += 60
    ringcx.recording(placed)
    assert ringcx.stats()["touchedYoung"] == 1


@pytest.mark.parametrize("announced", [True, False])
def test_a_short_recording_looks_whole(ringcx, announced):
    """The length of the answer fits, but the head promises more than comes."""
    ringcx.control("settings", {"contentLength": announced})
    placed = ringcx.place(10)
    whole = ringcx.recording(placed).content
    ringcx.break_next(route="recording", kind="short-riff", share=0.25)
    short = ringcx.recording(placed).content
    assert short == whole[: len(whole) // 4]
    assert struct.unpack_from("<I", short, 4)[0] == len(whole) - 8
    assert ringcx.recording(placed).content == whole


def test_a_gigabyte_is_never_held(ringcx):
    """Not even by the server: what it has in memory does not depend on the length."""
    order = {"segments": [{"duration": 6000, "channels": 2, "sampleRate": 48000}]}
    placed = ringcx.control("calls", order).json()
    received = [0]

    async def download():
        sent = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive():
            if not sent:
                await asyncio.Event().wait()
            return sent.pop()

        async def send(message):
            received[0] += len(message.get("body", b""))

        path = ringcx.address(placed)
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "headers": [(b"authorization", f"Bearer {ringcx.token}".encode())],
        }
        await ringcx.app(scope, receive, send)

    tracemalloc.start()
    try:
        asyncio.run(download())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert received[0] == 44 + 6000 * 48000 * 4
    assert peak < 64 * 1024 * 1024


def test_a_cut_line_is_seen_with_and_without_a_length():
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
            form = {"grant_type": JWT_BEARER, "assertion": "legato-local-jwt"}
            minted = http.post("/restapi/oauth/token", data=form, auth=CLIENT).json()
            form = {"rcAccessToken": minted["access_token"], "rcTokenType": "Bearer"}
            token = http.post(EXCHANGE, data=form).json()["accessToken"]
            placed = http.post("/_sim/calls", json={"segments": [{"duration": 60}]}).json()
            path = (
                f"/voice/api/cx/integration/v1/accounts/401555000/sub-accounts/21550001"
                f"/recordings/dialogs/{placed['dialogId']}/segments/{placed['segmentIds'][0]}"
            )
            bearer = {"Authorization": f"Bearer {token}"}
            for announced in (True, False):
                http.post("/_sim/settings", json={"contentLength": announced})
                http.post("/_sim/faults", json={"route": "recording", "kind": "truncate"})
                with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending"):
                    http.get(path, headers=bearer)
                assert len(http.get(path, headers=bearer).content) == 44 + 60 * 32000
    finally:
        server.should_exit = True
        thread.join(10)
