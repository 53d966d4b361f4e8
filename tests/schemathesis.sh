#!/bin/sh
# Runs schemathesis (PyPI) against the HTTP API of a running proxy, by its own OpenAPI document: no answer may be a 5xx, or other than
# the document says. It need not take all that looks right, such as a 31st of June. Two calls of SIPp are there: one goes on, whose number the operations on
# calls are given, and one was recorded, whose number those on recordings are given. Left out are the events, which never end, and `drain`, which ends the proxy.
#
#   pip install schemathesis
#   tests/schemathesis.sh [path of mitschnitt] [more arguments for schemathesis]
#
# The result of the last run by hand stands in tests/schemathesis.txt.
set -eu
program=$(realpath "${1:-target/debug/mitschnitt}")
[ $# -gt 0 ] && shift
home=$(mktemp -d)
trap 'pkill -f "sipp -sn ua[cs] .*-p 250[89]0 "; kill $proxy $bridge 2>/dev/null; rm -rf "$home"' EXIT
proxy=; bridge=
mkdir "$home/data" "$home/keys"
cat > "$home/m.toml" <<CONFIG
[sip]
listen = "udp 127.0.0.1:25060"
[pbx]
address = "127.0.0.1:25090"
[[trunk]]
name = "carrier"
address = "127.0.0.1:25080"
[media]
address = "127.0.0.1"
ports = "46000-46400"
[metrics]
listen = "127.0.0.1:29464"
[data]
directory = "$home/data"
[keys]
node = "$home/keys/node.pem"
[[recipient]]
name = "desk"
purposes = ["quality"]
public_key = "$home/keys/desk.pub.pem"
[[policy]]
name = "all"
purpose = "quality"
legal_basis = "consent, GDPR 6(1)(a)"
mode = "announce"
must_agree = ["remote"]
announcement = { en = "$home/announcement.wav" }
CONFIG
sox -n -r 8000 -c 1 -b 16 "$home/announcement.wav" synth 0.2 sine 1000
"$program" keys generate --no-passphrase --config "$home/m.toml" > /dev/null
"$program" run --config "$home/m.toml" 2> "$home/log" &
proxy=$!
until grep -q 'mitschnitt ready' "$home/log"; do kill -0 $proxy || { cat "$home/log"; exit 1; }; sleep 0.1; done

# schemathesis asks over TCP, and the proxy has none in the clear.
python3 - "$home/data/control.sock" 28080 <<'BRIDGE' &
import asyncio, sys
async def pass_on(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
async def both(reader, writer):
    far_reader, far_writer = await asyncio.open_unix_connection(sys.argv[1])
    await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))
async def main():
    server = await asyncio.start_server(both, "127.0.0.1", int(sys.argv[2]))
    await server.serve_forever()
asyncio.run(main())
BRIDGE
bridge=$!

# A recorded call that is over, and one that goes on.
(cd "$home" && exec sipp -sn uas -i 127.0.0.1 -p 25080 -mp 25082 -rtp_echo -bg > /dev/null 2>&1) || true
calls() { (cd "$home" && sipp -sn uac 127.0.0.1:25060 -s 4930123456 -i 127.0.0.1 -p 25090 -mp 25092 -m 1 -l 1 "$@" > /dev/null 2>&1); }
told() { "$program" "$@" --json --config "$home/m.toml"; }
calls -d 2000
recording=$(told recordings list --all | sed -n 's/.*"recording":"\([0-9a-f]*\)".*/\1/p' | head -1)
calls -d 3600000 &
until call=$(told calls list | sed -n 's/.*"call":"\([0-9a-f]*\)".*/\1/p') && [ -n "$call" ]; do sleep 0.1; done
echo "call $call, recording ${recording:-none}"

operation() { printf '[[operations]]\ninclude-path = "%s"\nparameters = { id = "%s"%s }\n' "$1" "$2" "${3:-}"; }
{
    for deed in start pause resume withdraw; do operation "/v1/calls/{id}/$deed" "$call"; done
    # It is not erased: the others have it to ask for.
    for of in /file /keys; do operation "/v1/recordings/{id}$of" "${recording:-$call}" ', purpose = "quality"'; done
    for of in "" /hold /release; do operation "/v1/recordings/{id}$of" "${recording:-$call}"; done
    operation "/v1/complaints/{id}/close" 2
} > "$home/schemathesis.toml"
sleep 1
schemathesis --config-file "$home/schemathesis.toml" run http://127.0.0.1:28080/v1/openapi.json \
    --exclude-path /v1/calls/events --exclude-path /v1/drain --request-timeout 20 \
    --exclude-checks positive_data_acceptance "$@"
if grep -E "ERROR|panicked" "$home/log"; then exit 1; fi
