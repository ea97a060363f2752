"""A bucket is proven with its versions and locks; an export can be proven without Legato at all."""

import hashlib
import json
import re
import subprocess
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from legato.archive import layout
from legato.aws.bucket import S3Archive
from legato.aws.evidence import S3Evidence
from legato.aws.signer import KmsSigner
from legato.cli.exit_codes import Exit
from legato.errors import Retry
from legato.evidence.digest import DigestChain
from legato.evidence.timestamp import request
from legato.evidence.verify.archive import verify
from legato.evidence.verify.finding import KINDS
from local import aws, stack
from local.system import PARAMETERS
from tests.authority import OpensslAuthority
from tests.chain import ANOTHER_KEY, HOUR, BucketStore, Chained, FolderStore, pem
from tests.fakes import FakeNotes, an_id
from tests.forked import legato
from tests.integration.test_contracts import refuse

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
YEARS = timedelta(days=7 * 365)
AUDIO = (".mp3", ".wav")


def locked(*, mode="COMPLIANCE", length=YEARS):
    until = datetime.now(UTC) + length
    return {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": until}


@pytest.fixture
def bucket(s3):
    name = f"archive-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


@pytest.fixture
def store(s3, bucket):
    return BucketStore(s3, bucket)


class Dated(S3Evidence):
    """A bucket that has each version since the time at which it is to have been written."""

    def __init__(self, store, *, locked=False):
        super().__init__(store.s3, bucket=store.bucket, locked=locked)
        self._times = store.times

    def listed(self, prefix):
        for version in super().listed(prefix):
            written = self._times.get(version.id, version.modified_at)
            yield replace(version, modified_at=written)


def findings(store, archive, *, locked=False, at=None, **options):
    evidence = Dated(store, locked=locked)
    report = verify(evidence, at=at or archive.end, **options)
    return sorted((finding.kind, finding.key) for finding in report.findings)


def test_a_sound_bucket_has_no_finding(store):
    """Read to its end, with its locks."""
    store.how = lambda key: locked()
    archive = Chained(store, start=START)
    report = verify(Dated(store, locked=True), at=archive.end, deep=True)
    assert report.findings == []
    assert (report.digests, report.documents, report.objects, report.hashed) == (5, 8, 14, 14)


@pytest.mark.parametrize(
    ("name", "kind", "act"),
    [
        ("digest-2", "deleted", lambda store, key: store.hide(key)),
        ("digest-4", "deleted", lambda store, key: store.hide(key)),
        ("digest-2.sig", "deleted", lambda store, key: store.hide(key)),
        ("key-1", "deleted", lambda store, key: store.hide(key)),
        ("kazoo", "deleted", lambda store, key: store.hide(key)),
        ("kazoo-leg-1", "deleted", lambda store, key: store.hide(key)),
        ("hold", "deleted", lambda store, key: store.hide(key)),
        ("access", "deleted", lambda store, key: store.hide(key)),
        ("access", "overwritten", lambda store, key: store.put(key, b"{}")),
        ("access", "edited", lambda store, key: store.exchange(key, b"{}")),
        ("digest-2", "overwritten", lambda store, key: store.put(key, b"{}")),
        ("digest-4", "overwritten", lambda store, key: store.put(key, b"{}")),
        ("digest-3.sig", "overwritten", lambda store, key: store.put(key, b"other")),
        ("key-1", "overwritten", lambda store, key: store.put(key, pem(ANOTHER_KEY))),
        ("ringex", "overwritten", lambda store, key: store.put(key, b"{}")),
        ("ringex-leg", "overwritten", lambda store, key: store.put(key, b"mp3 of other")),
        ("ringcx-peaks", "overwritten", lambda store, key: store.put(key, b"{}")),
        ("digest-2", "missing", lambda store, key: store.remove(key)),
        ("kazoo", "missing", lambda store, key: store.remove(key)),
        ("kazoo-recording", "missing", lambda store, key: store.remove(key)),
        ("digest-2", "edited", lambda store, key: store.exchange(key, b"{}")),
        ("digest-2", "replaced", lambda store, key: store.exchange(key, store.read(key))),
        ("key-1", "replaced", lambda store, key: store.exchange(key, store.read(key))),
        ("key-1", "key-replaced", lambda store, key: store.exchange(key, pem(ANOTHER_KEY))),
        ("ringex", "edited", lambda store, key: store.exchange(key, b"{}")),
        ("ringex", "replaced", lambda store, key: store.exchange(key, store.read(key))),
        ("ringcx-leg-2", "replaced", lambda store, key: store.exchange(key, b"wav other")),
        ("ringcx-leg-2", "replaced", lambda store, key: store.exchange(key, store.read(key))),
    ],
)
def test_what_was_done_to_a_version_is_found_and_nothing_else(store, name, kind, act):
    """What lies beneath a newer version or a delete marker is still proven."""
    archive = Chained(store, start=START)
    act(store, archive.keys[name])
    assert findings(store, archive, deep=True) == [(kind, archive.keys[name])]


def test_a_document_that_no_digest_names_is_found_by_s3s_own_time(store):
    """Whatever it says of itself."""
    archive = Chained(store, start=START, unchained=("ringcx",))
    assert findings(store, archive) == []
    late = archive.end + timedelta(minutes=100)
    assert findings(store, archive, at=late) == [("unchained", archive.keys["ringcx"])]


def test_an_object_that_no_manifest_names_is_found_after_two_days(store):
    """Before that, its call may still be on its way."""
    archive = Chained(store, start=START)
    key = f"{layout.call_prefix(an_id('s-9'), START)}legs/r1.mp3"
    store.put(key, b"mp3")
    assert findings(store, archive) == []
    store.now = archive.end - timedelta(days=2, minutes=1)
    store.exchange(key, b"mp3")
    assert findings(store, archive) == [("unlisted", key)]


def test_a_chain_that_stands_still_is_found(store):
    """Its newest digest is named."""
    archive = Chained(store, start=START)
    assert findings(store, archive, at=archive.end + timedelta(minutes=117)) == []
    cut = [("chain-cut", archive.keys["digest-4"])]
    assert findings(store, archive, at=archive.end + timedelta(minutes=119)) == cut


def test_a_digest_that_is_being_written_is_no_fault(store):
    """Its signature comes a moment later."""
    archive = Chained(store, start=START)
    for name in ("digest-4.sig", "ringcx", "ringcx-leg-1", "ringcx-leg-2", "ringcx-peaks"):
        store.remove(archive.keys[name])
    assert findings(store, archive) == []
    missing = ("signature-missing", archive.keys["digest-4.sig"])
    assert missing in findings(store, archive, at=archive.end + timedelta(minutes=119))


@pytest.mark.parametrize(
    ("name", "kind", "lock"),
    [
        ("kazoo-leg-2", "lock-missing", {}),
        ("digest-3.sig", "lock-missing", {}),
        ("hold", "lock-missing", {}),
        ("kazoo", "lock-short", locked(length=YEARS - timedelta(days=2))),
        ("digest-1", "lock-short", locked(length=timedelta(days=1))),
        ("ringcx-leg-1", "lock-weak", locked(mode="GOVERNANCE")),
    ],
)
def test_a_lock_that_is_not_like_those_beside_it_is_found(store, name, kind, lock, tmp_path):
    """Where the stack locks what it stores."""
    special = Chained(FolderStore(tmp_path), start=START).keys[name]
    store.how = lambda key: lock if key == special else locked()
    archive = Chained(store, start=START)
    assert findings(store, archive, locked=True) == [(kind, archive.keys[name])]
    assert findings(store, archive) == []


@pytest.mark.parametrize(
    ("kinds", "body", "lock", "act"),
    [
        (["clock"], None, locked(), lambda store, key: None),
        (["clock", "deleted"], None, locked(), lambda store, key: store.hide(key)),
        (["clock", "overwritten"], None, locked(), lambda store, key: store.put(key, b"other")),
        (["clock", "lock-missing"], None, {}, lambda store, key: None),
        (["witness-wrong"], b"other", locked(), lambda store, key: None),
    ],
)
def test_a_time_stamp_is_evidence_as_its_digest_is(store, kinds, body, lock, act, tmp_path):
    """With its versions and its lock. Its time is the present, before that of the archive."""
    store.how = lambda key: locked()
    archive = Chained(store, start=START + timedelta(days=6))
    digest = archive.keys["digest-2"]
    asked = request(hashlib.sha256(store.read(digest)).digest(), b"A" * 8)
    stamp = OpensslAuthority(tmp_path / "authority").stamp(asked)
    store.how = lambda key: lock
    store.put(f"{digest}.tsr", body or stamp)
    act(store, f"{digest}.tsr")
    assert findings(store, archive, locked=True) == [(kind, f"{digest}.tsr") for kind in kinds]


def test_a_lock_that_may_not_be_seen_is_no_missing_lock(store):
    """S3 leaves it out of its answer, so it is asked for by its name."""
    archive = Chained(store, start=START)
    refuse(store.s3, "GetObjectRetention", 403, "AccessDenied")
    with pytest.raises(Retry, match=r"cannot say how .* is locked: AccessDenied"):
        findings(store, archive, locked=True)


def test_what_is_under_legal_hold_is_counted(store):
    """Of those objects whose locks are looked at."""
    store.how = lambda key: locked()
    archive = Chained(store, start=START)
    assert verify(Dated(store, locked=True), at=archive.end).held == 3


def test_cold_audio_is_proven_by_what_s3_keeps_of_it(store):
    """An object in parts has no hash of the whole: it is counted as not read."""
    store.how = lambda key: {"StorageClass": "GLACIER"} if key.endswith(AUDIO) else {}
    archive = Chained(store, start=START)
    report = verify(Dated(store), at=archive.end, deep=True)
    assert (report.findings, report.hashed, report.cold) == ([], 14, 0)


def test_an_answer_that_aws_refuses_is_an_error_and_no_finding(store):
    """Nothing is proven by it, neither way."""
    archive = Chained(store, start=START)
    refuse(store.s3, "ListObjectVersions", 403, "AccessDenied")
    with pytest.raises(Retry, match="cannot list the versions of digests/: AccessDenied"):
        findings(store, archive)


def test_an_object_in_parts_that_is_cold_is_counted_as_not_read(s3, bucket):
    """S3's checksum of it is not that of the whole."""
    audio = {"Bucket": bucket, "Key": "calls/leg.wav", "StorageClass": "GLACIER"}
    upload = s3.create_multipart_upload(**audio, ChecksumAlgorithm="SHA256")
    part = {"Bucket": bucket, "Key": "calls/leg.wav", "UploadId": upload["UploadId"]}
    sent = s3.upload_part(**part, PartNumber=1, Body=b"wav", ChecksumAlgorithm="SHA256")
    parts = [{"PartNumber": 1, "ETag": sent["ETag"], "ChecksumSHA256": sent["ChecksumSHA256"]}]
    s3.complete_multipart_upload(**part, MultipartUpload={"Parts": parts})
    evidence = S3Evidence(s3, bucket=bucket, locked=False)
    [version] = evidence.listed("calls/")
    assert evidence.sha256(version) is None


def test_versions_come_by_key_and_the_newest_first_whatever_the_pages(s3, bucket):
    """Delete markers among them, and folders in one piece."""
    for key in ("calls/b/1", "calls/a/1", "calls/a-b", "calls/a/1"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="calls/a/1")
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    evidence = S3Evidence(s3, bucket=bucket, locked=False)
    found = [(version.key, version.gone) for version in evidence.listed("calls/")]
    assert found == [
        ("calls/a-b", False),
        ("calls/a/1", True),
        ("calls/a/1", False),
        ("calls/a/1", False),
        ("calls/b/1", False),
    ]


class Beginning:
    """The present, but for a run that looks where the chain begins: then it is hours ago."""

    def __init__(self, hours):
        self._moments = [(datetime.now(UTC) - hours * HOUR).replace(minute=30)] * 2

    def now(self):
        return self._moments.pop() if self._moments else datetime.now(UTC)


def test_the_command_verifies_the_archive_of_a_stack(aws_endpoint, s3):
    """It finds the bucket and the key, and there is no chain in it yet."""
    parameters = stack.parameters_of(PARAMETERS)
    gateway = "http://127.0.0.1:1"
    stack.create(aws_endpoint, gateway=gateway, parameters=parameters, name="verified")
    here = aws.environment(aws_endpoint)
    empty = legato("--stack", "verified", "verify", **here)
    assert empty.returncode == Exit.TAMPERED
    assert "chain-missing  digests/  there is no digest at all" in empty.stdout

    outputs = aws.client("cloudformation", aws_endpoint).describe_stacks(StackName="verified")
    named = {
        output["OutputKey"]: output["OutputValue"] for output in outputs["Stacks"][0]["Outputs"]
    }
    chain = DigestChain(
        archive=S3Archive(s3, bucket=named["ArchiveBucketName"]),
        notes=FakeNotes(),
        signer=KmsSigner(aws.client("kms", aws_endpoint), key_id=named["SigningKeyId"]),
        clock=Beginning(7),
    )
    written = chain.write(until=datetime.now(UTC) + HOUR).digests
    assert len(written) >= 5
    full = legato("--stack", "verified", "verify", "--deep", "--json", **here)
    assert (full.returncode, full.stderr) == (0, "")
    said = json.loads(full.stdout)
    assert (said["valid"], said["digests"], said["keys_from"]) == (True, len(written), "kms")
    kept = legato("--stack", "verified", "verify", "--digest", said["newest_digest_sha256"], **here)
    assert kept.returncode == 0
    assert f"Keep elsewhere, for --digest: {said['newest_digest_sha256']}" in kept.stdout

    unknown = legato("--stack", "nobodys", "verify", **here)
    assert unknown.returncode == Exit.NO_STACK
    assert unknown.stderr.startswith("legato: there is no stack nobodys in ")
    nowhere = legato("verify", **aws.environment("http://127.0.0.1:1"))
    assert nowhere.returncode == Exit.UNAVAILABLE
    assert nowhere.stderr.startswith("legato: 127.0.0.1 cannot be reached: check the network")


def edit(name):
    return lambda archive: archive.edit(name)


def slip_in(archive):
    archive.store.put("calls/ringex/1/2026/11/20/s-1%2F2/legs/r2.mp3", b"mp3")


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda archive: None, "valid: 5 digests, from digests/2026/"),
        (edit("digest-4"), "signature: digests/"),
        (edit("digest-2"), "signature: digests/"),
        (lambda archive: archive.remove("digest-2", "digest-2.sig"), "< digests/"),
        (lambda archive: archive.remove("digest-0", "digest-0.sig"), "< digests/"),
        (edit("kazoo"), "manifest-2.json: FAILED"),
        (edit("hold"), "-1.json: FAILED"),
        (edit("access"), "0123456789abcdef.json: FAILED"),
        (lambda archive: archive.remove("access"), "0123456789abcdef.json: FAILED open or read"),
        (edit("kazoo-leg-3"), "legs/k3.mp3: FAILED"),
        (lambda archive: archive.remove("ringcx"), "manifest-1.json: FAILED open or read"),
        (lambda archive: archive.remove("ringex-peaks"), "peaks-1.json: FAILED open or read"),
        (slip_in, "< calls/ringex/1/2026/11/20/s-1%2F2/legs/r2.mp3"),
    ],
)
def test_the_check_by_hand_finds_the_same(tmp_path, act, says):
    """With openssl, jq and sha256sum."""
    act(Chained(FolderStore(tmp_path), start=START))
    ended = by_hand(tmp_path)
    assert says in ended.stdout
    assert (ended.returncode == 0) == says.startswith("valid"), ended.stderr


