//! `mitschnitt` (German: a recording of what was said as it was said) is a SIP/RTP recording proxy.
//!
//! It stands inline between a company's PBX and its carriers' SIP trunks, anchors the media, plays an announcement, asks for consent, and
//! only then mirrors the RTP of the call into an encrypted file of its own.
//!
//! # The rooms
//!
//! ```text
//!                         main.rs   argv → one of three doors
//!                        /   |   \
//!   cli  what an operator  demo   node  the shell: sockets, clock, threads, disk,
//!        types and reads    │      │    signals, /metrics — the only room with I/O
//!               \           │     /     on behalf of the product
//!                control            the operator's language: config, requests, replies
//!               /       \
//!    lane   call         catalogue  one call's life     · which recordings exist, until when
//!      \  /  |   \         /
//!      sip  media  vault ─┘ export  signalling          · media plane · recordings at rest · WAV
//!        \   |    /      \   /
//!         consent        sound      who must be told, who agreed, the permit · codecs, WAV, resampling
//!            |
//!           wire                    bytes ⇄ values: SIP, SDP, RTP, RTCP
//!      ───────────────────────────────────────────────────────────────
//!      floor:  time  ids  private  limits  digit  number  codec  network  sabotage   (files, not rooms; import nothing)
//! ```
//!
//! `keyfolder`, whose files both `node` and `cli` destroy, touches the disk as they do, and is named by nobody else.
//! `media` also names `sound`, by which it hears keys. `tls`, which says who we are and whom we believe, is named by `control`, `node` and `cli`, and `access` by them and `catalogue`; `token`, which speaks to a token that has the node's key or a recipient's, by `node` and `cli`. Who may import whom is a table in `tests/house.rs`, and a test.
//!
//! # The life of a call
//!
//! ```text
//!  datagram ─▶ node ─▶ call::Table ─▶ sip::Stack ─requests,responses─▶ one call ─orders─▶ media::Plane
//!                                          ◀────────send──────────────    │ Permit
//!  RTP ─▶ node ─▶ lane::Lane: media::Plane ─▶ node                        ▼
//!                            └──Covered<'_>──▶ vault::Recorder ─PlainChunk─▶ vault::Sealer ─▶ disk
//! ```
//!
//! # What is absent on purpose
//!
//! - No packet is kept for a consent that may come: [`consent::Permit`] covers packets while they lie in the receive buffer, and
//!   [`vault::Recorder`] takes nothing else.
//! - No core reads a clock, draws a random number, opens a socket or a file, spawns, or locks: time and chance come in as arguments.
//! - No queue is without a bound; each bound that an operator can meet stands in [`limits`] with its reason and its consequence, those of
//!   one loop or one socket beside it.
//! - Nothing that says who called whom, no digit and no key appears in a log, a metric label or an error: see [`private`].
//!
//! # Reading order
//!
//! [`consent`] first, for it is what the product is about; then [`wire::sip`], [`sip`], [`media`], [`vault`], and [`call`] that joins
//! them; `node` last. The manual is in [`manual`].

pub mod access;
pub mod call;
pub mod catalogue;
pub mod cli;
pub mod codec;
pub mod consent;
pub mod control;
pub mod demo;
pub mod digit;
pub mod export;
pub mod ids;
pub mod indexed;
mod keyfolder;
pub mod lane;
pub mod limits;
pub mod media;
pub mod network;
pub mod node;
pub mod number;
pub mod private;
mod sabotage;
pub mod sip;
pub mod sound;
pub mod time;
pub mod tls;
pub mod token;
pub mod vault;
pub mod wire;

/// The manual: one question a page.
pub mod manual {
    #[doc = include_str!("manual/format.md")]
    pub mod format {}
    #[doc = include_str!("manual/chain.md")]
    pub mod chain {}
    #[doc = include_str!("manual/threats.md")]
    pub mod threats {}
    #[doc = include_str!("manual/roles.md")]
    pub mod roles {}
    #[doc = include_str!("manual/duties.md")]
    pub mod duties {}
    #[doc = include_str!("manual/media.md")]
    pub mod media {}
    #[doc = include_str!("manual/promises.md")]
    pub mod promises {}
    #[doc = include_str!("manual/rfc3261.md")]
    pub mod rfc3261 {}
    #[doc = include_str!("manual/operating.md")]
    pub mod operating {}
    #[doc = include_str!("manual/changes.md")]
    pub mod changes {}
}
