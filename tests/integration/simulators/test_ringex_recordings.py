"""The audio: when it can be had, in which pieces, and that it is real audio."""

import base64
import io
import itertools
import wave
from collections.abc import Iterator
from typing import Any

import pytest

from local.simulators.audio import MP3_FRAME, MP3_FRAME_SECONDS, melody
from tests.integration.simulators.ringex_driver import ACCOUNT, Driver, driving


@pytest.fixture
def ringex() -> Iterator[Driver]:
    with driving() as driver:
        yield driver


def place_one(ringex: Driver, *, ready_after: float = 0, **leg: Any) -> str:
    name: str
    [name] = ringex.place(legs=[{"duration": 60, **leg}], readyAfter=ready_after)["recordingIds"]
    return name


def test_given_bytes_are_served_as_they_are(ringex: Driver) -> None:
    audio = bytes(range(256)) * 3
    name = place_one(ringex, format="wav", audio=base64.b64encode(audio).decode())

    served = ringex.content(name)

    assert served.content == audio
    assert served.headers["Content-Length"] == "768"
    assert served.headers["Content-Type"] == "audio/wav"


def test_a_content_type_can_be_chosen(ringex: Driver) -> None:
    name = place_one(ringex, contentType="audio/x-wav")

    assert ringex.content(name, check=False).headers["Content-Type"] == "audio/x-wav"


def test_a_recording_is_not_found_until_it_is_ready(ringex: Driver) -> None:
    name = place_one(ringex, ready_after=90)

    for path in (f"recording/{name}", f"recording/{name}/content"):
        refused = ringex.ask(f"{ACCOUNT}/{path}")
        assert (refused.status_code, refused.json()["errorCode"]) == (404, "CMN-102")
    assert ringex.log()[0]["recording"]["id"] == name

    ringex.clock.now += 90
    assert ringex.content(name).status_code == 200


def test_a_recording_is_not_ready_while_its_call_runs(ringex: Driver) -> None:
    [name] = ringex.place(legs=[{"duration": 60}], inProgress=30)["recordingIds"]

    assert ringex.content(name).status_code == 404
    ringex.clock.now += 30
    assert ringex.content(name).status_code == 200


def test_metadata_says_what_the_content_is(ringex: Driver) -> None:
    name = place_one(ringex, format="wav")

    facts = ringex.ask(f"{ACCOUNT}/recording/{name}").json()

    assert facts["id"] == name
    assert facts["contentType"] == "audio/wav"
    assert facts["duration"] == 60
    assert ringex.ask(facts["contentUri"]).status_code == 200


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=40-50", 40, 51),
        ("bytes=1000-", 1000, None),
        ("bytes=-100", -100, None),
        ("bytes=0-999999999", 0, None),
    ],
)
def test_a_range_is_part_of_the_whole(
    ringex: Driver, header: str, start: int, stop: int | None
) -> None:
    name = place_one(ringex, format="wav")
    whole = ringex.content(name).content

    part = ringex.content(name, headers={"Range": header})

    assert part.status_code == 206
    assert part.content == whole[start:stop]
    assert part.headers["Content-Length"] == str(len(part.content))
    first = start % len(whole)
    last = first + len(part.content) - 1
    assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"


def test_a_range_behind_the_end_is_refused(ringex: Driver) -> None:
    name = place_one(ringex)

    refused = ringex.content(name, headers={"Range": "bytes=99999999-"})

    assert (refused.status_code, refused.json()["errorCode"]) == (416, "CMN-107")


@pytest.mark.parametrize("header", ["bytes=5-2", "items=0-5", "bytes=-"])
def test_a_header_that_is_no_range_is_ignored(ringex: Driver, header: str) -> None:
    assert ringex.content(place_one(ringex), headers={"Range": header}).status_code == 200


def test_the_token_may_stand_in_the_query_but_that_is_noted(ringex: Driver) -> None:
    path = f"{ACCOUNT}/recording/{place_one(ringex)}/content"

    served = ringex.http.request("GET", path, params={"access_token": ringex.token})

    assert served.status_code == 200
    assert ringex.stats()["rulesBroken"]["access token in the query"] == 1


def test_a_file_name_can_be_asked_for(ringex: Driver) -> None:
    name = place_one(ringex)
    query = {"contentDisposition": "Attachment", "contentDispositionFilename": 'a"b.mp3'}

    served = ringex.content(name, params=query)

    assert served.headers["Content-Disposition"] == 'attachment; filename="a_b.mp3"'
    assert ringex.content(name, params={"contentDisposition": "x"}, check=False).status_code == 400


