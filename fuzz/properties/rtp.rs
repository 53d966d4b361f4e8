//! What holds of `wire::rtp` and `wire::dtmf` for any bytes: a view stays within the packet, a setter within its field.

use mitschnitt::wire::dtmf::{parse_info, parse_rfc4733};
use mitschnitt::wire::rtp::{
    Header, Rtp, is_rtcp, set_marker, set_payload_type, set_sequence, set_ssrc, set_timestamp, write_header,
};

/// Checks all properties with one packet.
pub(crate) fn check(data: &[u8]) {
    let _kind = is_rtcp(data);
    let _key = parse_rfc4733(data);
    for content_type in [&b"application/dtmf-relay"[..], b"application/dtmf"] {
        let _key = parse_info(content_type, data);
    }
    let header = Header { payload_type: 101, marker: true, sequence: 0x0203, timestamp: 0x0405_0607, ssrc: 0x0809_0a0b };
    let mut changed = data.to_vec();
    set_payload_type(&mut changed, header.payload_type);
    set_marker(&mut changed, header.marker);
    set_sequence(&mut changed, header.sequence);
    set_timestamp(&mut changed, header.timestamp);
    set_ssrc(&mut changed, header.ssrc);
    assert_eq!(changed.len(), data.len());

    let Some(rtp) = Rtp::parse(data) else {
        assert!(Rtp::parse(&changed).is_none());
        return;
    };
    let whole = rtp.header_len() + rtp.payload().len();
    assert!(rtp.header_len() >= Header::LEN && whole <= data.len());
    assert_eq!(data.get(rtp.header_len()..whole), Some(rtp.payload()));
    let _key = parse_rfc4733(rtp.payload());
    let _shown = format!("{rtp:?}");

    let new = Rtp::parse(&changed).expect("no setter changes the frame");
    assert_eq!((new.header_len(), new.payload()), (rtp.header_len(), rtp.payload()));
    assert_eq!((new.payload_type(), new.marker(), new.sequence()), (header.payload_type, header.marker, header.sequence));
    assert_eq!((new.timestamp(), new.ssrc()), (header.timestamp, header.ssrc));

    let mut written = [0; Header::LEN];
    write_header(&mut written, header);
    assert_eq!(changed.get(1..Header::LEN), written.get(1..));
}
