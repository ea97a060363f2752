#!/usr/bin/env bash
# Puts FFmpeg's source tarball where it is asked for, from whichever place answers, and lets only the
# pinned bytes through. Usage: fetch.sh URL SHA256 TARGET
set -euo pipefail
url=$1 sha256=$2 target=$3
version=${url##*/ffmpeg-} version=${version%.tar.xz}

say() { printf '    %s\n' "$*"; }
pinned() { echo "$sha256  $1" | sha256sum --check --status 2>/dev/null; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Upstream's own release.
from_upstream() {
    command -v curl >/dev/null || { say "curl is missing (apt-get install curl)"; return 1; }
    curl --fail --silent --show-error --location --proto '=https' --connect-timeout 10 \
        --speed-limit 1024 --speed-time 30 --output "$scratch/upstream.tar.xz" "$url" 2>"$scratch/curl.log" || {
        say "upstream does not answer: $(tail -n 1 "$scratch/curl.log")"
        return 1
    }
    tarball=$scratch/upstream.tar.xz
}

# A Debian source package of this version holds upstream's tarball unchanged. The machine's own
# package sources are read as source packages too, in a private state: /etc/apt stays as it is, and
# nobody has to be root.
from_distribution() {
    command -v apt-get >/dev/null || return 1
    mkdir -p "$scratch"/{lists/partial,archives/partial,parts,get}
    local kinds=deb-src file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [[ -r $file ]] && sed -nE "s/^[[:space:]]*deb[[:space:]]/$kinds /p" "$file" >>"$scratch/parts/legato.list"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [[ -r $file ]] && { sed -E "s/^Types:.*/Types: $kinds/I" "$file"; echo; } >>"$scratch/parts/legato.sources"
    done
    local apt=(
        -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$scratch/parts"
        -o Dir::State::lists="$scratch/lists" -o Dir::Cache="$scratch"
        -o Debug::NoLocking=true -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none
        -o APT::Update::Post-Invoke-Success=
    )
    apt-get "${apt[@]}" update >"$scratch/apt.log" 2>&1 || true
    local package
    package=$(apt-cache "${apt[@]}" showsrc --only-source ffmpeg 2>/dev/null |
        sed -nE "s/^Version: (([0-9]+:)?${version//./\\.}-.*)/\1/p" | head -n 1)
    [[ -n $package ]] || { say "the distribution's source packages have no ffmpeg $version"; return 1; }
    (cd "$scratch/get" && apt-get "${apt[@]}" source --only-source --download-only --tar-only \
        "ffmpeg=$package") >>"$scratch/apt.log" 2>&1 || {
        say "apt-get source failed: $(tail -n 1 "$scratch/apt.log")"
        return 1
    }
    tarball=$(find "$scratch/get" -name '*.orig.tar.xz' -print -quit)
    [[ -n $tarball ]]
}

for place in from_upstream from_distribution; do
    tarball=
    "$place" || continue
    if pinned "$tarball"; then
        mkdir -p "$(dirname "$target")"
        mv "$tarball" "$target.part" && mv "$target.part" "$target"
        exit 0
    fi
    say "the tarball that came (${place#from_}) has another SHA-256: $(sha256sum <"$tarball" | cut -c1-64)"
done
cat >&2 <<END
ffmpeg: the source of FFmpeg $version could not be fetched. Get the release tarball
    $url
from any place you trust, and put it here:
    $target
Its SHA-256 must be
    $sha256
END
exit 1
