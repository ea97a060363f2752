"""The time stamps of an authority (RFC 3161): when a digest was there at the latest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from rfc3161_client import (
    PKIStatus,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from legato.archive.layout import stamp_key
from legato.errors import Refused
from legato.evidence.verify.current_version import standing
from legato.evidence.verify.times import AHEAD
from legato.model import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rfc3161_client import TimeStampResponse

    from legato.archive.evidence import Version
    from legato.evidence.verify.finding import Report
    from legato.model import Json

type Authority = x509.Certificate

UNSTAMPED = timedelta(days=7)
"""So long an authority may be down."""
END_OF_DAY = "T00:00:00.000Z"


def read_authorities(pem: bytes) -> list[Authority]:
    """Read the certificates of authorities. Raises Refused for what holds none."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise Refused("no certificate in PEM (-----BEGIN CERTIFICATE-----)") from error


class Witnesses:
    """The stamps in the archive. Without `authorities` their makers are believed."""

    def __init__(self, authorities: Sequence[Authority], report: Report) -> None:
        self._authorities = authorities
        self._report = report
        self._without: list[str] = []
        self._unstamped: Json | None = None

    def look(
        self,
        digest: str,
        body: bytes,
        content: Json,
        versions: Sequence[Version],
        stamp: bytes | None,
    ) -> None:
        """Check the stamp of a digest that is believed, the newest one first.

        Days are stamped in their order, so none is left out between two that have one.
        """
        key, report = stamp_key(digest), self._report
        if stamp is None:
            if content["to"].endswith(END_OF_DAY):
                if report.witnessed:
                    self._without.append(key)
                else:
                    self._unstamped = {"key": key, "to": content["to"]}
            return
        standing(key, versions, "", report)
        try:
            found = _read(stamp, body, self._authorities)
        except ValueError as error:
            report.blame(key, "witness-wrong", str(error))
            return
        for missing in self._without:
            report.blame(missing, "witness-missing", "days before and after it have a time stamp")
        self._without.clear()
        if found.at + AHEAD < parse_time(content["written_at"]):
            problem = f"it is of {format_time(found.at)}, and {digest} was written later"
            report.blame(key, "clock", problem)
        report.witnessed += 1
        report.witnessed_at = report.witnessed_at or found.at
        report.authorities = sorted({*report.authorities, found.authority})

    def compare(self, end: datetime | None) -> None:
        """Blame a chain whose newest end has no stamp, where somebody names an authority for it."""
        oldest = self._unstamped
        if oldest and end and self._authorities and end - parse_time(oldest["to"]) > UNSTAMPED:
            problem = "no day from this one on has a time stamp of an authority"
            self._report.blame(oldest["key"], "witness-missing", problem)


@dataclass(frozen=True, slots=True)
class _Stamp:
    at: datetime
    authority: str


def _read(stamp: bytes, body: bytes, authorities: Sequence[Authority]) -> _Stamp:
    """Return what a stamp says. Raises ValueError if it is none of these bytes."""
    sha256 = hashlib.sha256(body).digest()
    try:
        response = decode_timestamp_response(stamp)
        granted = response.status == PKIStatus.GRANTED
        info = response.tst_info
        found = _Stamp(info.gen_time, _signer(response))
    except ValueError as error:
        raise ValueError("it is no time stamp") from error
    if not granted:
        raise ValueError("it is the refusal of a time stamp")
    if info.message_imprint.message != sha256:
        raise ValueError("it is the time stamp of something else")
    if authorities:
        try:
            VerifierBuilder(roots=[*authorities]).build().verify(response, sha256)
        except VerificationError as error:
            raise ValueError("it was edited, or is by no authority of --tsa-ca") from error
    return found


def _signer(response: TimeStampResponse) -> str:
    """Name whose certificate the stamp says that it is signed with."""
    signers = {(each.issuer, each.serial_number) for each in response.signed_data.signer_infos}
    for certificate in map(x509.load_der_x509_certificate, response.signed_data.certificates):
        if (certificate.issuer, certificate.serial_number) in signers:
            return certificate.subject.rfc4514_string()
    return "an authority without a certificate"