def by_hand(folder):
    """Run the check that docs/evidence.md writes down."""
    [program] = re.findall(r"```bash\n(.*?)```", Path("docs/evidence.md").read_text(), re.DOTALL)
    return subprocess.run(
        ["bash", "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.attacks("names a slipped-in recording in a text that a provider's record may have")
def test_the_check_by_hand_believes_no_text_but_the_documents_own_fields(tmp_path):
    """Such as the details of a leg, which are the provider's."""
    key, body = "calls/ringex/1/2026/11/20/s-1%2F2/legs/r2.mp3", b"mp3"
    named = {"key": key, "sha256": hashlib.sha256(body).hexdigest()}

    def act(content):
        content["legs"][0]["details"] = named
        content["provider_records"] = [named]

    archive = Chained(FolderStore(tmp_path), start=START, on_manifest={"ringex": act})
    assert by_hand(tmp_path).returncode == 0
    archive.store.put(key, body)
    ended = by_hand(tmp_path)
    assert (ended.returncode, f"< {key}" in ended.stdout) == (1, True)


@pytest.mark.attacks("leaves a leg out of a later revision, against the check by hand")
def test_the_check_by_hand_misses_a_leg_of_a_later_revision(tmp_path):
    """As `legato verify` does."""
    lacking = {"kazoo-again": lambda content: content["legs"].pop(0)}
    Chained(FolderStore(tmp_path), start=START, on_manifest=lacking)
    ended = by_hand(tmp_path)
    assert (ended.returncode, "a leg is lost: calls/kazoo" in ended.stdout) == (1, True)


def test_every_kind_of_finding_is_explained():
    """Where the command sends its reader."""
    explained = Path("docs/evidence.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in explained] == []
