"""A small archive with its chain of digests, sound or with a fault built in, for whoever verifies.

The manifests are written by Legato's own functions. The digests are written here, by their schema,
so that the one who checks them is not the one who wrote them.
"""

import base64
import hashlib
import json
from dataclasses import replace
from datetime import timedelta

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from legato.archive import document, layout, manifest
from legato.archive.manifest import Missing, Recording, Revision
from legato.model import PROVIDERS, StoredLeg, StoredObject, format_time
from legato.operations.report.page import to_html
from legato.operations.report.reconciliation import DAILY, Reconciliation
from legato.ports import Levels
from tests.fakes import NOON, FakeStitcher, a_leg, a_listing, an_id

HOUR = timedelta(hours=1)
LEVELS = Levels(
    longest_silence_ms=0, silent_share=0.0, peak_dbfs=-3.0, loudness_dbfs=-20.0, peaks={}
)


def a_key():
    return ec.generate_private_key(ec.SECP256R1())


def pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


KEY, ANOTHER_KEY = a_key(), a_key()


class FolderStore:
    """Keeps objects as files, as an export does; their version ids are known to nobody later."""

    now = None

    def __init__(self, path):
        self.path = path
        self.written = 0

    def hold(self, prefix):
        """Files are under no hold."""

    def put(self, key, body):
        self.written += 1
        target = self.path / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
        return f"v{self.written}"

    def read(self, key):
        return (self.path / key).read_bytes()

    def remove(self, key):
        (self.path / key).unlink()


