"""Removal at the provider, with real clients: of 500 recordings all go but the damaged one."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
from dataclasses import replace
from datetime import timedelta
from urllib.parse import unquote, urlsplit

import pytest
from botocore.awsrequest import AWSResponse
from urllib3 import HTTPResponse

from legato.archive.layout import call_in, folder_of
from legato.aws.bucket import S3Archive
from legato.operations.removal import Removal
from legato.providers.kazoo.provider import KazooSource
from legato.providers.ringex.provider import RingexSource
from tests.day import Day
from tests.fakes import FakeArchive
from tests.kazoo_months import Months

RECORDINGS = 500
CALLS = 200


def keep_in(world, archive):
    """Let what is archived lie here, and be removed at the provider."""
    policy = replace(world._ports.policy, delete_at_source=True)
    world._ports = replace(world._ports, policy=policy, archive=archive)


def together(stopped, *, at):
    """Let a recording be saved when the last one of its call is."""
    order = replace(stopped.order, ready_after=0, saved_after=at - stopped.at)
    return replace(stopped, at=at, order=order)


def kazoo(scratch, archive):
    """Return a cluster whose recordings are archived, and where they are removed."""
    months = Months(scratch)
    keep_in(months, archive)
    planned = months.plan(recordings=RECORDINGS, interactions=CALLS, days=3)
    # But for a few, all of a call comes at once: to S3 each revision more is a dozen requests.
    over = {one.interaction: one.at for one in planned}
    once = [together(one, at=over[one.interaction]) for one in planned[50:]]
    months.run(sorted([*planned[:50], *once], key=lambda one: one.at))
    return months, KazooSource(months.api)


def ringex(scratch, archive):
    """Return a company whose recordings are archived, and where they are removed."""
    day = Day(scratch, credentials=4, notify=False)
    keep_in(day, archive)
    day.run(sessions=CALLS, recorded=CALLS, recordings=RECORDINGS, minutes=30)
    return day, RingexSource(day.api)


def run(world, source):
    """Remove for as long as a Lambda lasts."""
    work = Removal(
        source=source,
        archive=world._ports.archive,
        ledger=world.ledger,
        notes=world.notes,
        clock=world.clock,
        sleep=world.clock.sleep,
    )
    return work.run(until=world.clock.now() + timedelta(minutes=15))


class Damaged:
    """Flips a byte of an object, whose version and checksums stay as they are."""

    def __init__(self, archive, s3):
        self._archive = archive
        self._s3 = s3

    def __call__(self, key):
        if isinstance(self._archive, FakeArchive):
            self._archive.objects[key] = _flipped(self._archive.objects[key])
            return
        self._s3.meta.events.register("before-send.s3.GetObject", self._answer)
        self._key = key

    def _answer(self, request, **_):
        path = urlsplit(request.url).path
        if not unquote(path).endswith(self._key):
            return None
        self._s3.meta.events.unregister("before-send.s3.GetObject", self._answer)
        body = self._s3.get_object(Bucket=path.split("/")[1], Key=self._key)["Body"].read()
        self._s3.meta.events.register("before-send.s3.GetObject", self._answer)
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers = {"x-amz-checksum-sha256": checksum, "content-length": str(len(body))}
        raw = HTTPResponse(io.BytesIO(_flipped(body)), preload_content=False)
        return AWSResponse(request.url, 200, headers, raw)


def _flipped(body):
    return bytes([body[0] ^ 1]) + body[1:]


@pytest.fixture(params=["s3", "fake"])
def archive(request, aws_client, bucket):
    return FakeArchive() if request.param == "fake" else S3Archive(aws_client("s3"), bucket=bucket)


@pytest.mark.parametrize(
    ("make", "archive"), [(kazoo, "s3"), (ringex, "fake")], indirect=["archive"]
)
def test_all_that_is_archived_goes_but_what_is_damaged(make, archive, tmp_path, caplog):
    """Its call stays, somebody is told, and the ledger says of each other what became of it."""
    caplog.set_level(logging.INFO, logger="legato")
    world, source = make(tmp_path, archive)
    legs = {key: leg for key, leg in archive.find("calls/").items() if "/legs/" in key}
    assert len(legs) == RECORDINGS
    assert not world.world.stats.to_json()["deletes"]
    calls = [key.rpartition("/legs/")[0] for key in legs]
    victim = next(key for key, call in zip(legs, calls, strict=True) if calls.count(call) == 1)
    Damaged(archive, getattr(archive, "_s3", None))(victim)

    world.clock.sleep(3600)
    report = run(world, source)

    assert report.counts == {"RecordingRemoved": RECORDINGS - 1, "RemovalUnproven": 1}
    assert (report.stopped, report.faults) == (None, [])
    [told] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert (told.message, victim in told.reason) == ("not removed", True)
    removed = {recording_of(key): leg for key, leg in legs.items() if key != victim}
    stats = world.world.stats.to_json()
    assert stats["deletes"] == dict.fromkeys(removed, 1)
    for leg in removed.values():
        note = removed_note(world, leg.key)
        assert (note["key"], note["sha256"]) == (leg.key, leg.sha256)
        assert (note["version_id"], note["bytes"]) == (leg.version_id, leg.size)
        assert note["proof"] == "read-back"
    assert removed_note(world, victim) == {}
    [left] = world.notes.listed(f"removal#{source.name}", until="9999")
    assert left.key == f"removal#{call_in(folder_of(victim))}"
    assert not stats["tooManyRequests"]
    assert not any(stats["rulesBroken"].values())
    assert run(world, source).counts.total() == 0


def removed_note(world, key):
    """Return what the ledger says of the removal of a leg, by its key in the archive."""
    call = call_in(folder_of(key))
    return world.notes.read(f"removed#{call._replace(call=recording_of(key))}").content


def recording_of(key):
    return key.rpartition("/")[2].rpartition(".")[0]


def test_a_sweep_after_the_removal_finds_nothing_to_do(tmp_path):
    """RingCentral rewrites the rows of what is gone, and they come again without a recording."""
    archive = FakeArchive()
    day, source = ringex(tmp_path, archive)
    day.clock.sleep(3600)
    assert run(day, source).counts["RecordingRemoved"] == RECORDINGS
    before, sent = dict(archive.objects), day.queue.sent
    day.clock.sleep(120)
    report = day._sweep()
    assert (report.records, report.jobs) == (CALLS, 0)
    assert day.queue.sent == sent
    assert archive.objects == before
