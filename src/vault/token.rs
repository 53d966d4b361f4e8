//! Where a key lies that does not leave its token: a `pkcs11:` URI (RFC 7512), and what of it means something here.

use std::fmt;
use std::path::PathBuf;

/// Where a key lies in a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenUri {
    /// The library that speaks to the token: `module-path`, absolute.
    pub module: PathBuf,
    /// The token's label: `token`.
    pub token: String,
    /// The token's serial number, where several have the label: `serial`.
    pub serial: Option<String>,
    /// The key's label: `object`.
    pub object: String,
    /// The file whose first line is the PIN: `pin-source`, absolute; nothing where somebody is asked for it.
    pub pin_file: Option<PathBuf>,
}

impl TokenUri {
    /// Returns whether a text means to be one.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is malformed, or says less or more than is used here.
    pub fn parse(text: &str) -> Result<Self, BadTokenUri> {
        let rest = text.get(SCHEME.len()..).filter(|_| Self::is_meant(text)).ok_or(BadTokenUri::Malformed)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut said = Said::default();
        path.split(';').filter(|part| !part.is_empty()).try_for_each(|part| said.take(part, &PATH))?;
        query.split('&').filter(|part| !part.is_empty()).try_for_each(|part| said.take(part, &QUERY))?;
        let Said { module, token, serial, object, pin_source, kind } = said;
        if kind.is_some_and(|kind| kind != "private") {
            return Err(BadTokenUri::Unused("type".into()));
        }
        Ok(Self {
            module: absolute("module-path", module.ok_or(BadTokenUri::Missing("module-path"))?)?,
            token: token.ok_or(BadTokenUri::Missing("token"))?,
            serial,
            object: object.ok_or(BadTokenUri::Missing("object"))?,
            pin_file: pin_source.map(pin_file).transpose()?,
        })
    }
}

const SCHEME: &str = "pkcs11:";

/// What stands before the question mark, and what behind it (RFC 7512 §2.3).
const PATH: [&str; 4] = ["token", "serial", "object", "type"];
const QUERY: [&str; 2] = ["module-path", "pin-source"];

#[derive(Default)]
struct Said {
    module: Option<String>,
    token: Option<String>,
    serial: Option<String>,
    object: Option<String>,
    pin_source: Option<String>,
    kind: Option<String>,
}

impl Said {
    fn take(&mut self, part: &str, may: &[&str]) -> Result<(), BadTokenUri> {
        let (name, value) = part.split_once('=').ok_or(BadTokenUri::Malformed)?;
        if name == "pin-value" {
            return Err(BadTokenUri::Pin);
        }
        let place = match name {
            "module-path" => &mut self.module,
            "token" => &mut self.token,
            "serial" => &mut self.serial,
            "object" => &mut self.object,
            "pin-source" => &mut self.pin_source,
            _ => &mut self.kind,
        };
        if !may.contains(&name) {
            return Err(BadTokenUri::Unused(name.escape_debug().collect()));
        }
        if place.is_some() {
            return Err(BadTokenUri::Twice(name.into()));
        }
        *place = Some(decoded(value).filter(|value| !value.is_empty()).ok_or(BadTokenUri::Malformed)?);
        Ok(())
    }
}

/// `file:/PATH`, `file:///PATH` or `/PATH`; that a command be run for it (RFC 7512 §2.4, `|`) is not taken.
fn pin_file(source: String) -> Result<PathBuf, BadTokenUri> {
    let path = source.strip_prefix("file:").map_or(source.as_str(), |path| path.strip_prefix("//").unwrap_or(path));
    absolute("pin-source", path.into())
}

fn absolute(name: &'static str, path: String) -> Result<PathBuf, BadTokenUri> {
    if path.starts_with('/') { Ok(path.into()) } else { Err(BadTokenUri::Relative(name)) }
}

/// Percent-decoded; nothing where that is malformed or no UTF-8.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = value.bytes();
    let mut plain = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        plain.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(plain).ok().filter(|text| !text.contains('\0'))
}

/// As it may stand in the configuration: nothing in it is secret.
impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}token=")?;
        encode(&self.token, f)?;
        if let Some(serial) = &self.serial {
            f.write_str(";serial=")?;
            encode(serial, f)?;
        }
        f.write_str(";object=")?;
        encode(&self.object, f)
    }
}

