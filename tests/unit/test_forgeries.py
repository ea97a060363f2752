"""What each forger does is found, or it is said plainly that nothing here finds it.

Each line of the table in docs/evidence.md is one of these, and each of these is a line there.
"""

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from legato.archive import layout
from legato.archive.evidence import Folder
from legato.evidence.verify.archive import verify
from legato.ledger import undigested
from legato.model import format_time
from tests.chain import HOUR, KEY, Chained, FolderStore, signed
from tests.fakes import NOON, an_id
from tests.forgery import VersionStore
from tests.unit.test_digest import Desk

DAY = timedelta(days=1)
YEARS_AGO = format_time(NOON - 2000 * DAY)
RINGEX = layout.call_prefix(an_id("s-1/2"), NOON)
KAZOO = layout.call_prefix(an_id("k-1", provider="kazoo"), NOON)
NOTHING = "nothing"
STOPPED = "the auditor stops"
UNSIGNED = "it is not signed"
AS_READ = "what is signed is what was read"

ATTACKS = {}


def attack(who, does):
    """Enter what somebody does into the table; the function returns what finds it."""

    def enter(act):
        ATTACKS[who, does] = act
        return act

    return enter


def found(store, archive, **options):
    """Return the kinds of what is found in a bucket right after its newest digest."""
    report = verify(store, **{"at": archive.end, "known": [KEY.public_key()]} | options)
    return sorted({finding.kind for finding in report.findings}) or NOTHING


def alike(outcomes):
    """Return what all of these are."""
    first, *others = outcomes
    assert all(other == first for other in others), outcomes
    return first


def sealed(**on_manifest):
    """Return what is found when somebody seals other manifests than Legato would."""
    store = VersionStore()
    return found(store, Chained(store, on_manifest=on_manifest))


def first_leg(**fields):
    return lambda content: content["legs"][0].update(fields)


# Whoever has the processor's role: it seals, and the digests name what it seals.
SEALS = "the processor's role"


@attack(SEALS, "seals a call dated another year")
def _():
    return sealed(ringex=lambda content: content.update(sealed_at=YEARS_AGO))


@attack(SEALS, "seals a call dated tomorrow")
def _():
    return sealed(ringex=lambda content: content.update(sealed_at=format_time(NOON + DAY)))


@attack(SEALS, "records an access dated another year")
def _():
    return moved("access", YEARS_AGO)


def moved(record, at):
    """Return what is found when a record is written, and digested, as of another time."""
    store = VersionStore()

    class Moved(Chained):
        def _document(self, name, key, body):
            if name == record:
                content = json.loads(body) | {"at": at}
                body = json.dumps(content, indent=2).encode() + b"\n"
                key = {
                    "access": lambda: layout.access_key(at, content["id"]),
                    "hold": lambda: layout.hold_key(an_id("s-1/2"), at, 1),
                }[name]()
            return super()._document(name, key, body)

    return found(store, Moved(store))


@attack(SEALS, "leaves a leg out of a later revision")
def _():
    def act(content):
        del content["legs"][0]
        for leg in content["legs"]:
            leg["offset_ms"] -= 60_000
        content["recording"]["duration_ms"] -= 60_000

    return sealed(**{"kazoo-again": act})


@attack(SEALS, "replaces a leg's audio in a later revision")
def _():
    return sealed(**{"kazoo-again": first_leg(sha256="0" * 64)})


@attack(SEALS, "points a leg at another leg's audio")
def _():
    def act(content):
        first, second = content["legs"][:2]
        first.update({name: second[name] for name in ("key", "version_id", "bytes", "sha256")})

    return sealed(kazoo=act)


@attack(SEALS, "gives a leg another id than its key")
def _():
    return sealed(ringex=first_leg(id="another"))


@attack(SEALS, "names a leg twice")
def _():
    def act(content):
        content["legs"][1] = dict(content["legs"][0]) | {"offset_ms": 60_000}

    return sealed(kazoo=act)


def _parties(*names):
    return [
        {"role": "from", "number": name, "name": None, "extension": None, "agent": None}
        for name in names
    ]


