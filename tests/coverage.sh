#!/usr/bin/env bash
# How much of the cores their tests reach, room by room: tests/coverage.sh [CARGO-TEST-TARGETS…], then tests/coverage.sh --missed ROOM…
#
# By hand: it builds everything once more (COVERAGE_TARGET, by default target/coverage). Without targets it runs the unit tests and the
# integration tests that have no sockets. What stands behind `#[cfg(test)]` is not counted. With --missed it lists what the run before did
# not reach of a room: `-` a whole line, `~` a part of one. Needs `rustup component add llvm-tools` and python3.
set -euo pipefail
cd "$(dirname "$0")/.."

missed=()
if [ "${1:-}" = --missed ]; then
    missed=("${@:2}")
    set --
fi
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    targets=(--lib)
    for test in calls lane media_plane sip_stack sip_timers sip_tables vault corpus; do targets+=(--test "$test"); done
fi

mkdir -p "${COVERAGE_TARGET:=target/coverage}"
COVERAGE_TARGET=$(realpath "$COVERAGE_TARGET")
reached=$COVERAGE_TARGET/reached

measure() {
    local tools objects
    tools=$(rustc --print target-libdir)/../bin
    if [ ! -x "$tools/llvm-cov" ]; then
        printf 'error: there is no llvm-cov in %s\n  rustup component add llvm-tools\n' "$tools" >&2
        exit 2
    fi
    rm -rf "$reached"
    mkdir "$reached"
    # Only our own crate is instrumented: dependencies are no question here, and are built as ever.
    printf '#!/bin/sh\nexec "$@" -C instrument-coverage\n' >"$reached/rustc"
    chmod +x "$reached/rustc"
    export RUSTC_WORKSPACE_WRAPPER=$reached/rustc CARGO_TARGET_DIR=$COVERAGE_TARGET LLVM_PROFILE_FILE=$reached/%m-%p.profraw

    cargo test --locked --no-run --message-format=json "${targets[@]}" >"$reached/built"
    cargo test --locked --quiet "${targets[@]}" </dev/null >"$reached/said" 2>&1 || { cat "$reached/said" >&2; exit 1; }
    "$tools/llvm-profdata" merge --sparse "$reached"/*.profraw --output "$reached/profile"
    rm "$reached"/*.profraw
    mapfile -t objects < <(python3 -c '
import json, sys
for line in sys.stdin:
    built = json.loads(line)
    if built.get("executable") and built["profile"]["test"]:
        print("--object", built["executable"], sep="\n")' <"$reached/built")
    "$tools/llvm-cov" export --instr-profile "$reached/profile" "${objects[@]}" >"$reached/regions.json"
    "$tools/llvm-cov" export --instr-profile "$reached/profile" "${objects[@]}" --format=lcov >"$reached/lines.info"
}
if [ ${#missed[@]} = 0 ]; then
    measure
elif [ ! -e "$reached/lines.info" ]; then
    printf 'error: nothing was measured yet\n  tests/coverage.sh\n' >&2
    exit 2
fi

python3 - "$reached" "$PWD/src" "${missed[@]}" <<'PYTHON'
import json, os, re, sys

work, source, *missed = sys.argv[1:]
ROOMS = ["consent", "vault", "sip", "media", "lane", "wire", "call"]


def tests_begin(text):
    """The first line that only tests have: they stand last in a file."""
    found = re.search(r"^#\[cfg\(test\)\]\n(#.*\n)*mod \w+ \{", text, re.M)
    return text[: found.start()].count("\n") + 1 if found else len(text) + 1


begins = {}
for folder, _, names in os.walk(source):
    texts = {os.path.join(folder, name): open(os.path.join(folder, name)).read() for name in names}
    begins |= {path: tests_begin(text) for path, text in texts.items()}
for path in list(begins):
    # Files that are there for tests only.
    folder = os.path.dirname(path) if path.endswith("mod.rs") else path.removesuffix(".rs")
    for name in re.findall(r"^#\[cfg\(test\)\]\n(?:#.*\n)*(?:pub\S* )?mod (\w+);", open(path).read(), re.M):
        begins[os.path.join(folder, name + ".rs")] = 0


def counts(path, line):
    return line < begins.get(path, 0)


def room(path):
    return os.path.relpath(path, source).split(os.sep)[0].removesuffix(".rs")


lines, regions = {}, {}
path = None
for line in open(f"{work}/lines.info"):
    kind, _, rest = line.strip().partition(":")
    if kind == "SF":
        path = rest
    elif kind == "DA":
        number, hits = map(int, rest.split(",")[:2])
        if counts(path, number):
            lines[path, number] = max(lines.get((path, number), 0), hits)
for function in json.load(open(f"{work}/regions.json"))["data"][0]["functions"]:
    for *span, hits, file, _, kind in function["regions"]:
        path = function["filenames"][file]
        if kind == 0 and counts(path, span[0]):
            regions[path, *span] = max(regions.get((path, *span), 0), hits)

if missed:
    for path in sorted({path for path, _ in lines if room(path) in missed}):
        whole = {number for (of, number), hits in lines.items() if of == path and hits == 0}
        part = {span[0] for (of, *span), hits in regions.items() if of == path and hits == 0} - whole
        text = open(path).read().splitlines()
        for number in sorted(whole | part):
            print(f"{os.path.relpath(path, source)}:{number}: {'-' if number in whole else '~'} {text[number - 1]}")
    sys.exit()

print("| room | lines | reached | regions | reached |\n| --- | --- | --- | --- | --- |")
for name in ROOMS:
    row = [name]
    for found in (lines, regions):
        hits = [hits for (path, *_), hits in found.items() if room(path) == name]
        reached = sum(hit > 0 for hit in hits)
        row += [f"{len(hits):,}", f"{100 * reached / max(len(hits), 1):.1f} %"]
    print("| " + " | ".join(row) + " |")
PYTHON
