"""Thirty days of calls by the real use cases: all is proven, and what is done to any of it, found.

Each kind of tampering is tried by itself on a small archive (tests/unit/test_verify.py). Here they
happen at the same time, at different places, and none may hide another or look like a third.
"""

import bisect
import hashlib
import json
import random
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from legato.archive import layout
from legato.archive.evidence import Folder
from legato.evidence.digest import DigestChain
from legato.evidence.legal_hold import HoldRequest, LegalHolds, holds
from legato.evidence.timestamp import DailyTimeStamps, request
from legato.evidence.verify.archive import verify
from legato.evidence.verify.timestamps import read_authorities
from legato.model import CallId, parse_time
from tests.authority import EcSigner, OpensslAuthority
from tests.chain import ANOTHER_KEY, HOUR, KEY, pem, signed
from tests.day import let_time_pass
from tests.fakes import FakeAccesses, FakeArchive, FakeCatalogue
from tests.kazoo_months import Months

DAYS, CALLS, RECORDINGS = 30, 3000, 3150
DAY = timedelta(days=1)
# The authority's time is the present one, and what it stamps was written before.
START = (
    datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    - (DAYS + 3) * DAY
    + HOUR / 10
)


class SortedArchive(FakeArchive):
    """Finds what has a prefix without looking at all the others."""

    def __init__(self, clock):
        super().__init__(clock)
        self.keys = []

    def put(self, key, body, storage_class):
        if key not in self.objects:
            bisect.insort(self.keys, key)
        return super().put(key, body, storage_class)

    def find(self, prefix):
        first = bisect.bisect_left(self.keys, prefix)
        after = bisect.bisect_left(self.keys, prefix + chr(sys.maxunicode))
        return {key: self._described(key) for key in self.keys[first:after]}


class Audited(Months):
    """A cluster whose archive is chained and witnessed, as far as the auditor's runs take place.

    Each tenth is missed, and those of a night. Of ten calls some are held, and some let go again.
    """

    def __init__(self, scratch, authority):
        super().__init__(scratch)
        self.clock._now = START.timestamp()
        self.archive = SortedArchive(self.clock)
        self._ports = replace(self._ports, archive=self.archive)
        ports = {"archive": self.archive, "notes": self.notes, "clock": self.clock}
        self._chain = DigestChain(signer=EcSigner(), **ports)
        self._stamps = DailyTimeStamps(authority=authority, **ports)
        self._holds = LegalHolds(
            ledger=self.ledger, accesses=FakeAccesses(), catalogue=FakeCatalogue(), **ports
        )
        self._hours = 0

    def pass_days(self):
        """Let all calls take place, and be archived."""
        planned = self.plan(recordings=RECORDINGS, interactions=CALLS, days=DAYS)
        # Those that come late are in tests/soak/test_kazoo_months.py.
        stopped = [replace(one, order=replace(one.order, ready_after=0)) for one in planned]
        let_time_pass(
            self.clock,
            self.queue,
            stopped,
            place=self._place,
            tick=self._each_hour,
            work=self._work,
            quiet=timedelta(hours=12),
        )
        self.clock.sleep(7200)
        self._audit()

    def _each_hour(self, now):
        self._hours += 1
        if self._hours % 2:
            self.sweep()
        if self.dice.random() > 0.1 and self._hours not in range(400, 411):
            self._audit()
        if self._hours in (240, 480):
            for call in list(self.ledger.entries)[-5:]:
                self._step("hold", str(call), by="one")
        if self._hours == 600:
            for held in holds(self.notes, self.clock)[:2]:
                self._step("request-release", str(held.id), by="one")
                self._step("confirm-release", str(held.id), by="two")
        return now + 3600

    def _audit(self):
        until = self.clock.now() + timedelta(minutes=15)
        assert self._chain.write(until=until).stopped is None
        assert self._stamps.stamp(until=until).stopped is None

    def _step(self, action, call, *, by):
        asked = HoldRequest(action=action, call=call, case="c", by=f"user/{by}", reason="complaint")
        self._holds.hold(asked)


