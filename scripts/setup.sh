#!/usr/bin/env bash
# Prepares .venv with exactly what is locked. Needs only python3 and a package registry; brings its
# own uv where none is installed, by its hash. Where there is no Python 3.13, uv fetches one, whose
# hash uv knows. Safe to run again: it does nothing twice.
#   setup.sh            what requirements/dev.txt locks
#   setup.sh bench      what the benchmarks need beyond that, too, and .venv-operator: the command as
#                       an operator installs it
#   setup.sh checkov    checkov, in .venv-checkov
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
missing() { printf 'setup: %s is missing. Install it with: %s\n' "$1" "$2" >&2; exit 1; }

# once FILE WANT COMMAND…: runs the command unless it has run for the same content before. The file
# lies in the environment that the command makes.
once() {
    local stamp=$1 want=$2
    shift 2
    if [[ -x ${stamp%/*}/bin/python && -f $stamp && $(cat "$stamp") == "$want" ]]; then return; fi
    "$@"
    echo "$want" >"$stamp"
}

find_uv() {
    uv=$(command -v uv || true)
    if [[ -n $uv ]]; then return; fi
    uv=.tools/bin/uv
    once .tools/.installed "$(cksum <requirements/uv.txt)" install_uv
}

install_uv() {
    say "installing uv into .tools"
    python3 -m venv .tools || missing "the venv module of python3" "apt-get install python3-venv"
    .tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
        --only-binary :all: --requirement requirements/uv.txt
}

install_all() {
    find_uv
    say "Python $(cat .python-version) and the locked packages into .venv"
    [[ -x .venv/bin/python ]] || "$uv" venv --quiet .venv || {
        echo "setup: Python $(cat .python-version) was not found and could not be downloaded." >&2
        echo "setup: install it (for example with: pyenv install $(cat .python-version)) and run this again." >&2
        exit 1
    }
    rm -f .venv/.bench
    "$uv" pip sync --quiet --require-hashes --python .venv/bin/python requirements/dev.txt
    "$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
}

install_bench() {
    find_uv
    say "an ffmpeg that writes MP3, to compare with"
    "$uv" pip install --quiet --require-hashes --python .venv/bin/python -r requirements/bench.txt
}

install_operator() {
    find_uv
    say "the command as an operator installs it, into .venv-operator"
    [[ -x .venv-operator/bin/python ]] || "$uv" venv --quiet .venv-operator
    "$uv" pip sync --quiet --require-hashes --python .venv-operator/bin/python requirements/operator.txt
    "$uv" pip install --quiet --python .venv-operator/bin/python --no-deps --editable .
}

install_checkov() {
    find_uv
    say "checkov into .venv-checkov"
    [[ -x .venv-checkov/bin/python ]] || "$uv" venv --quiet .venv-checkov
    "$uv" pip sync --quiet --require-hashes --python .venv-checkov/bin/python requirements/checkov.txt
}

command -v python3 >/dev/null || missing python3 "apt-get install python3 python3-venv"
command -v cc >/dev/null || missing "a C compiler" "apt-get install build-essential"
command -v make >/dev/null || missing make "apt-get install make"

once .venv/.installed "$(cat requirements/dev.txt pyproject.toml .python-version | cksum)" install_all
case ${1:-} in
    bench)
        once .venv/.bench "$(cksum <requirements/bench.txt)" install_bench
        once .venv-operator/.installed "$(cat requirements/operator.txt pyproject.toml | cksum)" install_operator
        ;;
    checkov) once .venv-checkov/.installed "$(cksum <requirements/checkov.txt)" install_checkov ;;
esac
