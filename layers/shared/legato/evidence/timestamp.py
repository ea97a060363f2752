"""Have somebody else say what time it is: a time stamp for the last digest of each day (RFC 3161).

A digest names all that was sealed before it, so nobody can date any of that later than its stamp.
Here it is only seen to that a stamp is one of this digest; who made it is for `legato verify`.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from legato.archive.layout import digest_key, stamp_key
from legato.errors import LegatoError, Retry, Stale
from legato.evidence.digest import HEAD, HOUR, RESERVE
from legato.model import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from legato.model import Note
    from legato.ports import Archive, Clock, Notes

log = logging.getLogger(__name__)

NOTE = "witness"
DAY = timedelta(days=1)
PAUSE = timedelta(minutes=10)
"""The authority is asked once, and not again before so long. Many of them serve us for nothing."""
MEDIA_TYPE = "application/timestamp-reply"
GRANTED = b"\0"
_INTEGER, _OCTETS = 0x02, 0x04
_BEFORE_DIGEST = bytes.fromhex("3043 020101 3031 300d 06096086480165030402010500 0420")
"""SEQUENCE, version 1, and a messageImprint of SHA-256."""
_BEFORE_NONCE, _CERTIFICATE_WANTED = bytes.fromhex("0208"), bytes.fromhex("0101ff")


class Authority(Protocol):
    """A time stamping authority."""

    def stamp(self, request: bytes) -> bytes:
        """Answer a TimeStampReq with a TimeStampResp, both in DER. Raises Retry."""
        ...


@dataclass(slots=True, kw_only=True)
class WitnessReport:
    """Which digest was `stamped`, or what `stopped` it.

    So long ago the oldest day ended that has no stamp, as `behind`; None if nobody knows.
    """

    stamped: str | None = None
    behind: timedelta | None = None
    stopped: LegatoError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyTimeStamps:
    """The stamps of each day's last digest."""

    authority: Authority
    archive: Archive
    notes: Notes
    clock: Clock

    def stamp(self, *, until: datetime) -> WitnessReport:
        """Get a stamp for the oldest day that has none, if it is time to ask, before `until`.

        One day after the other, so that a day without a stamp between two that have one shows that
        it was taken away. Raises nothing but what nobody foresaw.
        """
        report = WitnessReport()
        now = self.clock.now()
        try:
            note = self._noted()
            report.behind = _behind(note, now)
            if report.behind and now <= until - RESERVE and _may_ask(note, now):
                # Written down before it is asked: whoever dies there does not ask too often.
                note = self._write(note, asked_at=format_time(now))
                first, *others = note.content["waiting"]
                report.stamped = self._stamped(parse_time(first))
                report.behind = _behind(self._write(note, waiting=others), now)
        except Stale:
            log.warning("another run asks for a time stamp")
        except LegatoError as error:
            report.stopped = error
            log.error("no time stamp", extra={"reason": str(error)})
        return report

    def _noted(self) -> Note:
        """Return the note, to which the days are added that have ended since, by their ends."""
        note, head = self.notes.read(NOTE), self.notes.read(HEAD).content
        if not head or note.content.get("upto") == head["to"]:
            return note
        upto = parse_time(head["to"])
        # Whoever names an authority begins with the day that has ended last.
        since = parse_time(note.content["upto"]) if note.content else upto - DAY
        waiting = [*note.content.get("waiting", ())]
        end = since.replace(hour=0) + DAY
        while end <= upto:
            waiting.append(format_time(end))
            end += DAY
        return self._write(note, upto=head["to"], waiting=waiting)

    def _write(self, note: Note, **changes: object) -> Note:
        return self.notes.write(replace(note, content=note.content | changes))

    def _stamped(self, end: datetime) -> str | None:
        """Store the stamp of the last digest of a day; return its key. Raises Retry, Failed."""
        digest = digest_key(end - HOUR)
        key = stamp_key(digest)
        present = self.archive.find(digest)
        if digest not in present or key in present:
            # The chain began later on that day, or a run died before it could say that it was done.
            return None
        sha256 = hashlib.sha256()
        with self.archive.read(digest, version_id=present[digest].version_id) as pieces:
            for piece in pieces:
                sha256.update(piece)
        # Of a fixed length: a DER integer neither begins with zeros nor looks negative.
        nonce = (1 << 62 | secrets.randbits(62)).to_bytes(8)
        response = self.authority.stamp(request(sha256.digest(), nonce))
        check(response, sha256.digest(), nonce)
        self.archive.put_bytes(key, response, media_type=MEDIA_TYPE)
        log.info("time stamp written", extra={"key": key})
        return key


def _behind(note: Note, now: datetime) -> timedelta:
    waiting = note.content.get("waiting")
    return now - parse_time(waiting[0]) if waiting else timedelta()


def _may_ask(note: Note, now: datetime) -> bool:
    asked_at = note.content.get("asked_at")
    return asked_at is None or now >= parse_time(asked_at) + PAUSE


def request(digest: bytes, nonce: bytes) -> bytes:
    """Return the TimeStampReq for a SHA-256, with a nonce of 8 bytes and certReq.

    https://datatracker.ietf.org/doc/html/rfc3161#section-2.4.1
    """
    return _BEFORE_DIGEST + digest + _BEFORE_NONCE + nonce + _CERTIFICATE_WANTED


def check(response: bytes, digest: bytes, nonce: bytes) -> None:
    """Raise Retry unless a TimeStampResp is granted, for this SHA-256, and the answer to us.

    https://datatracker.ietf.org/doc/html/rfc3161#section-2.4.2
    """
    try:
        status = _at(response, 0, 0, 0)
        if status != GRANTED:
            raise Retry(f"the authority refuses a time stamp with the status {status.hex()}")
        # TimeStampToken, SignedData, EncapsulatedContentInfo, and in it the TSTInfo.
        info = [*_elements(_at(response, 0, 1, 1, 0, 2, 1, 0, 0))]
        imprint = [*_elements(info[2][1])]
    except (IndexError, ValueError) as error:
        raise Retry("the authority answers with something that is no time stamp") from error
    if imprint[-1] != (_OCTETS, digest) or (_INTEGER, nonce) not in info:
        raise Retry("the authority answers with a time stamp of something else")


def _at(der: bytes, *path: int) -> bytes:
    """Return what the elements hold that are the so-manieth of each other."""
    for number in path:
        _, der = [*_elements(der)][number]
    return der


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of DER elements, one after the other."""
    while der:
        tag, length, begin = der[0], der[1], 2
        if length & 0x80:
            begin += length & 0x7F
            length = int.from_bytes(der[2:begin])
        if len(der) < begin + length:
            raise ValueError("it is cut short")
        yield tag, der[begin : begin + length]
        der = der[begin + length :]
