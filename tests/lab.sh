#!/usr/bin/env bash
# Four hundred calls at once through the release build, with the lab's generators: tests/lab.sh [CALLS [epoll|io_uring]]
#
# By hand: it takes two minutes, the whole machine and the ports of deploy/lab.toml. LAB names the lab's folder. Prints what was
# lost, and whether every recording verifies; exits 0 only if nothing was lost and all do.
set -euo pipefail
cd "$(dirname "$0")/.."
calls=${1:-400}
IO=${2:-epoll}
. tests/by_hand.sh

runs
python3 "$lab/sipcalls.py" "$calls" "$work/ports" --hold $((45 + calls / 50)) >"$work/calls.log" &
caller=$!
others+=("$caller")
waits 60 grep -q set_up= "$work/calls.log"
waits 15 has_begun "$calls"
"$lab/cpu.py" "$proxy" -- "$work/rtpload" "$work/ports" 11000 12000 10 | tee "$work/load.log"
wait "$caller"
others=()
cat "$work/calls.log"
waits 15 has_sealed "$calls"
judges "$calls" "$work/load.log"
