#!/bin/sh
# Runs schemathesis (PyPI) against the HTTP API of a running proxy, by its own OpenAPI document: no answer may be a 5xx, or other than
# the document says. It need not take all that looks right, such as a 31st of June. Left out are the events, which never end, and `drain`, which ends the proxy.
#
#   pip install schemathesis
#   tests/schemathesis.sh [path of mitschnitt] [more arguments for schemathesis]
#
# The result of the last run by hand stands in tests/schemathesis.txt.
set -eu
program=$(realpath "${1:-target/debug/mitschnitt}")
[ $# -gt 0 ] && shift
home=$(mktemp -d)
trap 'kill $proxy $bridge 2>/dev/null; rm -rf "$home"' EXIT
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
name = "none"
mode = "never"
CONFIG
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
sleep 1
schemathesis run http://127.0.0.1:28080/v1/openapi.json \
    --exclude-path /v1/calls/events --exclude-path /v1/drain --request-timeout 20 \
    --exclude-checks positive_data_acceptance "$@"
if grep -E 'ERROR|panicked' "$home/log"; then exit 1; fi
