"""What is wrong with a call in the archive: its objects against its newest manifest and the ledger.

No audio is read. S3's own checksum and the version say whether an object is the one that was
sealed; `legato verify --deep` reads the bytes.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from legato.archive.layout import legs_prefix
from legato.archive.manifest import read_manifest
from legato.errors import LegatoError
from legato.model import CallId, StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from legato.model import CallState, Json
    from legato.ports import Archive

ONE_PART = 5 * 1024 * 1024
"""Bytes: what is not larger was sent in one part, so S3's checksum can be computed from ours."""


type Fate = Literal["archived", "waiting", "failed", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What has become of one recording of a call; of the call as a whole if it is empty.

    What is `missing` may be fetched anew, what has `failed` is for a person. `kind` tells what is
    wrong from others, `reason` says it.
    """

    fate: Fate = "failed"
    kind: str = ""
    reason: str = ""
    recording: str = ""


def flaws(state: CallState, sizes: Mapping[str, int], archive: Archive) -> list[Verdict]:
    """Return what is wrong with a call that was sealed; `sizes` are those of its folder or more.

    Raises Retry.
    """
    return list(_flaws(state, sizes, archive))


def _flaws(state: CallState, sizes: Mapping[str, int], archive: Archive) -> Iterator[Verdict]:
    prefix, sealed = state.prefix or "", state.manifest
    if not any(key.startswith(prefix) for key in sizes):
        yield from _of_all(state, "folder gone", f"{prefix} is gone from the archive")
        return
    if sealed is None or sealed.key not in sizes:
        what = sealed.key if sealed else f"a manifest of {state.id}"
        yield from _of_all(state, "manifest gone", f"{what} is gone from the archive")
        return
    try:
        content = read_manifest(sealed, archive)
    except (LegatoError, ValueError) as error:
        # One manifest that cannot be read must not keep all the others from being compared.
        yield from _of_all(state, "manifest unreadable", str(error), fate="failed")
        return
    yield from misplaced(state.id, content, sealed.key)
    legs = {leg["id"]: leg for leg in content["legs"]}
    for leg in sorted(state.legs.keys() - legs.keys()):
        reason = f"{sealed.key} does not name it, though the ledger says so"
        yield Verdict(kind="not in the manifest", reason=reason, recording=leg, fate="missing")
    for leg, named in legs.items():
        if leg not in state.legs and named["key"] not in sizes:
            continue  # the ledger knows, and somebody sees to it
        yield from _object(named, sizes, archive, kind="object gone", recording=leg)
    joined = content["recording"]
    if joined is not None and joined["key"] not in {leg["key"] for leg in content["legs"]}:
        yield from _object(joined, sizes, archive, kind="joined audio gone")
    yield from _object(content["peaks"], sizes, archive, kind="peaks gone")
    yield from _unnamed(prefix, content, sizes, archive)


def _of_all(
    state: CallState, kind: str, reason: str, *, fate: Fate = "missing"
) -> Iterator[Verdict]:
    for leg in sorted(state.legs):
        yield Verdict(kind=kind, reason=reason, recording=leg, fate=fate)


def misplaced(call: CallId, content: Json, key: str) -> Iterator[Verdict]:
    """Yield what is wrong with a manifest in the folder of a call if it is another call's."""
    named = CallId.of(content)
    if named != call:
        kind = "wrong account" if named.account != call.account else "wrong call"
        yield Verdict(kind=kind, reason=f"{key} is the manifest of {named}")


def _object(
    named: Json, sizes: Mapping[str, int], archive: Archive, *, kind: str, recording: str = ""
) -> Iterator[Verdict]:
    """Compare an object with what a manifest says of it."""
    key = named["key"]
    stored = archive.stored(key) if key in sizes else None
    if stored is None:
        reason = f"{key} is gone from the archive"
        fate: Fate = "missing" if recording else "failed"
        yield Verdict(kind=kind, reason=reason, recording=recording, fate=fate)
    elif reason := _unlike(named, stored):
        yield Verdict(
            kind="truncated" if stored.size < named["bytes"] else "altered",
            reason=f"{key} {reason}: run `legato verify`",
            recording=recording,
        )


def _unlike(named: Json, stored: StoredObject) -> str:
    """Say how an object differs from the one that was sealed, if it does."""
    if stored.size != named["bytes"]:
        return f"has {stored.size} bytes, and {named['bytes']} were sealed"
    digest = bytes.fromhex(named["sha256"])
    known = {_base64(digest), _base64(hashlib.sha256(digest).digest())}
    if stored.checksum in known or stored.sha256 == named["sha256"]:
        return ""
    if stored.version_id != named["version_id"]:
        return "is covered by another version, of other bytes"
    if stored.sha256 or (stored.checksum and stored.size <= ONE_PART):
        return "does not hold the bytes that were sealed"
    return ""  # S3 has a checksum of many parts, and a version never changes


def _unnamed(
    prefix: str, content: Json, sizes: Mapping[str, int], archive: Archive
) -> Iterator[Verdict]:
    """Yield the legs of the folder that no manifest names, neither the newest nor an older one."""
    unnamed = {key for key in sizes if key.startswith(legs_prefix(prefix))}
    unnamed -= set(_named(content))
    while unnamed and content["supersedes"]:
        older = content["supersedes"]
        sealed = StoredObject(
            key=older["key"],
            version_id=older["version_id"],
            size=older["bytes"],
            sha256=older["sha256"],
        )
        try:
            content = read_manifest(sealed, archive)
        except (LegatoError, ValueError):
            break
        unnamed -= set(_named(content))
    yield from map(unnamed_leg, sorted(unnamed))


def unnamed_leg(key: str) -> Verdict:
    """Return what is wrong with a leg under this key that no manifest names."""
    name = unquote(key.rpartition("/")[2].rpartition(".")[0])
    reason = f"{key} is in the archive, and no manifest names it"
    return Verdict(kind="leg of no manifest", reason=reason, recording=name)


def _named(content: Json) -> Iterable[str]:
    yield from (leg["key"] for leg in content["legs"])
    yield from (one["evidence"]["key"] for one in content["missing"] if one["evidence"])
    yield from (one["key"] for one in content["abandoned"])


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
