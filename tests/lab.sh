#!/usr/bin/env bash
# Four hundred calls at once through the release build, with the lab's generators: tests/lab.sh [CALLS [epoll|io_uring]]
#
# By hand: it takes two minutes, the whole machine and the ports of deploy/lab.toml. LAB names the lab's folder. Prints what was
# lost, and whether every recording verifies; exits 0 only if nothing was lost and all do.
set -euo pipefail
cd "$(dirname "$0")/.."
calls=${1:-400}
io=${2:-epoll}
lab=$(realpath "${LAB:-../shared/lab}")
[ -f "$lab/sipcalls.py" ] || { printf 'error: no sipcalls.py in %s\n  LAB=FOLDER tests/lab.sh\n' "$lab" >&2; exit 2; }
[ ! -e lab-data ] || { printf 'error: there is a lab-data already\n  move it away: its calls would be counted\n' >&2; exit 2; }

cargo build --release --locked
program="$PWD/target/release/mitschnitt"
work=$(mktemp -d)
# Beside the one it is made of, for it names files from there.
config="$PWD/deploy/.lab-$io.toml"
sed "s/^\[media\]/[media]\nio = \"$io\"/" deploy/lab.toml >"$config"
proxy=
ended() {
    [ -z "$proxy" ] || kill "$proxy" 2>/dev/null || true
    wait
    rm -f "$config"
    echo "what was said: $work; what was recorded: lab-data"
}
trap ended EXIT
gcc -O2 -pthread -o "$work/rtpload" "$lab/rtpload.c"

# waits SECONDS COMMAND…: until the command succeeds.
waits() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "error: waited in vain for: $*" >&2; exit 1; }
        sleep 0.1
    done
}
metric() { python3 -c '
import sys, urllib.request
lines = urllib.request.urlopen("http://127.0.0.1:9464/metrics").read().decode().splitlines()
print(int(sum(float(l.rsplit(" ", 1)[1]) for l in lines if l.split("{")[0].split(" ")[0] == sys.argv[1])))' "$1"; }
has_sealed() { [ "$(metric mitschnitt_vault_recordings_sealed_total)" -ge "$calls" ]; }
has_begun() { [ "$(metric mitschnitt_vault_recordings_begun_total)" -ge "$calls" ]; }

"$program" keys generate --config "$config"
"$program" run --config "$config" >"$work/proxy.log" 2>&1 &
proxy=$!
waits 15 grep -q 'mitschnitt ready' "$work/proxy.log"

python3 "$lab/sipcalls.py" "$calls" "$work/ports" --hold $((45 + calls / 50)) >"$work/calls.log" &
caller=$!
waits 60 grep -q set_up= "$work/calls.log"
waits 15 has_begun
"$lab/cpu.py" "$proxy" -- "$work/rtpload" "$work/ports" 11000 12000 10 | tee "$work/load.log"
wait "$caller"
cat "$work/calls.log"
waits 15 has_sealed

"$program" recordings list --json --config "$config" >"$work/list.json"
ids=$(python3 -c '
import json, sys
text = open(sys.argv[1]).read()
try: rows = json.loads(text)
except ValueError: rows = [json.loads(line) for line in text.splitlines()]
print("\n".join(row["recording"] for row in rows))' "$work/list.json")
verified=0
for id in $ids; do
    if "$program" recordings verify "$id" --config "$config" >"$work/verify.log" 2>&1; then verified=$((verified + 1)); else cat "$work/verify.log"; fi
done
echo "calls=$calls verified=$verified"
[ "$verified" = "$calls" ] && grep -q ' lost=0\.0000% ' "$work/load.log"
