#!/usr/bin/env bash
# Prepares .venv with exactly what requirements/dev.txt locks. Needs only python3 and a package
# registry; brings its own uv where none is installed. Safe to run again: it does nothing twice.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
missing() { printf 'setup: %s is missing. Install it with: %s\n' "$1" "$2" >&2; exit 1; }

command -v python3 >/dev/null || missing python3 "apt-get install python3 python3-venv"
command -v cc >/dev/null || missing "a C compiler" "apt-get install build-essential"
command -v make >/dev/null || missing make "apt-get install make"

stamp=.venv/.installed
want=$(cat requirements/dev.txt pyproject.toml .python-version | cksum)
if [[ -x .venv/bin/python && -f $stamp && $(cat "$stamp") == "$want" ]]; then exit 0; fi

uv=$(command -v uv || true)
if [[ -z $uv ]]; then
    uv=.tools/bin/uv
    if [[ ! -x $uv ]]; then
        say "installing uv into .tools"
        python3 -m venv .tools || missing "the venv module of python3" "apt-get install python3-venv"
        .tools/bin/python -m pip install --quiet --disable-pip-version-check uv
    fi
fi

say "Python $(cat .python-version) and the locked packages into .venv"
[[ -x .venv/bin/python ]] || "$uv" venv --quiet .venv || {
    echo "setup: Python $(cat .python-version) was not found and could not be downloaded." >&2
    echo "setup: install it (for example with: pyenv install $(cat .python-version)) and run this again." >&2
    exit 1
}
"$uv" pip sync --quiet --require-hashes --python .venv/bin/python requirements/dev.txt
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
echo "$want" >"$stamp"
