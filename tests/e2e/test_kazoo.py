"""Kazoo through the running system: interactions are joined and sealed, whatever goes wrong."""

import json
import time
from dataclasses import dataclass

import pytest

from legato.aws.secret import FRESH_SECONDS
from local.demo.calls import AUDIO
from tests.e2e.cluster import FIRST, KAZOO, PARAMETERS, SCHEDULED, Cluster
from tests.e2e.swept import ALWAYS, Placed
from tests.patience import until

__all__ = ["KAZOO", "PARAMETERS", "SCHEDULED"]
UNKNOWN_KEY = "0" * 64


@pytest.fixture(scope="module")
def cluster(system, tmp_path_factory):
    return Cluster(system, tmp_path_factory.mktemp("audio"))


@dataclass(frozen=True)
class Listed:
    """What was saved while lists went wrong, and why sweeps ended early meanwhile."""

    saved: Placed
    reasons: tuple[str, ...]
    tokens_minted: int = 0


@pytest.fixture(scope="module")
def lists(cluster):
    """Let lists of recordings go wrong in each way, one after the other."""
    until(lambda: cluster.sweep() and cluster.stats()["tokensMinted"])  # the very first one
    one_key = {"kind": "repeat-key", "route": "recordings"}
    orders = {
        # One key only leads to the same page once more, so that the 401 comes between two pages.
        "401": [one_key, {"kind": "status", "status": 401, "route": "recordings"}],
        **{
            kind: [{"kind": kind, "route": "recordings", "times": ALWAYS}]
            for kind in ("repeat-key", "html", "json", "empty")
        },
    }
    found = {}
    for kind, faults in orders.items():
        before, known = cluster.stats(), len(cluster.reasons_to_stop())
        saved = cluster.place()
        cluster.faults(*faults)
        if kind == "401":
            until(lambda: cluster.sweep() and "recordings status" in cluster.stats()["faults"])
        else:
            until(lambda: cluster.sweep() and cluster.reasons_to_stop()[known:])  # noqa: B023
        cluster.mend()
        cluster.find(saved)
        minted = cluster.stats()["tokensMinted"] - before["tokensMinted"]
        found[kind] = Listed(saved, tuple(cluster.reasons_to_stop()[known:]), minted)
    return found


@pytest.fixture(scope="module")
def stray(cluster, lists):
    """Sweep twice while the list has a document that lacks its id; return what somebody is told."""
    placed = cluster.place(recording={"omit": ["id"]})
    letters = []
    until(lambda: cluster.sweep() and letters.extend(cluster.letters()) is None and letters)
    cluster.sweep()
    return placed, letters + cluster.letters()


@pytest.fixture(scope="module")
def archived(cluster, lists, stray):
    """Place an interaction of each kind, let downloads go wrong, and wait for all of them."""
    mp3 = [(AUDIO / name).read_bytes() for name in ("single.mp3", "late.mp3")]
    interactions = {
        "two": cluster.place(2),
        "lone": cluster.place_lone(hasInteraction=False),
        "4.3": cluster.place(audio=mp3),
        "call_id": cluster.place(recording={"omit": ["call_id", "cdr_id"]}),
        "start": cluster.place(recording={"omit": ["start"]}),
        "start, interaction_id": cluster.place_lone(omit=["start", "interaction_id"]),
        **{
            kind: cluster.place() for kind in ("late", "truncate", "empty", "html", "json", "evict")
        },
    }
    cluster.settings(version="master")
    interactions["master"] = cluster.place(audio=mp3)
    cluster.settings(version="4.3")
    cluster.spoil(interactions["late"], "status", status=404, times=3)
    for kind in ("truncate", "evict"):
        cluster.spoil(interactions[kind], kind)
    for kind in ("empty", "html", "json"):
        cluster.spoil(interactions[kind], kind, times=2)
    cluster.find(*interactions.values())
    saved = [each.saved for each in lists.values()]
    cluster.watch(*interactions.values(), *saved)
    return interactions


def test_recordings_of_an_interaction_are_joined_and_sealed(cluster, archived):
    """In one file without a gap, and beside it each as it was sent."""
    interaction = archived["two"]
    cluster.assert_archived(interaction)
    manifest = cluster.evidence(interaction).manifest
    assert manifest["recording"]["duration_ms"] == 2000
    assert [leg["offset_ms"] for leg in manifest["legs"]] == [0, 1000]
    assert cluster.reasons_to_wait(interaction) == []


def test_a_recording_without_interaction_is_a_call_of_its_own(cluster, archived):
    """It is found under its own id."""
    interaction = archived["lone"]
    cluster.assert_archived(interaction)
    manifest = cluster.evidence(interaction).manifest
    assert manifest["call"] == manifest["legs"][0]["id"]


@pytest.mark.parametrize(("version", "media_type"), [("4.3", "mp3"), ("master", ".mp3")])
def test_a_media_type_is_kept_and_not_believed(cluster, archived, version, media_type):
    """With and without its dot the keys have one: the bytes say what the audio is."""
    interaction = archived[version]
    cluster.assert_archived(interaction, extension="mp3")
    records = cluster.evidence(interaction).manifest["provider_records"]
    assert [record["media_type"] for record in records] == [media_type, media_type]


