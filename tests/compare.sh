#!/usr/bin/env bash
# What a packet costs here, and what it costs elsewhere, in one run: tests/compare.sh CALLS…
#
# By hand, as root, on a quiet machine: two to four minutes for each number of calls. LAB names the lab's folder. In turn, with the same load: the
# lab's bare relay (epoll), rtpengine in user space with pcap recording (where it is installed), and this program on epoll and on io_uring,
# recording and encrypting. Prints one line for each: calls, who, CPU µs for each packet in and out, times the bare relay, p99 in µs, packets lost.
set -euo pipefail
cd "$(dirname "$0")/.."
lab=$(realpath "${LAB:-../shared/lab}")
[ $# -gt 0 ] || { echo 'usage: tests/compare.sh CALLS…' >&2; exit 2; }
[ -f "$lab/relay_limit.c" ] || { printf 'error: no relay_limit.c in %s\n  LAB=FOLDER tests/compare.sh CALLS…\n' "$lab" >&2; exit 2; }
# What was recorded is thrown away after each round: only what these rounds made.
[ ! -e lab-data ] || { printf 'error: there is a lab-data already\n  move it away: it would be thrown away\n' >&2; exit 2; }
work=$(mktemp -d)
other=
trap '[ -z "$other" ] || kill "$other" 2>/dev/null || true; rm -rf "$work"' EXIT
gcc -O2 -o "$work/relay" "$lab/relay_limit.c" -luring || { echo "error: the bare relay needs liburing: apt-get install liburing-dev" >&2; exit 2; }
gcc -O2 -pthread -o "$work/rtpload" "$lab/rtpload.c"
SECONDS_OF_LOAD=10

# line CALLS WHO LOG: what the log of cpu.py and rtpload says.
line() {
    python3 - "$@" "$work/bare" <<'PY'
import re, sys
calls, who, log, bare = sys.argv[1:]
text = open(log).read()
number = lambda name: float(re.search(name + r"=([0-9.]+)", text).group(1))
cost = number("sut_cpu_s") / number("sent") * 1e6
if who == "bare":
    open(bare, "w").write(str(cost))
times = cost / float(open(bare).read())
print(f"calls={calls} {who:<20} cpu_us={cost:6.2f} times_bare={times:5.2f} p99_us={number('p99us'):7.0f} lost={number('lost'):.4f}%", flush=True)
PY
}
# load PID CALLS WHO
load() {
    "$lab/cpu.py" "$1" -- "$work/rtpload" "$work/ports" 11000 12000 "$SECONDS_OF_LOAD" >"$work/log"
    line "$2" "$3" "$work/log"
    kill "$other"
    wait "$other" 2>/dev/null || true
    other=
}
for calls in "$@"; do
    "$work/relay" epoll "$calls" "$work/ports" 11000 12000 >"$work/ready" &
    other=$!
    until [ -s "$work/ready" ]; do
        kill -0 "$other" || { echo "error: the bare relay has ended" >&2; exit 1; }
        sleep 0.1
    done
    load "$other" "$calls" bare
    if command -v rtpengine >/dev/null; then
        mkdir -p "$work/pcap"
        rtpengine --table=-1 --interface=127.0.0.1 --listen-ng=127.0.0.1:2223 --port-min=20000 --port-max=60000 --num-threads=2 --foreground \
            --log-stderr --log-level=3 --recording-dir="$work/pcap" --recording-method=pcap --recording-format=eth >"$work/rtpengine.log" 2>&1 &
        other=$!
        until python3 "$lab/peer_rtpengine.py" "$calls" "$work/ports" --record >/dev/null 2>&1; do
            kill -0 "$other" || { cat "$work/rtpengine.log" >&2; exit 1; }
            sleep 0.1
        done
        load "$other" "$calls" rtpengine-pcap
        rm -rf "$work/pcap"
    fi
    for io in epoll io_uring; do
        tests/lab.sh "$calls" "$io" >"$work/lab.log" 2>&1 || { cat "$work/lab.log" >&2; exit 1; }
        line "$calls" "mitschnitt-$io" "$work/lab.log"
        rm -rf lab-data
    done
done