@attack(SEALS, "leaves a party out of a later revision")
def _():
    return sealed(
        kazoo=lambda content: content.update(parties=_parties("+1", "+2")),
        **{"kazoo-again": lambda content: content.update(parties=_parties("+2", "+3"))},
    )


@attack(SEALS, "changes a party's number in a later revision")
def _():
    return sealed(
        kazoo=lambda content: content.update(parties=_parties("+1")),
        **{"kazoo-again": lambda content: content.update(parties=_parties("+10"))},
    )


@attack(SEALS, "changes the direction, or ends a call earlier, in a later revision")
def _():
    return alike(
        [
            sealed(
                kazoo=lambda content: content.update(direction="inbound"),
                **{"kazoo-again": lambda content, last=last: content.update(last)},
            )
            for last in (
                {"direction": "outbound"},
                {"direction": "inbound", "ended_at": YEARS_AGO},
                {"direction": "inbound", "ended_at": None},
            )
        ]
    )


@attack(SEALS, "leaves a related call out of a later revision")
def _():
    return sealed(kazoo=lambda content: content.update(related=["ringex/1/s-9"]))


@attack(SEALS, "plays the legs in another order")
def _():
    def act(content):
        content["legs"][0]["started_at"] = content["ended_at"]

    return sealed(kazoo=act)


@attack(SEALS, "seals joined audio that is shorter or longer than its legs")
def _():
    return sealed(kazoo=lambda content: content["recording"].update(duration_ms=60_000))


@attack(SEALS, "gives a leg another offset in the joined audio")
def _():
    return sealed(kazoo=lambda content: content["legs"][1].update(offset_ms=30_000))


@attack(SEALS, "seals one of several legs as the whole call")
def _():
    def act(content):
        names = ("key", "version_id", "bytes", "sha256")
        content["recording"].update({name: content["legs"][0][name] for name in names})
        content["recording"]["how"] = "single"

    return sealed(kazoo=act)


@attack(SEALS, "points the joined audio at that of another revision")
def _():
    def act(content):
        content["recording"]["key"] = layout.recording_key(KAZOO, 2, "mp3")

    return sealed(**{"kazoo-again": act})


@attack(SEALS, "points the peaks at those of another call")
def _():
    def act(content):
        content["peaks"]["key"] = layout.peaks_key(KAZOO, 2)

    return sealed(ringex=act)


@attack(SEALS, "names another call's object as abandoned, or as kept of a missing leg")
def _():
    other = layout.leg_key(RINGEX, "r1", "mp3")
    return alike(
        [
            sealed(kazoo=lambda content: content["abandoned"][0].update(key=other)),
            sealed(kazoo=lambda content: content["missing"][0]["evidence"].update(key=other)),
        ]
    )


@attack(SEALS, "seals a call under another call's folder")
def _():
    return sealed(ringex=lambda content: content.update(call="s-3"))


@attack(SEALS, "seals another year's call in a folder of today")
def _():
    def act(content):
        content.update(started_at=YEARS_AGO, ended_at=YEARS_AGO)
        first_leg(started_at=YEARS_AGO)(content)

    return sealed(ringex=act)


@attack(SEALS, "copies a manifest into another day's folder")
def _():
    return _copied(layout.manifest_key(layout.call_prefix(an_id("s-1/2"), NOON + DAY), 1))


@attack(SEALS, "copies a manifest as a later revision")
def _():
    return _copied(layout.manifest_key(RINGEX, 2))


def _copied(key):
    store = VersionStore()

    class Copied(Chained):
        def _ringex(self):
            super()._ringex()
            self._document("copy", key, store.read(self.keys["ringex"]))
            store.hold("calls/ringex/")

    return found(store, Copied(store))


@attack(SEALS, "seals a call again in another folder")
def _():
    store = VersionStore()

    class Twice(Chained):
        def _ringex(self):
            super()._ringex()
            folder = layout.call_prefix(an_id("s-1/2"), NOON + DAY)
            leg = self._leg("again", folder, "r1", b"mp3 of another")
            whole = self._recording("again", folder, 1, how="single", object=leg.object)
            call = {"provider": "ringex", "call": "s-1/2"}
            self._seal("again", folder, **call, legs=[leg], recording=whole)
            store.hold(folder)

    return found(store, Twice(store))


