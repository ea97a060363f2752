"""KMS signs digests so that anybody with the public key can check them."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from legato.aws.signer import KmsSigner
from legato.errors import Retry

BODY = b'{"sequence": 1}\n'


@pytest.fixture
def key_id(aws_client):
    made = aws_client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    return made["KeyMetadata"]["KeyId"]


@pytest.fixture
def signer(aws_client, key_id):
    return KmsSigner(aws_client("kms"), key_id=key_id)


def test_a_signature_fits_the_bytes_and_no_others(signer):
    """ECDSA over their SHA-256, as DER."""
    signature = signer.sign(hashlib.sha256(BODY).digest())
    key = load_pem_public_key(signer.public_key())
    key.verify(signature, BODY, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(signature, BODY + b" ", ec.ECDSA(hashes.SHA256()))


def test_a_key_that_is_gone_is_worth_another_try(aws_client, signer, key_id):
    """Somebody may mend it; until then no digest is written."""
    aws_client("kms").disable_key(KeyId=key_id)
    with pytest.raises(Retry, match="KMS does not sign"):
        signer.sign(hashlib.sha256(BODY).digest())
