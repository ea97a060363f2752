"""What a manifest says, held against its own place, and against the manifest before it.

A manifest that a digest names has the bytes that were sealed. Whoever seals may still lie: here is
what an honest one cannot say.
"""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from legato.archive.layout import call_prefix, leg_key, peaks_key, recording_key, refused_prefix
from legato.archive.manifest import audio_of, includes, played
from legato.model import MEDIA_TYPES, CallId, offsets_ms, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from legato.model import Json

DAYS = timedelta(days=2)
"""A call's folder has the day of its start as it was first listed, or of the notification that
named it. What a provider corrects later does not move it, and is not days."""
RESAMPLED_MS = 200
"""For each leg: decoded at another sample rate it ends a little earlier or later."""
_OBJECT = ("key", "version_id", "bytes", "sha256")
_FORMAT = ("media_type", "codec", "sample_rate", "channels")
HEARD_SLIP_MS = 5000
"""A leg may be silent for so long where the one in which it is heard has not begun, or is over."""
_ATTEMPTED = re.compile(r"recording-(\d{1,9})\.(?:mp3|wav)|peaks-(\d{1,9})\.json")
_EXTENSIONS = {media_type: extension for extension, media_type in MEDIA_TYPES.items()}


def contradictions(folder: str, content: Json) -> Iterator[str]:
    """Yield what in a manifest cannot be, in the folder where it lies.

    It fits its schema and says that it is of this folder's call. Raises ValueError for a 30th of
    February.
    """
    if not _is_of_its_day(folder, content):
        yield "its call is not of the day of its folder"
    legs, number = content["legs"], content["revision"]
    if len({leg["id"] for leg in legs}) < len(legs):
        yield "it names a leg twice"
    for leg in legs:
        if leg["key"] != leg_key(folder, leg["id"], _EXTENSIONS[leg["media_type"]]):
            yield f"the object of its leg {leg['id']} is another one's"
    if any(later["started_at"] < leg["started_at"] for leg, later in pairwise(legs)):
        yield "its legs are not in playing order"
    yield from _of_the_whole(folder, content)
    if content["peaks"]["key"] != peaks_key(folder, number):
        yield "its peaks are another recording's"
    call = CallId.of(content)
    for missing in content["missing"]:
        kept = missing["evidence"]
        if kept is not None and not kept["key"].startswith(refused_prefix(call, missing["leg"])):
            yield f"what is kept of its missing leg {missing['leg']} is another one's"
    for left in content["abandoned"]:
        made = _ATTEMPTED.fullmatch(left["key"].removeprefix(folder))
        if made is None or int(made[1] or made[2]) >= number:
            yield f"no attempt at an earlier revision has made {left['key']}"


def lost(earlier: Json, later: Json) -> Iterator[str]:
    """Yield what a manifest said of its call that a later one of the same call does not."""
    legs = {leg["id"]: leg for leg in later["legs"]}
    for leg in earlier["legs"]:
        kept = legs.get(leg["id"])
        if kept is None:
            yield f"it lacks the leg {leg['id']}"
        elif kept["sha256"] != leg["sha256"]:
            yield f"its leg {leg['id']} is other audio"
    for party in earlier["parties"]:
        if not any(includes(one, party) for one in later["parties"]):
            who = party["name"] or party["number"] or party["agent"] or party["role"]
            yield f"it lacks the party {who}"
    if earlier["direction"] not in (None, later["direction"]):
        yield "its direction is another one"
    # Times of one form are ordered as their texts are.
    if earlier["ended_at"] is not None and (later["ended_at"] or "") < earlier["ended_at"]:
        yield "its call ends earlier"
    for call in earlier["related"]:
        if call not in later["related"]:
            yield f"it is not related to {call} any more"


def _is_of_its_day(folder: str, content: Json) -> bool:
    day = parse_time("-".join(folder.split("/")[3:6]))
    times = [content["started_at"], *(leg["started_at"] for leg in content["legs"])]
    first, last = parse_time(min(times)), parse_time(max(times))
    last = max(last, parse_time(content["ended_at"] or max(times)))
    place = call_prefix(CallId.of(content), day)
    return folder == place and _start(first) - DAYS <= day <= last + DAYS


def _start(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _of_the_whole(folder: str, content: Json) -> Iterator[str]:
    """Yield what in the joined audio cannot be: it consists of the legs, one after the other."""
    legs, whole = content["legs"], content["recording"]
    how = "apart" if whole is None else whole["how"]
    if (how == "single") != (len(played(legs)) == 1):
        yield f"{len(legs)} legs do not become one recording in this way: {how}"
        return
    yield from _of_repeated(legs, how)
    legs = played(legs)
    audios = [audio_of(leg) for leg in legs]
    strict = how != "transcode"
    tolerance = 0 if strict else RESAMPLED_MS
    for at, (leg, begin) in enumerate(zip(legs, offsets_ms(audios), strict=True)):
        if abs(leg["offset_ms"] - begin) > at * tolerance:
            yield f"its leg {leg['id']} begins after {leg['offset_ms']} ms, and not {begin}"
    if whole is None:
        return
    lasts = audios[0].duration_ms if how == "single" else sum(each.whole_ms for each in audios)
    if abs(whole["duration_ms"] - lasts) > len(legs) * tolerance:
        yield f"its recording lasts {whole['duration_ms']} ms, and its legs {lasts}"
    alike: tuple[str, ...]
    if how == "single":
        alike, key = (*_OBJECT, *_FORMAT), legs[0]["key"]
    else:
        alike = _FORMAT if how == "copy" else ()
        key = recording_key(folder, content["revision"], _EXTENSIONS[whole["media_type"]])
    if whole["key"] != key:
        yield "its recording is another one's"
    elif any(leg[name] != whole[name] for leg in legs for name in alike):
        yield "its recording is not made of its legs"


def _of_repeated(legs: Sequence[Json], how: str) -> Iterator[str]:
    """Yield what cannot be of legs that are said to be heard in another one, and not played."""
    begins = {leg["id"]: parse_time(leg["started_at"]) for leg in legs}
    whole = {leg["id"]: leg for leg in played(legs)}
    for leg in legs:
        if (said := leg["heard_in"]) is None:
            continue
        other = whole.get(said["leg"])
        if how == "apart" or other is None:
            yield f"its leg {leg['id']} is heard in no leg that is played"
            continue
        behind = begins[leg["id"]] - begins[other["id"]]
        behind_ms = round(behind / timedelta(milliseconds=1)) + said["shift_ms"]
        within = (
            -HEARD_SLIP_MS
            <= behind_ms
            <= (other["duration_ms"] - leg["duration_ms"] + HEARD_SLIP_MS)
        )
        if not within or leg["offset_ms"] != max(0, other["offset_ms"] + behind_ms):
            yield f"its leg {leg['id']} is not heard where it is said to be"
