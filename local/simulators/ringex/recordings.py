"""The recordings: not there at first, then served whole or in ranges, until they are deleted.

Rules: https://developers.ringcentral.com/guide/basics/media and
https://developers.ringcentral.com/guide/voice/call-log/recordings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from local.simulators.audio import Audio
from local.simulators.media import AudioResponse, OutOfRange, read_range
from local.simulators.ringex.problems import Problem, bad_parameter, not_found
from local.simulators.settings import Json
from local.simulators.times import Clock

RAW = ""
"""The session of a recording that only raw records name."""


@dataclass(slots=True, kw_only=True)
class Recording:
    """The audio of one leg. `type` is Automatic or OnDemand."""

    id: str
    session: str
    type: str
    content_type: str
    seconds: float
    audio: Audio
    ready_at: float
    deleted_at: float | None = None


class Recordings:
    """All of them, by id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_id: dict[str, Recording] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, recording: Recording) -> None:
        """Keep a recording."""
        self._by_id[recording.id] = recording

    def known(self, recording_id: str) -> Recording | None:
        """Return a recording whether or not it is ready."""
        return self._by_id.get(recording_id)

    def is_raw(self, recording_id: str) -> bool:
        """Say whether only raw records name it."""
        known = self._by_id.get(recording_id)
        return known is not None and known.session == RAW

    def ready(self, recording_id: str) -> Recording:
        """Return a recording that can be fetched. Raises Problem 404 for every other one."""
        recording = self._by_id.get(recording_id)
        # One code for "not yet", "never" and "no longer": the client cannot tell them apart.
        if recording is None or recording.deleted_at or self._clock() < recording.ready_at:
            raise not_found("callRecordingId")
        return recording

    def delete(self, ids: list[str]) -> None:
        """Delete the audio. The rows of the call log stay and lose their `recording`.

        Raises Problem 404, and deletes nothing, when one of them is not there (any more). The
        description knows the 404; what becomes of the others then is not known.
        """
        found = [self._by_id.get(each) for each in ids]
        if not all(recording and not recording.deleted_at for recording in found):
            raise not_found("records")
        for recording in found:
            if recording:
                recording.deleted_at = self._clock()

    def forget(self) -> None:
        """Drop everything."""
        self._by_id.clear()


def metadata(recording: Recording, content_uri: str) -> Json:
    """Return the body of `GET …/recording/{id}` (`GetCallRecordingResponse`)."""
    return {
        "id": recording.id,
        "contentUri": content_uri,
        "contentType": recording.content_type,
        "duration": round(recording.seconds),
    }


def content(recording: Recording, request: Request) -> Response:
    """Return the audio, or the range that was asked for."""
    size = recording.audio.size
    headers = {"Accept-Ranges": "bytes", "Content-Type": recording.content_type}
    disposition = request.query_params.get("contentDisposition")
    if disposition is not None:
        if disposition not in ("Inline", "Attachment"):
            raise bad_parameter("contentDisposition", disposition)
        name = request.query_params.get("contentDispositionFilename", recording.id)
        headers["Content-Disposition"] = f'{disposition.lower()}; filename="{_plain(name)}"'
    try:
        asked = read_range(request.headers.get("range"), size)
    except OutOfRange as error:
        problem = Problem(416, "CMN-107", "Requested range is not satisfiable")
        problem.headers["Content-Range"] = f"bytes */{size}"
        raise problem from error
    if asked is None:
        return AudioResponse(recording.audio, 0, size, status=200, headers=headers)
    start, stop = asked
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return AudioResponse(recording.audio, start, stop, status=206, headers=headers)


def _plain(name: str) -> str:
    return re.sub(r'[^\x20-\x7e]|["\\]', "_", name)
