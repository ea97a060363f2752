"""Makes one file of the legs of a call.

Legs of one format are copied: every encoded frame of the originals is in the result, unchanged.
Only a mixture is decoded, because no file can hold two formats.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from legato.audio.ffmpeg import Ffmpeg, reading, reading_list
from legato.audio.formats import recognise
from legato.audio.inspect import WHOLE
from legato.audio.riff import pcm_header, read_wave
from legato.disk import create
from legato.errors import DamagedAudio, Failed, NotAudio, TooLarge
from legato.model import MEDIA_TYPES, AudioFacts
from legato.ports import Joined

type Legs = Sequence[tuple[Path, AudioFacts]]

# RIFF counts bytes in 32 bits. Beyond that a WAV becomes an RF64; below, its header stays plain.
_RIFF_LIMIT = (1 << 32) - (1 << 16)


def join(ffmpeg: Ffmpeg, legs: Legs, target: Path, *, max_bytes: int) -> Joined:
    """Write the legs, two or more, into `target`, one after the other.

    Raises Failed with the reason, TooLarge over `max_bytes`. What was written is removed then.
    """
    try:
        for path, audio in legs:
            if recognise(path) != audio.extension:
                raise Failed(f"a leg that was {audio.extension.upper()} is something else now")
        joined = _copy if _copyable(legs) else _transcode
        return joined(ffmpeg, legs, target, max_bytes)
    except (NotAudio, DamagedAudio) as error:
        target.unlink(missing_ok=True)
        raise Failed(f"a leg changed after it was inspected: {error}") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _copyable(legs: Legs) -> bool:
    if len({replace(audio, duration_ms=0, lacks_ms=0) for _, audio in legs}) > 1:
        return False
    if legs[0][1].extension == "mp3":
        return True
    if legs[0][1].codec == "mp3":
        return False  # MP3 inside WAV has no blocks to tell where its last frame ends
    waves = [read_wave(path) for path, _ in legs]
    # PCM is told by its codec and the size of a sample; other codecs put more into their header. A
    # leg that ends within a sample would shift every sample behind it.
    plain = legs[0][1].codec.startswith("pcm_")
    forms = {wave.form[12:16] if plain else wave.form for wave in waves}
    return len(forms) == 1 and all(wave.whole for wave in waves)


def _copy(ffmpeg: Ffmpeg, legs: Legs, target: Path, max_bytes: int) -> Joined:
    first = legs[0][1]
    total = sum(path.stat().st_size for path, _ in legs)
    if total > max_bytes:
        raise TooLarge(
            f"{total:,} bytes of legs are over the limit of {max_bytes:,} for one recording"
        )
    if first.extension == "mp3":
        muxer = ["-id3v2_version", "0", "-f", "mp3"]
    else:
        muxer = ["-rf64", "auto" if total > _RIFF_LIMIT else "never", "-f", "wav"]
    # ffmpeg would make it for everybody to read.
    create(target).close()
    ffmpeg.run(
        [
            *reading_list(first.extension),
            *("-map", "0:a:0", "-c", "copy", "-map_metadata", "-1"),
            # The same legs make the same bytes, whichever version of ffmpeg joined them.
            *("-fflags", "+bitexact", "-flags:a", "+bitexact"),
            *("-flush_packets", "0", *muxer, "-y", f"file:{target.absolute()}"),
        ],
        feed=b"ffconcat version 1.0\n" + b"".join(_listed(path, audio) for path, audio in legs),
    )
    joined = Joined(
        how="copy",
        audio=replace(first, duration_ms=sum(audio.duration_ms for _, audio in legs)),
        offsets_ms=_offsets(legs),
    )
    _refuse_loss(ffmpeg, legs, target)
    return joined


def _listed(path: Path, audio: AudioFacts) -> bytes:
    name = os.fsencode(path.absolute())
    if b"\n" in name or b"\r" in name:
        raise Failed("a path with a line break cannot be joined")
    quoted = b"'file:" + name.replace(b"'", b"'\\''") + b"'"
    # Lengths only order the packets; neither MP3 nor WAV keeps them. A second more keeps a leg's
    # first packets, which an MP3 dates before its start, behind the leg in front of it.
    return b"file %s\nduration %.3f\n" % (quoted, audio.duration_ms / 1000 + 1)


def _refuse_loss(ffmpeg: Ffmpeg, legs: Legs, target: Path) -> None:
    """Check the result by what its own header says, before anybody seals it."""
    if legs[0][1].extension == "wav":
        there, due = read_wave(target).size, sum(read_wave(path).size for path, _ in legs)
        if there != due:
            raise Failed(f"the joined WAV has {there:,} bytes of audio instead of {due:,}")
        return
    fields = ["-show_entries", "format=duration", "-of", "csv=p=0"]
    there_s = float(ffmpeg.probe([*reading(target, "mp3"), *fields]))
    due_s = sum(audio.duration_ms for _, audio in legs) / 1000
    # Not one frame may be missing; each leg's length is rounded to a millisecond.
    if there_s < due_s - 0.001 * len(legs):
        raise Failed(f"the joined MP3 plays {there_s:.1f} s instead of {due_s:.1f} s")


def _transcode(ffmpeg: Ffmpeg, legs: Legs, target: Path, _max_bytes: int) -> Joined:
    rate = max(audio.sample_rate for _, audio in legs)
    channels = max(audio.channels for _, audio in legs)
    expected = sum(audio.duration_ms for _, audio in legs) * rate // 1000 * channels * 2
    wide = expected > _RIFF_LIMIT
    sizes: list[int] = []
    with create(target, buffering=0) as output:
        start = output.write(pcm_header(rate, channels, 0, wide=wide))
        for path, audio in legs:
            # One after the other into one open file: each leg's length is then known to the sample.
            ffmpeg.run(_decoding(path, audio, rate, channels), output=output)
            sizes.append(target.stat().st_size - start - sum(sizes))
        output.seek(0)
        output.write(pcm_header(rate, channels, sum(sizes), wide=wide))
    second = rate * channels * 2
    offsets = [round(size * 1000 / second) for size in accumulate(sizes, initial=0)]
    audio = AudioFacts(
        extension="wav",
        media_type=MEDIA_TYPES["wav"],
        codec="pcm_s16le",
        sample_rate=rate,
        channels=channels,
        duration_ms=offsets[-1],
    )
    return Joined(how="transcode", audio=audio, offsets_ms=tuple(offsets[:-1]))


def _decoding(path: Path, audio: AudioFacts, rate: int, channels: int) -> list[str]:
    # ffmpeg makes one channel quieter by 3 dB when it spreads it over two; `pan` copies it.
    spread = audio.channels == 1 and channels == 2
    return [
        *reading(path, audio.extension, *WHOLE),
        *("-map", "0:a:0", *(("-af", "pan=stereo|c0=c0|c1=c0") if spread else ())),
        *("-c:a", "pcm_s16le", "-ar", str(rate), "-ac", str(channels), "-f", "s16le", "pipe:1"),
    ]


def _offsets(legs: Legs) -> tuple[int, ...]:
    return tuple(accumulate((audio.duration_ms for _, audio in legs[:-1]), initial=0))
