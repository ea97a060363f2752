"""Makes the conversations of tests/fixtures/audio/speech, with espeak-ng, sox, lame and ffmpeg.

    python -m tests.speech

Two people speak by turns. What a company records of it differs: at both ends, with other codecs and
levels, from a moment later on, or one of the two alone.
"""

from __future__ import annotations

import random
import shlex
import subprocess
import tempfile
from pathlib import Path

from tests.audio import FIXTURES

SPEECH = FIXTURES / "speech"
LINES = (
    "Good morning, this is the claims department, how may I help you?",
    "Hello, I am calling about the invoice that I received last week.",
    "I am sorry. Could you please give me your customer number?",
    "Of course, one moment, it is four seven one one, two three nine.",
    "Thank you. It was issued on the third of November.",
    "That is right, but we had agreed on a discount of ten percent.",
)
VOICES = ("en-us+m3", "en-gb+f2")
MADE = {
    "talk.mp3": "lame --quiet -b 16 --resample 8 --scale 0.4 talk OUT",
    "talk-gsm.wav": "sox talk -r 8000 -e gsm-full-rate OUT gain -12",
    "talk-g726.wav": "ffmpeg -v error -i talk -bitexact -ar 8000 -c:a g726 -b:a 16k OUT",
    "talk-part.wav": "sox talk -r 8000 -e gsm-full-rate OUT trim 6.34 11 gain -6",
    "talk-noisy.mp3": "lame --quiet -b 24 --resample 16 noisy OUT",
    "other.mp3": "lame --quiet -b 16 --resample 8 other OUT",
    "agent.wav": "sox agent -r 8000 -e gsm-full-rate OUT",
    "customer.wav": "sox customer -r 8000 -e gsm-full-rate OUT",
}


def run(command: str) -> None:
    subprocess.run(shlex.split(command), check=True)


def conversation(place: Path, name: str, seed: int, only: int | None = None) -> None:
    chance, parts = random.Random(seed), []
    lines = chance.sample(LINES, len(LINES))
    for number, line in enumerate(lines):
        said, part = place / f"{number}.wav", place / f"{number}-part.wav"
        run(f"espeak-ng -v {VOICES[number % 2]} -s {150 + chance.randrange(40)} -w {said} '{line}'")
        heard = 1 if only in (None, number % 2) else 0
        run(f"sox -v {heard} {said} {part} pad 0 {chance.uniform(0.2, 0.9)}")
        parts.append(str(part))
    run(f"sox {' '.join(parts)} -r 16000 {place / name}.wav")


def main() -> None:
    SPEECH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        conversation(place, "talk", 1)
        conversation(place, "other", 2)
        conversation(place, "agent", 1, only=0)
        conversation(place, "customer", 1, only=1)
        run(f"sox {place}/talk.wav {place}/noise.wav synth pinknoise vol 0.01")
        run(f"sox -m -v 0.5 {place}/talk.wav -v 1 {place}/noise.wav {place}/noisy.wav")
        for name, command in MADE.items():
            (SPEECH / name).unlink(missing_ok=True)
            for source in ("talk", "noisy", "other", "agent", "customer"):
                command = command.replace(f" {source} ", f" {place / source}.wav ")
            run(command.replace("OUT", str(SPEECH / name)))


if __name__ == "__main__":
    main()
