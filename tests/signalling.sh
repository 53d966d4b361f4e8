#!/usr/bin/env bash
# What a call costs that is set up and ended, here and elsewhere, in one run: tests/signalling.sh [CALLS [CALLS-A-SECOND]]
#
# By hand, as root, on a quiet machine: a minute or two. LAB names the lab's folder. In turn, with the same calls over UDP, nobody speaking and nothing
# recorded: Kamailio with rtpengine in user space (Debian's kamailio-extra-modules and rtpengine-daemon, with the lab's kamailio.cfg, without its
# record-call), and this program. Prints for each: calls set up, failed, ended, CPU ms a call of all its processes, and the set-up time (ms).
set -euo pipefail
ulimit -c 0
cd "$(dirname "$0")/.."
calls=${1:-2000}
rate=${2:-100}
lab=$(realpath "${LAB:-../shared/lab}")
[ -f "$lab/sipcalls.py" ] || { printf 'error: no sipcalls.py in %s\n  LAB=FOLDER tests/signalling.sh\n' "$lab" >&2; exit 2; }
cargo build --release --locked
work=$(mktemp -d)
started=()
ended() {
    [ ${#started[@]} -eq 0 ] || kill "${started[@]}" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap ended EXIT

# ticks PID…: CPU of these processes and of their children, in hundredths of a second.
ticks() {
    local all=("$@") pid
    for pid in "$@"; do mapfile -t -O ${#all[@]} all < <(pgrep -P "$pid" || true); done
    for pid in "${all[@]}"; do awk '{ print $14 + $15 }' "/proc/$pid/stat"; done | awk '{ sum += $1 } END { print sum }'
}
# measure WHO PID…
measure() {
    local who=$1 before after
    shift
    before=$(ticks "$@")
    python3 "$lab/sipcalls.py" "$calls" "$work/ports" --rate "$rate" --hold 2 >"$work/calls.log"
    after=$(ticks "$@")
    awk -v who="$who" -v ticks="$((after - before))" -v calls="$calls" \
        '{ all = all " " $0 } END { printf "%-22s cpu_ms_a_call=%.3f%s\n", who, ticks * 10 / calls, all }' "$work/calls.log"
}
waits() {
    local end=$((SECONDS + 15))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "error: waited in vain for: $*" >&2; exit 1; }
        sleep 0.1
    done
}
is_bound() { ss -lunH "sport = :$1" | grep -q .; }

if command -v kamailio >/dev/null && command -v rtpengine >/dev/null; then
    sed 's/ record-call=yes//' "$lab/kamailio/kamailio.cfg" >"$work/kamailio.cfg"
    rtpengine --table=-1 --interface=127.0.0.1 --listen-ng=127.0.0.1:2223 --port-min=20000 --port-max=60000 --num-threads=2 --foreground \
        --log-stderr --log-level=3 >"$work/rtpengine.log" 2>&1 &
    media=$!
    started+=("$media")
    waits is_bound 2223
    kamailio -f "$work/kamailio.cfg" -DD -E -Y "$work" >"$work/kamailio.log" 2>&1 &
    proxy=$!
    started+=("$proxy")
    waits is_bound 5060
    measure 'kamailio+rtpengine' "$proxy" "$media"
    kill "${started[@]}"
    wait "${started[@]}" 2>/dev/null || true
    started=()
fi

# No policy: a call that none matches is relayed and not recorded.
sed -e '/^\[\[policy\]\]/,$d' -e "s#\./lab-data#$work/data#" deploy/lab.toml >"$work/lab.toml"
./target/release/mitschnitt keys generate --config "$work/lab.toml" >/dev/null
./target/release/mitschnitt run --config "$work/lab.toml" >"$work/mitschnitt.log" 2>&1 &
proxy=$!
started+=("$proxy")
waits grep -q 'mitschnitt ready' "$work/mitschnitt.log"
measure mitschnitt "$proxy"