@attack(SEALS, "stores a leg after it was sealed")
def _():
    store = VersionStore()
    archive = Chained(store)
    key = archive.keys["ringex-leg"]
    [kept] = store.versions[key]
    kept.modified_at = archive.end
    return found(store, archive)


@attack(SEALS, "seals a call that never happened, dated now")
def _():
    """It is a call like any other."""
    return sealed()


# Whoever may write the ledger.
LEDGER = "a writer of the ledger"


@attack(LEDGER, "lists a document that is not in the bucket")
def _():
    store = VersionStore()
    lost = {"key": layout.manifest_key(RINGEX, 7), "version_id": "v", "bytes": 1}
    lost |= {"sha256": "0" * 64}
    act = {"digest-2": lambda content: content.update(lost=[lost])}
    return found(store, Chained(store, on_digest=act))


@attack(LEDGER, "lists a document with another SHA-256 than it has")
def _():
    desk = Desk()
    key = desk.seal("s-1")
    note = desk.notes.read(f"undigested#{key}")
    desk.notes.write(replace(note, content=note.content | {"sha256": "0" * 64}))
    desk.at(10)
    desk.run()
    [[named]] = [one["objects"] for one in desk.digests()]
    read = hashlib.sha256(desk.archive.objects[key]).hexdigest()
    return AS_READ if named["sha256"] == read else named


@attack(LEDGER, "removes a document from the list")
def _():
    store = VersionStore()
    archive = Chained(store, unchained=("ringex",))
    return found(store, archive)


@attack(LEDGER, "names another digest as the newest, so that the chain continues from there")
def _():
    desk = Desk()
    desk.at(10)
    desk.run()
    head = desk.notes.read("digests")
    desk.notes.write(replace(head, content=head.content | {"sha256": "0" * 64}))
    desk.at(12)
    return STOPPED if desk.run().stopped else NOTHING


# Whoever may write and remove in the bucket, where nothing is locked, and cannot sign.
BUCKET = "a bucket admin without the key"


@attack(BUCKET, "writes a forged manifest into the bucket")
def _():
    store = VersionStore()
    archive = Chained(store)
    body = json.loads(store.read(archive.keys["kazoo-again"])) | {"revision": 4}
    store.now = archive.end - 3 * HOUR
    store.put(layout.manifest_key(KAZOO, 4), json.dumps(body).encode())
    return found(store, archive)


@attack(BUCKET, "hides what is wrong with a call behind a new manifest that is not valid")
def _():
    store = VersionStore()

    def act(content):
        content["parties"] = _parties("+3")

    parties = {"kazoo": lambda content: content.update(parties=_parties("+1")), "kazoo-again": act}
    archive = Chained(store, on_manifest=parties)
    store.put(layout.manifest_key(KAZOO, 9), b"[]")
    return found(store, archive)


@attack(BUCKET, "has a forged document signed, by listing it in the ledger")
def _():
    desk = Desk()
    key = layout.manifest_key("calls/ringex/1/2026/11/20/s-1/", 1)
    stored = desk.archive.put_bytes(key, b"any text", media_type="application/json")
    undigested.announce(key, desk.notes, desk.clock)
    undigested.written(stored, desk.notes)
    desk.at(10)
    desk.run()
    return UNSIGNED if desk.named() == [[]] else desk.named()


@attack(BUCKET, "has a forged digest signed, by putting it where the next one goes")
def _():
    desk = Desk()
    desk.at(10)
    desk.run()
    first = "digests/2026/11/20/2026-11-20T09.json"
    body = desk.archive.objects[first]
    desk.archive.put_bytes(first.replace("T09", "T10"), body, media_type="application/json")
    desk.at(11)
    return STOPPED if desk.run().stopped else NOTHING


@attack(BUCKET, "writes another version over a document before its digest names it")
def _():
    """The ledger's list is made to name that one."""
    store = VersionStore()

    class Covered(Chained):
        def _put(self, name, key, body):
            if name == "ringex":
                super()._put(name, key, body.replace(b"inbound", b"outbound"))
            return super()._put(name, key, body)

    return found(store, Covered(store))