class Copy:
    """The archive as files. What is done to it says what has to be found, in `found`."""

    def __init__(self, path, months, authority):
        self.path = path
        self.end = months.clock.now()
        self.authorities = read_authorities(authority.ca)
        self.dice = random.Random(3)
        for key, body in months.archive.objects.items():
            self.put(key, body)
        self.found = []
        keys = [key for key in months.archive.keys if key.endswith(".json")]
        self.digests = [key for key in keys if key.startswith("digests/2")]
        self.stamps = [key for key in months.archive.keys if key.endswith(".tsr")]
        self.holds = [key for key in keys if key.startswith("holds/")]
        # Of which nothing is proven any more: what is done there to a document, nobody can say.
        self.doubtful = []
        self.calls = {}
        for key in keys:
            if "/manifest-" in key:
                self.calls.setdefault(key.rpartition("/")[0], []).append(json.loads(self.read(key)))

    def verified(self):
        known = [KEY.public_key()]
        evidence, authorities = Folder(self.path), self.authorities
        return verify(evidence, known=known, authorities=authorities, deep=True, at=self.end)

    def put(self, key, body):
        target = self.path / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)

    def read(self, key):
        return (self.path / key).read_bytes()

    def remove(self, *keys, kind="missing"):
        for key in keys:
            (self.path / key).unlink()
        self.found.append((kind, keys[0]))

    def edit(self, key, change=lambda body: body[:-2] + bytes([body[-2] ^ 1]) + body[-1:], **found):
        self.put(key, change(self.read(key)))
        self.found.append((found.get("kind", "edited"), key))

    def slip_in(self, key, body, *, kind):
        self.put(key, body)
        self.found.append((kind, key))

    def hour(self):
        """Choose a digest in the middle, with its neighbours far from others', and at no day's end.

        Return it with the one before it.
        """
        while True:
            number = self.dice.randrange(48, len(self.digests) - 48)
            moment = self._hour_of(number)
            near = any(abs(moment - other) < 12 * HOUR for other in self.doubtful)
            if not near and moment.hour not in (0, 22, 23):
                self.doubtful.append(moment)
                return self.digests[number], self.digests[number - 1]

    def call(self, *, revisions=1, joined=False):
        """Choose a call of so many revisions that nobody has touched; return folder and manifests.

        All of it was sealed in hours of which the digests are as they were.
        """
        folders = [*self.calls]
        self.dice.shuffle(folders)
        for folder in folders:
            manifests = self.calls[folder]
            sealed = [parse_time(manifest["sealed_at"]) for manifest in manifests]
            doubtful = any(abs(at - other) < 4 * HOUR for at in sealed for other in self.doubtful)
            whole = manifests[-1]["recording"]["how"] == "copy"
            if len(manifests) == revisions and whole == joined and not doubtful:
                del self.calls[folder]
                return folder, manifests
        raise LookupError(f"no call of {revisions} revisions is left")

    def _hour_of(self, number):
        return parse_time(self.digests[number].rpartition("/")[2].removesuffix(".json"))


def signature_by(key, archive, digest):
    return lambda _: signed(archive.read(digest), key)


