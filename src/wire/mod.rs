//! Bytes to values and back: SIP, SDP, RTP, RTCP, redundancy, DTMF and rtpdump files. No state, no time, no I/O; no bytes make it panic.

pub mod dtmf;
pub mod red;
pub mod rtcp;
pub mod rtp;
pub mod rtpdump;
pub mod sdp;
pub mod sip;
