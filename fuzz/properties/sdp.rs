//! What holds of `wire::sdp` for any bytes: anchored, a description leads to us and says in all else what it said.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mitschnitt::wire::sdp::{Here, Media, Sdp, find};

/// Checks all properties with one body.
pub(crate) fn check(data: &[u8]) {
    for content_type in [&b"application/sdp"[..], b"multipart/mixed;boundary=b"] {
        let place = find(content_type, data);
        assert!(place.is_none_or(|place| data.get(place).is_some()), "what is found is in the body");
    }
    let Ok(sdp) = Sdp::parse(data) else { return };
    assert_eq!(sdp.as_bytes(), data);
    assert_eq!(sdp.anchored(&[]), data, "nothing is changed where nothing is given");
    let _shown = format!("{sdp:?}");

    // Near the limit a line more may be one too many.
    if data.split(|&b| b == b'\n').count() > 400 {
        return;
    }
    let here = |media: usize, ip: IpAddr| Here { ip, rtp: 30_000 + u16::try_from(2 * media).expect("few media"), rtcp: 40_000 };
    let count = sdp.media().len();
    let all: Vec<_> = (0..count).map(|media| Some(here(media, FOUR))).collect();
    let some: Vec<_> = (0..count).map(|media| (media % 2 == 1).then_some(here(media, SIX))).collect();
    let both: Vec<_> = (0..count).map(|media| Some(here(media, if media % 2 == 0 { SIX } else { FOUR }))).collect();
    for places in [all, some, both] {
        check_anchored(&sdp, &places);
    }
}

fn check_anchored(sdp: &Sdp, places: &[Option<Here>]) {
    let body = sdp.anchored(places);
    let anchored = Sdp::parse(&body).expect("an anchored description is well-formed");

    assert_eq!(anchored.media().len(), sdp.media().len());
    for ((old, new), here) in sdp.media().iter().zip(anchored.media()).zip(places) {
        let mut expected = old.clone();
        if let Some(here) = here.filter(|_| old.port != 0 && old.anchorable) {
            expected = moved(expected, old, new, here);
        } else if old.port == 0 {
            // It leads nowhere, so where is all the same.
            expected.addr = new.addr;
            expected.anchorable = new.anchorable;
        }
        assert!(expected == *new, "{old:?} became {new:?}");
    }
    // Among them a=crypto and a=fingerprint, without which nobody could decrypt.
    assert!(untouched(&body).eq(untouched(sdp.as_bytes())), "no other line is changed, added or lost");
}

/// The lines that an anchor leaves as they came: all but `c=`, `m=` and `a=rtcp`, and empty ones.
fn untouched(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = body.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| {
        let attribute = line.strip_prefix(b"a=").and_then(|attribute| attribute.trim_ascii().split(|&b| b == b':').next());
        !line.is_empty() && !line.starts_with(b"c=") && !line.starts_with(b"m=") && attribute != Some(b"rtcp")
    })
}

/// What a media is once it has been moved here.
fn moved(mut media: Media, old: &Media, new: &Media, here: Here) -> Media {
    media.port = here.rtp;
    // A name is replaced by an address; but an absent line stays absent, and zeroes stay zeroes.
    if old.addr.is_some_and(|addr| !addr.is_unspecified()) || (old.addr.is_none() && new.addr.is_some()) {
        media.addr = Some(here.ip);
    }
    // Of whichever version: that of the place, unless others rely on the line.
    if let (Some(was), Some(is)) = (old.addr, new.addr)
        && was.is_unspecified()
        && is.is_unspecified()
        && is.is_ipv4() == here.ip.is_ipv4()
    {
        media.addr = Some(is);
    }
    // A malformed a=rtcp line is mended on the way: some reader might have read a port out of it.
    media.rtcp = new.rtcp;
    assert!(old.rtcp.is_none() || new.rtcp.is_some());
    if let Some((addr, port)) = new.rtcp {
        assert_eq!(port, here.rtcp);
        assert!(addr.is_none_or(|addr| addr == here.ip || addr.is_unspecified()), "RTCP leads to us");
    }
    media
}

const FOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SIX: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