def tamper(archive, forger):
    """Do whatever somebody may do who can write into the bucket; say what has to be found."""
    do = archive
    first, newest = do.digests[0], do.digests[-4]
    do.doubtful += [do._hour_of(0), do._hour_of(-1)]

    # The chain.
    do.edit(do.hour()[0])
    digest, _ = do.hour()
    later = json.loads(do.read(digest)) | {"legato_version": "9"}
    do.edit(digest, lambda _: json.dumps(later, indent=2).encode() + b"\n")
    do.put(f"{digest}.sig", signed(do.read(digest), KEY))
    digest, before = do.hour()
    do.remove(digest, f"{digest}.sig")
    digest, before = do.hour()
    do.remove(digest, f"{digest}.sig", before, f"{before}.sig")
    do.remove(do.hour()[0])
    digest, _ = do.hour()
    do.remove(f"{digest}.sig", kind="signature-missing")
    for key in (ANOTHER_KEY, KEY):
        digest, _ = do.hour()
        do.edit(f"{digest}.sig", signature_by(key, do, digest), kind="signature-wrong")
    do.remove(first, f"{first}.sig")
    for digest in do.digests[-3:]:
        (do.path / digest).unlink()
        (do.path / f"{digest}.sig").unlink()
    do.found.append(("chain-cut", newest))
    jumped = json.loads(do.read(newest))
    jumped["sequence"] += 10
    do.edit(newest, lambda _: json.dumps(jumped, indent=2).encode() + b"\n", kind="sequence")
    do.put(f"{newest}.sig", signed(do.read(newest), KEY))
    do.slip_in("digests/2026/notes.txt", b"anything", kind="unlisted")
    do.edit(layout.public_key_key("key-1"), lambda _: pem(ANOTHER_KEY), kind="key-replaced")

    # Its witness.
    edited, copied, removed, forged = do.stamps[4:20:4]
    year = b"\x18\x0f%d" % datetime.now(UTC).year
    do.edit(edited, lambda body: body.replace(year, b"\x18\x0f2099"), kind="witness-wrong")
    do.edit(copied, lambda _: do.read(do.stamps[1]), kind="witness-wrong")
    do.remove(removed, kind="witness-missing")
    sha256 = hashlib.sha256(do.read(forged.removesuffix(".tsr"))).digest()
    do.edit(forged, lambda _: forger.stamp(request(sha256, b"A" * 8)), kind="witness-wrong")

    # Documents.
    folder, _ = do.call()
    do.edit(f"{folder}/manifest-1.json")
    folder, manifests = do.call(revisions=2, joined=True)
    do.edit(f"{folder}/manifest-{manifests[0]['revision']}.json")
    folder, manifests = do.call(revisions=2, joined=True)
    do.remove(f"{folder}/manifest-{manifests[1]['revision']}.json")
    folder, _ = do.call()
    do.remove(f"{folder}/manifest-1.json")
    shutil.rmtree(do.path / folder)
    folder, [manifest] = do.call()
    described = {"key": f"{folder}/manifest-1.json", "version_id": "v1"}
    body = do.read(described["key"])
    described |= {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    again = manifest | {"revision": 2, "supersedes": described}
    do.slip_in(f"{folder}/manifest-2.json", json.dumps(again).encode(), kind="unchained")
    do.edit(do.holds[0])
    do.remove(do.holds[3])
    _, [manifest] = do.call()
    key = layout.hold_key(CallId.of(manifest), manifest["sealed_at"], 1)
    do.slip_in(key, b"{}\n", kind="unchained")

    # What they name.
    do.remove(do.call()[1][0]["legs"][0]["key"])
    do.edit(do.call()[1][0]["legs"][0]["key"], lambda body: body[:-1], kind="size")
    do.edit(do.call()[1][0]["legs"][0]["key"])
    legs = [do.call()[1][0]["legs"][0]["key"] for _ in range(2)]
    bodies = [do.read(key) for key in reversed(legs)]
    for key, body in zip(legs, bodies, strict=True):
        do.edit(key, lambda _, body=body: body)
    do.edit(do.call(revisions=2, joined=True)[1][1]["recording"]["key"])
    do.remove(do.call(revisions=2, joined=True)[1][1]["recording"]["key"])
    do.edit(do.call()[1][0]["peaks"]["key"])
    do.remove(do.call()[1][0]["peaks"]["key"])
    do.slip_in(f"{do.call()[0]}/legs/more.mp3", b"mp3 of somebody", kind="unlisted")
    do.slip_in("calls/x", b"anything", kind="unlisted")


def test_thirty_days_are_proven_and_all_that_is_done_to_them_is_found(tmp_path):
    """Every call, every hour, every day; then each fault once, by its name, and nothing else."""
    authority = OpensslAuthority(tmp_path / "authority")
    months = Audited(tmp_path, authority)
    months.pass_days()
    assert {entry.status for entry in months.ledger.entries.values()} == {"archived"}
    copy = Copy(tmp_path / "copy", months, authority)
    report = copy.verified()
    assert report.findings == []
    assert len(months.ledger.entries) == CALLS
    assert report.documents > CALLS
    assert report.digests == (report.end - report.begin) / HOUR > DAYS * 24
    assert report.witnessed >= DAYS
    assert report.objects == report.hashed > CALLS + RECORDINGS

    tamper(copy, OpensslAuthority(tmp_path / "forger", name="Forger"))
    found = [(finding.kind, finding.key) for finding in copy.verified().findings]
    assert sorted(found) == sorted(copy.found)
    assert len(found) > 30
