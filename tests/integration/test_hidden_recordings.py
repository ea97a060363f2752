"""Twelve ways to hide a recording, in a real bucket: each is named, and nothing else.

The calls are archived by the use case itself. What is in the bucket is changed behind its back.
"""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from legato.archive.layout import call_prefix, leg_key
from legato.aws.bucket import PART_BYTES, S3Archive
from legato.aws.catalogue import DynamoCatalogue
from legato.aws.ledger import DynamoLedger
from legato.aws.library import S3Library
from legato.ingest.batch import Message, archive
from legato.ledger.birthmark import mark_anew
from legato.operations.overview import Followed, Overview
from legato.operations.past import Reconciling
from legato.operations.reconcile import reconcile
from legato.operations.status import status
from legato.tuning import Policy
from tests.fakes import (
    FakeClock,
    FakeJobs,
    FakeNotes,
    FakeProvider,
    a_job,
    a_leg,
    a_listing,
    an_id,
    some_ports,
)
from tests.unit.test_reconcile import BEGAN, BEGIN, DAY, END, FakeRecorded, a_page
from tests.unit.test_status import FakeQueue

CALLS = {"s-1": ("1",), "s-2": ("2", "3"), "s-3": ("4", "5"), "s-4": ("6",)}
LISTED = [f"{call}/{leg}" for call, legs in CALLS.items() for leg in legs]
LARGE = b"mp3" + bytes(PART_BYTES)
"""Of two parts, of which S3 knows no SHA-256 of the whole."""


@contextmanager
def strict(_messages):
    yield


class Company:
    """Four archived calls in a real bucket, ledger and catalogue; the last one was streamed."""

    def __init__(self, aws_client, bucket, table, scratch):
        self.s3, self.bucket = aws_client("s3"), bucket
        self.clock, self.jobs = FakeClock(), FakeJobs()
        self.archive = S3Archive(self.s3, bucket=bucket)
        self.ledger = DynamoLedger(aws_client("dynamodb"), table=table)
        self.catalogue = DynamoCatalogue(aws_client("dynamodb"), table=table)
        self.library = S3Library(self.s3, bucket=bucket)
        mark_anew(self.archive, self.ledger, self.clock)
        self.listed = list(LISTED)
        for call, legs in CALLS.items():
            self.seal(call, legs, scratch, streamed=call == "s-4")

    def seal(self, call, legs, scratch, *, streamed):
        listed = (replace(a_leg(leg), started_at=BEGAN) for leg in legs)
        listing = a_listing(*listed, call=call, started_at=BEGAN, ended_at=BEGAN)
        audio = {leg: LARGE if streamed else f"mp3 {leg}".encode() for leg in legs}
        ports = some_ports(
            scratch,
            provider=FakeProvider({call: listing}, audio),
            ledger=self.ledger,
            notes=self.ledger,
            archive=self.archive,
            catalogue=self.catalogue,
            clock=self.clock,
            policy=Policy(apart=streamed, storage_class="STANDARD"),
        )
        job = a_job(call, named=legs)
        until = self.clock.now() + timedelta(minutes=15)
        archive([Message("1", job.to_message())], ports=ports, until=until, guard=strict)
        assert self.state(call).status == "archived"

    def state(self, call):
        return self.ledger.load(an_id(call))

    def keys(self, call, part=""):
        return [key for key in self.archive.sizes(self.state(call).prefix) if part in key]

    def put(self, key, body):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ChecksumAlgorithm="SHA256")

    def delete(self, *keys):
        for key in keys:
            self.s3.delete_object(Bucket=self.bucket, Key=key)

    def copy(self, call, prefix):
        for key in self.keys(call):
            to = key.replace(self.state(call).prefix, prefix)
            source = {"Bucket": self.bucket, "Key": key}
            self.s3.copy_object(Bucket=self.bucket, Key=to, CopySource=source)

    def reconciled(self):
        self.clock.advance(1)
        return reconcile(
            Reconciling(
                name="daily",
                begin=BEGIN,
                end=END,
                recorded=[FakeRecorded(a_page(*self.listed))],
                jobs={"ringex": self.jobs},
                ledger=self.ledger,
                notes=self.ledger,
                memory=FakeNotes(),
                archive=self.archive,
                clock=self.clock,
                sleep=self.clock.advance,
                settle_seconds=5,
                catalogue=self.catalogue,
                report_only=True,
            )
        )

    def needs(self):
        ringex = Followed(
            provider="ringex",
            tails=[],
            kept_days={"ringex": 90},
            late=DAY,
            usual=DAY,
            longest=DAY,
            jobs=FakeQueue(),
            dead_letters=FakeQueue(),
            gates={},
        )
        overview = Overview(
            stack="archive",
            followed=[ringex],
            ledger=self.ledger,
            notes=self.ledger,
            library=self.library,
            clock=self.clock,
        )
        return [need for need in status(overview).needs if need.kind != "digest"]


