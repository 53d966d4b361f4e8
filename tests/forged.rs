//! Forged RTP over the whole range of ports, without a pause before, during and after calls: nobody hears it, and the calls lose nothing.
//!
//! `tests/forged.sh` does the same with hundreds of calls and as many packets a second as the machine gives, by hand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits, reads and listens"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use support::phone::{Call, Mouth, Phone, call, every_20_ms, hang_up};
use support::site::{Site, policy};
use support::sound::alaw;

#[test]
fn where_parties_are_where_they_say_nothing_forged_is_relayed_recorded_or_answered() {
    let came = Scene::play("strict", 0);

    assert_eq!((came.forged, came.answers, came.recorded), (0, 0, 0));
}

#[test]
fn where_parties_are_learned_at_most_three_forged_packets_come_through() {
    let came = Scene::play("learn", 1);

    assert!(came.forged <= 3, "{} forged packets were heard", came.forged);
    assert_eq!((came.answers, came.recorded), (0, 0));
}

/// Packets that each party says, 20 ms each: four seconds from the answer on.
const FRAMES: u32 = 200;
/// The first that must be heard: both were told by then, and learned before that.
const OWED: u32 = 100;

/// What came of it.
struct Scene {
    /// Forged packets that a party heard.
    forged: usize,
    /// Datagrams that the forger got.
    answers: usize,
    /// Recordings with something forged in them.
    recorded: usize,
}

impl Scene {
    /// Plays calls whose media comes from so many ports above those that the descriptions say.
    fn play(latching: &str, behind_nat: u16) -> Self {
        let site = Site::new(policy("announce"));
        for side in ["[pbx]", "[[trunk]]"] {
            site.set(side, &format!("latching = \"{latching}\""));
        }
        let _proxy = site.start();
        let (mut pbx, mut trunk) =
            (Phone::new(site.ports.pbx(), site.ports.proxy()), Phone::new(site.ports.trunk(), site.ports.proxy()));
        let ports = [site.ports.pbx_media(), site.ports.trunk_media()];
        let mut mouths =
            ports.clone().map(|ports| ports.step_by(2).map(|port| Mouth::new(port + behind_nat)).collect::<Vec<_>>());
        let forger = Forger::begin(site.ports.stranger(), site.ports.proxy_media());

        let [callers, callees] = ports.map(|ports| ports.step_by(2));
        let calls: Vec<Call> =
            callers.zip(callees).map(|(caller, callee)| call("forged", &mut pbx, &mut trunk, caller, callee)).collect();
        every_20_ms(FRAMES, |frame| {
            for (n, call) in calls.iter().enumerate() {
                mouths[0][n].says(call.caller_sends_to, &says(n, frame));
                mouths[1][n].says(call.callee_sends_to, &says(n, frame));
            }
        });
        let heard =
            mouths.map(|mut mouths| mouths.iter_mut().map(|mouth| mouth.hears(Duration::from_millis(100))).collect::<Vec<_>>());
        for call in &calls {
            hang_up(call, &mut pbx, &mut trunk);
        }
        let rows = site.ledger(calls.len());
        let (sprayed, answers) = forger.end();

        assert!(sprayed >= 10_000, "that was no flood: {sprayed} packets");
        for (heard, side) in heard.iter().zip(["PBX", "trunk"]) {
            heard.iter().enumerate().for_each(|(n, heard)| assert_whole(n, heard, side));
        }
        let recorded = rows.iter().filter(|row| {
            assert_eq!(row["reason"], "recorded", "{row}");
            let wav = site.export(row["recording"].as_str().expect("it has a recording"));
            wav.channels.iter().any(|channel| channel.windows(20).any(|piece| piece.iter().all(|&sample| sample == alaw(FORGED))))
        });
        let recorded = recorded.count();
        let forged = heard.iter().flatten().flatten().filter(|payload| payload.iter().all(|&octet| octet == FORGED)).count();
        Self { forged, answers, recorded }
    }
}

/// Panics unless each packet of this call that is owed came once.
fn assert_whole(call: usize, heard: &[Vec<u8>], side: &str) {
    let mut times: HashMap<&[u8], u32> = HashMap::new();
    heard.iter().for_each(|payload| *times.entry(payload).or_default() += 1);
    let wrong: Vec<_> = (OWED..FRAMES).filter(|&frame| times.get(&says(call, frame)[..]) != Some(&1)).collect();
    assert!(wrong.is_empty(), "in call {call} these did not reach the {side} once: {wrong:?}");
}

/// Twenty milliseconds that say which call and which frame they are.
fn says(call: usize, frame: u32) -> Vec<u8> {
    let mut payload = vec![0x55; 160];
    payload[..4].copy_from_slice(&(call as u32).to_be_bytes());
    payload[4..8].copy_from_slice(&frame.to_be_bytes());
    payload
}

/// What the forger says, again and again.
const FORGED: u8 = 0x22;

/// Sprays all of a range with A-law in RTP, round after round, until it is told to end.
struct Forger {
    over: Arc<AtomicBool>,
    thread: JoinHandle<(u64, usize)>,
}

impl Forger {
    fn begin(at: SocketAddr, range: RangeInclusive<u16>) -> Self {
        let socket = UdpSocket::bind(at).expect("the test's own ports are free");
        socket.set_nonblocking(true).expect("a socket can be told so");
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let (mut sprayed, mut answers) = (0_u64, 0);
            while !is_over.load(Ordering::Relaxed) {
                for to in range.clone() {
                    // One stream's numbers go on over all ports: no port gets two in sequence.
                    let mut packet = vec![0x80, 8];
                    packet.extend((sprayed as u16).to_be_bytes());
                    packet.extend((sprayed as u32).wrapping_mul(160).to_be_bytes());
                    packet.extend([0xbb; 4]);
                    packet.extend([FORGED; 160]);
                    // Nobody listens on most of them, and the next send is told so.
                    sprayed += u64::from(socket.send_to(&packet, (Ipv4Addr::LOCALHOST, to)).is_ok());
                }
                while socket.recv(&mut [0; 2048]).is_ok() {
                    answers += 1;
                }
                // About 20,000 packets a second: a flood that two loaded cores and a debug build can take.
                std::thread::sleep(Duration::from_millis(15));
            }
            (sprayed, answers)
        });
        Self { over, thread }
    }

    /// Returns how many packets it sprayed, and how many datagrams it got.
    fn end(self) -> (u64, usize) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only sends")
    }
}
