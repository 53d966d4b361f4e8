//! Bytes to values and back: SIP, SDP, RTP, RTCP and DTMF. No state, no time, no I/O; no bytes make it panic.

pub mod dtmf;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod sip;
