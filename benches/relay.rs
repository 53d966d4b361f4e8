//! Nanoseconds to decide on one RTP packet, and to rewrite it: plain, spliced, and recorded; one call, and a thousand in turn.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may panic, and its macros write no docs"
)]

#[allow(dead_code, reason = "shared with the tests")]
#[path = "../tests/support/terms.rs"]
mod terms;

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mitschnitt::codec::Codec;
use mitschnitt::consent::{Clip, Consent, Fact, Mode, Output};
use mitschnitt::ids::{CallId, Leg};
use mitschnitt::media::{
    Announcing, BridgeId, Bridging, Content, Event, Order, PairIds, Payload, PayloadFormat, Plane, PortId, Remote, Sent,
};
use mitschnitt::time::Moment;
use mitschnitt::wire::rtp::{self, Header};
use terms::{facts, terms};

criterion_main!(benches);
criterion_group!(benches, relay);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Plain,
    Spliced,
    Recorded,
}

fn relay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("relay");
    for (name, work) in [("plain", Work::Plain), ("spliced", Work::Spliced), ("recorded", Work::Recorded)] {
        for calls in [1, 1000] {
            let mut lab = Lab::new(calls, work);
            group.bench_function(BenchmarkId::new(name, calls), |bencher| bencher.iter(|| lab.packet()));
        }
    }
    let mut lab = Lab::new(1000, Work::Plain);
    group.bench_function("stranger/1000", |bencher| bencher.iter(|| lab.stranger()));
    group.finish();
}

struct Lab {
    plane: Plane,
    calls: u32,
    next: u32,
    sequence: u16,
    now: Moment,
    packet: [u8; 172],
}

impl Lab {
    fn new(calls: u32, work: Work) -> Self {
        let mut plane = Plane::new(1);
        let now = Moment::from_millis(1);
        for call in 0..calls {
            let id = name(call);
            plane.order(
                Order::Bridge(Box::new(Bridging {
                    id,
                    slot: call,
                    ports: ports(call),
                    content: Content::Audio,
                    latching: Default::default(),
                })),
                now,
            );
            for leg in Leg::BOTH {
                plane.order(Order::Describe { id, leg, remote: remote(call, leg), srtp: None }, now);
                if work != Work::Plain {
                    let clip = Clip::new(Codec::Pcma, &[0; 160], [0; 32], "de").unwrap();
                    plane.order(Order::Announce(Announcing { id, leg, clip, payload_type: 8 }), now);
                }
            }
        }
        plane.wake(now, &mut |_, _, _| Sent::Out);
        let mut consents: Vec<Consent> = (0..calls).map(consent).collect();
        while let Some(event) = plane.poll() {
            let Event::Played { id, played } = event else { panic!("{event:?}") };
            let consent = &mut consents[usize::try_from(id.call.as_u64()).unwrap()];
            if let Some(Output::Begin(permit)) = consent.handle(Fact::Played(played), now)
                && work == Work::Recorded
            {
                plane.order(Order::Record { id, permit }, now);
            }
        }
        let mut packet = [0x55; 172];
        let header = Header { payload_type: 8, marker: false, sequence: 0, timestamp: 0, ssrc: 1 };
        rtp::write_header(packet.first_chunk_mut().unwrap(), header);
        Self { plane, calls, next: 0, sequence: 0, now, packet }
    }

    /// The next call's next packet, as the shell would have it: decided on, and rewritten where it must be.
    fn packet(&mut self) {
        self.advance();
        let port = PortId(self.next * 4);
        let verdict = self.plane.packet(port, address(self.next, Leg::Pbx), &mut self.packet, self.now);
        black_box(&verdict.keep);
        let Some(forward) = verdict.forward else { panic!("it goes on") };
        // The rewritten header is written over by `advance` before it is used again.
        black_box(self.plane.prepare(&forward, &mut self.packet));
    }

    fn stranger(&mut self) {
        self.advance();
        let verdict = self.plane.packet(PortId(self.next * 4), address(self.next, Leg::Trunk), &mut self.packet, self.now);
        black_box(&verdict.forward);
    }

    fn advance(&mut self) {
        self.next += 1;
        if self.next == self.calls {
            self.next = 0;
            self.sequence = self.sequence.wrapping_add(1);
            self.now = self.now + Duration::from_millis(20);
        }
        rtp::set_ssrc(&mut self.packet, 1);
        rtp::set_sequence(&mut self.packet, self.sequence);
        rtp::set_timestamp(&mut self.packet, u32::from(self.sequence) * 160);
    }
}

fn name(call: u32) -> BridgeId {
    BridgeId { call: CallId::from_u64(call.into()), dialog: 0, line: 0 }
}

fn ports(call: u32) -> [PairIds; 2] {
    let pair = |first| PairIds { rtp: PortId(first), rtcp: PortId(first + 1) };
    [pair(call * 4), pair(call * 4 + 2)]
}

fn address(call: u32, leg: Leg) -> SocketAddr {
    let port = u16::try_from(10_000 + call * 2).unwrap();
    match leg {
        Leg::Pbx => SocketAddr::from(([192, 0, 2, 1], port)),
        Leg::Trunk => SocketAddr::from(([198, 51, 100, 1], port)),
    }
}

fn remote(call: u32, leg: Leg) -> Remote {
    let formats = vec![
        PayloadFormat { payload_type: 8, payload: Payload::Speech(Codec::Pcma) },
        PayloadFormat { payload_type: 101, payload: Payload::TelephoneEvent },
    ];
    Remote { rtp: address(call, leg), rtcp: None, rtcp_mux: false, receives: true, formats, ptime_ms: 20 }
}

fn consent(call: u32) -> Consent {
    Consent::new(terms(Mode::Announce), facts(CallId::from_u64(call.into())))
}
