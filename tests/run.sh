#!/usr/bin/env bash
# Installs what the tests need where it is missing (Debian, as root), then runs all of them: tests/run.sh [CARGO-TEST-ARGUMENTS…]
#
# They call with real telephones and carriers: SIPp sends its sound through raw sockets and tshark captures, so they need root.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
needs() { command -v "$1" >/dev/null || missing+=("$2"); }
needs cc gcc # SQLite is compiled in
needs sipp sip-tester
needs sipsak sipsak
needs baresip baresip-core
needs tshark tshark
needs kamailio kamailio
needs ffmpeg ffmpeg
needs python3 python3
needs sqlite3 sqlite3
needs openssl openssl
needs softhsm2-util softhsm2
needs swtpm swtpm
needs pkcs11-tool opensc
needs mkfs.ext4 e2fsprogs
needs mount mount
needs fsfreeze util-linux

# The second reader of recordings is a Python script; the python3 that comes first may be one without the package it needs.
reads() { command -v "$1" >/dev/null && "$1" -c 'from cryptography.hazmat.primitives.ciphers.aead import AESGCM' 2>/dev/null; }
reads python3 || reads /usr/bin/python3 || missing+=(python3-cryptography)

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
        printf 'error: the tests need what is not installed: %s\n  as root: apt-get install %s\n' "${missing[*]}" "${missing[*]}" >&2
        exit 1
    fi
    echo "tests/run.sh: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # May others than root capture? No: the tests are root.
    echo 'wireshark-common wireshark-common/install-setuid boolean false' | debconf-set-selections
    apt-get update -q >/dev/null
    apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null >/dev/null
fi
if [ "$(id -u)" != 0 ]; then
    echo 'tests/run.sh: not root: the tests with SIPp and tshark will fail (raw sockets, capture)' >&2
fi
if ! reads python3; then
    first=$(mktemp -d)
    trap 'rm -rf "$first"' EXIT
    ln -s /usr/bin/python3 "$first/python3"
    PATH="$first:$PATH"
fi

# The calls last in real time and cost little: four at once do each other no harm on two cores.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-4}"
cargo test --locked "$@" </dev/null