def test_a_deleted_recording_leaves_its_row_without_a_recording(ringex: Driver) -> None:
    name = place_one(ringex)
    path = f"{ACCOUNT}/call-recordings"

    assert ringex.ask(path, "DELETE", json={"records": [name]}).status_code == 204

    assert ringex.content(name).status_code == 404
    [record] = ringex.log()
    assert "recording" not in record
    assert ringex.log(recordingType="All") == []
    assert ringex.ask(path, "DELETE", json={"records": [name]}).status_code == 404
    assert ringex.stats()["deletes"] == {name: 1}


def test_a_row_that_loses_its_recording_is_reported_again(ringex: Driver) -> None:
    name = place_one(ringex)
    sync = f"{ACCOUNT}/call-log-extract-sync"
    ringex.clock.now += 60
    token = ringex.ask(sync, params={"view": "Detailed"}).json()["syncInfo"]["syncToken"]
    ringex.clock.now += 60
    ask = {"syncType": "ISync", "syncToken": token, "view": "Detailed"}
    assert ringex.ask(sync, params=ask).json()["records"] == []

    ringex.ask(f"{ACCOUNT}/call-recordings", "DELETE", json={"records": [name]})

    [record] = ringex.ask(sync, params=ask).json()["records"]
    assert "recording" not in record
    assert not any("recording" in leg for leg in record["legs"])
    assert record["lastModifiedTime"] == ringex.clock.ago(0)


@pytest.mark.parametrize(
    ("records", "status"),
    [
        (None, 400),
        ([], 400),
        ("100 and one more", 400),
        ([{"id": "name"}], 400),
        (["unknown"], 404),
        (["known", "unknown"], 404),
    ],
)
def test_ids_to_delete_are_1_to_100_texts_that_are_known(
    ringex: Driver, records: Any, status: int
) -> None:
    name = place_one(ringex)
    if records == "100 and one more":
        records = [name] * 101
    elif records == ["known", "unknown"]:
        records = [name, "unknown"]

    refused = ringex.ask(f"{ACCOUNT}/call-recordings", "DELETE", json={"records": records})

    assert refused.status_code == status
    assert ringex.content(name).status_code == 200
    assert ringex.stats()["deletes"] == {}


def test_who_may_not_edit_the_call_log_deletes_nothing() -> None:
    with driving(scopes="ReadCallLog ReadCallRecording") as ringex:
        name = place_one(ringex)

        refused = ringex.ask(f"{ACCOUNT}/call-recordings", "DELETE", json={"records": [name]})

        assert (refused.status_code, refused.json()["permissionName"]) == (403, "EditCallLog")
        assert ringex.content(name).status_code == 200
        assert ringex.stats()["grants"]["Heavy"] == 2


def test_made_wav_is_as_long_as_announced(ringex: Driver) -> None:
    name = place_one(ringex, format="wav", duration=12.5)

    with wave.open(io.BytesIO(ringex.content(name).content)) as audio:
        assert audio.getparams()[:3] == (1, 2, 8000)
        assert audio.getnframes() == 100_000
        assert any(audio.readframes(100_000))


def test_made_mp3_is_whole_frames_without_a_bit_reservoir() -> None:
    made = melody("1", audio_format="mp3", seconds=100)
    content = b"".join(made.read(0, made.size))

    frames = [content[at : at + MP3_FRAME] for at in range(0, len(content), MP3_FRAME)]
    assert abs(len(frames) * MP3_FRAME_SECONDS - 100) <= MP3_FRAME_SECONDS
    # MPEG-1 layer III, 32 kbit/s, 32 kHz, mono.
    assert {frame[:4] for frame in frames} == {bytes.fromhex("fffb18c4")}
    # `main_data_begin`, 9 bits: no frame reaches back into the one before.
    assert {(frame[4], frame[5] & 0x80) for frame in frames} == {(0, 0)}


def test_no_two_recordings_have_the_same_bytes(ringex: Driver) -> None:
    contents = {ringex.content(place_one(ringex, duration=1)).content for _ in range(20)}

    assert len(contents) == 20


@pytest.mark.parametrize("audio_format", ["mp3", "wav"])
def test_any_stretch_of_made_audio_is_the_same_as_in_the_whole(audio_format: Any) -> None:
    made = melody("1", audio_format=audio_format, seconds=120)
    whole = b"".join(made.read(0, made.size))

    assert len(whole) == made.size
    for start in (0, 1, 43, 44, 45, 150_001, made.size - 1):
        for stop in (start + 1, made.size):
            assert b"".join(made.read(start, stop)) == whole[start:stop]


def test_half_a_gigabyte_is_never_held() -> None:
    made = melody("1", audio_format="wav", seconds=33_000)

    pieces = made.read(0, made.size)

    assert made.size > 500_000_000
    assert max(len(piece) for piece in itertools.islice(pieces, 50)) <= 1024 * 1024