@attack(BUCKET, "removes a document before its digest, and lists another in its place")
def _():
    store = VersionStore()

    class Exchanged(Chained):
        def _put(self, name, key, body):
            if name == "ringex":
                super()._put(name, key, b"what was sealed")
                store.remove(key)
            return super()._put(name, key, body)

    return found(store, Exchanged(store))


@attack(BUCKET, "releases the legal hold of a call")
def _():
    store = VersionStore()
    archive = Chained(store)
    store.hold(RINGEX, on=False)
    return found(store, archive)


@attack(BUCKET, "releases the legal hold of one object, and restores it on the others")
def _():
    store = VersionStore()
    archive = Chained(store)
    store.hold(archive.keys["ringex-leg"], on=False)
    return found(store, archive)


@attack(BUCKET, "keeps a call under legal hold that was released or never held")
def _():
    released, never = VersionStore(), VersionStore()
    never.locked = True
    archive = Chained(never)
    never.hold(KAZOO)
    return alike(
        [found(released, Released(released)), found(never, archive, at=archive.end + HOUR)]
    )


class Released(Chained):
    """The hold of `ringex` was released by two people; its objects are held all the same."""

    people = ("alice", "bob")

    def _hold(self, folder):
        at = self.store.now
        steps = (
            ("hold", "alice", ["2026-117"]),
            ("request-release", self.people[0], ["2026-117"]),
            ("confirm-release", self.people[1], []),
        )
        for number, (action, by, held_by) in enumerate(steps, 1):
            said = format_time(at + timedelta(seconds=number))
            content = {
                "schema_version": 1,
                "legato_version": "0.1.0",
                **an_id("s-1/2")._asdict(),
                "step": number,
                "action": action,
                "case": "2026-117",
                "reason": "why",
                "by": f"arn:aws:iam::123456789012:user/{by}",
                "at": said,
                "held_by": held_by,
            }
            body = json.dumps(content, indent=2).encode() + b"\n"
            self._document(f"step-{number}", layout.hold_key(an_id("s-1/2"), said, number), body)
        self.store.hold(folder)


@attack(BUCKET, "removes the newest digests with everything that they name")
def _():
    store = VersionStore()
    archive = Chained(store)
    for name in [name for name in archive.keys if name.startswith(("digest-4", "ringcx"))]:
        store.remove(archive.keys[name])
    return found(store, archive, at=archive.end + 2 * HOUR)


# Whoever may write the records of holds: the holder's role, or the ledger's steps.
HOLDS = "the holder's role"


@attack(HOLDS, "releases a hold alone")
def _():
    class Alone(Released):
        people = ("alice", "alice")

    store = VersionStore()
    archive = Alone(store)
    store.hold(RINGEX, on=False)
    return found(store, archive)


@attack(HOLDS, "records a step that cannot follow the previous one")
def _():
    store = VersionStore()
    archive = Chained(store, on_hold=lambda content: content.update(action="withdraw-release"))
    return found(store, archive)


@attack(HOLDS, "records a hold dated another year")
def _():
    return moved("hold", YEARS_AGO)


# Whoever may sign as well.
SIGNER = "an admin with the key"