@pytest.fixture
def company(aws_client, bucket, table, tmp_path):
    return Company(aws_client, bucket, table, tmp_path)


def object_gone(company):
    company.delete(*company.keys("s-3", "legs/4"))


def folder_gone(company):
    company.delete(*company.keys("s-3"))


def leg_truncated(company):
    [key] = company.keys("s-3", "legs/4")
    company.put(key, b"mp3")


def other_bytes_of_the_same_size(company):
    [key] = company.keys("s-3", "legs/4")
    company.put(key, b"mp3 9")


def other_bytes_of_the_same_size_in_parts(company):
    [key] = company.keys("s-4", "legs/6")
    company.put(key, LARGE[:-1] + b"1")


def manifest_gone(company):
    company.delete(company.state("s-1").manifest.key)


def under_the_wrong_account(company):
    company.copy("s-3", call_prefix(an_id("s-3", account="2"), BEGAN))


def leg_not_in_the_manifest(company):
    state = company.state("s-3")
    company.ledger.save(replace(state, legs=state.legs | {"7": "a" * 64}))
    company.listed.append("s-3/7")


def leg_that_no_manifest_names(company):
    company.put(leg_key(company.state("s-3").prefix, "7", "mp3"), b"mp3 7")


def second_folder(company):
    company.copy("s-3", call_prefix(an_id("s-3"), BEGAN - DAY))


def joined_audio_gone(company):
    company.delete(*company.keys("s-3", "recording-1"))


def in_the_ledger_only(company):
    folder_gone(company)
    company.listed = [one for one in company.listed if not one.startswith("s-3")]


def list_empty(company):
    company.listed = []


def never_listed_before(company):
    company.listed.append("s-5/8")


WAYS = [
    (object_gone, [("object gone", "s-3", "4")]),
    (folder_gone, [("folder gone", "s-3", "4"), ("folder gone", "s-3", "5")]),
    (leg_truncated, [("truncated", "s-3", "4")]),
    (other_bytes_of_the_same_size, [("altered", "s-3", "4")]),
    (other_bytes_of_the_same_size_in_parts, [("altered", "s-4", "6")]),
    (manifest_gone, [("manifest gone", "s-1", "1")]),
    (under_the_wrong_account, [("wrong account", "s-3", "")]),
    (leg_not_in_the_manifest, [("not in the manifest", "s-3", "7")]),
    (leg_that_no_manifest_names, [("leg of no manifest", "s-3", "7")]),
    (second_folder, [("second folder", "s-3", "")]),
    (joined_audio_gone, [("joined audio gone", "s-3", "")]),
    (in_the_ledger_only, [("folder gone", "s-3", "4"), ("folder gone", "s-3", "5")]),
    (list_empty, [("list empty", "", "")]),
    (never_listed_before, [("never found", "s-5", "8")]),
]


@pytest.mark.parametrize(("hide", "found"), WAYS, ids=[hide.__name__ for hide, _ in WAYS])
def test_what_is_hidden_in_a_bucket_is_named_and_nothing_else(company, hide, found):
    """By the report, and by status at once."""
    hide(company)
    report = company.reconciled()
    wrong = [*report.missing, *report.failed]
    assert [(one.kind, one.call, one.recording) for one in wrong] == found
    assert [(need.kind, need.call, need.recording) for need in company.needs()] == found


def test_nothing_is_wrong_with_what_was_just_archived(company):
    """Joined, alone and in parts; nor with an archive that was copied over itself."""
    report = company.reconciled()
    assert (report.missing, report.failed, report.not_asked) == ([], [], ())
    assert report.counts == {"archived": len(LISTED)}
    assert company.needs() == []
    [key] = company.keys("s-3", "legs/4")
    company.put(key, b"mp3 4")
    assert company.reconciled().failed == []


def test_a_bucket_shows_the_folders_below_a_prefix_and_what_a_key_holds(company):
    """And says of what is gone that there is nothing."""
    assert company.archive.folders("calls/ringex/") == ["calls/ringex/1/"]
    [key] = company.keys("s-1", "legs/1")
    assert company.archive.stored(key).size == len(b"mp3 1")
    company.delete(key)
    assert company.archive.stored(key) is None