fn encode(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.bytes().try_for_each(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => write!(f, "{}", char::from(byte)),
        _ => write!(f, "%{byte:02X}"),
    })
}

/// The operator wrote a `pkcs11:` URI that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadTokenUri {
    /// It is none by RFC 7512.
    Malformed,
    /// An attribute is missing: which.
    Missing(&'static str),
    /// An attribute stands twice: which.
    Twice(String),
    /// An attribute is not used here, or not with this value: which.
    Unused(String),
    /// A path is not absolute: which.
    Relative(&'static str),
    /// The PIN itself stands in it.
    Pin,
}

impl fmt::Display for BadTokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("it is no `pkcs11:` URI (RFC 7512)"),
            Self::Missing(name) => write!(f, "it has no `{name}`"),
            Self::Twice(name) => write!(f, "it has `{name}` twice"),
            Self::Unused(name) => write!(f, "`{name}` is not used here, or not so"),
            Self::Relative(name) => write!(f, "`{name}` is not an absolute path"),
            Self::Pin => f.write_str("it has the PIN in it, where everybody reads it who reads the configuration"),
        }
    }
}

impl std::error::Error for BadTokenUri {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const WHOLE: &str =
        "pkcs11:token=The%20Box;object=node;type=private?module-path=/usr/lib/libx.so&pin-source=file:/etc/mitschnitt/pin";

    #[test]
    fn it_says_where_the_key_lies_and_where_its_pin() {
        let read = TokenUri::parse(WHOLE).unwrap();

        assert_eq!((read.token.as_str(), read.object.as_str(), read.serial.as_ref()), ("The Box", "node", None));
        assert_eq!(read.module, PathBuf::from("/usr/lib/libx.so"));
        assert_eq!(read.pin_file, Some("/etc/mitschnitt/pin".into()));
        assert_eq!(read.to_string(), "pkcs11:token=The%20Box;object=node");
        let pins = ["pin-source=/p", "pin-source=file:///p", "pin-source=file:%2Fp"];
        for pin in pins {
            let uri = format!("PKCS11:object=k;serial=7f;token=t?{pin}&module-path=/m");
            assert_eq!(TokenUri::parse(&uri).unwrap().pin_file, Some("/p".into()), "{uri}");
        }
    }

    #[test]
    fn what_it_lacks_or_has_too_much_is_told() {
        let told = |uri: &str| TokenUri::parse(uri).err().map(|error| error.to_string());
        let missing = |name: &str| Some(format!("it has no `{name}`"));

        assert_eq!(told("pkcs11:token=t;object=o"), missing("module-path"));
        assert_eq!(told("pkcs11:object=o?module-path=/m"), missing("token"));
        assert_eq!(told("pkcs11:token=t?module-path=/m"), missing("object"));
        assert_eq!(told("pkcs11:token=t;token=u;object=o?module-path=/m"), Some("it has `token` twice".into()));
        assert_eq!(told("pkcs11:token=t;object=o;id=%01?module-path=/m"), Some("`id` is not used here, or not so".into()));
        assert_eq!(told("pkcs11:token=t;object=o;type=cert?module-path=/m"), Some("`type` is not used here, or not so".into()));
        assert_eq!(told("pkcs11:token=t;object=o;module-path=/m"), Some("`module-path` is not used here, or not so".into()));
        assert_eq!(told("pkcs11:token=t;object=o?module-path=m.so"), Some("`module-path` is not an absolute path".into()));
        assert_eq!(
            told("pkcs11:token=t;object=o?module-path=/m&pin-source=|pass"),
            Some("`pin-source` is not an absolute path".into())
        );
        assert!(told("pkcs11:token=t;object=o?module-path=/m&pin-value=1234").unwrap().contains("it has the PIN in it"));
        for uri in
            ["", "pkcs11", "/etc/node.pem", "pkcs11:token", "pkcs11:token=%2;object=o", "pkcs11:token=%ff", "pkcs11:token="]
        {
            assert_eq!(TokenUri::parse(uri), Err(BadTokenUri::Malformed), "{uri}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        for cut in 0..=WHOLE.len() {
            let (begin, end) = WHOLE.split_at(cut);
            for text in [begin.to_owned(), end.to_owned(), format!("{begin}ä{end}"), format!("{begin}%{end}")] {
                TokenUri::parse(&text).ok();
            }
        }
    }
}
