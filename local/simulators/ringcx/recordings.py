"""The recording of a segment: not there at first, then a stream of WAV.

Rules: the official description of getRecordingSegmentData, and
https://developers.ringcentral.com/engage/voice/guide/integration/reports: who looks like a browser
gets MP3 instead.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from local.simulators.audio import Audio, melody
from local.simulators.media import AudioResponse, OutOfRange, read_range
from local.simulators.ringcx.calls import Segment
from local.simulators.ringcx.config import Config
from local.simulators.ringcx.problems import Bare, Problem
from local.simulators.ringcx.raw import RawRecording
from local.simulators.ringcx.stats import Stats


def serve(
    segment: Segment | RawRecording | None,
    request: Request,
    config: Config,
    stats: Stats,
    now: float,
) -> Response:
    """Answer a download. Raises Problem."""
    young = config.settle_seconds
    if segment and young is not None and now - segment.ends_at < young:
        stats.touched_young += 1
    if segment is None or segment.audio is None or now < segment.ready_at:
        # One answer for "not yet" and "never": the client cannot tell them apart.
        raise Bare(404, "Recording not found") if config.bare_not_found else Problem(404)
    audio, media_type = segment.audio, "audio/wav"
    if "mozilla" in request.headers.get("user-agent", "").lower():
        stats.broke("browser-like user agent")
        seconds = segment.ends_at - segment.starts_at
        audio = melody(segment.id, audio_format="mp3", seconds=seconds)
        media_type = "audio/mpeg"
    start, stop, status = _asked(audio, request, config)
    headers = {"Content-Type": media_type}
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{audio.size}"
    stats.downloads[segment.id] += 1

    def sent() -> None:
        stats.whole_downloads[segment.id] += 1

    return AudioResponse(
        audio,
        start,
        stop,
        status=status,
        headers=headers,
        announced=config.content_length,
        sent=sent,
    )


def _asked(audio: Audio, request: Request, config: Config) -> tuple[int, int, int]:
    """Return from where to where, and the status that says so."""
    try:
        asked = read_range(request.headers.get("range"), audio.size) if config.ranges else None
    except OutOfRange as error:
        raise Problem(416) from error
    return (*asked, 206) if asked else (0, audio.size, 200)
