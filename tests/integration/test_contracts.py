"""Fakes and real adapters keep the same promises."""

import base64
import hashlib
import io
import json
import random
import tracemalloc
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from urllib3 import HTTPResponse

from legato.aws import bucket as bucket_module
from legato.aws.accesses import DynamoAccesses
from legato.aws.bucket import S3Archive
from legato.aws.ledger import DynamoLedger
from legato.aws.queue import SqsJobs
from legato.aws.secret import CACHE_SECONDS, FRESH_SECONDS, INBOUND_TOKENS, Secret
from legato.errors import Conflict, Failed, Retry, Stale
from legato.model import Job, Note, StoredObject, format_time
from legato.ports import Access, Sent
from tests.fakes import NOON, FakeAccesses, FakeArchive, FakeLedger, FakeNotes, a_job, an_id

WAV = "audio/wav"
NOON_TEXT = format_time(NOON)
HOUR, MILLISECOND = timedelta(hours=1), timedelta(milliseconds=1)
PART_BYTES = bucket_module.PART_BYTES
LONG = random.Random(1).randbytes(2 * PART_BYTES + 1000)


@pytest.fixture(params=["fake", "s3"])
def archive(request, aws_client, bucket):
    return FakeArchive() if request.param == "fake" else S3Archive(aws_client("s3"), bucket=bucket)


@pytest.fixture(params=["fake", "dynamodb"])
def ledger(request, aws_client, table):
    if request.param == "fake":
        return FakeLedger()
    return DynamoLedger(aws_client("dynamodb"), table=table)


def put_file(archive, tmp_path, key, body, *, storage_class="GLACIER_IR"):
    path = tmp_path / "file"
    path.write_bytes(body)
    sha256 = hashlib.sha256(body).hexdigest()
    return archive.put_file(key, path, sha256=sha256, media_type=WAV, storage_class=storage_class)


def stream(archive, key, body, *, storage_class="GLACIER_IR", piece=999_983):
    with archive.upload(key, media_type=WAV, storage_class=storage_class) as upload:
        for start in range(0, len(body), piece):
            upload.write(body[start : start + piece])
        sent = upload.finish()
        return sent, upload.complete()


def break_off(archive, key):
    with archive.upload(key, media_type=WAV, storage_class="GLACIER") as upload:
        upload.write(b"audio")
        raise KeyError


def damaged(stored, sent):
    """Return a handler that hands out other bytes than were stored, with the checksum of those."""
    checksum = base64.b64encode(hashlib.sha256(stored).digest()).decode()

    def answer(request, **_):
        raw = HTTPResponse(io.BytesIO(sent), preload_content=False)
        headers = {"x-amz-checksum-sha256": checksum, "content-length": str(len(sent))}
        return AWSResponse(request.url, 200, headers, raw)

    return answer


