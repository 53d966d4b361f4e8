#!/usr/bin/env bash
# One call over a running lab proxy (deploy/lab.toml): SIPp as the PBX on 5090 calls SIPp as the carrier on 5080, and both speak.
# SIPp sends its sound through raw sockets: as root.
set -euo pipefail
scenarios=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'kill "$carrier" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
ln -s /usr/share/sip-tester/g711a.pcap voice.pcap
ln -s /usr/share/sip-tester/dtmf_2833_1.pcap key.pcap
common=(-i 127.0.0.1 -bind_local -mi 127.0.0.1 -m 1 -l 1 -nostdin -aa -timeout 50 -timeout_error -d 2500
    -key called +4930123456 -key caller 100 -key uas 127.0.0.1:5080)
sipp 127.0.0.1:5060 -sf "$scenarios/uas_talk.xml" -p 5080 -mp 12000 "${common[@]}" >/dev/null 2>&1 &
carrier=$!
until ss -lun | grep -q ':5080 '; do kill -0 "$carrier"; done
sipp 127.0.0.1:5060 -sf "$scenarios/uac_talk.xml" -p 5090 -mp 11000 "${common[@]}" >/dev/null 2>&1
wait "$carrier"
echo 'the call is over'
