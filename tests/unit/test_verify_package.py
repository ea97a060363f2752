"""A package proves itself: it need not be all of an archive, and what is done to it is found."""

import base64
import hashlib
import json
import shutil

import pytest
from typer.testing import CliRunner

from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.cli.verify import FIRST
from legato.errors import Failed, Refused
from legato.evidence.verify.package import payload, verify_package
from legato.retrieval.export.bag import write_bag
from tests.chain import ANOTHER_KEY, KEY, pem, signed
from tests.court import NAME, Court
from tests.fakes import an_id

RINGEX = "calls/ringex/1/2026/11/20/s-1%2F2"
DIGEST = "digests/2026/11/20/2026-11-20T14.json"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return a package of two calls of an archive, in which other things were sealed too."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "scratch").mkdir()
    court = Court(folder / "scratch")
    court.again("ringex", "r3", seconds=3)
    court.record("get", [an_id("d-1", provider="ringcx", account="7")], reason="other", details={})
    court.record("get", [an_id("s-1/2")], reason="this", details={})
    court.pass_hours(3)
    [package] = court.export(folder / "to", court.rows("ringex", "kazoo"))
    return package.folder


@pytest.fixture
def package(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "package")


def findings(package, **options):
    report, _ = verify_package(package, **{"deep": True} | options)
    return [(finding.kind, finding.key) for finding in report.findings]


def listed_again(package):
    """Let the bag's lists say what is there, as whoever tampers would."""
    write_bag(package, {})


def edit(path, change=lambda body: body[:-2] + bytes([body[-2] ^ 1]) + body[-1:]):
    path.write_bytes(change(path.read_bytes()))


def test_what_is_exported_is_valid_without_all_the_rest(package):
    """Digests name other calls, and hours between them are not there."""
    report, scope = verify_package(package, known=[KEY.public_key()], deep=True)
    assert report.findings == []
    assert (report.digests, len(scope.calls)) == (2, 2)
    assert (report.documents, report.young, report.unsealed) == (6, 1, 0)
    assert not [path for path in (package / "data").rglob("*") if "d-1" in path.name]


def test_every_single_byte_counts(package):
    """Of whatever file, also when the bag's own lists were not written again."""
    paths = [path for path in sorted(package.rglob("*")) if path.is_file()]
    assert len(paths) == 26
    for path in paths:
        before = path.read_bytes()
        edit(path)
        try:
            found = findings(package)
        except Failed:
            found = ["it cannot be understood"]
        assert found, path
        path.write_bytes(before)
    assert findings(package) == []


def test_every_single_file_counts(package):
    """Whatever is missing is named, once."""
    names = [path.relative_to(package) for path in sorted(package.rglob("*")) if path.is_file()]
    for name in names:
        if name.name in ("export.json", "bagit.txt"):
            continue
        shutil.move(package / name, package.parent / "away")
        found = findings(package)
        assert [key for _, key in found].count(name.as_posix().removeprefix("data/")) == 1, found
        shutil.move(package.parent / "away", package / name)
    assert findings(package) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"{RINGEX}/legs/r1.wav", "edited"),
        (f"{RINGEX}/recording-2.wav", "edited"),
        (f"{RINGEX}/peaks-2.json", "edited"),
        (f"{RINGEX}/manifest-1.json", "edited"),
        (f"{RINGEX}/manifest-2.json", "edited"),
        (DIGEST, "edited"),
        (f"{DIGEST}.sig", "signature-wrong"),
    ],
)
def test_evidence_proves_itself_against_who_writes_the_lists_again(package, name, kind):
    """The bag's SHA-256 are anybody's to compute, the digest's signature is not."""
    edit(package / "data" / name)
    listed_again(package)
    assert (kind, name) in findings(package)


@pytest.mark.parametrize(
    ("names", "kind", "key"),
    [
        ([f"{RINGEX}/legs/r1.wav"], "missing", f"{RINGEX}/legs/r1.wav"),
        ([f"{RINGEX}/manifest-1.json"], "missing", f"{RINGEX}/manifest-1.json"),
        ([f"{RINGEX}/manifest-2.json"], "missing", f"{RINGEX}/manifest-2.json"),
        ([DIGEST, f"{DIGEST}.sig"], "unchained", f"{RINGEX}/manifest-1.json"),
        ([f"{DIGEST}.sig"], "signature-missing", f"{DIGEST}.sig"),
    ],
)
def test_what_was_taken_away_is_missed_against_who_writes_the_lists_again(
    package, names, kind, key
):
    """A manifest needs a digest in the package, and a chosen call all that its manifest names."""
    for name in names:
        (package / "data" / name).unlink()
    listed_again(package)
    assert (kind, key) in findings(package)


def test_a_call_that_was_taken_away_whole_is_missed(package):
    """Its digest names it, and the list of contents."""
    shutil.rmtree(package / "data" / RINGEX)
    listed_again(package)
    assert findings(package) == [
        ("missing", f"{RINGEX}/manifest-1.json"),
        ("missing", f"{RINGEX}/manifest-2.json"),
    ]


def test_a_young_call_that_was_taken_away_is_missed(tmp_path):
    """Though no digest names it."""
    (tmp_path / "scratch").mkdir()
    court = Court(tmp_path / "scratch")
    court.again("kazoo", "k2", seconds=4)
    [package] = court.export(tmp_path / "to", court.rows("kazoo"))
    key = "calls/kazoo/a/2026/11/20/k-1/manifest-2.json"
    (package.folder / "data" / key).unlink()
    listed_again(package.folder)
    assert ("missing", key) in findings(package.folder)


