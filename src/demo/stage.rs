//! Where the demo plays: a new directory with a configuration, an announcement and keys, and free ports on the loopback.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use super::failed::DemoFailed;
use super::line::random;
use crate::codec::Codec;
use crate::sound::g711::encode_ulaw;
use crate::sound::{Voice, encode_wav, melody};

/// The directory and what stands in it.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub directory: PathBuf,
    pub config: PathBuf,
    pub proxy: SocketAddr,
    pub metrics: SocketAddr,
    /// The key of whoever may listen, once `keys generate` has made it.
    pub secret_key: PathBuf,
    /// The announcement as it must be heard: G.711 µ-law of [`ANNOUNCEMENT`].
    pub announcement: Vec<u8>,
}

impl Stage {
    /// Makes the directory and writes into it what the proxy needs, but for the keys.
    pub(super) fn set(out: &Path, pbx: SocketAddr, carrier: SocketAddr) -> Result<Self, DemoFailed> {
        let cannot = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| DemoFailed::step(&format!("{what} ({error})"))
        };
        let directory = new_directory(out).map_err(cannot(&format!("make the directory `{}`", out.display())))?;
        let proxy = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let metrics = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let proxy = proxy.map_err(cannot("find a free port for SIP"))?;
        let metrics = metrics.map_err(cannot("find a free port for /metrics"))?;
        let media = free_range().map_err(cannot("find free ports for the media"))?;
        let config = directory.join("mitschnitt.toml");
        fs::write(directory.join("announcement.wav"), ANNOUNCEMENT).map_err(cannot("write the announcement"))?;
        let text = configuration(proxy, metrics, (pbx, carrier), media, &directory);
        fs::write(&config, text).map_err(cannot("write the configuration"))?;
        let announcement = encode_wav(ANNOUNCEMENT, Codec::Pcmu);
        let announcement =
            announcement.map_err(|error| DemoFailed::step(&format!("encode the announcement ({error})")))?.into_bytes();
        let secret_key = directory.join("keys/listener.secret.pem");
        Ok(Self { directory, config, proxy, metrics, secret_key, announcement })
    }
}

/// What the demo records for.
pub(super) const PURPOSE: &str = "demonstration";

/// «To agree to this call being recorded, press 1.»: 16 kHz, mono, 16 bits, 2.9 s.
pub(super) const ANNOUNCEMENT: &[u8] = include_bytes!("../../deploy/opt-in.en.wav");

/// Returns what a voice sings while it is recorded: 20 ms of µ-law for each frame.
pub(super) fn song(voice: Voice) -> impl FnMut(u64) -> [u8; 160] + Send + 'static {
    frames(move |sample| melody(voice, sample))
}

/// Returns what a voice sings before anybody agreed: the same at twice the speed, so that it would be known in a recording.
pub(super) fn warm_up(voice: Voice) -> impl FnMut(u64) -> [u8; 160] + Send + 'static {
    frames(move |sample| melody(voice, sample * 2))
}

/// Creates the directory, or, where there is something of that name, the first of `…-2`, `…-3` and so on that there is not.
fn new_directory(out: &Path) -> io::Result<PathBuf> {
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent)?;
    }
    let numbered = |number: u32| {
        let mut name = out.as_os_str().to_owned();
        name.push(format!("-{number}"));
        PathBuf::from(name)
    };
    for directory in std::iter::once(out.to_owned()).chain((2..1000).map(numbered)) {
        match fs::create_dir(&directory) {
            Ok(()) => return fs::canonicalize(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn frames(of: impl Fn(u64) -> i16 + Send + 'static) -> impl FnMut(u64) -> [u8; 160] + Send + 'static {
    move |frame| {
        let mut samples = frame * 160..;
        [(); 160].map(|()| encode_ulaw(samples.next().map_or(0, &of)))
    }
}

/// A range of ports below those that the system gives to others (32,768 and up), most likely free: its ends and its middle are.
fn free_range() -> io::Result<(u16, u16)> {
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..32 {
        let first = 10_000 + 2 * u16::try_from(random() % 10_000).unwrap_or(0);
        let last = first + 1999;
        match [first, first + 1000, last].map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port))) {
            [Ok(_), Ok(_), Ok(_)] => return Ok((first, last)),
            [Err(error), ..] | [_, Err(error), _] | [.., Err(error)] => refused = error,
        }
    }
    Err(refused)
}

fn configuration(
    proxy: SocketAddr,
    metrics: SocketAddr,
    (pbx, carrier): (SocketAddr, SocketAddr),
    (first, last): (u16, u16),
    directory: &Path,
) -> String {
    let path = |name: &str| toml_string(&directory.join(name));
    format!(
        "# Made by `mitschnitt demo`: everything on the loopback, one policy that asks the far end for a key.

[sip]
listen = \"udp {proxy}\"

[pbx]
address = \"{pbx}\"

[[trunk]]
name = \"carrier\"
address = \"{carrier}\"

[media]
address = \"127.0.0.1\"
ports = \"{first}-{last}\"

[metrics]
listen = \"{metrics}\"

[data]
directory = {data}

[keys]
node = {node}

[[recipient]]
name = \"listener\"
purposes = [\"{PURPOSE}\"]
public_key = {recipient}

[[policy]]
name = \"demo\"
mode = \"opt-in\"
purpose = \"{PURPOSE}\"
legal_basis = \"consent, GDPR 6(1)(a)\"
announcement = {{ en = {announcement} }}
must_agree = [\"remote\"]
key = \"1\"
answer_s = 5
",
        data = path("data"),
        node = path("keys/node.pem"),
        recipient = path("keys/listener.pub.pem"),
        announcement = path("announcement.wav"),
    )
}

/// A path as a TOML string.
fn toml_string(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::control::config;

    #[test]
    fn what_stands_there_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("a").join("demo-call");

        let made: Vec<_> = (0..3).map(|_| new_directory(&out).unwrap()).collect();

        let names: Vec<_> = made.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["demo-call", "demo-call-2", "demo-call-3"]);
    }

    #[test]
    fn the_configuration_has_no_mistake() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));

        let text =
            configuration(address(1), address(2), (address(3), address(4)), (10_000, 11_999), Path::new("/tmp/a \"demo\""));

        let report = config::parse(&text);
        assert_eq!(report.mistakes, []);
        let settings = report.settings.unwrap();
        assert_eq!(settings.recipients[0].secret_key(), Path::new("/tmp/a \"demo\"/keys/listener.secret.pem"));
        assert_eq!(settings.media.ports, 10_000..=11_999);
    }

    #[test]
    fn the_songs_are_distinct_in_every_frame_that_is_not_silent() {
        let mut songs: Vec<Box<dyn FnMut(u64) -> [u8; 160]>> = vec![
            Box::new(song(Voice::Low)),
            Box::new(song(Voice::High)),
            Box::new(warm_up(Voice::Low)),
            Box::new(warm_up(Voice::High)),
        ];
        let sung: Vec<Vec<[u8; 160]>> = songs.iter_mut().map(|song| (0..250).map(song).collect()).collect();

        for (at, one) in sung.iter().enumerate() {
            let loud = one.iter().filter(|frame| frame.iter().any(|code| code & 0x7f < 0x40));
            assert!(loud.clone().count() > 150);
            assert!(
                loud.into_iter().all(|frame| sung.iter().enumerate().all(|(other, song)| other == at || !song.contains(frame)))
            );
        }
    }
}