@pytest.mark.parametrize("missing", ["call_id", "start", "start, interaction_id"])
def test_a_document_that_lacks_a_field_is_archived(cluster, archived, missing):
    """Nothing but its id is needed. Without `start` the interaction's id says when it began."""
    interaction = archived[missing]
    cluster.assert_archived(interaction)
    [record] = cluster.evidence(interaction).manifest["provider_records"]
    assert not record.keys() & set(missing.split(", "))


def test_a_document_without_id_is_shown_to_somebody_once(cluster, stray):
    """However often it is listed: nobody can fetch it."""
    placed, letters = stray
    [(body, reason)] = letters
    assert json.loads(body)["interaction_id"] == placed.id
    assert "which call" in reason
    assert cluster.records(placed) == {}


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("late", "404"),
        ("empty", "without a single byte"),
        ("html", "HTML"),
        ("json", "JSON instead of audio"),
    ],
)
def test_a_download_that_goes_wrong_is_tried_again(cluster, archived, kind, why):
    """It says why it waits, nothing of the bad answer is kept, and all of the good one."""
    interaction = archived[kind]
    reasons = cluster.reasons_to_wait(interaction)
    assert any(why in reason for reason in reasons), reasons
    cluster.assert_archived(interaction)


def test_a_download_that_breaks_off_goes_on_where_it_broke(cluster, archived):
    """At once, and without a wait."""
    interaction = archived["truncate"]
    [recording] = interaction.sent
    assert cluster.stats()["downloads"][recording] == 2
    assert cluster.reasons_to_wait(interaction) == []
    cluster.assert_archived(interaction)


def test_tokens_that_die_during_the_downloads_cost_nothing(cluster, archived):
    """Neither a try nor a wait: another one is minted at once."""
    interaction = archived["evict"]
    assert cluster.stats()["faults"]["recording evict"] == 1
    assert cluster.reasons_to_wait(interaction) == []
    cluster.assert_archived(interaction)


def test_a_token_that_dies_between_two_pages_costs_nothing(cluster, lists, archived):
    """The sweep goes on with another one."""
    listed = lists["401"]
    assert (listed.reasons, listed.tokens_minted) == ((), 1)
    cluster.assert_archived(listed.saved)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("repeat-key", "the page that was asked for"),
        ("html", "no JSON"),
        ("json", "without a list `data`"),
        ("empty", "no JSON"),
    ],
)
def test_a_list_that_goes_wrong_is_asked_for_again(cluster, lists, archived, kind, why):
    """The sweep says why it ends, the next one goes on, and nothing is lost."""
    assert any(why in reason for reason in lists[kind].reasons), lists[kind].reasons
    cluster.assert_archived(lists[kind].saved)


def test_a_later_recording_makes_a_revision_and_touches_nothing(cluster, archived):
    """The recordings of the first revision are not fetched again, and none of it is rewritten."""
    interaction = archived["two"]
    before, sealed = (
        cluster.versions(cluster.state(interaction)),
        cluster.evidence(interaction).manifest,
    )
    more = cluster.place(interactionId=interaction.id, age=20)
    cluster.find(more)
    cluster.watch(interaction, revision=2)

    evidence, after = cluster.evidence(interaction), cluster.versions(cluster.state(interaction))
    assert evidence.wrong == ()
    assert [leg["id"] for leg in evidence.manifest["legs"]] == [*interaction.sent, *more.sent]
    assert evidence.manifest["legs"][:2] == sealed["legs"]
    assert evidence.manifest["recording"]["duration_ms"] == 3000
    assert evidence.manifest["supersedes"]["key"].endswith("manifest-1.json")
    assert before.items() <= after.items()
    [added] = more.sent
    new = sorted(key for key, _ in after.keys() - before.keys())
    names = ["manifest-2.json", "peaks-2.json", "recording-2.wav"]
    assert new == [f"legs/{added}.wav", *names]
    downloads = cluster.stats()["downloads"]
    assert [downloads[recording] for recording in interaction.sent] == [1, 1]


def test_an_unknown_api_key_loses_nothing(cluster, archived):
    """Who looks is told what Kazoo says, but not the key; once it is mended all is archived."""
    with cluster.secret() as content:
        key, content["kazoo"]["apiKey"] = content["kazoo"]["apiKey"], UNKNOWN_KEY
    changed_at = time.monotonic()
    until(lambda: time.monotonic() - changed_at > FRESH_SECONDS)  # no process has the old one
    placed = cluster.place()
    known = len(cluster.reasons_to_stop())
    # The schedule's own sweep may be at work, and lets no other one in.
    until(lambda: cluster.sweep() and cluster.reasons_to_stop()[known:])
    reasons = cluster.reasons_to_stop()[known:]
    assert all("404 bad_identifier" in reason for reason in reasons)
    assert UNKNOWN_KEY not in cluster.log("sweeper").read_text()
    assert cluster.records(placed) == {}

    with cluster.secret() as content:
        content["kazoo"]["apiKey"] = key
    cluster.find(placed)
    cluster.watch(placed)
    cluster.assert_archived(placed)


def test_nothing_of_all_this_failed(cluster, archived, stray):
    """No job lies in the dead letters, and nothing is left that was found and not archived."""
    until(lambda: cluster.ledger.first(f"unarchived#kazoo#{FIRST}") is None)
    assert cluster.letters() == []
