#!/usr/bin/env bash
# Ten times the calls that are admitted, beside calls that are up: tests/tenfold.sh [CALLS [TIMES]]
#
# By hand: a minute and a half, the whole machine and the ports of deploy/lab.toml, with 127.0.0.2 for who sends too much. LAB names the lab's folder.
# One peer has CALLS recorded calls up, with media. Another may send 500 messages a second, some 80 calls, and tries TIMES as many for ten seconds.
# Prints what came of both. Exits 0 only if of the first nothing was lost, every call was ended by its BYE and every recording verifies, and if
# the second was not let through whole.
set -euo pipefail
cd "$(dirname "$0")/.."
calls=${1:-200}
times=${2:-10}
. tests/by_hand.sh
admitted=80
sed -i -e 's/^address = "127.0.0.1:5090"/address = ["127.0.0.1:5090", "127.0.0.2:5190"]/' -e 's/^\[sip\]/[sip]\npeer_messages_per_s = 500/' \
    -e 's/^\[media\]/[[trunk]]\nname = "flood"\naddress = "127.0.0.2:5180"\n\n[media]/' -e 's/^name = "all"/name = "all"\ntrunk = "carrier"/' "$config"

runs
python3 "$lab/sipcalls.py" "$calls" "$work/ports" --hold $((40 + calls / 50)) >"$work/calls.log" &
caller=$!
others+=("$caller")
waits 60 grep -q set_up= "$work/calls.log"
waits 15 has_begun "$calls"
"$lab/cpu.py" "$proxy" -- "$work/rtpload" "$work/ports" 11000 12000 20 >"$work/load.log" &
load=$!
others+=("$load")
rate=$((admitted * times))
python3 "$lab/sipcalls.py" $((rate * 10)) "$work/flood.ports" --rate "$rate" --hold 1 --uac 127.0.0.2:5190 --uas 127.0.0.2:5180 >"$work/flood.log" 2>"$work/flood.refused" &
flood=$!
others+=("$flood")
wait "$load"
cat "$work/load.log"
dropped=$(metric mitschnitt_sip_over_rate_total)
echo "dropped before they were parsed: $dropped, refused: $(metric mitschnitt_overload_refused_total)"
wait "$caller"
cat "$work/calls.log"
kill "$flood" 2>/dev/null || true
waits 15 has_sealed "$calls"
grep -q "^ended=$calls\$" "$work/calls.log" || { echo "error: not every call was ended" >&2; exit 1; }
[ "$dropped" -gt 0 ] || { echo "error: all was let through: try more TIMES than $times" >&2; exit 1; }
judges "$calls" "$work/load.log"
