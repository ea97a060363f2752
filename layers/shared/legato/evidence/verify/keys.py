"""The public keys that digests are checked with."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from legato.errors import Refused
from legato.evidence.verify.current_version import is_other, standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from legato.archive.evidence import Evidence, Version
    from legato.evidence.verify.finding import Report
    from legato.model import Json

type PublicKey = ec.EllipticCurvePublicKey


def read_key(pem: bytes) -> PublicKey:
    """Read a public key. Raises Refused for what is none."""
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as error:
        raise Refused("not a public key in PEM (-----BEGIN PUBLIC KEY-----)") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Refused("a key of another kind: digests are signed with ECDSA")
    return key


class Keys:
    """The keys in the archive, as far as they are what the digests say, and those that are known.

    Where somebody knows the true keys, no other one counts.
    """

    def __init__(
        self,
        evidence: Evidence,
        versions: Mapping[str, Sequence[Version]],
        known: Sequence[PublicKey],
        report: Report,
    ) -> None:
        self._evidence = evidence
        self._versions = versions
        self._known = known
        self._report = report
        self._read: dict[tuple[str, str, str], PublicKey | None] = {}
        self._used: dict[str, str] = {}

    def signed(self, digest: str, body: bytes, signature: bytes, content: Json) -> bool | None:
        """Say whether one of them made this signature of a digest; None if there is none to ask.

        To be asked about the newest digest first.
        """
        named = content["signed_with"]["public_key"]
        own = self._own(named)
        trusted = self._known or ([] if own is None else [own])
        if any(_fits(key, body, signature) for key in trusted):
            self._used[named["key"]] = digest
            return True
        # A key that is not known to be true was blamed; what it has signed is not.
        if not trusted or (own is not None and own not in trusted and _fits(own, body, signature)):
            return None
        return False

    def compare(self) -> None:
        """Blame a key that came later than another, unless it is known to be true."""
        self._report.keys = sorted(self._used)
        if self._known:
            return
        for key, digest in list(self._used.items())[:-1]:
            self._report.blame(
                key,
                "key-unknown",
                f"it is another key than the one before, from {digest} on: if both are the "
                "stack's own, say so by giving each with --key",
            )

    def _own(self, named: Json) -> PublicKey | None:
        identity = (named["key"], named["version_id"], named["sha256"])
        if identity not in self._read:
            self._read[identity] = self._found(named)
        return self._read[identity]

    def _found(self, named: Json) -> PublicKey | None:
        key, version_id = named["key"], named["version_id"]
        version = standing(key, self._versions.get(key, ()), version_id, self._report)
        if version is None:
            return None
        pem = self._evidence.read(version)
        if hashlib.sha256(pem).hexdigest() != named["sha256"]:
            self._report.blame(key, "key-replaced", "it is not the key that the digests name")
            return None
        if is_other(version, version_id, self._evidence):
            self._report.blame(
                key, "replaced", f"the version {version_id} that was written is gone"
            )
        try:
            public = read_key(pem)
        except Refused as error:
            self._report.blame(key, "key-replaced", str(error))
            return None
        if self._known and public not in self._known:
            self._report.blame(key, "key-replaced", "it is no key that is known to be true")
        return public


def _fits(key: PublicKey, body: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, body, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
