#!/usr/bin/env bash
# Writes the locked requirements: of the layer, of everything that a developer needs, and of the
# benchmarks beyond that.
#   lock.sh            keeps the versions that are locked and still allowed
#   lock.sh --upgrade  takes the newest
#   lock.sh --check    changes nothing; exit 1 if a lock no longer says what pyproject.toml asks
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo .tools/bin/uv)

compile() { # compile OUTPUT ARGUMENTS…
    local output=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.13 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
        --output-file "$output" "$@"
}

if [[ ${1:-} == --check ]]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    # The locked file is the preference, so only a real disagreement shows.
    cp requirements/dev.txt "$scratch/dev.txt"
    cp layers/shared/requirements.txt "$scratch/layer.txt"
    cp requirements/bench.txt "$scratch/bench.txt"
    compile "$scratch/dev.txt" pyproject.toml --extra cli --group dev
    compile "$scratch/layer.txt" pyproject.toml --constraint requirements/dev.txt
    compile "$scratch/bench.txt" --group bench
    status=0
    for pair in "dev.txt requirements/dev.txt" "layer.txt layers/shared/requirements.txt" \
        "bench.txt requirements/bench.txt"; do
        read -r new old <<<"$pair"
        if ! diff <(grep -v '^ *#' "$scratch/$new") <(grep -v '^ *#' "$old"); then
            echo "lock: $old is stale. Run: make lock" >&2
            status=1
        fi
    done
    exit $status
fi

compile requirements/dev.txt pyproject.toml --extra cli --group dev "$@"
compile layers/shared/requirements.txt pyproject.toml --constraint requirements/dev.txt "$@"
compile requirements/bench.txt --group bench "$@"