@attack(SIGNER, "removes calls and makes a new chain without them, in the bucket")
def _():
    store = VersionStore()
    archive = Chained(store)
    store.present = archive.end + HOUR
    for name in [name for name in archive.keys if name.startswith(("kazoo-again", "ringcx"))]:
        store.remove(archive.keys[name])
    for name in ("kazoo-recording-3", "kazoo-leg-3"):
        store.remove(archive.keys[name])
    link = None
    for name in ("digest-3", "digest-4"):
        content = json.loads(store.read(archive.keys[name]))
        content |= {"objects": [], "counts": dict.fromkeys(content["counts"], 0)}
        content["previous"] = link or content["previous"]
        body = json.dumps(content, indent=2).encode() + b"\n"
        signature = signed(body, KEY)
        store.replace(f"{archive.keys[name]}.sig", signature)
        link = {
            "key": archive.keys[name],
            "version_id": store.replace(archive.keys[name], body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "signature": base64.b64encode(signature).decode(),
        }
    return found(store, archive, at=store.present)


@attack(SIGNER, "signs a document dated another year in a digest of now")
def _():
    store = VersionStore()
    return found(store, Chained(store, **BACKDATED))


@attack(SIGNER, "hands out a copy with a document dated another year in a digest of now")
def _(tmp_path):
    archive = Chained(FolderStore(tmp_path), **BACKDATED)
    return found(Folder(tmp_path), archive)


BACKDATED = {
    "on_manifest": {"ringex": lambda content: content.update(sealed_at=YEARS_AGO)},
    "on_digest": {"digest-1": lambda content: content["objects"][0].update(modified_at=YEARS_AGO)},
}
"""The digest says too that S3 had it then."""


@attack(SIGNER, "names in a digest what is not an evidence document")
def _():
    store = VersionStore()

    def act(content):
        content["objects"].append(content["objects"][0] | {"key": "calls/x/legs/r.mp3"})
        content["counts"]["manifests"] += 1

    return found(store, Chained(store, on_digest={"digest-1": act}))


@attack(SIGNER, "hands out a copy of a new chain, to somebody who has kept a digest")
def _(tmp_path):
    store = VersionStore()
    true = Chained(store)
    kept = hashlib.sha256(store.read(true.keys["digest-2"])).hexdigest()
    assert found(store, true, kept=[kept]) == NOTHING
    archive = Chained(FolderStore(tmp_path))
    return found(Folder(tmp_path), archive, kept=[kept])


@attack(SIGNER, "hands out a copy of a new chain, to somebody who has kept nothing")
def _(tmp_path):
    archive = Chained(FolderStore(tmp_path))
    return found(Folder(tmp_path), archive)


# All of them together.
ALL = "everybody together"


@attack(ALL, "make calls, chain and signatures again, dated in the past, in the bucket")
def _():
    """S3 dates what it gets, and nobody else does."""
    store = VersionStore()
    store.present = NOON + 5 * HOUR
    return found(store, Chained(store))


@attack(ALL, "make them again, and somebody outside has kept a digest")
def _():
    store, forged = VersionStore(), VersionStore()
    true = Chained(store)
    kept = hashlib.sha256(store.read(true.keys["digest-4"])).hexdigest()
    return found(forged, Chained(forged), kept=[kept])


@attack(ALL, "seal, from now on, what never happened")
def _():
    return sealed()


def table():
    """Return the lines of the table in docs/evidence.md: who, does, and what finds it."""
    text = Path("docs/evidence.md").read_text()
    part = text[text.index("## Who can do what") :]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", part[: part.index("\n## ")], re.M)
    return {(who, does): finds for who, does, finds in rows if who not in ("who", "---")}


def case(who, does):
    """Return an attack, marked as one that is held off if the table does not say otherwise."""
    held_off = not table().get((who, does), NOTHING).startswith(NOTHING)
    marks = [pytest.mark.attacks(f"{who}: {does}")] if held_off else []
    return pytest.param(who, does, id=f"{who} {does}", marks=marks)


@pytest.mark.parametrize(("who", "does"), [case(*each) for each in ATTACKS])
def test_what_a_forger_does_is_found_as_the_table_says(who, does, tmp_path):
    """By its name, and by no other; or by nothing, which the table says too."""
    act = ATTACKS[who, does]
    outcome = act(tmp_path) if act.__code__.co_argcount else act()
    said = table()[who, does]
    if outcome in (NOTHING, STOPPED, UNSIGNED, AS_READ):
        assert said.startswith(outcome), said
    else:
        assert re.findall(r"`([a-z-]+)`", said) == outcome


def test_each_line_of_the_table_is_a_test():
    """In its order."""
    assert [*table()] == [*ATTACKS]


def test_a_sound_bucket_has_no_finding():
    """With all that is compared: times, versions, holds."""
    store = VersionStore()
    assert found(store, Chained(store)) == NOTHING
