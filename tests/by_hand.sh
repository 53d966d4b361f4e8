# What tests/lab.sh, tests/forged.sh and tests/soak.sh have in common: the release build with deploy/lab.toml, and calls through it. To be sourced from the
# project's root; LAB names the lab's folder.
lab=$(realpath "${LAB:-../shared/lab}")
[ -f "$lab/sipcalls.py" ] || { printf 'error: no sipcalls.py in %s\n  name the folder: LAB=FOLDER %s\n' "$lab" "$0" >&2; exit 2; }
[ ! -e lab-data ] || { printf 'error: there is a lab-data already\n  move it away: its calls would be counted\n' >&2; exit 2; }
# A core file of a process with keys is no place for them.
ulimit -c 0

# PROGRAM names one that is built already.
[ -n "${PROGRAM:-}" ] || cargo build --release --locked
program="${PROGRAM:-${CARGO_TARGET_DIR:-$PWD/target}/release/mitschnitt}"
work=$(mktemp -d)
# Beside the one it is made of, for it names files from there.
config="$PWD/deploy/.by-hand.toml"
# IO says how the media threads speak with the kernel.
sed "s/^\[media\]/[media]\nio = \"${IO:-epoll}\"/" deploy/lab.toml >"$config"
proxy=
others=()
ended() {
    for pid in "${others[@]}" $proxy; do kill "$pid" 2>/dev/null || true; done
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
has_sealed() { [ "$(metric mitschnitt_vault_recordings_sealed_total)" -ge "$1" ]; }
has_begun() { [ "$(metric mitschnitt_vault_recordings_begun_total)" -ge "$1" ]; }

# runs: makes the keys and starts the proxy; its number is in $proxy.
runs() {
    "$program" keys generate --config "$config"
    "$program" run --config "$config" >"$work/proxy.log" 2>&1 &
    proxy=$!
    waits 30 grep -q 'mitschnitt ready' "$work/proxy.log"
}

# judges CALLS LOAD_LOG: every recording is verified, and holds as many packets as the load has sent; says so, and fails otherwise.
judges() {
    "$program" recordings list --json --config "$config" >"$work/list.json"
    local verified=0 id
    for id in $(python3 -c 'import json, sys; [print(json.loads(line)["recording"]) for line in sys.stdin]' <"$work/list.json"); do
        if "$program" recordings verify "$id" --config "$config" >"$work/verify.log" 2>&1; then
            verified=$((verified + 1))
        else
            cat "$work/verify.log"
        fi
    done
    python3 - "$1" "$verified" "$2" "$work/list.json" <<'PY'
import json, re, sys
calls, verified, log, rows = int(sys.argv[1]), int(sys.argv[2]), open(sys.argv[3]).read(), [json.loads(line) for line in open(sys.argv[4])]
number = lambda name: float(re.search(r"\b" + name + r"=([0-9.]+)", log).group(1))
recorded = sum(row["packets"]["pbx"] + row["packets"]["trunk"] for row in rows if row["packets"])
sent, bad, lost = int(number("sent")), int(number("bad")), int(number("sent") - number("received"))
print(f"calls={calls} recordings={len(rows)} verified={verified} sent={sent} lost={lost} foreign={bad} recorded={recorded}")
sys.exit(0 if calls == len(rows) == verified and lost == bad == 0 and recorded == sent else 1)
PY
}
