#!/usr/bin/env bash
# Writes the locked requirements: of the layer, of everything that a developer needs, of the command
# as an operator installs it, of the benchmarks beyond that, of checkov (which needs an older boto3, so it lives by itself), and of uv.
#   lock.sh            keeps the versions that are locked and still allowed
#   lock.sh --upgrade  takes the newest
#   lock.sh --check    changes nothing; exit 1 if a lock no longer says what pyproject.toml asks
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo .tools/bin/uv)

# compile OUTPUT ARGUMENTS…: what is in the file already is preferred.
compile() {
    local output=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.13 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
        --output-file "$output" "$@"
}

# lock REQUIREMENTS LAYER [OPTION]: writes the files of a folder, and the layer's.
lock() {
    local requirements=$1 layer=$2
    shift 2
    compile "$requirements/dev.txt" pyproject.toml --extra cli --group dev "$@"
    compile "$layer" pyproject.toml --constraint "$requirements/dev.txt" "$@"
    compile "$requirements/operator.txt" pyproject.toml --extra cli --constraint "$requirements/dev.txt" "$@"
    compile "$requirements/bench.txt" --group bench "$@"
    compile "$requirements/checkov.txt" --group checkov "$@"
    compile "$requirements/uv.txt" --group uv "$@"
}

if [[ ${1:-} != --check ]]; then
    lock requirements layers/shared/requirements.txt "$@"
    exit
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The locked file is the preference, so only a real disagreement shows.
cp requirements/*.txt "$scratch/"
cp layers/shared/requirements.txt "$scratch/layer"
lock "$scratch" "$scratch/layer"
status=0
for old in requirements/*.txt layers/shared/requirements.txt; do
    new=$scratch/$(basename "$old")
    [[ $old == layers/* ]] && new=$scratch/layer
    if ! diff <(grep -v '^ *#' "$new") <(grep -v '^ *#' "$old"); then
        echo "lock: $old is stale. Run: make lock" >&2
        status=1
    fi
done
exit $status
