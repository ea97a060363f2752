"""Manifests are what docs/manifest.schema.json says."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from legato.archive.document import to_bytes
from legato.archive.manifest import overlaps
from legato.errors import NotYet
from legato.evidence.verify.manifests import contradictions, lost
from legato.model import AudioFacts, Party, StoredLeg, StoredObject, format_time
from tests.fakes import NOON, a_job, a_leg, a_listing, an_id, some_ports
from tests.unit.test_batch import PREFIX, climb, manifest, run

SCHEMA = json.loads(Path("docs/manifest.schema.json").read_text())


@pytest.fixture
def validator():
    Draft202012Validator.check_schema(SCHEMA)
    return Draft202012Validator(SCHEMA)


def test_every_kind_of_manifest_fits_the_schema(tmp_path, validator):
    """One leg, many legs, mixed formats, a missing leg, a second revision, leftovers."""
    ports = some_ports(tmp_path)
    records = ({"id": "r", "anything": None},)
    parties = (Party(role="from", number="+14155550100", name="Ada", extension="101"),)
    listing = a_listing(a_leg("a"), parties=parties, records=records, direction="inbound")
    ports.provider.listings["s-1"] = listing
    ports.provider.audio = {"a": b"mp3-a"}
    run(ports, a_job())

    ports.clock.advance(600)
    ports.archive.objects[f"{PREFIX}recording-2.wav"] = b"left behind"
    legs = [a_leg("a"), a_leg("b", minutes_ago=9), a_leg("c", minutes_ago=8)]
    ports.provider.listings["s-1"] = a_listing(*legs, related=(an_id("s-2"),))
    ports.provider.audio |= {"b": b"wav-b", "c": b"wavcut"}
    climb(ports, a_job(seen_at=ports.clock.now() - timedelta(seconds=120)))

    first, third = manifest(ports), manifest(ports, 3)
    for sealed in (first, third):
        validator.validate(sealed)
    assert first["parties"][0]["extension"] == "101"
    assert first["provider_records"] == [{"id": "r", "anything": None}]
    assert third["recording"]["how"] == "transcode"
    assert [missing["leg"] for missing in third["missing"]] == ["c"]
    assert [leftover["key"] for leftover in third["abandoned"]] == [f"{PREFIX}recording-2.wav"]
    assert third["related"] == ["ringex/1/s-2"]
    assert (third["parties"], third["direction"]) == (first["parties"], "inbound")


def test_a_later_revision_says_what_the_one_before_it_said(tmp_path):
    """The provider says less by then, and something else; a party that it completes is one."""
    ports = some_ports(tmp_path)
    ada, bob, who = (
        Party(role="from", number="+1", name="Ada"),
        Party(role="to", number="+2", name="Bob"),
        Party(role="to", number="+3"),
    )
    end = NOON - timedelta(minutes=2)
    said = {"parties": (ada, bob, who), "direction": "inbound", "related": (an_id("s-2"),)}
    ports.provider.listings["s-1"] = a_listing(a_leg("a"), ended_at=end, **said)
    ports.provider.audio = {"a": b"mp3-a", "b": b"mp3-b"}
    run(ports, a_job())
    ports.clock.advance(600)
    named = Party(role="to", number="+3", name="Eve")
    robert = Party(role="to", number="+2", name="Robert")
    less = {"parties": (named, robert), "direction": "outbound", "ended_at": None}
    ports.provider.listings["s-1"] = a_listing(a_leg("a"), a_leg("b", minutes_ago=9), **less)
    run(ports, a_job(seen_at=ports.clock.now() - timedelta(seconds=120)))
    second = manifest(ports, 2)
    assert second["parties"] == [one.to_json() for one in (named, robert, ada, bob)]
    assert (second["direction"], second["ended_at"]) == ("inbound", format_time(end))
    assert second["related"] == ["ringex/1/s-2"]
    assert [*lost(manifest(ports), second)] == []
    assert [*contradictions(PREFIX, second)] == []


def test_the_schema_refuses_what_is_not_described(tmp_path, validator):
    """A field too many or too few is an error, so the schema is the whole truth."""
    ports = some_ports(tmp_path)
    ports.provider.listings["s-1"] = a_listing(a_leg("a"))
    ports.provider.audio = {"a": b"mp3-a"}
    run(ports, a_job())
    sealed = manifest(ports)
    for name in sealed:
        lacking = {key: value for key, value in sealed.items() if key != name}
        assert not validator.is_valid(lacking), name
    assert not validator.is_valid({**sealed, "more": 1})
    assert not validator.is_valid({**sealed, "legs": []})
    assert not validator.is_valid({**sealed, "legs": [{**sealed["legs"][0], "more": 1}]})


def stored(name, *, starts, seconds):
    audio = AudioFacts(
        extension="wav",
        media_type="audio/wav",
        codec="pcm_s16le",
        sample_rate=8000,
        channels=1,
        duration_ms=seconds * 1000,
    )
    held = StoredObject(key=name, version_id="v", size=1, sha256="0" * 64)
    return StoredLeg(leg=a_leg(name, minutes_ago=-starts / 60), object=held, audio=audio)


def test_overlaps_say_which_legs_and_by_how_much():
    """A leg within another overlaps by its own length; legs that touch do not overlap."""
    legs = [
        stored("a", starts=0, seconds=60),
        stored("b", starts=50, seconds=20),
        stored("c", starts=55, seconds=2),
        stored("d", starts=70, seconds=5),
    ]
    assert overlaps(legs) == [
        {"legs": ["a", "b"], "overlap_ms": 10000},
        {"legs": ["a", "c"], "overlap_ms": 2000},
        {"legs": ["b", "c"], "overlap_ms": 2000},
    ]


def test_a_manifest_is_readable_text():
    """It is opened by people long after Legato is gone."""
    assert to_bytes({"name": "Zoë"}) == '{\n  "name": "Zoë"\n}\n'.encode()


def test_a_call_without_any_audio_has_no_manifest(tmp_path):
    """A revision is never sealed empty."""
    ports = some_ports(tmp_path)
    ports.provider.listings["s-1"] = a_listing(a_leg("a"), ended_at=NOON - timedelta(days=9))
    ports.provider.audio = {"a": NotYet("404")}
    run(ports, a_job())
    assert ports.archive.objects == {}
