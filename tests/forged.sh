#!/usr/bin/env bash
# Forged RTP over all media ports beside calls, with `latching = "strict"`: tests/forged.sh [CALLS [PACKETS_PER_SECOND]]
#
# By hand: it takes a minute, the whole machine and the ports of deploy/lab.toml. LAB names the lab's folder. The flood (as fast as the
# machine gives where no rate is said) begins before the first call is set up and ends after the last has ended. Exits 0 only if nothing forged was relayed, recorded or
# answered, and the calls lost nothing: what the parties heard is what the other sent, and the recordings hold as many packets as were sent.
set -euo pipefail
cd "$(dirname "$0")/.."
calls=${1:-300}
rate=${2:-0}
. tests/by_hand.sh
gcc -O2 -o "$work/forge" tests/forge.c

runs
"$work/forge" 20000 60000 13000 600 "$rate" >"$work/forge.log" &
forger=$!
others+=("$forger")
python3 "$lab/sipcalls.py" "$calls" "$work/ports" --hold $((35 + calls / 50)) >"$work/calls.log" &
caller=$!
others+=("$caller")
waits 90 grep -q set_up= "$work/calls.log"
waits 30 has_begun "$calls"
"$lab/cpu.py" "$proxy" -- "$work/rtpload" "$work/ports" 11000 12000 10 | tee "$work/load.log"
wait "$caller"
cat "$work/calls.log"
waits 30 has_sealed "$calls"
kill "$forger"
wait "$forger" || true
cat "$work/forge.log"
echo "strangers=$(metric mitschnitt_media_strangers_packets_total)"
judges "$calls" "$work/load.log"
grep -q ' answers=0 ' "$work/forge.log"