def test_what_was_slipped_in_is_found(package):
    """Beside the evidence, or below it."""
    for name in ("notes.txt", f"{RINGEX}/legs/r9.wav"):
        (package / "data" / name).write_bytes(b"{}")
    leg = ("unlisted", f"{RINGEX}/legs/r9.wav")
    assert findings(package) == [leg, ("unlisted", "notes.txt")]
    listed_again(package)
    assert findings(package) == [leg]


def test_a_manifest_that_somebody_made_is_named_by_no_digest(package):
    """However well it is made, once it is older than two hours."""
    path = package / "data" / RINGEX / "manifest-2.json"
    content = json.loads(path.read_text())
    made = content | {"revision": 3, "supersedes": None}
    (path.parent / "manifest-3.json").write_text(json.dumps(made))
    listed_again(package)
    assert ("unchained", f"{RINGEX}/manifest-3.json") in findings(package)


def test_a_digest_by_another_key_is_found_by_who_knows_the_true_one(package):
    """Whoever has the package only can compare it with itself, and no more."""
    data = package / "data"
    (data / "digests/keys/key-1.pem").write_bytes(pem(ANOTHER_KEY))
    for digest in data.glob("digests/2*/*/*/*.json"):
        content = json.loads(digest.read_text())
        public = pem(ANOTHER_KEY)
        content["signed_with"]["public_key"]["sha256"] = hashlib.sha256(public).hexdigest()
        body = json.dumps(content).encode()
        digest.write_bytes(body)
        digest.with_name(f"{digest.name}.sig").write_bytes(signed(body, ANOTHER_KEY))
    listed_again(package)
    found = {kind for kind, _ in findings(package, known=[KEY.public_key()])}
    assert "key-replaced" in found


def test_digests_that_follow_each_other_are_still_a_chain(tmp_path):
    """Their signatures are compared with what the next one says."""
    (tmp_path / "scratch").mkdir()
    court = Court(tmp_path / "scratch")
    court.again("ringex", "r3", seconds=3)
    court.pass_hours(1)
    [package] = court.export(tmp_path / "to", court.rows("ringex"))
    digests = sorted((package.folder / "data").glob("digests/2*/*/*/*.json"))
    assert [path.name for path in digests] == ["2026-11-20T14.json", "2026-11-20T15.json"]
    other = signed(digests[0].read_bytes(), KEY)
    assert base64.b64encode(other) not in digests[1].read_bytes()
    digests[0].with_name(f"{digests[0].name}.sig").write_bytes(other)
    listed_again(package.folder)
    assert findings(package.folder) == [("signature-wrong", f"{DIGEST}.sig")]


class TestTheCommand:
    def test_a_package_is_verified_and_what_it_proves_is_said(self, package):
        """And what it does not."""
        ended = legato(package, "--deep")
        assert ended.exit_code == 0, ended.output
        for said in (
            f"Package {NAME}: 2 calls, exported at 2026-11-20 18:30 UTC.",
            "Valid: nothing of these calls is missing or altered.",
            "Not proven: that the package has all calls there were.",
            "Too young to stand in a digest: 1 document.",
        ):
            assert said in ended.output
        assert "Nothing is said about what was sealed after" not in ended.output

    def test_what_nothing_proves_is_not_called_valid(self, tmp_path):
        """It is no fault either: whoever exports it again later has a digest for it."""
        (tmp_path / "scratch").mkdir()
        court = Court(tmp_path / "scratch")
        court.again("kazoo", "k2", seconds=4)
        [package] = court.export(tmp_path / "to", court.rows("kazoo"))
        ended = legato(package.folder)
        key = "calls/kazoo/a/2026/11/20/k-1/manifest-2.json"
        assert ended.exit_code == 0
        assert f"Not proven yet: {key}, which no digest names." in ended.output
        assert "Nothing is wrong, but not proven yet: 1 document." in ended.output
        assert "Valid" not in ended.output
        said = json.loads(legato(package.folder, "--json").stdout)
        assert key in said["package"]["unproven"]

    def test_of_much_that_nothing_proves_the_first_is_named_and_the_rest_counted(self, tmp_path):
        (tmp_path / "scratch").mkdir()
        court = Court(tmp_path / "scratch")
        for number in range(FIRST + 2):
            court.again("kazoo", f"again-{number}", seconds=4)
        [package] = court.export(tmp_path / "to", court.rows("kazoo"), all_revisions=True)
        said = legato(package.folder).output
        assert said.count("which no digest names") == FIRST
        assert "Nor are 2 more documents: --json lists them." in said

    def test_scripts_are_told_what_it_is(self, package):
        """Beside all that is said of an archive."""
        said = json.loads(legato(package, "--json").stdout)
        assert said["valid"] is True
        assert said["package"]["name"] == NAME
        assert (said["package"]["part"], said["package"]["parts"]) == (1, 1)

    def test_a_fault_ends_with_6(self, package):
        """With its name."""
        (package / "data/index.csv").write_text("other")
        ended = legato(package)
        assert ended.exit_code == Exit.TAMPERED == 6
        assert "index.csv  its bytes are not those that the package lists" in ended.output

    def test_a_bag_of_somebody_else_is_refused(self, tmp_path):
        """It says nothing of calls."""
        (tmp_path / "bagit.txt").write_text("BagIt-Version: 1.0\n")
        ended = legato(tmp_path)
        assert ended.exit_code == 2
        assert "is a bag, but not a package of `legato export`" in ended.output

    def test_a_list_of_contents_that_is_none_is_told(self, package):
        """Nobody knows then what there has to be."""
        (package / "data/export.json").write_text("{}")
        with pytest.raises(Failed, match="does not say what the package holds"):
            payload(package)
        (package / "data/export.json").unlink()
        with pytest.raises(Refused):
            payload(package)


def legato(*arguments):
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])
