//! The PIN: from a file that its owner alone may read, each time that it is needed, and kept nowhere; or from whoever types it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cryptoki::types::RawAuthPin;
use zeroize::Zeroizing;

use crate::token::TokenError;

/// Where it comes from. It has no `Debug`.
pub enum Pin {
    /// From the file that the URI names.
    InFile,
    /// Somebody was asked for it, or has it elsewhere.
    Given(Zeroizing<Vec<u8>>),
}

impl Pin {
    /// Returns it.
    pub(super) fn read(&self, path: Option<&Path>) -> Result<RawAuthPin, TokenError> {
        let pin = match self {
            Self::InFile => &first_line(path)?,
            Self::Given(pin) => pin,
        };
        Ok(RawAuthPin::new(Box::new(pin.to_vec())))
    }
}

fn first_line(path: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    let path = path.ok_or(TokenError::NoPinFile)?;
    let cannot = |error| TokenError::PinFile(path.into(), error);
    let file = File::open(path).map_err(cannot)?;
    if file.metadata().map_err(cannot)?.permissions().mode() & 0o077 != 0 {
        return Err(TokenError::PinFileOpen(path.into()));
    }
    // All at once, so that it is not copied as it grows.
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
    file.take(LONGEST as u64).read_to_end(&mut text).map_err(cannot)?;
    let pin = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let pin = pin.strip_suffix(b"\r").unwrap_or(pin);
    if pin.is_empty() {
        return Err(cannot(io::Error::other("its first line is empty")));
    }
    Ok(Zeroizing::new(pin.to_vec()))
}

/// Tokens take 4 to 255 bytes.
const LONGEST: usize = 512;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn the_pin_is_the_first_line_of_a_file_that_nobody_else_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        let read = |text: &[u8], mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            first_line(Some(&path)).map(|pin| pin.to_vec())
        };

        assert_eq!(read(b"1234\nfor the box in the cellar\n", 0o600).unwrap(), b"1234");
        assert_eq!(read(b"12 34\r\n", 0o400).unwrap(), b"12 34");
        assert!(matches!(read(b"1234", 0o640), Err(TokenError::PinFileOpen(_))));
        assert!(matches!(read(b"1234", 0o604), Err(TokenError::PinFileOpen(_))));
        assert!(matches!(read(b"\n1234", 0o600), Err(TokenError::PinFile(..))));
        assert!(matches!(first_line(Some(&folder.path().join("none"))), Err(TokenError::PinFile(..))));
        assert!(matches!(first_line(None), Err(TokenError::NoPinFile)));
    }
}
