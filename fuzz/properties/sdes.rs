//! What holds of `wire::sdp::Crypto` for any bytes: what is read is printed to the byte, and no key in anything else.

use std::collections::BTreeSet;

use mitschnitt::wire::sdp::{Crypto, Inline, KeyParam, Sdp, SessionParam, Suite};

/// Checks all properties with one value of `a=crypto`.
pub(crate) fn check(data: &[u8]) {
    let crypto = match Crypto::parse(data) {
        Ok(crypto) => crypto,
        Err(error) => {
            assert!(error.at <= data.len() && error.to_string().starts_with("a=crypto has "), "{error}");
            return;
        }
    };
    assert_eq!(crypto.to_value().as_slice(), data, "it is printed as it came");
    check_values(&crypto);
    check_hidden(&crypto, data);

    let normal = crypto.clone().normal();
    assert_eq!(normal, crypto);
    let text = normal.to_value();
    let again = Crypto::parse(&text).expect("the normal form is read");
    assert_eq!(again, crypto, "the normal form says the same");
    assert_eq!(*again.normal().to_value(), *text, "and is the normal form of itself");

    let body = [b"v=0\r\nm=audio 4 RTP/SAVP 0\r\na=crypto:", data, b"\r\n"].concat();
    let sdp = Sdp::parse(&body).expect("a line of a description is no more than that");
    assert!(sdp.media().iter().all(|media| media.crypto));
}

fn check_values(crypto: &Crypto) {
    assert!(crypto.tag() <= 999_999_999 && !crypto.keys().is_empty());
    let fec =
        crypto.session().iter().flat_map(|param| if let SessionParam::FecKey(keys) = param { keys.as_slice() } else { &[] });
    for key in crypto.keys().iter().chain(fec) {
        let KeyParam::Inline(Inline { key, salt, lifetime, mki }) = key else { continue };
        let (key, salt) = (key.reveal(), salt.reveal());
        assert_eq!(crypto.suite().lengths(), Some((key.len(), salt.len())));
        assert!(lifetime.is_none_or(|lifetime| (1..=1 << 48).contains(&lifetime.packets())));
        assert!(mki.as_ref().is_none_or(|mki| (1..=128).contains(&mki.as_bytes().len())));

        let ours = Crypto::new(crypto.tag(), crypto.suite().clone(), &[key.as_slice(), salt].concat()).expect("the same lengths");
        assert_eq!(Crypto::parse(&ours.to_value()), Ok(ours));
    }
    assert_eq!(crypto.suite().lengths().is_some(), Suite::KNOWN.contains(crypto.suite()));
}

/// No piece of 12 bytes of what may be a key stands in the text for people: 9 bytes of the key.
fn check_hidden(crypto: &Crypto, data: &[u8]) {
    let shown = format!("{crypto:?}");
    let pieces: BTreeSet<&[u8]> = shown.as_bytes().windows(12).collect();
    for field in data.split(|b| b" \t;".contains(b)) {
        let Some(colon) = field.iter().position(|&b| b == b':') else { continue };
        // What stands behind the key are numbers, which are shown, and may be the same digits.
        let key = field.get(colon + 1..).and_then(|info| info.split(|&b| b == b'|').next()).unwrap_or_default();
        let is_shown = |piece: &[u8]| pieces.contains(piece);
        assert!(!key.windows(12).any(|piece| is_shown(piece) && !piece.iter().all(u8::is_ascii_digit)), "{shown}");
    }
}
