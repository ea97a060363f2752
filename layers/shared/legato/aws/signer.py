"""Who signs digests, on KMS: an asymmetric key that never leaves it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from legato.aws.errors import translated

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_LINE = 64


class KmsSigner:
    """A key of type ECC_NIST_P256, as evidence.digest.Signer."""

    algorithm = "ECDSA_SHA_256"

    def __init__(self, kms: KMSClient, *, key_id: str) -> None:
        self._kms = kms
        self.key_id = key_id

    def sign(self, digest: bytes) -> bytes:
        with translated("KMS does not sign"):
            answer = self._kms.sign(
                KeyId=self.key_id,
                Message=digest,
                MessageType="DIGEST",
                SigningAlgorithm="ECDSA_SHA_256",
            )
        return answer["Signature"]

    def is_signed(self, digest: bytes, signature: bytes) -> bool:
        key = serialization.load_pem_public_key(self.public_key())
        try:
            # KMS hands out the key of its type.
            cast("ec.EllipticCurvePublicKey", key).verify(
                signature, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()))
            )
        except InvalidSignature:
            return False
        return True

    def public_key(self) -> bytes:
        with translated("KMS does not hand out the public key"):
            der = self._kms.get_public_key(KeyId=self.key_id)["PublicKey"]
        text = base64.b64encode(der).decode()
        lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
        return "\n".join(
            ["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]
        ).encode()
