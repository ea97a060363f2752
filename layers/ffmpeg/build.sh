#!/usr/bin/env bash
# Builds a static ffmpeg into $OUT/bin, and its licence into $OUT/licenses, from the
# pinned tarball. The Makefile beside it calls it with configure's flags as arguments.
set -euo pipefail
: "${VERSION:?}" "${URL:?}" "${SHA256:?}" "${TARBALL:?}" "${OUT:?}"
here=$(cd "$(dirname "$0")" && pwd)
log=$OUT/build.log

say() { printf 'ffmpeg: %s\n' "$*"; }
fail() { printf 'ffmpeg: %s\n' "$@" >&2; exit 1; }

[[ $(uname -sm) == "Linux x86_64" ]] || fail \
    "the layer is for Linux on x86_64, and this is $(uname -sm): build it on such a machine." \
    "Local commands work here with an ffmpeg on the PATH."
for tool in cc make xz tar sha256sum; do
    command -v "$tool" >/dev/null || fail \
        "$tool is missing. Install it with: apt-get install build-essential xz-utils"
done
probe=$(mktemp)
trap 'rm -f "$probe"' EXIT
echo 'int main(void) { return 0; }' | cc -static -x c -o "$probe" - 2>/dev/null || fail \
    "this compiler cannot link statically. Install the static C library:" \
    "apt-get install libc6-dev, or on Amazon Linux and Fedora: dnf install glibc-static"

pinned() { echo "$SHA256  $TARBALL" | sha256sum --check --status 2>/dev/null; }
if [[ -e $TARBALL ]] && ! pinned; then
    say "$TARBALL is not the pinned release: fetching it again"
    rm -f "$TARBALL"
fi
if [[ ! -e $TARBALL ]]; then
    say "fetching the source of FFmpeg $VERSION"
    "$here/fetch.sh" "$URL" "$SHA256" "$TARBALL"
fi

# Shows one line a step; the whole output is in the log, whose end is shown when a step fails.
step() {
    say "$1"
    shift
    "$@" >>"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        fail "failed; the whole log is $log"
    }
}

src=$OUT/src
rm -rf "$src" "$OUT/bin" "$OUT/licenses"
mkdir -p "$src" "$OUT/bin" "$OUT/licenses"
: >"$log"
step "unpacking" tar -xf "$TARBALL" -C "$src" --strip-components=1
cd "$src"
step "configuring" ./configure "$@"
# MAKEFLAGS of the make that called this are not for FFmpeg's own Makefile.
step "compiling on $(nproc) cores (half a minute)" \
    env -u MAKEFLAGS -u MAKELEVEL make -j"$(nproc)" ffmpeg
cp ffmpeg "$OUT/bin/"
# The LGPL asks for its text, for the source, and for how it was built.
cp COPYING.LGPLv2.1 LICENSE.md "$here/build.sh" "$OUT/licenses/"
printf 'FFmpeg %s, built by build.sh, unmodified.\nSource: %s\nSHA-256: %s\nconfigure %s\n' \
    "$VERSION" "$URL" "$SHA256" "$*" >"$OUT/licenses/SOURCE"
cd "$OUT"
rm -rf "$src"
say "built: $(du -bh bin/ffmpeg | cut -f1) in $OUT/bin"
