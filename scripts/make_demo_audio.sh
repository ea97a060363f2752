#!/usr/bin/env bash
# Speaks the lines of the demo's calls into local/demo/audio. The files are committed, so that the
# demo needs none of these tools: apt-get install espeak-ng sox lame
set -euo pipefail
cd "$(dirname "$0")/../local/demo/audio"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# speak FILE RATE VOICE TEXT: a PCM16 WAV, mono.
speak() {
    local file=$1 rate=$2 voice=$3 text=$4
    espeak-ng -v "$voice" -s 195 -w "$scratch/spoken.wav" "$text"
    # Cut the silence at both ends; -R makes dither, and so the file, the same every time.
    sox -R "$scratch/spoken.wav" -r "$rate" -c 1 -b 16 "$file" \
        silence 1 0.02 0.5% reverse silence 1 0.02 0.5% reverse norm -3 pad 0.1 0.1
}

# say FILE VOICE TEXT: a WAV is PCM16, 8 kHz, mono; an MP3 32 kHz mono, as RingEX serves them.
say() {
    local file=$1 voice=$2 text=$3
    case $file in
        *.mp3)
            speak "$scratch/mono.wav" 32000 "$voice" "$text"
            lame --quiet -m m --resample 32 -b 32 --cbr "$scratch/mono.wav" "$file"
            ;;
        *.wav) speak "$file" 8000 "$voice" "$text" ;;
    esac
}

# talk FILE VOICE TEXT ANSWER: PCM16, 8 kHz, two channels, as RingCX serves them: the contact centre
# on the left, and on the right the customer, who answers.
talk() {
    local file=$1 voice=$2 text=$3 answer=$4
    speak "$scratch/left.wav" 8000 "$voice" "$text"
    speak "$scratch/answer.wav" 8000 en-us+f3 "$answer"
    sox "$scratch/answer.wav" "$scratch/right.wav" pad "$(soxi -D "$scratch/left.wav")"
    sox -M "$scratch/left.wav" "$scratch/right.wav" "$file"
}

# One leg.
say single.mp3 en-us+f3 "This call has a single leg. You hear the original, byte for byte."

# A call that is transferred twice.
say transfer-1.wav en-us+f2 "Leg one. Reception. I am calling sales."
say transfer-2.wav en-gb+m3 "Leg two. Sales, after reception."
say transfer-3.wav en-gb-scotland+m7 "Leg three. Supervisor, after sales."

# A call whose legs differ in format.
say mixed-1.mp3 en-us+m1 "Leg one of two, an M P 3."
say mixed-2.wav en-gb-x-rp+f4 "Leg two of two, a wave file."

# A recording that the provider does not have yet when it is first asked for.
say late.mp3 en-us+f5 "This recording came late, and it was not lost."

# A contact centre's dialog of three segments.
talk dialog-ivr.wav en-us+m3 "Segment one. Sales, or service?" "Sales."
talk dialog-agent.wav en-gb+f2 "Segment two. Sales." "A quote, please."
talk dialog-second-agent.wav en-gb-scotland+m7 "Segment three. Quotes." "Hello."
