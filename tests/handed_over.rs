//! A recording that was handed over undecoded, as tshark reads it: every packet, when it came, and what is in it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test may panic, and this one writes a file for tshark"
)]

use std::convert::Infallible;
use std::fs;
use std::process::Command;
use std::time::Duration;

use mitschnitt::export::{self, HandedOver, Origin};
use mitschnitt::ids::{Leg, RecordingId};
use mitschnitt::time::Wall;
use mitschnitt::vault::{Format, Gap, GapReason, Record};

const BEGAN: i64 = 1_795_512_600_250_000;

#[test]
fn tshark_decodes_each_packet_without_being_told_anything() {
    let records = [
        format(Leg::Pbx, 0, 111, "opus", 48_000, 2),
        rtp(Leg::Pbx, 20_000, 111, 7, 960, &[0x48, 1, 2, 3]),
        rtp(Leg::Trunk, 21_500, 18, 65_535, 160, &[9; 20]),
        rtp(Leg::Trunk, 41_500, 0, 0, 320, &[0xff; 160]),
        format(Leg::Pbx, 50_000, 96, "AMR-WB", 16_000, 1),
        format(Leg::Pbx, 50_000, 97, "G7221\r\na=evil", 32_000, 1),
        rtp(Leg::Pbx, 60_000, 96, 8, 1920, &[0xf0, 0x44, 5]),
    ];

    let (handed, bytes) = pcapng(&records);
    let lines = tshark(
        &bytes,
        &["frame.time_epoch", "frame.interface_name", "ip.src", "ip.dst", "rtp.p_type", "rtp.seq", "rtp.timestamp"],
    );

    assert_eq!(
        lines,
        [
            "1795512600.270000000\tpbx\t192.0.2.1\t224.2.127.254\t\t\t",
            "1795512600.270000000\tpbx\t192.0.2.1\t198.51.100.1\t111\t7\t960",
            "1795512600.271500000\ttrunk\t198.51.100.1\t224.2.127.254\t\t\t",
            "1795512600.271500000\ttrunk\t198.51.100.1\t192.0.2.1\t18\t65535\t160",
            "1795512600.291500000\ttrunk\t198.51.100.1\t192.0.2.1\t0\t0\t320",
            "1795512600.310000000\tpbx\t192.0.2.1\t224.2.127.254\t\t\t",
            "1795512600.310000000\tpbx\t192.0.2.1\t198.51.100.1\t96\t8\t1920",
        ]
    );
    let protocols = tshark(&bytes, &["_ws.col.Protocol", "sdp.mime.type"]);
    assert_eq!(
        protocols,
        ["SAP/SDP\topus", "OPUS\t", "SAP/SDP\t", "RTP\t", "RTP\t", "SAP/SDP\tAMR-WB,unknown,opus", "AMR-WB\t"],
        "what a peer calls a codec adds no line"
    );
    assert_eq!((handed.packets, handed.ignored), ([2, 2], 0));
    let codings: Vec<_> = handed.codings.iter().map(|((leg, name), count)| format!("{leg} {name} {count}")).collect();
    assert_eq!(codings, ["pbx AMR-WB/16000 1", "pbx opus/48000/2 1", "trunk G729 1", "trunk PCMU/8000 1"]);
}

#[test]
fn each_packet_is_byte_for_byte_what_came() {
    let records: Vec<Record> = (0..200)
        .map(|n| rtp(Leg::BOTH[usize::from(n) % 2], u64::from(n) * 7, 18, n, 0, &vec![n as u8; usize::from(n)]))
        .collect();

    let (_, bytes) = pcapng(&records);

    let payloads: Vec<String> = tshark(&bytes, &["udp.port", "udp.payload"])
        .into_iter()
        .filter_map(|line| Some(line.strip_prefix("5004,5004\t")?.to_owned()))
        .collect();
    let packets: Vec<String> = records
        .iter()
        .map(|record| {
            let Record::Rtp { packet, .. } = record else { panic!("all are packets") };
            packet.iter().map(|byte| format!("{byte:02x}")).collect()
        })
        .collect();
    assert!(payloads == packets, "a packet differs");
    assert_eq!(tshark(&bytes, &["ip.checksum.status"]).iter().filter(|status| *status != "2" && *status != "1").count(), 0);
}

#[test]
fn a_capture_says_where_it_came_from_and_what_is_missing() {
    let gap = |reason, packets| {
        Record::Gap(Gap {
            leg: Some(Leg::Trunk),
            reason,
            from: Duration::from_millis(30),
            to: Duration::from_millis(90),
            packets,
        })
    };
    let records = [
        rtp(Leg::Pbx, 20_000, 8, 1, 0, &[1; 160]),
        gap(GapReason::LaneFull, 3),
        rtp(Leg::Pbx, 100_000, 8, 2, 160, &[1; 160]),
        gap(GapReason::DiskFull, 9),
    ];

    let (_, bytes) = pcapng(&records);

    let comments = tshark(&bytes, &["frame.comment"]);
    assert_eq!(
        comments[1..],
        ["", "3 packets of the trunk are missing here (lane-full), of 0.030 to 0.090 s after the beginning"]
    );
    let text = String::from_utf8_lossy(&bytes);
    for said in [
        "Recording 07070707070707070707070707070707, made for `quality`, begun 2026-11-24T09:30:00.250Z.",
        "were made by the export, with addresses for documentation (RFC 5737)",
        "9 packets of the trunk are missing here (disk-full)",
    ] {
        assert!(text.contains(said), "{said}");
    }
}

#[test]
fn the_same_records_give_the_same_bytes_and_none_give_a_capture_of_nothing() {
    let records: Vec<Record> = (0..50).map(|n| rtp(Leg::Pbx, u64::from(n) * 20_000, 18, n, 0, &[3; 20])).collect();

    assert!(pcapng(&records).1 == pcapng(&records).1, "another file came out");
    assert_eq!(tshark(&pcapng(&[]).1, &["frame.number"]), [""; 0]);
}

fn pcapng(records: &[Record]) -> (HandedOver, Vec<u8>) {
    let origin = Origin {
        recording: RecordingId::from_bytes([7; 16]),
        purpose: "quality".into(),
        began: Wall::from_unix_micros(BEGAN),
        span: None,
    };
    let mut bytes = Vec::new();
    let handed = export::pcapng(&origin, records.iter().cloned().map(Ok::<_, Infallible>), &mut bytes).unwrap();
    (handed, bytes)
}

/// What tshark says of each frame, with its own settings and no preferences of ours.
fn tshark(bytes: &[u8], fields: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.pcapng");
    fs::write(&path, bytes).unwrap();
    let mut command = Command::new("tshark");
    command.arg("-r").arg(&path).args(["-T", "fields"]).env("HOME", folder.path()).env("TZ", "UTC");
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark is installed: tests/run.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn format(leg: Leg, since: u64, payload_type: u8, name: &str, clock: u32, channels: u8) -> Record {
    Record::Format(Format { leg, since: Duration::from_micros(since), payload_type, clock, channels, name: name.into() })
}

fn rtp(leg: Leg, came: u64, payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Record {
    let mut packet = vec![0x80, payload_type];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, leg.index() as u8]);
    packet.extend_from_slice(payload);
    Record::Rtp { leg, came: Duration::from_micros(came), packet }
}
