//! Secret keys and what protects them: passphrases come from a terminal, a file or a handle, never from arguments or the environment.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::{Zeroize as _, Zeroizing};

use crate::cli::exit::{Exit, Stop};
use crate::cli::held;
use crate::cli::site;
use crate::cli::words::{Passphrase, SecretKey};
use crate::control::Trouble;
use crate::vault::{BadKey, RecipientSecret};

/// Reads a recipient's secret key, with its passphrase where it has one; or opens it in its token.
pub(super) fn read_secret(key: &SecretKey) -> Result<RecipientSecret, Stop> {
    if let Some(uri) = held::uri(&key.key)? {
        return held::open(&uri, &key.passphrase);
    }
    let path = &key.key;
    let remedy = "name the *.secret.pem file of somebody who may listen";
    let text = Zeroizing::new(site::read_file(path, "the secret key", remedy)?);
    let read = match RecipientSecret::from_pem(&text) {
        Err(BadKey::Protected) => {
            let passphrase = key.passphrase.known(&format!("Passphrase of `{}`: ", path.display()))?;
            RecipientSecret::from_protected_pem(&text, &passphrase)
        }
        read => read,
    };
    read.map_err(|error| match &error {
        BadKey::OtherBlock(_, found) if found == "PUBLIC KEY" => {
            Stop::cannot(format!("cannot use the key `{}`: this is the public half", path.display()), "name the *.secret.pem")
        }
        BadKey::WrongPassphrase => {
            let what = format!("cannot use the key `{}`: {error}", path.display());
            Stop::Trouble(Exit::Refused, Trouble::new(what, "try again; nobody can get round a passphrase that is lost"))
        }
        BadKey::NotPem
        | BadKey::OtherBlock(..)
        | BadKey::Protected
        | BadKey::UnknownProtection
        | BadKey::TooCostly
        | BadKey::OtherAlgorithm(..)
        | BadKey::UnknownAlgorithm(_)
        | BadKey::NotOnTheCurve
        | BadKey::OutOfRange
        | BadKey::NotAScalar
        | BadKey::OtherHalf => site::bad_key(path, &error),
    })
}

impl Passphrase {
    /// Returns whether one is to be had without asking.
    pub(super) const fn is_given(&self) -> bool {
        self.passphrase_file.is_some() || self.passphrase_fd.is_some()
    }

    /// Returns the passphrase of a key that has one.
    pub(super) fn known(&self, prompt: &str) -> Result<Zeroizing<Vec<u8>>, Stop> {
        match self.given()? {
            Some(given) => Ok(given),
            None => Terminal::open()?.ask(prompt),
        }
    }

    /// Returns a passphrase for a new key.
    pub(super) fn chosen(&self, whose: &str) -> Result<Zeroizing<Vec<u8>>, Stop> {
        let passphrase = match self.given()? {
            Some(given) => given,
            None => {
                let terminal = Terminal::open()?;
                let first = terminal.ask(&format!("Passphrase for the secret key of `{whose}`: "))?;
                let again = terminal.ask("The same again: ")?;
                if first != again {
                    return Err(Stop::cannot("the two passphrases differ", "nothing was made; try again"));
                }
                first
            }
        };
        if passphrase.len() < SHORTEST {
            return Err(Stop::cannot(
                format!("the passphrase for the secret key of `{whose}` has fewer than {SHORTEST} bytes"),
                "take a longer one: whoever has the file tries some hundred a second",
            ));
        }
        Ok(passphrase)
    }

    /// The first line of the file or handle that is named.
    fn given(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Stop> {
        let path = match (&self.passphrase_file, self.passphrase_fd) {
            (Some(file), _) => file.clone(),
            // Whoever has started us has opened it; a name is how it is had without unsafe code.
            (None, Some(fd)) => PathBuf::from(format!("/proc/self/fd/{fd}")),
            (None, None) => return Ok(None),
        };
        let read = File::open(&path).and_then(|file| first_line(file.take(LONGEST)));
        let line =
            read.map_err(|error| site::cannot_read(&path, "the passphrase", &error, "it is the first line of that file"))?;
        if line.is_empty() {
            return Err(Stop::cannot(format!("there is no passphrase in `{}`", path.display()), "it is the first line"));
        }
        Ok(Some(line))
    }
}

/// What NIST SP 800-63B §3.1.1 has as the least.
const SHORTEST: usize = 8;

/// Nobody types more.
const LONGEST: u64 = 4096;

fn first_line(input: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // All at once, so that it is not copied as it grows.
    let mut line = Zeroizing::new(Vec::with_capacity(4096 + 2));
    BufReader::with_capacity(1, input).read_until(b'\n', &mut line)?;
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(line)
}

/// The terminal at which somebody sits, whatever standard input is.
struct Terminal(File);

impl Terminal {
    fn open() -> Result<Self, Stop> {
        OpenOptions::new().read(true).write(true).open("/dev/tty").map(Self).map_err(|_| {
            let what = "a passphrase is needed, and there is no terminal to ask for it";
            Stop::cannot(what, "--passphrase-file FILE or --passphrase-fd N says where it is")
        })
    }

