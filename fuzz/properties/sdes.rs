//! What holds of `wire::sdp::Crypto` for any bytes: what is read is printed to the byte, and no key in anything else.

use std::ops::Range;

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

/// What is printed for people is the same for another key.
fn check_hidden(crypto: &Crypto, data: &[u8]) {
    let mut other = data.to_vec();
    let fields = places(0..data.len(), data, b" \t").filter(|field| !field.is_empty());
    for (nth, field) in fields.enumerate() {
        if nth != 2 && !data.get(field.clone()).is_some_and(|field| field.starts_with(b"FEC_KEY=")) {
            continue;
        }
        for param in places(field, data, b";") {
            // Behind the colon and before a lifetime, but for the last letter, of which some bits must be zero, and the padding.
            let Some(info) = places(param.clone(), data, b":").nth(1) else { continue };
            let end = places(info.start..param.end, data, b"|").next().map_or(param.end, |key| key.end);
            let key = other.get_mut(info.start..end).expect("within the value");
            let letters = key.iter().rev().skip_while(|&&byte| byte == b'=').skip(1).count();
            key.iter_mut().take(letters).for_each(|byte| *byte = rotated(*byte));
        }
    }
    let other = Crypto::parse(&other).expect("another key of the same length");
    assert_eq!(format!("{other:?}"), format!("{crypto:?}"));
}

/// The places of the pieces of a part of the text, between these bytes.
fn places<'t>(part: Range<usize>, text: &'t [u8], between: &'static [u8]) -> impl Iterator<Item = Range<usize>> + 't {
    let mut start = part.start;
    text.get(part).unwrap_or_default().split(|byte| between.contains(byte)).map(move |piece| {
        let place = start..start + piece.len();
        start = place.end + 1;
        place
    })
}

/// The letter 13 further on; anything else as it is.
fn rotated(byte: u8) -> u8 {
    match byte {
        b'a'..=b'm' | b'A'..=b'M' => byte + 13,
        b'n'..=b'z' | b'N'..=b'Z' => byte - 13,
        _ => byte,
    }
}
