"""A conversation that was recorded twice is heard once; what is only alike is not."""

from __future__ import annotations

import audioop
import json
import random
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from itertools import chain

import pytest

from legato.audio.repeated import repeated
from legato.audio.stitch import FfmpegStitcher
from legato.evidence.verify.manifests import contradictions
from legato.ingest.batch import Message, archive
from legato.ports import Levels
from tests.audio import FIXTURES, local_tools, tone, write_pcm
from tests.fakes import NOON, a_job, a_leg, a_listing, some_ports

SPEECH = FIXTURES / "speech"
PREFIX = "calls/ringex/1/2026/11/20/s-1/"


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Return the levels of what was recorded, by name."""
    stitcher, place = FfmpegStitcher(local_tools()), tmp_path_factory.mktemp("sounds")

    def levels(path):
        return stitcher.inspect(path)[1]

    def made(name, pcm):
        return levels(write_pcm(place / f"{name}.wav", pcm))

    chance = random.Random(1)
    ring = audioop.add(tone(2, hertz=440), tone(2, hertz=480), 2) + bytes(64_000)
    british = tone(0.4, hertz=425) + bytes(3200) + tone(0.4, hertz=425) + bytes(32_000)
    hiss = [
        b"".join(chance.randint(-9, 9).to_bytes(2, "little", signed=True) for _ in range(160_000))
        for _ in range(2)
    ]
    return {path.stem: levels(path) for path in SPEECH.iterdir()} | {
        "ring": made("ring", ring * 6),
        "ring-quieter": made("ring-quieter", audioop.mul(ring * 6, 2, 0.3)),
        "british": made("british", british * 12),
        "hiss": made("hiss", hiss[0]),
        "other-hiss": made("other-hiss", hiss[1]),
        "silence": made("silence", bytes(320_000)),
        "beep": made("beep", bytes(80_000) + tone(0.5) + bytes(80_000)),
    }


@pytest.mark.parametrize(
    ("first", "second", "later", "shift"),
    [
        ("talk", "talk-gsm", 0.0, 0),
        ("talk-g726", "talk-gsm", 2.4, -2.4),
        ("talk-g726", "talk", -3.0, 3.0),
        ("talk", "talk-noisy", 0.7, -0.7),
        ("talk-noisy", "talk-gsm", 4.9, -4.9),
        ("talk", "talk-part", 6.34, 0),
        ("talk-g726", "talk-part", 9.0, -2.66),
        ("talk-noisy", "talk-part", 2.0, 4.34),
    ],
)
def test_the_same_call_is_heard_once(sounds, first, second, later, shift):
    """With other codecs, levels and noise, by clocks that differ, and where one records longer."""
    legs = {
        "first": (NOON, sounds[first]),
        "second": (NOON + timedelta(seconds=later), sounds[second]),
    }
    [(leg, found)] = repeated(legs).items()
    assert {leg, found.leg} == {"first", "second"}
    assert found.alike >= 0.85
    sign = 1 if leg == "second" else -1
    # Of an MP3, what its encoder has added in front is a tenth of a second of its own.
    assert found.shift_ms / 1000 == pytest.approx(sign * shift, abs=0.26)


@pytest.mark.parametrize(
    ("first", "second", "later"),
    [
        ("talk", "other", 0.0),
        ("other", "talk-gsm", 1.0),
        ("agent", "customer", 0.0),
        ("talk", "customer", 0.0),
        ("talk", "agent", 0.0),
        ("talk", "talk-gsm", 30.0),
        ("talk", "talk-part", 20.0),
        ("talk-part", "other", 0.0),
        ("ring", "ring-quieter", 0.0),
        ("ring", "ring", 1.0),
        ("british", "british", 0.0),
        ("hiss", "other-hiss", 0.0),
        ("silence", "silence", 0.0),
        ("beep", "beep", 0.0),
        ("talk", "silence", 0.0),
        ("talk", "ring", 0.0),
    ],
)
def test_what_is_not_the_same_is_played(sounds, first, second, later):
    """Other people, one of two, another time; silence, ringing and what is too short to tell."""
    legs = {
        "first": (NOON, sounds[first]),
        "second": (NOON + timedelta(seconds=later), sounds[second]),
    }
    assert repeated(legs) == {}


def test_of_a_conference_each_conversation_is_heard_once(sounds):
    """Three record the same, the fourth something else at the same time."""
    legs = {
        "a": (NOON, sounds["talk-noisy"]),
        "b": (NOON + timedelta(seconds=1), sounds["talk-gsm"]),
        "c": (NOON + timedelta(seconds=6), sounds["talk-part"]),
        "d": (NOON, sounds["other"]),
    }
    found = repeated(legs)
    assert found.keys() == {"b", "c"} or found.keys() == {"a", "c"}
    assert {one.leg for one in found.values()} <= legs.keys() - found.keys()


def envelope(steps):
    return Levels(
        longest_silence_ms=0,
        silent_share=0,
        peak_dbfs=None,
        loudness_dbfs=None,
        peaks={},
        envelope=bytes(steps),
    )


def test_a_sentence_that_only_one_has_is_not_lost(sounds):
    """Though all the rest is the same."""
    whole = sounds["talk"].envelope
    with_more = whole[:150] + bytes(chain(*[(140, 120, 150, 110)] * 5)) + whole[170:]
    quiet_there = whole[:150] + bytes(20) + whole[170:]
    legs = {"long": (NOON, envelope(quiet_there + bytes(9))), "more": (NOON, envelope(with_more))}
    assert repeated(legs) == {}
    legs = {"long": (NOON, envelope(quiet_there + bytes(9))), "same": (NOON, envelope(quiet_there))}
    assert repeated(legs).keys() == {"same"}


def test_a_day_is_compared_in_seconds(sounds):
    """What was recorded twice for a day, by clocks that drift apart by a second an hour."""
    chance = random.Random(1)
    spoken = [*sounds["talk"].envelope, *sounds["other"].envelope]
    day = [max(0, min(180, level + chance.randint(-3, 3))) for _ in range(1000) for level in spoken]
    drifted = [level for at, level in enumerate(day[20:]) if at % 3600]
    legs = {
        "a": (NOON, envelope(day)),
        "b": (NOON + timedelta(seconds=2), envelope(drifted[:-300])),
    }
    assert repeated(legs).keys() == {"b"}


class TestSealed:
    """What becomes of a call of which somebody recorded the same twice."""

    @staticmethod
    def sealed(tmp_path, *legs):
        """Archive a call of these legs (name, seconds after noon); return manifest and objects."""
        ports = some_ports(tmp_path, stitcher=FfmpegStitcher(local_tools()))
        ports.provider.listings["s-1"] = a_listing(
            *(
                replace(a_leg(name), started_at=NOON - timedelta(seconds=90 - later))
                for name, later in legs
            )
        )
        ports.provider.audio = {name: (SPEECH / name).read_bytes() for name, _ in legs}
        message = Message("m", a_job().to_message(), receives=1, receipt="r")
        until = ports.clock.now() + timedelta(minutes=15)
        archive([message], ports=ports, until=until, guard=lambda _: nullcontext())
        objects = {key.removeprefix(PREFIX): body for key, body in ports.archive.objects.items()}
        return json.loads(objects["manifest-1.json"]), objects

    @staticmethod
    def find(content):
        """Return what `legato verify` finds wrong with a manifest by itself."""
        return list(contradictions(PREFIX, content))

    def test_a_call_that_was_recorded_at_both_ends_is_one_leg(self, tmp_path):
        """Both originals are kept; the longer one is the recording."""
        content, objects = self.sealed(tmp_path, ("talk.mp3", 0), ("talk-gsm.wav", 1.5))
        assert {"legs/talk.mp3.mp3", "legs/talk-gsm.wav.wav"} < objects.keys()
        assert "recording-1.mp3" not in objects
        longer, shorter = content["legs"]
        assert content["recording"]["how"] == "single"
        assert content["recording"]["key"] == longer["key"]
        assert content["recording"]["duration_ms"] == longer["duration_ms"]
        assert longer["heard_in"] is None
        assert shorter["heard_in"]["leg"] == "talk.mp3"
        assert shorter["heard_in"]["alike"] > 0.9
        assert shorter["offset_ms"] == 1500 + shorter["heard_in"]["shift_ms"] <= 300
        assert self.find(content) == []
        shorter["heard_in"]["shift_ms"] += 20_000
        assert "not heard where" in self.find(content)[0]
        shorter["heard_in"]["leg"] = "nobody"
        assert "no leg that is played" in self.find(content)[0]

    def test_what_follows_is_appended_and_what_repeats_is_not(self, tmp_path):
        """Two conversations, of which the first was recorded three times."""
        content, objects = self.sealed(
            tmp_path,
            ("talk-gsm.wav", 0),
            ("talk-part.wav", 6.34),
            ("talk.mp3", 1),
            ("other.mp3", 40),
        )
        assert [leg["heard_in"] and leg["heard_in"]["leg"] for leg in content["legs"]] == [
            "talk.mp3",
            None,
            "talk.mp3",
            None,
        ]
        recording = content["recording"]
        assert recording["how"] == "copy"
        assert (
            objects["recording-1.mp3"]
            == objects["legs/talk.mp3.mp3"] + objects["legs/other.mp3.mp3"]
        )
        durations = {leg["id"]: leg["duration_ms"] for leg in content["legs"]}
        assert recording["duration_ms"] == durations["talk.mp3"] + durations["other.mp3"]
        assert content["legs"][3]["offset_ms"] == durations["talk.mp3"]
        assert self.find(content) == []