class BucketStore:
    """Keeps objects in a versioned bucket, with the lock and the class that `how` gives a key.

    S3 says itself when something was written, which is the present. `times` has when each version
    is to have been written: that was `now`.
    """

    def __init__(self, s3, bucket, how=lambda key: {}):
        self.s3 = s3
        self.bucket = bucket
        self.how = how
        self.now = None
        self.times = {}
        self.held = ()

    def put(self, key, body):
        """Put a version over what is there."""
        held = {"ObjectLockLegalHoldStatus": "ON"} if key.startswith(self.held) else {}
        how = self.how(key) | held
        answer = self.s3.put_object(
            Bucket=self.bucket, Key=key, Body=body, ChecksumAlgorithm="SHA256", **how
        )
        self.times[answer["VersionId"]] = self.now
        return answer["VersionId"]

    def hold(self, prefix):
        """Put what lies below a prefix, and what comes there, under legal hold."""
        self.held = (*self.held, prefix)
        for one in self.s3.list_object_versions(Bucket=self.bucket, Prefix=prefix)["Versions"]:
            self.release(one["Key"], one["VersionId"], status="ON")

    def release(self, key, version, *, status="OFF"):
        """Let go of a version of an object."""
        self.s3.put_object_legal_hold(
            Bucket=self.bucket, Key=key, VersionId=version, LegalHold={"Status": status}
        )

    def read(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def hide(self, key):
        """Put a delete marker over what is there."""
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def remove(self, key):
        """Remove the newest version for ever."""
        version = self.s3.head_object(Bucket=self.bucket, Key=key)["VersionId"]
        if key.startswith(self.held):
            self.release(key, version)
        self.s3.delete_object(Bucket=self.bucket, Key=key, VersionId=version)

    def exchange(self, key, body):
        """Put a version in the place of what is there."""
        self.remove(key)
        self.put(key, body)


class Chained:
    """An archive of three calls in five hours.

    In the first hour nothing is sealed; in the second `ringex`, a call of one leg, a hold on it,
    a look at it, and the `report` of a reconciliation with its `page`; in the third the first
    revision of `kazoo`, a call of two legs, with what a broken leg and an interrupted attempt left;
    in the fourth its second revision; in the fifth `ringcx`, whose legs stay apart. `keys` gives
    each object a short name.

    `on_manifest` and `on_digest` change what is about to be written, by name, `on_access` the
    record of the look, `on_hold` that of the hold and `on_report` the report, as nobody but Legato
    could; `unchained` names documents that no digest names; `signers` are the keys of the hours;
    `skip_hours` lets the fourth digest come so much later. `end` is when the newest was written.
    """

    def __init__(
        self,
        store,
        *,
        start=NOON,
        on_manifest=None,
        on_digest=None,
        on_access=lambda content: None,
        on_hold=lambda content: None,
        on_report=lambda content: None,
        unchained=(),
        signers=(KEY,) * 5,
        skip_hours=0,
    ):
        self.store = store
        self.start = start
        self.on_manifest = on_manifest or {}
        self.on_digest = on_digest or {}
        self.on_access = on_access
        self.on_hold = on_hold
        self.on_report = on_report
        self.unchained = unchained
        self.skip_hours = skip_hours
        self.keys = {}
        self.pems = {}
        self.waiting = []
        self.previous = None
        writers = [lambda: None, self._ringex, self._kazoo, self._kazoo_again, self._ringcx]
        for number, (write, signer) in enumerate(zip(writers, signers, strict=True)):
            self.hour = start + number * HOUR
            store.now = self.hour + HOUR / 2
            write()
            self._digest(number, signer)

    def edit(self, name, change=lambda body: body[:-2] + b" \n"):
        """Put other bytes in the place of an object's, of the same length if nothing else is said.

        All documents end in LF.
        """
        body = self.store.read(self.keys[name])
        self.store.put(self.keys[name], change(body))

    def remove(self, *names):
        for name in names:
            self.store.remove(self.keys[name])

    def _ringex(self):
        folder = layout.call_prefix(an_id("s-1/2"), self.start)
        leg = self._leg("ringex-leg", folder, "r1", b"mp3 of one leg")
        recording = self._recording("ringex", folder, 1, how="single", object=leg.object)
        self._seal("ringex", folder, call="s-1/2", legs=[leg], recording=recording)
        self._hold(folder)
        self._access()
        self._report()

    def _hold(self, folder):
        content = {
            "schema_version": 1,
            "legato_version": "0.1.0",
            **an_id("s-1/2")._asdict(),
            "step": 1,
            "action": "hold",
            "case": "2026-117",
            "reason": "complaint",
            "by": "arn:aws:iam::123456789012:user/alice",
            "at": format_time(self.store.now),
            "held_by": ["2026-117"],
        }
        key = layout.hold_key(an_id("s-1/2"), content["at"], 1)
        self.on_hold(content)
        self._document("hold", key, json.dumps(content, indent=2).encode() + b"\n")
        self.store.hold(folder)

    def _access(self):
        content = {
            "schema_version": 1,
            "legato_version": "0.1.0",
            "id": "0123456789abcdef" * 2,
            "at": format_time(self.store.now),
            "by": "arn:aws:iam::123456789012:user/alice",
            "action": "show",
            "calls": [{"provider": "ringex", "account": "1", "call": "s-1/2"}],
            "reason": "complaint",
            "details": {},
        }
        key = layout.access_key(content["at"], content["id"])
        self.on_access(content)
        self._document("access", key, json.dumps(content, indent=2).encode() + b"\n")

    def _kazoo(self):
        folder = layout.call_prefix(an_id("k-1", provider="kazoo"), self.start)
        legs = [self._leg(f"kazoo-leg-{n}", folder, f"k{n}", b"mp3 leg %d" % n) for n in (1, 2)]
        kept = layout.refused_key(an_id("k-1", provider="kazoo"), "k9", 1)
        evidence = self._put("evidence", kept, b"wav cut")
        abandoned = self._put("abandoned", layout.recording_key(folder, 1, "wav"), b"left")
        whole = self._put("kazoo-recording", layout.recording_key(folder, 2, "mp3"), b"mp3 both")
        self.first = self._seal(
            "kazoo",
            folder,
            number=2,
            legs=legs,
            recording=self._recording("kazoo", folder, 2, how="copy", object=whole),
            missing=[Missing(leg="k9", reason="ends in the middle", evidence=evidence)],
            abandoned=[abandoned],
        )
        self.legs = legs

    def _kazoo_again(self):
        folder = layout.call_prefix(an_id("k-1", provider="kazoo"), self.start)
        legs = [*self.legs, self._leg("kazoo-leg-3", folder, "k3", b"mp3 leg 3")]
        whole = self._put("kazoo-recording-3", layout.recording_key(folder, 3, "mp3"), b"mp3 all")
        self._seal(
            "kazoo-again",
            folder,
            call="k-1",
            provider="kazoo",
            number=3,
            legs=legs,
            recording=self._recording("kazoo-again", folder, 3, how="copy", object=whole),
            supersedes=self.first,
        )

    def _ringcx(self):
        folder = layout.call_prefix(an_id("d-1", provider="ringcx"), self.start)
        legs = [self._leg(f"ringcx-leg-{n}", folder, f"d{n}", b"wav leg %d" % n) for n in (1, 2)]
        recording = self._recording("ringcx", folder, 1, how="apart", object=None)
        self._seal("ringcx", folder, call="d-1", legs=legs, recording=recording)

    def _report(self):
        report = Reconciliation(
            run=DAILY,
            begin=self.start - timedelta(days=1),
            end=self.start,
            began_at=self.store.now,
            ended_at=self.store.now,
            providers=PROVIDERS,
            found=[],
        )
        content = report.to_json()
        self.on_report(content)
        body = json.dumps(content, indent=2).encode() + b"\n"
        self._document("report", report.key("json"), body)
        self._document("page", report.key("html"), to_html(report))

    def _leg(self, name, folder, leg, body):
        audio = FakeStitcher._facts(body[:3].decode(), 60)
        stored = self._put(name, layout.leg_key(folder, leg, audio.extension), body)
        return StoredLeg(leg=replace(a_leg(leg), started_at=self.start), object=stored, audio=audio)

    def _recording(self, name, folder, number, *, how, object):  # noqa: A002 - the field's name
        peaks = self._put(f"{name}-peaks", layout.peaks_key(folder, number), b"{}")
        many = {"single": 1, "apart": 2}.get(how, number)
        return Recording(
            object=object,
            audio=None if object is None else FakeStitcher._facts(object.key[-3:], 60 * many),
            how=how,
            offsets_ms=(0, 60_000, 120_000)[:many],
            levels=LEVELS,
            peaks=peaks,
        )

    def _seal(self, name, folder, *, call=None, provider=None, number=1, **revision):
        provider, call = provider or name, call or "k-1"
        content = manifest.to_json(
            Revision(
                call=an_id(call, provider=provider),
                number=number,
                listing=a_listing(call=call, started_at=self.start, ended_at=self.start + HOUR / 4),
                sealed_at=self.store.now,
                **revision,
            )
        )
        self.on_manifest.get(name, lambda _: None)(content)
        key = layout.manifest_key(folder, number)
        return self._document(name, key, document.to_bytes(content))

    def _document(self, name, key, body):
        stored = self._put(name, key, body)
        if name not in self.unchained:
            modified_at = {"modified_at": format_time(self.store.now)}
            self.waiting.append(described(stored) | modified_at)
        return stored

    def _digest(self, number, signer):
        name = f"digest-{number}"
        start = self.hour + (self.skip_hours * HOUR if number > 2 else timedelta())
        self.store.now = self.end = start + HOUR + timedelta(minutes=2)
        key_id = "key-1" if signer is KEY else "key-2"
        if key_id not in self.pems:
            self.pems[key_id] = self._put(key_id, layout.public_key_key(key_id), pem(signer))
        content = {
            "schema_version": 1,
            "legato_version": "0.1.0",
            "sequence": number + 1,
            "from": format_time(start),
            "to": format_time(start + HOUR),
            "written_at": format_time(self.end),
            "previous": self.previous,
            "signed_with": {
                "key_id": key_id,
                "algorithm": "ECDSA_SHA_256",
                "public_key": described(self.pems[key_id]),
            },
            "objects": self.waiting,
            "lost": [],
            "counts": {
                "manifests": sum(one["key"].startswith("calls/") for one in self.waiting),
                "holds": sum(one["key"].startswith("holds/") for one in self.waiting),
                "accesses": sum(one["key"].startswith("access/") for one in self.waiting),
                "reports": sum(one["key"].startswith("reports/") for one in self.waiting),
            },
        }
        self.waiting = []
        self.on_digest.get(name, lambda _: None)(content)
        body = json.dumps(content, indent=2).encode() + b"\n"
        stored = self._put(name, layout.digest_key(start), body)
        signature = signed(body, signer)
        self._put(f"{name}.sig", f"{stored.key}.sig", signature)
        self.previous = {
            "key": stored.key,
            "version_id": stored.version_id,
            "sha256": stored.sha256,
            "signature": base64.b64encode(signature).decode(),
        }

    def _put(self, name, key, body):
        self.keys[name] = key
        version = self.store.put(key, body)
        sha256 = hashlib.sha256(body).hexdigest()
        return StoredObject(key=key, version_id=version, size=len(body), sha256=sha256)


def described(stored):
    return {
        "key": stored.key,
        "version_id": stored.version_id,
        "bytes": stored.size,
        "sha256": stored.sha256,
    }


def signed(body, key):
    return key.sign(body, ec.ECDSA(hashes.SHA256()))
