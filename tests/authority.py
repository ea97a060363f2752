"""A time stamping authority of our own: openssl behind a port, and behind HTTP. And a signer."""

import subprocess

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from tests.chain import KEY, pem

CONFIG = """
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[maker]
extendedKeyUsage = critical, timeStamping
keyUsage = critical, digitalSignature
[tsa]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class OpensslAuthority:
    """Stamps what it is asked to, with the present time. `ca` is the certificate of its root."""

    def __init__(self, folder, name="Witness"):
        self.folder = folder
        folder.mkdir()
        self.requests = 0
        self.failure = None
        (folder / "config").write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01")
        for who, extensions, issuer in (
            ("root", "root", ()),
            ("maker", "maker", ("-CA", folder / "root.pem", "-CAkey", folder / "root.key")),
        ):
            subject = ("-subj", f"/O={name}/CN={name} {who}", "-extensions", extensions)
            files = ("-keyout", folder / f"{who}.key", "-out", folder / f"{who}.pem")
            self._openssl("req", "-x509", *CURVE, "-days", "3650", *subject, *issuer, *files)
        self.ca = (folder / "root.pem").read_bytes()

    def stamp(self, request):
        self.requests += 1
        if self.failure:
            raise self.failure
        (self.folder / "query").write_bytes(request)
        signer = ("-signer", self.folder / "maker.pem", "-inkey", self.folder / "maker.key")
        query = ("-queryfile", self.folder / "query", "-section", "tsa")
        self._openssl("ts", "-reply", *query, *signer, "-out", self.folder / "reply")
        return (self.folder / "reply").read_bytes()

    def __call__(self, request):
        """Answer over HTTP, for httpx.MockTransport."""
        answer = self.stamp(request.read())
        return httpx.Response(
            200, content=answer, headers={"Content-Type": "application/timestamp-reply"}
        )

    def _openssl(self, command, *arguments):
        subprocess.run(
            ["openssl", command, *map(str, arguments), "-config", str(self.folder / "config")],
            check=True,
            capture_output=True,
        )


class EcSigner:
    """Signs digests as KMS does, with a key that the test has."""

    key_id = "key-1"
    algorithm = "ECDSA_SHA_256"

    def __init__(self, key=KEY):
        self._key = key

    def sign(self, digest):
        return self._key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))

    def is_signed(self, digest, signature):
        try:
            how = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
            self._key.public_key().verify(signature, digest, how)
        except InvalidSignature:
            return False
        return True

    def public_key(self):
        return pem(self._key)
