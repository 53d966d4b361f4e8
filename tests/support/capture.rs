//! What went over loopback, captured and judged by tshark.

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use super::child::Running;
use super::ports::Ports;
use super::{A_WHILE, until};

/// A capture that runs.
pub(crate) struct Capture {
    tshark: Running,
    file: PathBuf,
    nowhere: SocketAddr,
}

/// One line of tshark's table of RTP streams.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) to: u16,
    pub(crate) ssrc: String,
    pub(crate) packets: u64,
    pub(crate) lost: i64,
    pub(crate) line: String,
}

impl Capture {
    /// Captures all UDP to and from these ports; returns when the capture runs.
    pub(crate) fn start(ports: &Ports, file: &Path) -> Self {
        let all = ports.all();
        let filter = format!("udp portrange {}-{}", all.start(), all.end());
        let mut tshark = Running::start(
            "tshark",
            Command::new("tshark").args(["-n", "-q", "-i", "lo", "-F", "pcap", "-f", &filter, "-w"]).arg(file),
        );
        tshark.wait_for("Capture started", A_WHILE);
        Self { tshark, file: file.into(), nowhere: ports.nowhere() }
    }

    /// Ends the capture once it has seen all that was sent until now.
    pub(crate) fn stop(self) -> PathBuf {
        let mark = format!("end of the capture {}", self.nowhere);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("the kernel has a port");
        until("the capture to reach its end mark", A_WHILE, || {
            // Again and again: the kernel gives a block of packets to the capture when it is full or some time has passed.
            drop(socket.send_to(mark.as_bytes(), self.nowhere));
            let file = std::fs::read(&self.file).unwrap_or_default();
            memchr::memmem::find(&file, mark.as_bytes()).map(drop)
        });
        drop(self.tshark);
        self.file
    }
}

/// Returns what tshark's RTP stream analysis says of the streams to these ports.
pub(crate) fn streams(capture: &Path, ports: &[u16]) -> Vec<Stream> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-q", "-z", "rtp,streams", "-r"]).arg(capture);
    for port in ports {
        command.args(["-d", &format!("udp.port=={port},rtp")]);
    }
    let ended = Running::run("tshark -z rtp,streams", &mut command, A_WHILE).must_succeed();
    ended.out.lines().filter(|line| line.contains(" 0x")).map(stream).filter(|stream| ports.contains(&stream.to)).collect()
}

// Start, end, source address and port, destination address and port, SSRC, payloads (some words), packets, lost, (percent) …
fn stream(line: &str) -> Stream {
    let words: Vec<&str> = line.split_whitespace().collect();
    let percent =
        words.iter().position(|word| word.starts_with('(')).unwrap_or_else(|| panic!("tshark's table looks different: {line}"));
    Stream {
        to: number(words[5]),
        ssrc: words[6].into(),
        packets: number(words[percent - 2]),
        lost: number(words[percent - 1]),
        line: line.into(),
    }
}

fn number<N: FromStr>(word: &str) -> N {
    word.parse().unwrap_or_else(|_| panic!("tshark's table has `{word}` where a number is expected"))
}