def refuse(s3, operation, status, code, *, message=""):
    """Let S3 refuse every request of one kind."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()

    def answer(request, **_):
        raw = HTTPResponse(io.BytesIO(body), preload_content=False)
        return AWSResponse(request.url, status, {}, raw)

    s3.meta.events.register(f"before-send.s3.{operation}", answer)


def read(archive, stored):
    with archive.read(stored.key, version_id=stored.version_id) as pieces:
        return b"".join(pieces)


class TestArchive:
    def test_what_is_stored_is_found_and_read(self, archive, tmp_path):
        """With the same description each time, under its prefix only."""
        leg = put_file(archive, tmp_path, "calls/a/legs/1.wav", b"audio")
        note = archive.put_bytes("calls/a/manifest-1.json", b"{}", media_type="application/json")
        put_file(archive, tmp_path, "calls/b/legs/1.wav", b"other")
        assert archive.find("calls/a/") == {leg.key: leg, note.key: note}
        assert archive.find("calls/c/") == {}
        assert read(archive, leg) == b"audio"
        assert (leg.size, leg.sha256) == (5, hashlib.sha256(b"audio").hexdigest())

    def test_the_same_bytes_again_are_success(self, archive, tmp_path):
        """A step that is repeated finds what it had stored: same key, same version."""
        first = put_file(archive, tmp_path, "k", b"audio")
        assert put_file(archive, tmp_path, "k", b"audio") == first

    def test_other_bytes_are_a_conflict_and_change_nothing(self, archive, tmp_path):
        """Even of the same length."""
        first = put_file(archive, tmp_path, "k", b"audio")
        with pytest.raises(Conflict, match="k already holds other bytes"):
            put_file(archive, tmp_path, "k", b"AUDIO")
        with pytest.raises(Conflict):
            archive.put_bytes("k", b"{}", media_type="application/json")
        assert read(archive, first) == b"audio"

    def test_a_cold_object_says_so(self, archive, tmp_path):
        """It is restored first, not asked for again and again."""
        cold = put_file(archive, tmp_path, "k", b"audio", storage_class="GLACIER")
        with pytest.raises(Failed, match="restore it"):
            read(archive, cold)

    def test_a_document_is_read_by_its_version(self, archive):
        """With the hash of what was read, and when the store got it; or it is not there."""
        note = archive.put_bytes("calls/a", b"{}", media_type="application/json")
        for version in ("", note.version_id):
            found = archive.document("calls/a", version_id=version)
            assert (found.body, found.object.version_id) == (b"{}", note.version_id)
            assert (found.object.sha256, found.object.size) == (note.sha256, 2)
            assert found.modified_at.tzinfo is not None
        assert archive.document("calls/b") is None
        assert archive.document("calls/a", version_id=str(uuid.uuid4())) is None
        assert archive.document("calls/b", version_id=note.version_id) is None

    def test_nothing_is_under_legal_hold_by_itself(self, archive, tmp_path):
        """Whether or not the bucket can lock at all."""
        leg = put_file(archive, tmp_path, "k", b"audio")
        assert archive.held(leg.key, version_id=leg.version_id) is False


class TestUpload:
    def test_what_is_sent_is_what_is_stored(self, archive):
        """Its SHA-256 is known on the way; who finds it later knows it by the checksum."""
        sent, stored = stream(archive, "calls/a/legs/1.wav", LONG)
        assert (sent.size, sent.sha256) == (len(LONG), hashlib.sha256(LONG).hexdigest())
        assert Sent(size=stored.size, sha256=stored.sha256, checksum=stored.checksum) == sent
        assert archive.find("calls/") == {"calls/a/legs/1.wav": replace(stored, sha256="")}
        assert sent.checksum
        assert read(archive, stored) == LONG

    def test_nobody_sees_it_before_it_is_complete(self, archive):
        """Between the last byte and its appearance there is time to note what it is."""
        with archive.upload("k", media_type=WAV, storage_class="GLACIER") as upload:
            upload.write(b"audio")
            upload.finish()
            assert archive.find("") == {}
            upload.complete()
        assert list(archive.find("")) == ["k"]

    def test_left_early_nothing_remains(self, archive):
        """Whether it is an error or a change of mind."""
        with archive.upload("k", media_type=WAV, storage_class="GLACIER") as upload:
            upload.write(b"audio")
            upload.finish()
        with pytest.raises(KeyError):
            break_off(archive, "k")
        assert archive.find("") == {}
        stream(archive, "k", b"other")

    def test_the_same_bytes_again_are_success(self, archive):
        """However they are cut, and without another version."""
        assert stream(archive, "k", LONG) == stream(archive, "k", LONG, piece=3_000_017)

    def test_other_bytes_are_a_conflict_and_change_nothing(self, archive):
        """Even of the same length, and even if only the end differs."""
        _, first = stream(archive, "k", LONG)
        with pytest.raises(Conflict, match="k already holds other bytes"):
            stream(archive, "k", LONG[:-1] + bytes([LONG[-1] ^ 1]))
        assert read(archive, first) == LONG

    def test_nothing_at_all_is_no_object(self, archive):
        """S3 knows no upload without parts."""
        with pytest.raises(Failed, match="nothing was written to k"):
            stream(archive, "k", b"")
        assert archive.find("") == {}


class TestS3:
    @pytest.fixture
    def s3(self, aws_client):
        return aws_client("s3")

    @pytest.fixture
    def left_behind(self, s3, bucket):
        """Return a function that lists unfinished uploads."""
        return lambda: s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])

    def test_a_legal_hold_is_seen_by_version(self, s3):
        """It may be lifted again. A version that is not there is no answer."""
        name = f"locked-{uuid.uuid4()}"
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        archive = S3Archive(s3, bucket=name)
        leg = archive.put_bytes("k", b"audio", media_type=WAV)
        for status, held in (("ON", True), ("OFF", False)):
            s3.put_object_legal_hold(
                Bucket=name, Key="k", VersionId=leg.version_id, LegalHold={"Status": status}
            )
            assert archive.held("k", version_id=leg.version_id) is held
        with pytest.raises(Retry, match="whether k is under legal hold: NoSuchVersion"):
            archive.held("k", version_id="none")

    @pytest.mark.parametrize(
        ("code", "message", "held"),
        [
            ("NoSuchObjectLockConfiguration", "The specified object does not have one", False),
            ("InvalidRequest", "Bucket is missing Object Lock Configuration", False),
            ("InvalidRequest", "Something else", None),
            ("AccessDenied", "Access Denied", None),
        ],
    )
    def test_only_what_has_no_lock_is_free(self, s3, bucket, code, message, held):
        """Who is not allowed to know must not take that for a no. The local S3 never says these."""
        refuse(s3, "GetObjectLegalHold", 400, code, message=message)
        archive = S3Archive(s3, bucket=bucket)
        if held is None:
            with pytest.raises(Retry, match=code):
                archive.held("k", version_id="v")
        else:
            assert archive.held("k", version_id="v") is held

    def test_what_s3_itself_finds_damaged_is_a_conflict(self, s3, bucket):
        """It sends its own checksum along, and the client compares."""
        archive = S3Archive(s3, bucket=bucket)
        stored = archive.put_bytes("k", b"audio", media_type=WAV)
        s3.meta.events.register("before-send.s3.GetObject", damaged(b"audio", b"aubio"))
        with pytest.raises(Conflict, match="k does not hold the bytes"):
            read(archive, stored)

    def test_a_stream_is_in_its_class_from_the_first_version(self, s3, bucket, left_behind):
        """It never costs what another class asks for early deletion."""
        stream(S3Archive(s3, bucket=bucket), "k", LONG, storage_class="GLACIER")
        stream(S3Archive(s3, bucket=bucket), "k", LONG, storage_class="GLACIER")
        [version] = s3.list_object_versions(Bucket=bucket)["Versions"]
        assert version["StorageClass"] == "GLACIER"
        assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == WAV
        assert not left_behind()

    def test_s3_is_told_each_parts_hash(self, s3, bucket):
        """And given full parts, whatever the pieces were."""
        sent = []
        s3.meta.events.register(
            "before-call.s3.UploadPart",
            lambda params, **_: sent.append(
                (params["body"].getvalue(), params["headers"]["x-amz-checksum-sha256"])
            ),
        )
        stored, _ = stream(S3Archive(s3, bucket=bucket), "k", LONG, piece=len(LONG))
        parts = [LONG[start : start + PART_BYTES] for start in range(0, len(LONG), PART_BYTES)]
        digests = [hashlib.sha256(part).digest() for part in parts]
        assert sent == [
            (part, base64.b64encode(digest).decode())
            for part, digest in zip(parts, digests, strict=True)
        ]
        whole = hashlib.sha256(b"".join(digests)).digest()
        assert stored.checksum == base64.b64encode(whole).decode()

    def test_a_stream_takes_one_part_of_memory(self, s3, bucket):
        """However long it is."""
        piece = bytes(256 * 1024)
        archive = S3Archive(s3, bucket=bucket)
        with archive.upload("k", media_type=WAV, storage_class="GLACIER") as upload:
            tracemalloc.start()
            for _ in range(4 * PART_BYTES // len(piece)):
                upload.write(piece)
            upload.complete()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < 1.5 * PART_BYTES

    def test_what_is_left_early_is_aborted(self, s3, bucket, left_behind):
        """Unfinished uploads are invisible, and billed."""
        archive = S3Archive(s3, bucket=bucket)
        with archive.upload("k", media_type=WAV, storage_class="GLACIER") as upload:
            upload.write(LONG)
            assert len(left_behind()) == 1
        assert not left_behind()
        stream(archive, "k", LONG)
        with pytest.raises(Conflict):
            stream(archive, "k", LONG[::-1])
        assert not left_behind()

    def test_what_is_complete_is_not_aborted(self, s3, bucket):
        """It would be a request for nothing, for every recording."""
        aborts = []
        s3.meta.events.register(
            "before-call.s3.AbortMultipartUpload", lambda **_: aborts.append("abort")
        )
        stream(S3Archive(s3, bucket=bucket), "k", b"audio")
        assert not aborts

    def test_an_abort_that_fails_hides_no_error(self, s3, bucket):
        """What went wrong before is what counts; the bucket's own rule cleans up."""
        refuse(s3, "AbortMultipartUpload", 403, "AccessDenied")
        with pytest.raises(KeyError):
            break_off(S3Archive(s3, bucket=bucket), "k")

    def test_two_who_write_at_the_same_moment_are_told_to_come_again(self, s3, bucket, left_behind):
        """S3 does not say who will win."""
        refuse(s3, "CompleteMultipartUpload", 409, "ConditionalRequestConflict")
        with pytest.raises(Retry, match="ConditionalRequestConflict"):
            stream(S3Archive(s3, bucket=bucket), "k", b"audio")
        assert not left_behind()

    @pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart"])
    def test_a_refusal_on_the_way_is_a_retry(self, s3, bucket, left_behind, operation):
        """And nothing stays behind."""
        refuse(s3, operation, 403, "AccessDenied")
        with pytest.raises(Retry, match="does not take k: AccessDenied"):
            stream(S3Archive(s3, bucket=bucket), "k", b"audio")
        assert not left_behind()

    @pytest.mark.parametrize("told", ["right", "wrong"])
    def test_what_s3_says_it_has_is_compared(self, s3, bucket, told):
        """It appends the number of parts to its checksum; the local one says none here."""
        part = hashlib.sha256(b"audio").digest()
        checksum = base64.b64encode(hashlib.sha256(part).digest()).decode()
        answers = {"right": f"{checksum}-1", "wrong": f"{checksum[::-1]}-1"}
        s3.meta.events.register(
            "after-call.s3.CompleteMultipartUpload",
            lambda parsed, **_: parsed.update(ChecksumSHA256=answers[told]),
        )
        archive = S3Archive(s3, bucket=bucket)
        if told == "right":
            assert stream(archive, "k", b"audio")[1].checksum == checksum
        else:
            with pytest.raises(Conflict, match="other bytes than were sent"):
                stream(archive, "k", b"audio")

    def test_the_number_of_parts_is_no_part_of_the_checksum(self, s3, bucket):
        """HeadObject appends it too, so that the same object would not be recognised."""
        s3.meta.events.register(
            "after-call.s3.HeadObject",
            lambda parsed, **_: parsed.update(ChecksumSHA256=f"{parsed['ChecksumSHA256']}-3"),
        )
        archive = S3Archive(s3, bucket=bucket)
        sent, first = stream(archive, "k", LONG)
        assert stream(archive, "k", LONG) == (sent, first)
        assert archive.find("k")["k"].checksum == sent.checksum

    def test_a_stream_of_a_file_that_is_there_is_success(self, s3, bucket, tmp_path):
        """Its hash says so, though S3's checksum is another one."""
        archive = S3Archive(s3, bucket=bucket)
        file = put_file(archive, tmp_path, "k", b"audio")
        assert stream(archive, "k", b"audio")[1] == file

    def test_large_files_go_in_parts_by_the_same_rules(self, s3, bucket, tmp_path):
        """Written once, whole, in their class, and nothing half-sent stays behind."""
        archive = S3Archive(s3, bucket=bucket)
        body = bytes(range(256)) * (3 * PART_BYTES // 256) + b"tail"
        first = put_file(archive, tmp_path, "big", body)
        assert put_file(archive, tmp_path, "big", body) == first
        with pytest.raises(Conflict):
            put_file(archive, tmp_path, "big", body[::-1])
        assert hashlib.sha256(read(archive, first)).hexdigest() == first.sha256
        assert s3.head_object(Bucket=bucket, Key="big")["StorageClass"] == "GLACIER_IR"
        versions = s3.list_object_versions(Bucket=bucket, Prefix="big")["Versions"]
        assert len(versions) == 1
        assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")

    def test_media_type_class_and_hash_are_on_the_object(self, s3, bucket, tmp_path):
        """Who has nothing but `aws s3` can still tell what it is."""
        put_file(S3Archive(s3, bucket=bucket), tmp_path, "k", b"audio")
        head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert head["ContentType"] == WAV
        assert head["StorageClass"] == "GLACIER_IR"
        assert head["Metadata"]["sha256"] == hashlib.sha256(b"audio").hexdigest()

    def test_s3_is_told_the_hash_and_that_the_key_must_be_free(self, s3, bucket, tmp_path):
        """Real S3 refuses bytes that do not fit the checksum; the local one does not check it."""
        sent = []
        s3.meta.events.register(
            "before-call.s3.PutObject", lambda params, **_: sent.append(params["headers"])
        )
        put_file(S3Archive(s3, bucket=bucket), tmp_path, "k", b"audio")
        digest = hashlib.sha256(b"audio").digest()
        assert sent[0]["x-amz-checksum-sha256"] == base64.b64encode(digest).decode()
        assert sent[0]["If-None-Match"] == "*"

    def test_a_bucket_that_is_not_there_is_a_passing_fault(self, s3, tmp_path):
        """It may be a permission that is just being mended."""
        archive = S3Archive(s3, bucket="no-such-bucket-at-all")
        with pytest.raises(Retry, match="NoSuchBucket"):
            put_file(archive, tmp_path, "k", b"audio")
        with pytest.raises(Retry, match="NoSuchBucket"):
            stream(archive, "k", b"audio")
        with pytest.raises(Retry, match="NoSuchBucket"):
            archive.find("calls/")
        with pytest.raises(Retry, match="NoSuchBucket"):
            read(archive, StoredObject(key="k", version_id="v", size=1, sha256=""))


class TestLedger:
    def test_an_unknown_call_is_new(self, ledger):
        """Version 0 says that it was never written."""
        state = ledger.load(an_id("s-1"))
        assert (state.status, state.version, state.legs) == ("new", 0, {})

    def test_an_entry_comes_back_as_it_was_saved(self, ledger):
        """Every field, at its own type."""
        fresh = ledger.load(an_id("s-1"))
        sealed = StoredObject(key="m", version_id="v", size=7, sha256="ab", checksum="cd")
        saved = ledger.save(
            fresh.changed(
                status="archived",
                seen_at=NOON,
                named=frozenset({"7", "8"}),
                looked_at=NOON + timedelta(milliseconds=1),
                next_look_at=NOON,
                lease_until=NOON,
                lease_messages=frozenset({"m1"}),
                related=frozenset({an_id("s-2")}),
                prefix="calls/",
                revision=2,
                legs={"7": "ab"},
                manifest=sealed,
                reason="why",
            )
        )
        assert saved.version == 1
        assert ledger.load(an_id("s-1")) == saved
        assert ledger.load(an_id("s-2")).version == 0
        assert ledger.load(an_id("s-1", provider="kazoo")).version == 0
        assert ledger.load(an_id("s-1", account="2")).version == 0

    def test_nobody_writes_over_what_he_has_not_read(self, ledger):
        """Of two who read the same version, one is told."""
        fresh = ledger.load(an_id("s-1"))
        first = ledger.save(fresh.changed(status="working"))
        with pytest.raises(Stale):
            ledger.save(fresh.changed(status="empty"))
        ledger.save(first.changed(status="archived"))
        with pytest.raises(Stale):
            ledger.save(first.changed(status="empty"))
        assert ledger.load(an_id("s-1")).status == "archived"

    def test_many_entries_are_read_in_the_order_in_which_they_are_asked_for(self, ledger):
        """Also what is not there, and what is asked for twice."""
        calls = [an_id(f"s-{number}") for number in range(250)]
        saved = [ledger.save(ledger.load(call).changed(status="working")) for call in calls[::2]]
        found = ledger.load_all([*calls, calls[0]])
        assert found[::2] == [*saved, saved[0]][: len(found[::2])]
        assert {state.status for state in found[1:250:2]} == {"new"}
        assert [state.id for state in found] == [*calls, calls[0]]
        assert ledger.load_all([]) == []


class TestNotes:
    @pytest.fixture(params=["fake", "dynamodb"])
    def notes(self, request, aws_client, table):
        if request.param == "fake":
            return FakeNotes()
        return DynamoLedger(aws_client("dynamodb"), table=table)

    def test_a_note_comes_back_as_it_was_written(self, notes):
        """Any JSON object, also a large one."""
        content = {"grants": [1.5, 2], "text": "é", "none": None, "long": "x" * 1_000_000}
        written = notes.write(replace(notes.read("gate#a"), content=content))
        assert notes.read("gate#a") == written
        assert (written.content, written.version) == (content, 1)
        assert notes.read("gate#b") == Note(key="gate#b")

    def test_nobody_writes_over_what_he_has_not_read(self, notes):
        """Of two who read the same version, one is told."""
        empty = notes.read("token")
        notes.write(replace(empty, content={"a": 1}))
        with pytest.raises(Stale):
            notes.write(replace(empty, content={"a": 2}))
        assert notes.read("token").content == {"a": 1}

    def listed(self, notes, key, order, name="calls", **content):
        note = replace(notes.read(key), content=content, listed=(name, order))
        return notes.write(note)

    def test_a_list_is_gone_through_in_its_order_up_to_a_point(self, notes):
        """Each note whole; who writes them while they are read is not in the way."""
        for day in (3, 1, 2):
            self.listed(notes, f"call#{day}", f"2026-11-0{day}", about=day)
        self.listed(notes, "call#0", "2026-10-01", name="others")
        found = []
        for note in notes.listed("calls", until="2026-11-02"):
            found.append(note.content["about"])
            notes.write(replace(note, listed=("calls", "2026-12-01")))
        assert found == [1, 2]
        assert [n.key for n in notes.listed("calls", until="2026-11-30")] == ["call#3"]
        assert list(notes.listed("nobody", until="2026-12-31")) == []

    def test_many_notes_are_read_and_counted(self, notes):
        """In the order in which they are asked for, also a large one and one that is not there."""
        long = self.listed(notes, "call#2", "2026-11-02", long="x" * 1_000_000)
        short = self.listed(notes, "call#1", "2026-11-01")
        missing = Note(key="call#3")
        assert notes.read_all(["call#3", "call#2", "call#1"]) == [missing, long, short]
        assert (notes.count("calls", most=9), notes.count("calls", most=1)) == (2, 1)
        assert notes.count("nobody", most=9) == 0

    def test_the_first_of_a_list_is_found(self, notes):
        """By what it is to be ordered by, whole, and among its own list only."""
        self.listed(notes, "call#2", "2026-11-02", about="two")
        first = self.listed(notes, "call#1", "2026-11-01", about="one")
        self.listed(notes, "call#0", "2026-10-01", name="others")
        notes.write(replace(notes.read("gate#a"), content={"calls": 1}))
        assert notes.first("calls") == first == notes.read("call#1")
        assert first.listed == ("calls", "2026-11-01")
        assert notes.first("nobody") is None

    def test_a_note_written_without_its_list_leaves_it(self, notes):
        """And stays a note."""
        self.listed(notes, "call#1", "2026-11-01")
        second = self.listed(notes, "call#2", "2026-11-02")
        left = notes.write(replace(notes.read("call#1"), listed=None))
        assert notes.first("calls") == second
        assert notes.read("call#1") == left
        notes.write(replace(second, listed=("archived", "2026-11-02")))
        assert notes.first("calls") is None

    def test_a_note_that_moves_in_its_list_is_found_where_it_is(self, notes):
        """The last order counts, and its version guards it as always."""
        moved = self.listed(notes, "call#1", "2026-11-01")
        second = self.listed(notes, "call#2", "2026-11-02")
        self.listed(notes, "call#1", "2026-11-03")
        assert notes.first("calls") == second
        with pytest.raises(Stale):
            notes.write(replace(moved, listed=None))


def test_a_list_is_longer_than_a_page_of_its_index(aws_client, table):
    """Page after page, and no more than are asked for."""
    dynamodb = aws_client("dynamodb")
    notes, pages = DynamoLedger(dynamodb, table=table), []
    dynamodb.meta.events.register(
        "provide-client-params.dynamodb.Query",
        lambda params, **_: pages.append(params) or {**params, "Limit": 2},
    )
    for day in range(1, 6):
        notes.write(Note(key=f"call#{day}", listed=("calls", f"2026-11-0{day}")))
    found = notes.listed("calls", until="2026-11-05")
    assert next(found).key == "call#1"
    assert len(pages) == 1
    assert [note.key for note in found] == [f"call#{day}" for day in range(2, 6)]
    assert len(pages) >= 3


def test_a_list_is_read_a_hundred_notes_at_once_by_who_wants_all_of_it(aws_client, table):
    """With a request for each hundred, beside those of the index."""
    dynamodb = aws_client("dynamodb")
    notes, asked = DynamoLedger(dynamodb, table=table, at_once=100), []
    for number in range(101):
        notes.write(Note(key=f"call#{number:03}", listed=("calls", f"{number:03}")))
    for operation in ("Query", "GetItem", "BatchGetItem"):
        dynamodb.meta.events.register(
            f"before-call.dynamodb.{operation}",
            lambda model, **_: asked.append(model.name),
        )
    found = [note.key for note in notes.listed("calls", until="9")]
    assert found == [f"call#{number:03}" for number in range(101)]
    assert asked == ["Query", "BatchGetItem", "BatchGetItem"]


def test_what_left_the_list_in_between_is_passed_over(aws_client, table):
    """The index of a table is a moment behind it."""
    dynamodb = aws_client("dynamodb")
    notes = DynamoLedger(dynamodb, table=table)
    for day in "123":
        notes.write(Note(key=f"call#{day}", listed=("calls", f"2026-11-0{day}")))

    def archive(key):
        notes.write(replace(notes.read(key), listed=None))

    late = iter([["call#1"], ["call#2", "call#3"]])
    dynamodb.meta.events.register(
        "after-call.dynamodb.Query", lambda **_: [archive(key) for key in next(late)] and None
    )
    assert notes.first("calls") == notes.read("call#2")
    assert notes.first("calls") is None


def test_a_table_that_is_not_there_is_a_passing_fault(aws_client):
    """Named by what was tried and AWS's own code."""
    ledger = DynamoLedger(aws_client("dynamodb"), table="none")
    with pytest.raises(Retry, match="ledger cannot be read: ResourceNotFound"):
        ledger.load(an_id("s-1"))
    with pytest.raises(Retry, match="ledger cannot be searched: ResourceNotFound"):
        ledger.first("calls")
    with pytest.raises(Retry, match="ledger cannot be searched: ResourceNotFound"):
        list(ledger.listed("calls", until="2026-12-31"))


class TestAccesses:
    @pytest.fixture(params=["fake", "dynamodb"])
    def accesses(self, request, aws_client, table):
        if request.param == "fake":
            return FakeAccesses()
        return DynamoAccesses(aws_client("dynamodb"), table=table)

    def test_an_access_is_found_by_its_calls_and_by_its_time(self, accesses):
        """Of a call the access to it only; overall all of it."""
        one = an_access("1", "s-1", "s-2", details={"tier": "Standard"})
        accesses.note(one)
        assert list(accesses.between(NOON, NOON + HOUR)) == [one]
        alone = replace(one, calls=(an_id("s-2"),))
        assert list(accesses.of_call(an_id("s-2"))) == [alone]
        assert list(accesses.of_call(an_id("s-2", provider="ringcx"))) == []

    def test_the_newest_comes_first(self, accesses):
        """Over the ends of months and of years; the begin is within, the end is not."""
        times = [NOON - timedelta(days=days) for days in (400, 330, 20, 0)]
        found = [an_access(str(day), "s-1", at=at) for day, at in enumerate(times)]
        for each in found:
            accesses.note(each)
        assert list(accesses.of_call(an_id("s-1"))) == found[::-1]
        assert list(accesses.between(times[0], times[3])) == found[2::-1]
        assert (
            list(accesses.between(times[0] + MILLISECOND, times[3] + MILLISECOND)) == found[:0:-1]
        )
        assert list(accesses.between(times[3], times[3])) == []

    def test_noted_again_it_is_no_other(self, accesses):
        """Whoever dies on the way is followed by the same again."""
        for _ in range(2):
            accesses.note(an_access("1", "s-1"))
        accesses.note(an_access("2", "s-1"))
        assert len(list(accesses.of_call(an_id("s-1")))) == 2
        assert len(list(accesses.between(NOON, NOON + HOUR))) == 2

    def test_an_access_may_be_to_many_calls_or_to_none(self, accesses):
        """More than a request to DynamoDB holds."""
        calls = [f"s-{number}" for number in range(60)]
        accesses.note(an_access("1", *calls))
        accesses.note(an_access("2"))
        assert all(len(list(accesses.of_call(an_id(call)))) == 1 for call in calls[::20])
        assert [len(one.calls) for one in accesses.between(NOON, NOON + HOUR)] == [0, 60]


def an_access(name, *calls, at=NOON, details=None):
    return Access(
        id=name,
        at=at,
        by="arn:aws:iam::123456789012:user/alice",
        action="get",
        calls=tuple(map(an_id, calls)),
        reason="Beschwerde über alles",
        case="2026-117",
        details=details or {},
        key=f"access/{name}",
    )


class TestDynamoAccesses:
    @pytest.fixture
    def crowded(self, aws_client, table):
        """Return a function that makes a log whose table leaves items undone for so many times."""

        def make(times):
            dynamodb, pauses = aws_client("dynamodb"), []
            accesses = DynamoAccesses(dynamodb, table=table, sleep=pauses.append)

            def leave_undone(parsed, **_):
                if len(pauses) < times:
                    key = {"pk": {"S": "access#ringex/1/s-1"}, "sk": {"S": f"{NOON_TEXT}#1"}}
                    item = dynamodb.get_item(TableName=table, Key=key)["Item"]
                    dynamodb.delete_item(TableName=table, Key=key)
                    parsed["UnprocessedItems"] = {table: [{"PutRequest": {"Item": item}}]}

            dynamodb.meta.events.register("after-call.dynamodb.BatchWriteItem", leave_undone)
            return accesses, pauses

        return make

    def test_what_dynamodb_leaves_undone_is_sent_again(self, crowded):
        """After a pause that grows; it answers 200 all the same."""
        accesses, pauses = crowded(3)
        accesses.note(an_access("1", "s-1"))
        assert pauses == [0.05, 0.1, 0.2]
        assert len(list(accesses.of_call(an_id("s-1")))) == 1

    def test_what_is_left_undone_for_too_long_is_a_retry(self, crowded):
        """Nobody is let in as long as it is not written down."""
        accesses, _ = crowded(100)
        with pytest.raises(Retry, match="access log cannot be written: the ledger takes no more"):
            accesses.note(an_access("1", "s-1"))

    def test_a_table_that_is_not_there_is_a_passing_fault(self, aws_client):
        """Named by what was tried and AWS's own code."""
        accesses = DynamoAccesses(aws_client("dynamodb"), table="none")
        with pytest.raises(Retry, match="access log cannot be written: ResourceNotFound"):
            accesses.note(an_access("1", "s-1"))
        with pytest.raises(Retry, match="access log cannot be read: ResourceNotFound"):
            list(accesses.of_call(an_id("s-1")))


class TestQueue:
    @pytest.fixture
    def sqs(self, aws_client):
        return aws_client("sqs")

    @pytest.fixture
    def urls(self, sqs):
        return [sqs.create_queue(QueueName=f"q-{uuid.uuid4()}")["QueueUrl"] for _ in range(2)]

    def receive(self, sqs, url):
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return answer.get("Messages", [])

    def test_a_job_is_sent_as_its_message(self, sqs, urls):
        """At once, if the delay is none."""
        jobs = SqsJobs(sqs, queue=urls[0], dead_letters=urls[1])
        jobs.send(a_job(named=["7"]), delay=0)
        [message] = self.receive(sqs, urls[0])
        assert json.loads(message["Body"])["hints"] == {"recordingIds": ["7"]}

    @pytest.mark.attacks("lets a call be named so much that its job fits no message")
    def test_a_job_that_names_too_much_is_several(self, sqs, urls):
        """They name the same, and each is one that the processor reads."""
        named = [f"{number:04}".ljust(128, "r") for number in range(250)]
        SqsJobs(sqs, queue=urls[0]).send(a_job(named=named), delay=0)
        read = [Job.from_message(each["Body"]) for each in self.receive(sqs, urls[0])]
        assert len(read) == 4
        assert set().union(*(job.named for job in read)) == set(named)

    def test_a_delay_keeps_the_job_back(self, sqs, urls):
        """Waiting is the queue's work."""
        SqsJobs(sqs, queue=urls[0]).send(a_job(), delay=900)
        assert self.receive(sqs, urls[0]) == []
        counts = sqs.get_queue_attributes(QueueUrl=urls[0], AttributeNames=["All"])["Attributes"]
        assert counts["ApproximateNumberOfMessagesDelayed"] == "1"

    @pytest.mark.parametrize(
        ("body", "reason", "stored", "why"),
        [
            ("{}", "no version", "{}", "no version"),
            ("", "empty", "(an empty message)", "empty"),
            ("x", "two\nlines\x00", "x", "two lines\N{REPLACEMENT CHARACTER}"),
            ("x", "", "x", "unknown"),
            ("x", "y" * 5000, "x", "y" * 1000),
        ],
    )
    def test_a_dead_letter_carries_its_reason(self, sqs, urls, body, reason, stored, why):
        """In a form that SQS accepts, whatever went wrong."""
        SqsJobs(sqs, queue=urls[0], dead_letters=urls[1]).bury(body, reason=reason)
        [message] = self.receive(sqs, urls[1])
        assert message["Body"] == stored
        assert message["MessageAttributes"]["reason"]["StringValue"] == why

    def test_a_queue_that_refuses_is_a_retry(self, sqs):
        """With AWS's own code."""
        jobs = SqsJobs(sqs, queue="http://127.0.0.1:1/123456789012/none")
        with pytest.raises(Retry, match="jobs queue refuses"):
            jobs.send(a_job(), delay=0)
        with pytest.raises(Retry, match="jobs queue does not delete"):
            jobs.delete("receipt")
        with pytest.raises(Retry, match="does not change when messages come again"):
            jobs.redeliver(["receipt"], after=960)

    def test_messages_come_again_when_it_is_said(self, sqs, urls):
        """More than one request takes, and one that is gone costs the others nothing."""
        jobs = SqsJobs(sqs, queue=urls[0])
        for _ in range(12):
            jobs.send(a_job(), delay=0)
        taken = [*self.receive(sqs, urls[0]), *self.receive(sqs, urls[0])]
        assert len(taken) == 12
        receipts = [message["ReceiptHandle"] for message in taken]
        jobs.delete(receipts[3])
        jobs.redeliver(receipts, after=0)
        again = [*self.receive(sqs, urls[0]), *self.receive(sqs, urls[0])]
        gone = {taken[3]["MessageId"]}
        assert {one["MessageId"] for one in again} == {one["MessageId"] for one in taken} - gone
        jobs.redeliver([], after=0)

    def test_a_message_is_deleted_by_its_receipt(self, sqs, urls):
        """And again without an error: the answer to the first time may have been lost."""
        jobs = SqsJobs(sqs, queue=urls[0])
        jobs.send(a_job(), delay=0)
        [message] = self.receive(sqs, urls[0])
        jobs.delete(message["ReceiptHandle"])
        jobs.delete(message["ReceiptHandle"])
        counts = sqs.get_queue_attributes(QueueUrl=urls[0], AttributeNames=["All"])["Attributes"]
        assert counts["ApproximateNumberOfMessagesNotVisible"] == "0"


class TestSecret:
    @pytest.fixture
    def arn(self, aws_client):
        answer = aws_client("secretsmanager").create_secret(
            Name=str(uuid.uuid4()), SecretString='{"token": "one"}'
        )
        return answer["ARN"]

    def test_it_is_read_rarely_and_fresher_on_demand(self, aws_client, arn):
        """Five minutes for most, seconds for who has seen a wrong token."""
        secrets = aws_client("secretsmanager")
        time = [0.0]
        secret = Secret(secrets, arn=arn, seconds=lambda: time[0])
        assert secret.value() == {"token": "one"}
        secrets.put_secret_value(SecretId=arn, SecretString='{"token": "two"}')
        time[0] = FRESH_SECONDS - 0.1
        assert secret.value(fresh=True) == {"token": "one"}
        time[0] = FRESH_SECONDS + 0.1
        assert secret.value() == {"token": "one"}
        assert secret.value(fresh=True) == {"token": "two"}
        secrets.put_secret_value(SecretId=arn, SecretString='{"token": "three"}')
        time[0] += CACHE_SECONDS + 1
        assert secret.value() == {"token": "three"}

    def test_while_it_cannot_be_read_the_old_one_is_good_enough(self, aws_client, arn):
        """A notification is not refused because Secrets Manager has a bad hour."""
        secrets, time = aws_client("secretsmanager"), [0.0]
        secret = Secret(secrets, arn=arn, seconds=lambda: time[0])
        secret.value()
        secrets.put_secret_value(SecretId=arn, SecretString="nonsense")
        time[0] = CACHE_SECONDS + 1
        assert secret.value() == {"token": "one"}

    def test_who_changes_it_reads_it_anew_and_writes_all_of_it(self, aws_client, arn):
        """Whatever stands in the cache."""
        secret = Secret(aws_client("secretsmanager"), arn=arn)
        assert secret.value() == {"token": "one"}
        secret.write({"token": "two", "ringex": {"jwt": "j"}})
        assert secret.value() == {"token": "one"}
        assert secret.read() == {"token": "two", "ringex": {"jwt": "j"}}

    def test_a_secret_that_cannot_be_written_is_a_retry(self, aws_client):
        """With AWS's own code, and without what should have been written."""
        with pytest.raises(Retry, match="secret cannot be written: ResourceNotFound") as bad:
            Secret(aws_client("secretsmanager"), arn="none").write({"token": "hidden"})
        assert "hidden" not in str(bad.value)

    @pytest.mark.parametrize("text", ["nonsense", "[]"])
    def test_what_is_no_json_object_is_named(self, aws_client, arn, text):
        """And never shown."""
        aws_client("secretsmanager").put_secret_value(SecretId=arn, SecretString=text)
        with pytest.raises(Retry, match="JSON") as bad:
            Secret(aws_client("secretsmanager"), arn=arn).value()
        assert text not in str(bad.value)

    def test_a_secret_that_is_not_there_is_a_retry(self, aws_client):
        """The function starts and says so, instead of dying."""
        with pytest.raises(Retry, match="secret cannot be read: ResourceNotFound"):
            Secret(aws_client("secretsmanager"), arn="none").value()

    def test_an_error_says_which_of_the_two_it_is(self, aws_client):
        named = Secret(aws_client("secretsmanager"), arn="none", name=INBOUND_TOKENS)
        with pytest.raises(
            Retry, match="the secret of the inbound tokens cannot be read: Resource"
        ):
            named.value()


def test_the_local_aws_refuses_like_the_real_one(aws_client):
    """The errors that the adapters translate are the ones that come."""
    with pytest.raises(ClientError):
        aws_client("s3").head_bucket(Bucket="no-such-bucket-at-all")
