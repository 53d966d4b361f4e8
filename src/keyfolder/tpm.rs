//! The key of the epoch in a TPM 2.0, which forgets what is overwritten: there is no disk that could keep it.
//!
//! Of the TPM's commands it takes three (TPM 2.0 Library, part 3: §31.3 `NV_DefineSpace`, §31.7 `NV_Write`, §31.13 `NV_Read`), with a password of our own for
//! the space. The kernel's resource manager (`/dev/tpmrm0`) takes one command and gives one answer; so does `swtpm` over a Unix socket.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::limits::TPM_PATIENCE;

/// Where in a TPM the two places are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The kernel's resource manager, or a socket of `swtpm`.
    pub(crate) device: PathBuf,
    /// The number of the first space; the second has the next one. Of the range that is the owner's: 0x01800000 to 0x01bfffff.
    pub(crate) index: u32,
}

/// The two places, and the password by which they are read and written.
#[derive(Clone)]
pub(super) struct Tpm {
    place: Place,
    password: Zeroizing<[u8; 32]>,
}

/// The first line of the file that says where they are.
const MAGIC: &str = "mitschnitt-tpm2/1";

impl Tpm {
    pub(super) const fn new(place: Place, password: Zeroizing<[u8; 32]>) -> Self {
        Self { place, password }
    }

    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// Returns what stands in `.epoch` in the place of keys.
    pub(super) fn to_file(&self) -> Zeroizing<Vec<u8>> {
        let password: Zeroizing<String> = Zeroizing::new(self.password.iter().map(|byte| format!("{byte:02x}")).collect());
        let (device, index) = (self.place.device.display(), self.place.index);
        Zeroizing::new(format!("{MAGIC}\n{device}\n{index:#010x}\n{}\n", password.as_str()).into_bytes())
    }

    /// Reads that; nothing where it is something else.
    pub(super) fn from_file(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        if lines.next()? != MAGIC {
            return None;
        }
        let device = PathBuf::from(lines.next()?);
        let index = u32::from_str_radix(lines.next()?.strip_prefix("0x")?, 16).ok()?;
        let hex = lines.next()?;
        let mut password = Zeroizing::new([0; 32]);
        for (at, byte) in password.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self { place: Place { device, index }, password })
    }

    /// Writes into one of the two places, which is made where it is not there.
    pub(super) fn write(&self, nth: u64, bytes: &[u8]) -> io::Result<()> {
        let index = self.index(nth);
        let mut wire = Wire::open(&self.place.device)?;
        match wire.ask(&define(index, self.password.as_slice(), bytes.len())) {
            Ok(_) | Err(Refusal::Code(NV_DEFINED)) => {}
            Err(refusal) => return Err(refusal.told("make a space")),
        }
        wire.ask(&write(index, self.password.as_slice(), bytes)).map(drop).map_err(|refusal| refusal.told("write"))
    }

    /// Reads one of them; nothing where it was never written.
    pub(super) fn read(&self, nth: u64, length: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut wire = Wire::open(&self.place.device)?;
        match wire.ask(&read(self.index(nth), self.password.as_slice(), length)) {
            Ok(answer) => {
                // The length of what follows, the length of the data, the data, and an empty session.
                let data = answer.get(6..6 + length).ok_or_else(|| io::Error::other("the TPM gave less than was asked for"))?;
                Ok(Some(Zeroizing::new(data.to_vec())))
            }
            Err(Refusal::Code(NO_SUCH_HANDLE | NV_UNINITIALIZED)) => Ok(None),
            Err(refusal) => Err(refusal.told("read")),
        }
    }

    fn index(&self, nth: u64) -> u32 {
        self.place.index.wrapping_add(u32::from(nth % 2 == 1))
    }
}

/// A password session (part 1, §19.4).
fn session(password: &[u8]) -> Zeroizing<Vec<u8>> {
    // No nonce, and nothing that goes on.
    let area = Zeroizing::new([&0x4000_0009_u32.to_be_bytes(), [0; 3].as_slice(), &sized(password)].concat());
    let length = u32::try_from(area.len()).unwrap_or(u32::MAX);
    Zeroizing::new([length.to_be_bytes().as_slice(), &area].concat())
}

fn sized(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes().as_slice(), bytes].concat())
}

