#!/usr/bin/env bash
# Recorded calls for a long time, through the release build: tests/soak.sh [MINUTES [CALLS]]
#
# By hand: it takes the whole machine, the ports of deploy/lab.toml, and 10 kB of disk for each second of each call. LAB names the lab's folder.
# Prints the memory every ten seconds. Exits 0 only if no packet was lost, every recording is complete and verified and holds all that was
# sent, and the memory did not grow after the first half minute, by more than 1 % and 1 MiB.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-10}
calls=${2:-1000}
. tests/by_hand.sh
seconds=$((minutes * 60))

runs
python3 "$lab/sipcalls.py" "$calls" "$work/ports" --hold $((seconds + 30 + calls / 50)) >"$work/calls.log" &
caller=$!
others+=("$caller")
waits 120 grep -q set_up= "$work/calls.log"
waits 30 has_begun "$calls"
"$lab/cpu.py" "$proxy" -- "$work/rtpload" "$work/ports" 11000 12000 "$seconds" >"$work/load.log" &
load=$!
others+=("$load")
after=0
while sleep 10 && kill -0 "$load" 2>/dev/null; do
    after=$((after + 10))
    resident=$(awk '/^VmRSS/ { print $2 }' "/proc/$proxy/status")
    echo "$resident" >>"$work/memory"
    echo "after $after s: $resident KiB"
done
wait "$load"
cat "$work/load.log"
wait "$caller"
cat "$work/calls.log"
waits 60 has_sealed "$calls"
judges "$calls" "$work/load.log"
python3 - "$work/memory" <<'PY'
import sys
memory = [int(line) for line in open(sys.argv[1])]
first, most = memory[min(2, len(memory) - 1)], max(memory[2:] or memory)
print(f"memory: {first} KiB after half a minute, {most} KiB at most afterwards")
sys.exit(0 if most <= first * 1.01 + 1024 else 1)
PY