    /// Asks, and shows nothing of the answer.
    fn ask(&self, prompt: &str) -> Result<Zeroizing<Vec<u8>>, Stop> {
        let failed = |error: io::Error| Stop::cannot(format!("cannot ask for a passphrase: {error}"), "is this a terminal?");
        let _silent = Silent::begin(&self.0).map_err(failed)?;
        let mut terminal = &self.0;
        write!(terminal, "{prompt}").map_err(failed)?;
        let answer = typed(terminal);
        writeln!(terminal).map_err(failed)?;
        match answer.map_err(failed)? {
            Some(answer) if !answer.is_empty() => Ok(answer),
            Some(_) | None => Err(Stop::cannot("no passphrase was given", "nothing was done")),
        }
    }
}

/// Reads what is typed, key by key, up to the end of the line; nothing where it was broken off.
fn typed(mut input: impl Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    let mut key = [0];
    let line = loop {
        if input.read(&mut key)? == 0 {
            break Some(line);
        }
        match key[0] {
            b'\n' | b'\r' => break Some(line),
            // Ctrl-C, Ctrl-\: they end nothing by themselves here, so that the terminal is put right first.
            0x03 | 0x1c => break None,
            // Ctrl-D at the beginning is the end of the input.
            0x04 if line.is_empty() => break None,
            // Backspace takes a character, of whose bytes all but the first begin with the bits 10 (UTF-8).
            0x08 | 0x7f => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            // Ctrl-U
            0x15 => line.clear(),
            _ if line.len() == line.capacity() => {}
            byte => line.push(byte),
        }
    };
    key.zeroize();
    Ok(line)
}

/// A terminal that shows nothing and hands out each key, until this is dropped.
struct Silent<'f>(&'f File, Termios);

impl<'f> Silent<'f> {
    fn begin(terminal: &'f File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before anybody was asked is no answer.
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self(terminal, before))
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        tcsetattr(self.0, OptionalActions::Flush, &self.1).ok();
    }
}

/// Says what to do with a private key that is protected, where no passphrase can be taken.
pub(super) fn protected(path: &Path) -> Stop {
    Stop::cannot(
        format!("the key `{}` is protected by a passphrase", path.display()),
        "name its public half (*.pub.pem), or its fingerprint",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_taken_as_it_was_meant() {
        let said = |keys: &[u8]| typed(keys).unwrap().map(|line| String::from_utf8(line.to_vec()).unwrap());

        assert_eq!(said(b"correct horse\nbattery").as_deref(), Some("correct horse"));
        assert_eq!(said("aä\u{7f}b\rc".as_bytes()).as_deref(), Some("ab"), "a character of two bytes is taken back whole");
        assert_eq!(said(b"\x7f\x7fwrong\x15right").as_deref(), Some("right"));
        assert_eq!([said(b"half\x03"), said(b"\x04"), said(b"half\x1c\n")], [None, None, None]);
        assert_eq!(said(&[b'x'; 5000]).unwrap().len(), 4096);
    }

    #[test]
    fn a_terminal_shows_nothing_while_it_is_asked_and_is_as_it_was_afterwards() {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let modes = |file: &File| tcgetattr(file).unwrap().local_modes;
        let (before, mut person) = (modes(&slave), File::from(master));
        assert!(before.contains(LocalModes::ECHO | LocalModes::ICANON));
        let watched = slave.try_clone().unwrap();

        let asked = std::thread::Builder::new().spawn(move || Terminal(slave).ask("Passphrase: ").unwrap()).unwrap();
        let mut shown = Vec::new();
        let mut byte = [0];
        while !shown.ends_with(b"Passphrase: ") {
            person.read_exact(&mut byte).unwrap();
            shown.push(byte[0]);
        }
        assert!(!modes(&watched).intersects(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
        person.write_all(b"tell nobody\n").unwrap();

        assert_eq!(asked.join().unwrap().as_slice(), b"tell nobody");
        assert_eq!(modes(&watched), before);
        person.read_exact(&mut byte).unwrap();
        assert!(matches!(byte, [b'\r' | b'\n']), "the line ends, and nothing of the answer is shown");
    }

    #[test]
    fn the_first_line_of_a_file_is_the_passphrase() {
        let line = |text: &[u8]| first_line(text).unwrap().to_vec();

        assert_eq!([line(b"one\ntwo\n"), line(b"one\r\n"), line(b"one")], [b"one"; 3]);
        assert_eq!(line(b"\none"), b"");
    }
}