/// A command with one session: header, handles, session, parameters.
fn command(code: u32, handles: &[u32], password: &[u8], parameters: &[u8]) -> Zeroizing<Vec<u8>> {
    let handles: Vec<u8> = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
    let body = Zeroizing::new([handles.as_slice(), &session(password), parameters].concat());
    let length = u32::try_from(10 + body.len()).unwrap_or(u32::MAX);
    Zeroizing::new([&[0x80, 0x02], length.to_be_bytes().as_slice(), &code.to_be_bytes(), &body].concat())
}

const OWNER: u32 = 0x4000_0001;
const SHA256: u16 = 0x000b;

/// Read and written by the space's own password alone, and wrong ones lock nothing else: AUTHWRITE, AUTHREAD, NO_DA.
const ATTRIBUTES: u32 = 1 << 2 | 1 << 18 | 1 << 25;

fn define(index: u32, password: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    let mut public = Vec::new();
    public.extend(index.to_be_bytes());
    public.extend(SHA256.to_be_bytes());
    public.extend(ATTRIBUTES.to_be_bytes());
    public.extend([0, 0]); // no policy
    public.extend(length.to_be_bytes());
    let parameters = Zeroizing::new([sized(password).as_slice(), &sized(&public)].concat());
    command(0x0000_012a, &[OWNER], &[], &parameters)
}

fn write(index: u32, password: &[u8], bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let parameters = Zeroizing::new([sized(bytes).as_slice(), &0_u16.to_be_bytes()].concat());
    command(0x0000_0137, &[index, index], password, &parameters)
}

fn read(index: u32, password: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    command(0x0000_014e, &[index, index], password, &[length.to_be_bytes(), [0, 0]].concat())
}

const NV_DEFINED: u32 = 0x14c;
const NV_UNINITIALIZED: u32 = 0x14a;
/// The first handle is of nothing that is there.
const NO_SUCH_HANDLE: u32 = 0x18b;
/// It is busy with something of its own: the same again.
const AGAIN: [u32; 3] = [0x908, 0x90a, 0x922];

/// Why a command was not done.
#[derive(Debug)]
enum Refusal {
    /// The TPM's code (part 2, §6.6).
    Code(u32),
    Io(io::Error),
}

impl Refusal {
    fn told(self, doing: &str) -> io::Error {
        match self {
            // The session's password is none, or a wrong one; or too many were wrong.
            Self::Code(0x9a2 | 0x98e | 0x921) => io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("the TPM does not let us {doing}: its owner has a password, or the space has another than `.epoch` says"),
            ),
            Self::Code(code) => {
                io::Error::other(format!("the TPM does not {doing}: TPM_RC {code:#05x} (`tpm2_rc_decode` says what that is)"))
            }
            Self::Io(error) => error,
        }
    }
}

/// The device.
struct Wire(Box<dyn Device>);

trait Device: Read + Write {}

impl<T: Read + Write> Device for T {}

/// The longest answer of the commands that we send is far shorter.
const ANSWER: usize = 4096;

impl Wire {
    fn open(device: &Path) -> io::Result<Self> {
        // Of another kind: that the TPM is not there says nothing of what it is wanted for.
        let told = |error: io::Error| io::Error::other(format!("the TPM `{}`: {error}", device.display()));
        let is_socket = std::fs::metadata(device).map_err(told)?.file_type().is_socket();
        if is_socket {
            let stream = UnixStream::connect(device).map_err(told)?;
            stream
                .set_read_timeout(Some(TPM_PATIENCE))
                .and_then(|()| stream.set_write_timeout(Some(TPM_PATIENCE)))
                .map_err(told)?;
            return Ok(Self(Box::new(stream)));
        }
        // The kernel's driver has limits of its own for how long a command may take.
        Ok(Self(Box::new(OpenOptions::new().read(true).write(true).open(device).map_err(told)?)))
    }

    /// Sends a command, and returns what follows the header of the answer.
    fn ask(&mut self, command: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        for _ in 0..8 {
            match self.once(command) {
                Err(Refusal::Code(code)) if AGAIN.contains(&code) => std::thread::sleep(Duration::from_millis(20)),
                told => return told,
            }
        }
        Err(Refusal::Io(io::Error::new(io::ErrorKind::TimedOut, "the TPM is busy with something else")))
    }

