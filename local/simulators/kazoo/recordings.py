"""A single recording: its document, or its audio, by what the request accepts.

Rules: applications/crossbar/src/modules/cb_recordings.erl of https://github.com/2600hz/kazoo. Who
names no audio gets the document, with 200.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from local.simulators.audio import Audio
from local.simulators.kazoo.calls import Recording
from local.simulators.kazoo.config import Config
from local.simulators.kazoo.documents import CONTENT_TYPES, media_name, revision
from local.simulators.kazoo.problems import Problem
from local.simulators.kazoo.raw import RawDocument
from local.simulators.kazoo.stats import Stats
from local.simulators.media import AudioResponse, OutOfRange, read_range
from local.simulators.raw import content_type

_AUDIO = ("audio/mpeg", "audio/mp3")
_JSON = ("*/*", "application/json", "application/x-json")
_MATCHED = (*_AUDIO, *_JSON, "audio/*", "application/*")


def wants(request: Request) -> Literal["document", "audio"]:
    """Return what a request is for. Raises Problem 406."""
    tunnelled = request.query_params.get("accept")
    accepted = _read_accept(tunnelled or request.headers.get("accept") or "*/*")
    for each in accepted:
        if each in _JSON:
            return "document"
        if each in _AUDIO:
            return "audio"
    # The header is looked at before this module is asked, by the web server.
    if tunnelled is None and not any(each in _MATCHED for each in accepted):
        raise Problem(406)
    return "document"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What a download says of itself."""

    id: str
    name: str
    content_type: str
    revision: str


def of_placed(recording: Recording) -> Attachment:
    """Return the attachment of a recording."""
    return Attachment(
        id=recording.id,
        name=media_name(recording),
        content_type=CONTENT_TYPES[recording.order.format],
        revision=revision(recording),
    )


def of_raw(document: RawDocument) -> Attachment:
    """Return the attachment of a document that was given word for word."""
    name = document.name or ""
    wav = document.audio is not None and content_type(document.audio) == "audio/wav"
    form: Literal["mp3", "wav"] = "wav" if wav else "mp3"
    plain = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
    return Attachment(
        id=name,
        name=f"call_recording_{plain}.{form}",
        content_type=CONTENT_TYPES[form],
        revision=f"1-{plain}",
    )


def serve(
    attachment: Attachment, audio: Audio | None, request: Request, config: Config, stats: Stats
) -> Response:
    """Answer a download of audio that is stored, or not (yet). Raises Problem."""
    if audio is None:
        if config.not_stored == "empty":
            return Response(media_type=_AUDIO[0])
        data = {"message": "bad identifier", "details": attachment.id}
        raise Problem(404, data=data)
    try:
        asked = read_range(request.headers.get("range"), audio.size)
    except OutOfRange as error:
        raise Problem(416) from error
    start, stop = asked or (0, audio.size)
    placing = "inline" if request.query_params.get("inline") == "true" else "attachment"
    headers = {
        "content-type": attachment.content_type,
        "content-disposition": f"{placing}; filename={attachment.name}",
        "etag": f'"{attachment.revision}"',
    }
    if asked:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{audio.size}"
    stats.downloads[attachment.id] += 1

    def sent() -> None:
        stats.whole_downloads[attachment.id] += 1

    status = 206 if asked else 200
    return AudioResponse(audio, start, stop, status=status, headers=headers, sent=sent)


def _read_accept(header: str) -> list[str]:
    """Return the media types of a header, the dearest first."""
    weighed = []
    for each in header.split(","):
        name, *parameters = (part.strip().lower() for part in each.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weighed.append((-float(quality), name))
        except ValueError as error:
            raise Problem(400, "malformed Accept header") from error
    return [name for _, name in sorted(weighed, key=lambda one: one[0])]
