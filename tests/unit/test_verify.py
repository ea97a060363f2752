"""An archive in a folder is proven, and whatever was done to it is found, once and by its name."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from legato.archive import layout
from legato.archive.evidence import Folder
from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.errors import LegatoError, Refused, Retry
from legato.evidence.verify.archive import verify
from legato.evidence.verify.finding import KINDS
from legato.evidence.verify.keys import read_key
from legato.model import format_time, parse_time
from tests.chain import (
    ANOTHER_KEY,
    HOUR,
    KEY,
    Chained,
    FolderStore,
    described,
    pem,
    signed,
)
from tests.fakes import NOON, FakeCatalogue, an_id
from tests.unit.test_catalogue import SEALED, a_row, enter

DIGEST_SCHEMA = json.loads(Path("docs/digest.schema.json").read_text())


@dataclass
class Tampering:
    """What is done to an archive, how it was built before, and what has to be found.

    `found` holds kinds and names; a name that is none of the archive's objects is a key.
    """

    found: list[tuple[str, str]]
    act: Callable[[Chained], None] = lambda archive: None
    built: dict = field(default_factory=dict)
    verified: dict = field(default_factory=dict)
    documents: int = 0
    """How many documents the finding says are proven by nothing."""


def put(key, body=b"anything\n"):
    return lambda archive: archive.store.put(key, body)


def edit(name, *change):
    return lambda archive: archive.edit(name, *change)


def remove(*names):
    return lambda archive: archive.remove(*names)


def change(document, **fields):
    """Return what sets fields of a document before it is written."""
    return {document: lambda content: content.update(fields)}


def digest_again(name, signer, **fields):
    """Return what writes a digest again, with other fields, and signs it."""

    def act(archive):
        content = json.loads(archive.store.read(archive.keys[name])) | fields
        body = json.dumps(content, indent=2).encode() + b"\n"
        archive.store.put(archive.keys[name], body)
        archive.store.put(archive.keys[f"{name}.sig"], signed(body, signer))

    return act


def by_another_key(archive):
    """Sign the newest digest again, by a key that is put beside the true one."""
    public = described(archive._put("mine", "digests/keys/mine.pem", pem(ANOTHER_KEY)))
    signed_with = {"key_id": "mine", "algorithm": "ECDSA_SHA_256", "public_key": public}
    digest_again("digest-4", ANOTHER_KEY, signed_with=signed_with)(archive)


def copy_digest(archive):
    """Let the newest digest be that of an hour long ago, under a key of its own."""
    key = layout.digest_key(NOON + 5 * HOUR)
    for ending in ("", ".sig"):
        archive.store.put(key + ending, archive.store.read(archive.keys[f"digest-1{ending}"]))


def remove_all_digests(archive):
    archive.remove(*(name for name in archive.keys if name.startswith("digest")))


def sequence_jumps(content):
    content["sequence"] += 10


def earlier(content):
    """Let the clock have gone back when this was written, and the one before be late."""
    content["written_at"] = content["to"]


def late(content):
    content["written_at"] = format_time(parse_time(content["to"]) + 2 * HOUR)


def two_hours(content):
    content["to"] = format_time(NOON + 4 * HOUR)
    content["written_at"] = format_time(NOON + 4 * HOUR + timedelta(minutes=1))


def foreign_kazoo(content):
    content["supersedes"] = {**content["supersedes"], "sha256": "0" * 64}


RINGEX = layout.call_prefix(an_id("s-1/2"), NOON)
COUNTS = dict.fromkeys(("manifests", "holds", "accesses", "reports"), 0)
ANOTHER_PAGE = layout.report_key(NOON, "html")
ANOTHER_LOOK = layout.access_key(format_time(NOON), "f" * 32)
LATE = NOON + timedelta(days=9)
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

TAMPERINGS = {
    "a digest in the middle is edited": Tampering(
        [("edited", "digest-2")], edit("digest-2"), documents=1
    ),
    "the oldest digest is edited": Tampering([("edited", "digest-0")], edit("digest-0")),
    "the newest digest is edited": Tampering(
        [("edited", "digest-4")], edit("digest-4"), documents=1
    ),
    "a digest is edited so that it is none": Tampering(
        [("edited", "digest-1")], edit("digest-1", lambda body: body[:50]), documents=5
    ),
    "a digest is edited and signed again by Legato's key": Tampering(
        [("edited", "digest-2")], digest_again("digest-2", KEY, objects=[]), documents=1
    ),
    "two digests side by side are edited": Tampering(
        [("edited", "digest-2"), ("edited", "digest-3")],
        lambda archive: (archive.edit("digest-2"), archive.edit("digest-3")),
    ),
    "a digest in the middle is removed": Tampering(
        [("missing", "digest-2")], remove("digest-2", "digest-2.sig"), documents=1
    ),
    "a digest is removed, its signature is left": Tampering(
        [("missing", "digest-3")], remove("digest-3"), documents=1
    ),
    "two digests in the middle are removed": Tampering(
        [("missing", "digest-3")], remove("digest-2", "digest-3"), documents=2
    ),
    "a digest is removed below one that is edited": Tampering(
        [("edited", "digest-3"), ("missing", "digest-2")],
        lambda archive: (archive.edit("digest-3"), archive.remove("digest-2")),
    ),
    "the oldest digests are removed": Tampering(
        [("missing", "digest-1")], remove("digest-0", "digest-1"), documents=5
    ),
    "the newest digest is removed, its signature is left": Tampering(
        [("missing", "digest-4")],
        remove("digest-4"),
        built={"unchained": ("ringcx",)},
    ),
    "the newest digests are cut off": Tampering(
        [("chain-cut", "digest-1")],
        remove(*(f"digest-{n}{end}" for n in (2, 3, 4) for end in ("", ".sig"))),
        documents=3,
    ),
    "the newest digests are cut off with all that they name": Tampering(
        [("chain-cut", "digest-3")],
        remove(
            "digest-4", "digest-4.sig", "ringcx", "ringcx-peaks", "ringcx-leg-1", "ringcx-leg-2"
        ),
        verified={"at": NOON + 7 * HOUR},
    ),
    "all digests are removed": Tampering(
        [("chain-missing", "digests/")], remove_all_digests, documents=8
    ),
    "an old digest is copied into a new hour": Tampering(
        [("duplicate", layout.digest_key(NOON + 5 * HOUR))], copy_digest
    ),
    "a digest is copied into another day": Tampering(
        [("unlisted", "digests/2026/11/21/2026-11-20T14.json")],
        put("digests/2026/11/21/2026-11-20T14.json"),
    ),
    "a digest stands before the first": Tampering(
        [("sequence", "digest-0"), ("edited", layout.digest_key(NOON - HOUR))],
        put(layout.digest_key(NOON - HOUR)),
    ),
    "something else lies among the digests": Tampering(
        [("unlisted", "digests/2026/11/20/notes.txt")], put("digests/2026/11/20/notes.txt")
    ),
    "a signature is removed": Tampering(
        [("signature-missing", "digest-2.sig")], remove("digest-2.sig")
    ),
    "the newest signature is removed": Tampering(
        [("signature-missing", "digest-4.sig")], remove("digest-4.sig"), documents=1
    ),
    "a signature is edited": Tampering(
        [("signature-wrong", "digest-2.sig")], edit("digest-2.sig", lambda body: body[:-1])
    ),
    "a signature is made by another key": Tampering(
        [("signature-wrong", "digest-3.sig")],
        edit("digest-3.sig", lambda _: signed(b"digest", ANOTHER_KEY)),
    ),
    "a signature is made once more by the same key": Tampering(
        [("signature-wrong", "digest-2.sig")],
        lambda archive: archive.edit(
            "digest-2.sig", lambda _: signed(archive.store.read(archive.keys["digest-2"]), KEY)
        ),
    ),
    "the newest digest is signed by a key that was slipped in": Tampering(
        [("key-unknown", "mine")], by_another_key
    ),
    "the public key is replaced": Tampering(
        [("key-replaced", "key-1")], edit("key-1", lambda _: pem(ANOTHER_KEY))
    ),
    "the public key is removed": Tampering([("missing", "key-1")], remove("key-1")),
    "the whole chain is made anew with another key": Tampering(
        [("key-replaced", "key-2")],
        built={"signers": (ANOTHER_KEY,) * 5},
        verified={"known": [KEY.public_key()]},
    ),
    "the key changes": Tampering(
        [("key-unknown", "key-2")], built={"signers": (KEY,) * 2 + (ANOTHER_KEY,) * 3}
    ),
    "hours are left out": Tampering([("span", "digest-3")], built={"skip_hours": 2}),
    "a digest overlaps the next": Tampering(
        [("span", "digest-2")],
        built={"on_digest": {"digest-2": two_hours}},
    ),
    "a number is left out": Tampering(
        [("sequence", "digest-3")],
        built={"on_digest": {"digest-3": sequence_jumps, "digest-4": sequence_jumps}},
    ),
    "the first digest is not number 1": Tampering(
        [("sequence", "digest-0")],
        built={"on_digest": {f"digest-{n}": sequence_jumps for n in range(5)}},
    ),
    "a second chain begins": Tampering(
        [("sequence", "digest-3")], built={"on_digest": change("digest-3", previous=None)}
    ),
    "the clock went back": Tampering(
        [("clock", "digest-3")], built={"on_digest": {"digest-2": late, "digest-3": earlier}}
    ),
    "a digest was written before its hour was over": Tampering(
        [("clock", "digest-4")],
        built={"on_digest": change("digest-4", written_at=format_time(NOON + 4 * HOUR))},
    ),
    "the newest digest is of the future": Tampering(
        [("clock", "digest-4")], verified={"at": NOON + 4 * HOUR}
    ),
    "a digest's counts are wrong": Tampering(
        [("invalid", "digest-1")],
        built={"on_digest": change("digest-1", counts=COUNTS | {"manifests": 1, "holds": 1})},
    ),
    "a digest does not fit the schema": Tampering(
        [("invalid", "digest-1")],
        built={"on_digest": change("digest-1", more=1)},
        documents=5,
    ),
    "two digests differ on a document": Tampering(
        [("duplicate", "ringex")],
        built={
            "on_digest": {
                "digest-1": lambda content: (
                    content["objects"].append({**content["objects"][0], "sha256": "0" * 64})
                    or content["counts"].update(manifests=2)
                )
            }
        },
    ),
    "a manifest is edited": Tampering([("edited", "ringex")], edit("ringex")),
    "a manifest that another one supersedes is edited": Tampering(
        [("edited", "kazoo")], edit("kazoo")
    ),
    "a manifest is removed": Tampering([("missing", "kazoo")], remove("kazoo")),
    "a call is removed as if it had never been": Tampering(
        [("missing", "ringex")], remove("ringex", "ringex-leg", "ringex-peaks")
    ),
    "a manifest is in no digest": Tampering(
        [("unchained", "ringex")], built={"unchained": ("ringex",)}
    ),
    "a hold record is in no digest": Tampering(
        [("unchained", "hold")], built={"unchained": ("hold",)}
    ),
    "what is in no digest is not even a manifest": Tampering(
        [("unchained", f"{RINGEX}manifest-2.json")], put(f"{RINGEX}manifest-2.json", b"[]")
    ),
    "a manifest does not name the revision before it": Tampering(
        [("revision", "kazoo-again")], built={"on_manifest": {"kazoo-again": foreign_kazoo}}
    ),
    "a manifest says that it is the first, and is not": Tampering(
        [("revision", "kazoo-again")], built={"on_manifest": change("kazoo-again", supersedes=None)}
    ),
    "a manifest does not fit the schema": Tampering(
        [("invalid", "ringex")], built={"on_manifest": change("ringex", more=1)}
    ),
    "a manifest is another call's": Tampering(
        [("invalid", "ringex")], built={"on_manifest": change("ringex", call="s-3")}
    ),
    "a leg is removed": Tampering([("missing", "kazoo-leg-2")], remove("kazoo-leg-2")),
    "the joined recording is removed": Tampering(
        [("missing", "kazoo-recording")], remove("kazoo-recording")
    ),
    "the peaks are removed": Tampering([("missing", "ringex-peaks")], remove("ringex-peaks")),
    "the evidence of a missing leg is removed": Tampering(
        [("missing", "evidence")], remove("evidence")
    ),
    "an abandoned object is removed": Tampering([("missing", "abandoned")], remove("abandoned")),
    "a leg is cut short": Tampering(
        [("size", "ringcx-leg-1")], edit("ringcx-leg-1", lambda body: body[:-1])
    ),
    "a byte of a leg is flipped": Tampering(
        [("edited", "kazoo-leg-1")], edit("kazoo-leg-1"), verified={"deep": True}
    ),
    "a byte of a joined recording is flipped": Tampering(
        [("edited", "kazoo-recording-3")], edit("kazoo-recording-3"), verified={"deep": True}
    ),
    "an object is slipped into a call": Tampering(
        [("unlisted", f"{RINGEX}legs/r2.mp3")],
        put(f"{RINGEX}legs/r2.mp3"),
        verified={"at": LATE},
        built={"start": LATE - 5 * HOUR},
    ),
    "an object lies among the calls": Tampering([("unlisted", "calls/x")], put("calls/x")),
    "a hold record is edited": Tampering([("edited", "hold")], edit("hold")),
    "a hold record is removed": Tampering([("missing", "hold")], remove("hold")),
    "an access record is edited": Tampering([("edited", "access")], edit("access")),
    "an access record is removed": Tampering([("missing", "access")], remove("access")),
    "an access record is in no digest": Tampering(
        [("unchained", "access")], built={"unchained": ("access",)}
    ),
    "an access record is slipped in": Tampering(
        [("unchained", ANOTHER_LOOK)],
        lambda archive: archive.store.put(
            ANOTHER_LOOK, archive.store.read(archive.keys["access"]).replace(b"alice", b"bob")
        ),
    ),
    "what is slipped into the access log is no record": Tampering(
        [("unchained", ANOTHER_LOOK)], put(ANOTHER_LOOK, b"{}")
    ),
    "an object lies among the access records": Tampering(
        [("unchained", "access/x")], put("access/x")
    ),
    "an access record does not fit the schema": Tampering(
        [("invalid", "access")], built={"on_access": lambda content: content.update(more=1)}
    ),
    "an access record is another one's": Tampering(
        [("invalid", "access")], built={"on_access": lambda content: content.update(id="f" * 32)}
    ),
    "an access record is of another time": Tampering(
        [("invalid", "access")],
        built={"on_access": lambda content: content.update(at=format_time(NOON))},
    ),
    "a report is edited": Tampering([("edited", "report")], edit("report")),
    "a report's page is edited": Tampering([("edited", "page")], edit("page")),
    "a report is removed": Tampering([("missing", "report")], remove("report")),
    "a report's page is in no digest": Tampering(
        [("unchained", "page")], built={"unchained": ("page",)}
    ),
    "a page is slipped in": Tampering(
        [("unchained", ANOTHER_PAGE)], put(ANOTHER_PAGE, b"<p>Nothing is missing.</p>")
    ),
    "a report does not fit the schema": Tampering(
        [("invalid", "report")], built={"on_report": lambda content: content.update(missing=-1)}
    ),
    "a report is of another time": Tampering(
        [("invalid", "report")],
        built={"on_report": lambda content: content.update(ended_at=format_time(NOON))},
    ),
}


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path)


def test_a_sound_archive_has_no_finding(store):
    """Everything in it was looked at."""
    Chained(store)
    report = verify(Folder(store.path), deep=True)
    assert report.findings == []
    assert (report.digests, report.documents, report.objects) == (5, 8, 14)
    assert report.hashed == 14
    assert (report.begin, report.end) == (NOON, NOON + 5 * HOUR)
    assert report.at == NOON + 5 * HOUR + timedelta(minutes=2)
    assert report.size == sum(
        path.stat().st_size
        for path in store.path.rglob("*")
        if path.is_file() and "digests" not in path.parts
    )


@pytest.mark.parametrize("name", TAMPERINGS)
def test_what_was_done_is_found_and_nothing_else(name, store):
    """Each fault once, by its kind and its object."""
    tampering = TAMPERINGS[name]
    archive = Chained(store, **tampering.built)
    tampering.act(archive)
    report = verify(Folder(store.path), **tampering.verified)
    found = [(finding.kind, finding.key) for finding in report.findings]
    assert sorted(found) == sorted(
        (kind, archive.keys.get(key, key)) for kind, key in tampering.found
    )
    if tampering.documents:
        many = f"; documents proven by nothing: {tampering.documents}"
        assert any(finding.problem.endswith(many) for finding in report.findings)


def test_every_kind_is_found_somewhere():
    """Those of a bucket in tests/integration/test_verify.py, others in test_forgeries.py and
    test_timestamp.py."""
    found = {kind for tampering in TAMPERINGS.values() for kind, _ in tampering.found}
    of_buckets = {"deleted", "overwritten", "replaced", "lock-missing", "lock-short", "lock-weak"}
    of_forgers = {"hold-missing", "hold-unrecorded", "chain-replaced"}
    of_stamps = {"witness-missing", "witness-wrong"}
    assert found | of_buckets | of_forgers | of_stamps == set(KINDS)


def test_digests_of_the_tests_fit_the_schema(store):
    """So that both sides speak of the same."""
    Draft202012Validator.check_schema(DIGEST_SCHEMA)
    archive = Chained(store)
    for number in range(5):
        content = json.loads(store.read(archive.keys[f"digest-{number}"]))
        Draft202012Validator(DIGEST_SCHEMA).validate(content)


def test_what_is_too_young_is_no_fault_but_is_counted(store):
    """A manifest of this hour, and a call that is being archived."""
    Chained(store, unchained=("ringcx",))
    store.put(f"{layout.call_prefix(an_id('s-9'), NOON)}legs/r1.mp3", b"mp3 of somebody")
    report = verify(Folder(store.path), at=NOON + 6 * HOUR)
    assert report.findings == []
    assert (report.young, report.unsealed) == (1, 1)


def test_two_keys_are_valid_if_both_are_known(store):
    """A stack may get a new one."""
    Chained(store, signers=(KEY,) * 2 + (ANOTHER_KEY,) * 3)
    known = [KEY.public_key(), ANOTHER_KEY.public_key()]
    report = verify(Folder(store.path), known=known)
    assert report.findings == []
    assert report.keys == ["digests/keys/key-1.pem", "digests/keys/key-2.pem"]


def test_a_known_key_proves_what_the_archive_has_lost(store):
    """Only the file is missing, the signatures are good."""
    archive = Chained(store)
    archive.remove("key-1")
    archive.edit("digest-4")
    report = verify(Folder(store.path), known=[KEY.public_key()])
    found = {(finding.kind, finding.key) for finding in report.findings}
    assert found == {("missing", archive.keys["key-1"]), ("edited", archive.keys["digest-4"])}


def test_a_folder_needs_no_aws(store):
    """Not even its library."""
    Chained(store)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from legato.evidence.verify.archive import verify\n"
        "from legato.archive.evidence import Folder\n"
        "assert verify(Folder(Path(sys.argv[1])), deep=True).valid\n"
        "assert not {'boto3', 'botocore', 'httpx'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program, str(store.path)], check=True)


def test_a_folder_that_is_no_archive_is_refused(tmp_path):
    """Before it is called valid."""
    with pytest.raises(Refused, match="give the folder that holds calls/ and digests/"):
        Folder(tmp_path)


@pytest.mark.parametrize(
    "body", [b"", b"-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----"]
)
def test_a_file_that_is_no_key_is_refused(body):
    with pytest.raises(Refused, match="not a public key in PEM"):
        read_key(body)


class TestSomeCalls:
    """Of a whole archive, the calls that somebody asks about, and what proves them."""

    ONLY = (RINGEX, layout.hold_prefix(an_id("s-1/2")))

    def found(self, store, **more):
        report = verify(Folder(store.path), at=NOON + 6 * HOUR, only=self.ONLY, **more)
        return [(finding.kind, finding.key) for finding in report.findings]

    def test_what_is_wrong_with_others_is_not_looked_at(self, store):
        """Nor is their audio read."""
        archive = Chained(store)
        archive.remove("ringcx")
        assert self.found(store, deep=True) == []
        report = verify(Folder(store.path), at=NOON + 6 * HOUR, only=self.ONLY, deep=True)
        assert 0 < report.hashed < 14

    @pytest.mark.parametrize("name", ["ringex", "ringex-leg", "hold"])
    def test_whatever_is_missing_of_them_is_found(self, store, name):
        """Also a manifest, which only a digest knows of then."""
        archive = Chained(store)
        archive.remove(name)
        assert ("missing", archive.keys[name]) in self.found(store)

    def test_a_whole_call_that_was_taken_away_is_missed(self, store):
        """Its folder is not listed any more."""
        archive = Chained(store)
        for path in (store.path / RINGEX).rglob("*"):
            if path.is_file():
                path.unlink()
        assert ("missing", archive.keys["ringex"]) in self.found(store)

    def test_the_chain_has_to_be_whole(self, store):
        """It is what proves them."""
        archive = Chained(store)
        archive.remove("digest-2", "digest-2.sig")
        assert ("missing", archive.keys["digest-2"]) in self.found(store)


class TestCommand:
    def test_a_sound_archive_ends_well(self, store):
        """With what was looked at, and until when."""
        Chained(store)
        ended = legato(store.path, "--deep")
        assert ended.exit_code == 0, ended.output
        assert "5 digests, of 2026-11-20 12:00 UTC to 2026-11-20 17:00 UTC." in ended.output
        assert "8 documents and 14 objects" in ended.output
        assert "Read to the end: 14 objects." in ended.output
        assert "sealed after 2026-11-20 17:02 UTC" in ended.output
        assert "Valid: nothing is missing or altered." in ended.output

    def test_findings_name_their_objects_and_what_to_read(self, store):
        """And end badly."""
        archive = Chained(store)
        archive.remove("ringex-leg")
        archive.store.put(f"{RINGEX}\x1b[2J", b"commands a terminal")
        ended = legato(store.path, "--at", "2026-12-01")
        assert ended.exit_code == Exit.TAMPERED == 6
        assert f"missing    {archive.keys['ringex-leg']}" in ended.output
        assert f"{RINGEX}\N{REPLACEMENT CHARACTER}[2J" in ended.output
        assert "\x1b" not in ended.output
        assert "legato: 3 findings: docs/evidence.md explains each" in ended.stderr
        assert "Valid" not in ended.output

    def test_json_says_the_same_to_programs(self, store):
        """On standard output nothing else."""
        archive = Chained(store)
        archive.edit("ringex")
        ended = legato(store.path, "--json")
        assert ended.exit_code == Exit.TAMPERED
        said = json.loads(ended.stdout)
        assert said["valid"] is False
        assert said["digests"] == 5
        [finding] = said["findings"]
        assert (finding["kind"], finding["key"]) == ("edited", archive.keys["ringex"])
        archive.edit("ringex", lambda body: body[:-2] + b"}\n")
        assert json.loads(legato(store.path, "--json").stdout)["findings"] == []

    def test_a_key_may_be_given(self, store, tmp_path):
        """The stack's own, or one that the archive does not know."""
        archive = Chained(store)
        for key, code in ((KEY, Exit.DONE), (ANOTHER_KEY, Exit.TAMPERED)):
            file = tmp_path / "mine.pem"
            file.write_bytes(pem(key))
            ended = legato(store.path, "--key", str(file))
            assert ended.exit_code == code, ended.output
        assert f"key-replaced  {archive.keys['key-1']}" in ended.output

    def test_a_digest_that_was_kept_has_to_be_in_the_chain(self, store, tmp_path):
        """As a file, or as the SHA-256 that the command has printed."""
        archive = Chained(store)
        kept = store.path / archive.keys["digest-2"]
        newest = json.loads(legato(store.path, "--json").stdout)["newest_digest_sha256"]
        assert legato(store.path, "--digest", kept, "--digest", newest.upper()).exit_code == 0
        other = tmp_path / "other.json"
        other.write_bytes(kept.read_bytes() + b"\n")
        ended = legato(store.path, "--digest", other)
        assert ended.exit_code == Exit.TAMPERED
        assert "chain-replaced  digests/  none has the SHA-256" in ended.output

    def test_the_key_of_a_stack_is_asked_of_kms(self, store):
        """Whoever has made the whole chain anew has not got it."""
        archive = Chained(store, start=NOW - 5 * HOUR, signers=(ANOTHER_KEY,) * 5)
        for key, code in ((ANOTHER_KEY, Exit.DONE), (KEY, Exit.TAMPERED)):
            ended = legato(place=Stack(store, pem(key)))
            assert ended.exit_code == code, ended.output
            assert "with the stack's key from AWS KMS" in ended.output
        assert f"key-replaced  {archive.keys['key-2']}" in ended.output

    def test_a_key_that_kms_does_not_hand_out_is_told(self, store):
        """The archive is verified all the same, by its own word."""
        Chained(store, start=NOW - 5 * HOUR)
        refusal = Retry("KMS does not hand out the public key: AccessDeniedException")
        ended = legato(place=Stack(store, refusal))
        assert ended.exit_code == 0
        assert "cannot get the stack's public key: KMS does not hand out" in ended.stderr
        assert "with the key in the archive itself: give the true one with --key" in ended.output

    def test_filters_choose_what_is_verified(self, store):
        """It is said that the rest was not; and a call that is not there is not found."""
        archive = Chained(store, start=NOW - 5 * HOUR)
        archive.remove("ringcx")
        place = Stack(store, pem(KEY))
        sealed = replace(SEALED, key=archive.keys["ringex"])
        enter(place.rows, a_row("s-1/2", manifest=sealed))
        ended = legato("--provider", "ringex", place=place)
        assert ended.exit_code == 0, ended.output
        assert "Only 1 call and the chain of digests were verified.\n" in ended.output
        assert "Valid: nothing of these calls is missing or altered.\n" in ended.output
        said = json.loads(legato("--provider", "ringex", "--json", place=place).stdout)
        assert said["calls"] == [an_id("s-1/2")._asdict()]
        assert legato(place=place).exit_code == Exit.TAMPERED
        assert legato("--provider", "kazoo", place=place).exit_code == Exit.NOT_FOUND

    @pytest.mark.attacks("a catalogue that leads to the folder of another call")
    def test_no_other_call_is_verified_in_the_place_of_one(self, store):
        """Who may write the ledger need not be able to write the archive."""
        archive = Chained(store, start=NOW - 5 * HOUR)
        place = Stack(store, pem(KEY))
        sealed = replace(SEALED, key=archive.keys["ringcx"])
        enter(place.rows, a_row("s-1/2", manifest=sealed))
        ended = legato("--provider", "ringex", place=place)
        assert ended.exit_code == Exit.TAMPERED
        assert "run `legato index rebuild`" in ended.stderr

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ([".", "--id", "s-1"], "the filters need the stack's catalogue: leave out FOLDER"),
            (["/nowhere"], "/nowhere is not an archive: give the folder that holds calls/"),
            (["docs"], "docs is not an archive: give the folder that holds calls/ and digests/"),
            (["--at", "2026-11-20"], "--at needs a FOLDER"),
            ([".", "--at", "noon"], "--at 'noon' is not a time: write a day (2026-11-01,"),
            ([".", "--key", "README.md"], "README.md: not a public key in PEM"),
            ([".", "--tsa-ca", "README.md"], "README.md: no certificate in PEM"),
            ([".", "--digest", "0" * 63], f"{'0' * 63} cannot be read: No such file"),
        ],
    )
    def test_wrong_usage_is_told(self, arguments, says):
        """With what to do instead."""
        ended = legato(*arguments)
        assert ended.exit_code == 2
        assert says in " ".join(ended.output.replace("│", " ").split())

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_what_cannot_be_read_is_told(self, store):
        """Nothing is proven then."""
        archive = Chained(store)
        (store.path / archive.keys["ringex"]).chmod(0)
        ended = legato(store.path)
        assert ended.exit_code == 1
        assert "cannot be read: Permission denied" in ended.output


class Stack:
    """A place whose archive is a folder. The key is what KMS hands out, or why it does not."""

    def __init__(self, store, key):
        self._store = store
        self._key = key
        self.rows = FakeCatalogue()

    def catalogue(self):
        return self.rows

    def evidence(self):
        return Folder(self._store.path)

    def signing_key(self):
        if isinstance(self._key, LegatoError):
            raise self._key
        return self._key


def legato(*arguments, place=None):
    return CliRunner().invoke(app, ["verify", *map(str, arguments)], obj=place)