    fn once(&mut self, command: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        self.0.write_all(command).and_then(|()| self.0.flush()).map_err(Refusal::Io)?;
        let mut answer = Zeroizing::new(vec![0; ANSWER]);
        let mut filled = 0;
        // The device gives all of it at once; a socket may not.
        let length = loop {
            let room = answer.get_mut(filled..).unwrap_or_default();
            let read = self.0.read(room).map_err(Refusal::Io)?;
            filled += read;
            let length = answer.get(2..6).and_then(|four| Some(u32::from_be_bytes(four.try_into().ok()?)));
            let length = length.and_then(|length| usize::try_from(length).ok()).filter(|length| (10..=ANSWER).contains(length));
            match length {
                Some(length) if filled >= 6 && filled >= length => break length,
                _ if read == 0 || filled >= 6 && length.is_none() => {
                    return Err(Refusal::Io(io::Error::new(io::ErrorKind::InvalidData, "that is no TPM: its answer is none")));
                }
                _ => {}
            }
        };
        let code = answer.get(6..10).and_then(|four| Some(u32::from_be_bytes(four.try_into().ok()?))).unwrap_or_default();
        match code {
            0 => Ok(Zeroizing::new(answer.get(10..length).unwrap_or_default().to_vec())),
            code => Err(Refusal::Code(code)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    use super::*;

    fn tpm(device: PathBuf) -> Tpm {
        Tpm::new(Place { device, index: 0x0180_6d53 }, Zeroizing::new([0xab; 32]))
    }

    #[test]
    fn what_stands_in_the_file_is_read_as_it_was_written_and_nothing_else_is() {
        let own = tpm("/dev/tpmrm0".into());

        let read = Tpm::from_file(&own.to_file()).unwrap();
        assert_eq!((read.place(), *read.password), (own.place(), [0xab; 32]));
        for other in [&b""[..], &[0; 4096], b"mitschnitt-tpm2/2\n/dev/tpmrm0\n0x1\nab\n", &own.to_file()[..90]] {
            assert!(Tpm::from_file(other).is_none());
        }
        assert_eq!([0, 1, 2].map(|nth| own.index(nth)), [0x0180_6d53, 0x0180_6d54, 0x0180_6d53]);
    }

    #[test]
    fn each_command_is_as_the_specification_says() {
        // TPM 2.0 Library, part 3, tables 227, 239 and 251: tag, length, code, handles, session, parameters.
        let session = "0000000d 40000009 0000 00 0004 70617373";
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let said = |text: &str| text.replace(' ', "");

        assert_eq!(
            hex(&define(0x0180_6d53, b"pass", 57)),
            said(
                "8002 00000031 0000012a 40000001 00000009 40000009 0000 00 0000 0004 70617373 000e 01806d53 000b 02040004 0000 0039"
            )
        );
        assert_eq!(
            hex(&write(0x0180_6d53, b"pass", b"key")),
            said(&format!("8002 0000002a 00000137 01806d53 01806d53 {session} 0003 6b6579 0000"))
        );
        assert_eq!(
            hex(&read(0x0180_6d53, b"pass", 57)),
            said(&format!("8002 00000027 0000014e 01806d53 01806d53 {session} 0039 0000"))
        );
    }

    #[test]
    fn what_answers_as_no_tpm_does_or_never_is_told_in_time() {
        let home = tempfile::tempdir().unwrap();
        let answers = |name: &str, answer: &'static [u8]| {
            let path = home.path().join(name);
            let listener = UnixListener::bind(&path).unwrap();
            drop(std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut command = [0; 4096];
                drop(stream.read(&mut command));
                drop(stream.write_all(answer));
                // Whoever never answers leaves the connection open until the other goes.
                drop(stream.read_to_end(&mut Vec::new()));
            }));
            tpm(path).read(0, 57).map_err(|error| error.to_string())
        };

        assert!(answers("http", b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap_err().contains("that is no TPM"));
        assert!(answers("owner", b"\x80\x01\0\0\0\x0a\0\0\x09\xa2").unwrap_err().contains("its owner has a password"));
        assert!(answers("other", b"\x80\x01\0\0\0\x0a\0\0\x01\x49").unwrap_err().contains("TPM_RC 0x149"));
        assert_eq!(answers("none", b"\x80\x01\0\0\0\x0a\0\0\x01\x8b").unwrap(), None);
        let since = Instant::now();
        assert!(answers("mute", b"").is_err());
        assert!((TPM_PATIENCE..3 * TPM_PATIENCE).contains(&since.elapsed()));
        assert!(tpm(home.path().join("away")).read(0, 57).unwrap_err().to_string().contains("away`: No such file"));
    }
}
