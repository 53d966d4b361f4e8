#!/usr/bin/env bash
# Runs under Miri what Miri can run of the cores, and says how many tests of each group it ran. By hand: it takes about an hour on two cores.
#
# Our own code is safe but for the ring, whose system calls Miri does not have; so this looks for undefined behaviour in what we depend
# on: bytes, memchr, RustCrypto, curve25519-dalek.
# Needs `rustup toolchain install nightly --component miri,rust-src`. Usage: tests/miri.sh [GROUP …]
#
# Left out, and why:
#   node cli demo    sockets, processes and SQLite: foreign functions that Miri does not have
#   catalogue control  values and text on serde and toml, which these tests reach through no unsafe code of interest
#   export sound     minutes of samples in safe arithmetic; a few tests of each run here
#   vault            SHA-256, AES and X25519 are interpreted in their portable form: a chunk takes a second, a whole recording a minute.
#                    What flips every bit, cuts at every byte or seals a thousand chunks would take days.
set -uo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/miri} CARGO_INCREMENTAL=0 PROPTEST_CASES=${PROPTEST_CASES:-4}
# Tests read golden files, and proptest its regressions.
export MIRIFLAGS=${MIRIFLAGS:--Zmiri-disable-isolation}
# Seconds for each group: what is not over then has failed.
limit=${LIMIT:-600}

wanted=("$@")
failed=0

# group NAME TARGET [FILTER …] [--skip NAME …]
group() {
    local name=$1 target=$2
    shift 2
    if [ "${#wanted[@]}" -gt 0 ] && [[ " ${wanted[*]} " != *" $name "* ]]; then return; fi
    local began=$SECONDS log
    log=$(mktemp)
    # shellcheck disable=SC2086
    timeout "$limit" cargo +nightly miri test --locked $target -- "$@" >"$log" 2>&1
    local status=$? passed
    passed=$(grep -c '^test .* \.\.\. ok' "$log")
    # A filter that fits nothing any more has tested nothing.
    if [ "$status" -eq 0 ] && [ "$passed" -gt 0 ]; then
        printf '%-12s %4d tests  %4d s\n' "$name" "$passed" $((SECONDS - began))
    else
        printf '%-12s %4d tests  %4d s  FAILED\n' "$name" "$passed" $((SECONDS - began))
        tail -n 40 "$log"
        failed=1
    fi
    rm -f "$log"
}

group floor '--lib' time:: ids:: private:: digit:: codec:: limits::
group consent '--lib' consent::
group rtp '--lib' wire::rtp wire::rtcp wire::dtmf
group sdp '--lib' wire::sdp::anchor wire::sdp::tests
group sip-wire '--lib' wire::sip::uri wire::sip::header
group sip '--lib' sip:: --skip wire::
group media '--lib' media::bridge media::side media::splice media::inject media::latch media::ports
group lane '--lib' lane:: call::
group keys '--lib' vault::ratchet vault::keys --skip no_bit --skip no_two_chunks
group record '--lib' vault::record vault::format --skip formats_beyond --skip has_not_grown --skip no_bit
group sound '--lib' sound::g711 sound::wav sound::sine --skip every_sample --skip a_louder --skip no_bytes
exit "$failed"
