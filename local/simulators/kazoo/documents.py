"""The documents of recordings and of call legs, as Kazoo writes them.

Fields: the schemas `call_recordings` and `cdrs`, and who writes them: store_recording_meta of
applications/media_mgr/src/media_recording.erl, in 4.3 core/kazoo_call/src/kzc_recording.erl.
"""

from __future__ import annotations

from local.simulators.kazoo.calls import PushOrder, Recording
from local.simulators.kazoo.gregorian import gregorian, month_of, prefix_of
from local.simulators.kazoo.tokens import realm_of
from local.simulators.settings import Json

CONTENT_TYPES = {"mp3": "audio/mpeg", "wav": "audio/x-wav"}
"""By what kz_mime knows of the extension."""


def document(recording: Recording) -> Json:
    """Return the document of a recording, without its private fields."""
    order = recording.order
    milliseconds = round(order.seconds * 1000)
    old = recording.version == "4.3"
    variables = _variables(recording)
    whole: Json = {
        "id": recording.id,
        "call_id": recording.call_id,
        "cdr_id": _cdr_id(recording),
        "interaction_id": recording.interaction_id,
        **_parties(recording),
        "direction": order.direction,
        "start": gregorian(recording.ends_at) - milliseconds // 1000,
        "duration": milliseconds // 1000,
        "duration_ms": milliseconds,
        "name": media_name(recording),
        "description": f"recording {media_name(recording)}",
        "content_type": CONTENT_TYPES[order.format],
        # master takes what filename:extension/1 returns, which has a dot.
        "media_type": order.format if old else f".{order.format}",
        "media_source": "recorded",
        "source_type": "kzc_recording" if old else "media_recording",
        "origin": "inbound from offnet to endpoint",
        "owner_id": recording.owner,
        "custom_channel_vars": variables,
    }
    if isinstance(recording.storage, PushOrder):
        whole["url"] = recording.storage.url
    if not order.has_interaction:
        del whole["interaction_id"], variables["Call-Interaction-ID"]
    return {name: value for name, value in whole.items() if name not in order.omit}


def listed(recording: Recording, now: float) -> Json:
    """Return a document as lists show it. No content type: the audio is not stored (yet)."""
    types = [CONTENT_TYPES[recording.order.format]] if recording.is_stored(now) else []
    return {**document(recording), "_read_only": {"content_types": types}}


def media_name(recording: Recording) -> str:
    """Return the name of the audio."""
    return f"call_recording_{recording.call_id}.{recording.order.format}"


def revision(recording: Recording) -> str:
    """Return the revision of a document, which is its entity tag too."""
    return f"2-{recording.id[7:]}"


def _cdr_id(recording: Recording) -> str:
    return prefix_of(month_of(recording.starts_at)) + recording.call_id


def _parties(recording: Recording) -> Json:
    order, realm = recording.order, realm_of(recording.account)
    return {
        "from": f"{order.caller}@{realm}",
        "to": f"{order.callee}@{realm}",
        "request": f"{order.callee}@{realm}",
        "caller_id_name": "",
        "caller_id_number": order.caller,
        "callee_id_name": "Ada Brown",
        "callee_id_number": order.callee,
    }


def _variables(recording: Recording) -> Json:
    return {
        "Account-ID": recording.account,
        "Authorizing-ID": recording.owner,
        "Authorizing-Type": "user",
        "Bridge-ID": recording.call_id,
        "Call-Interaction-ID": recording.interaction_id,
        "Media-Recording-ID": recording.id,
        "Owner-ID": recording.owner,
    }
