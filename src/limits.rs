//! Every bound of the system in one table: its value, why it is that, and what happens when it is reached.

use std::time::Duration;

// ── SIP (wire, sip) ────────────────────────────────────────────────────────────────────────────────────────────────

/// Bytes of one SIP message over UDP: what an IPv4 datagram can carry. Longer cannot arrive.
pub const SIP_MESSAGE_BYTES: usize = 65_535;

/// Header lines of one message. Real ones have 15 to 40, RFC 4475 `longreq` 60. More: 400, nothing is kept.
pub const SIP_HEADER_LINES: usize = 256;

/// Branches that a request may still have at once anywhere behind us (RFC 5393 §5.3.3 recommends this). More: it goes on with this.
pub const SIP_BREADTH: u8 = 60;

/// Server and client transactions at once: 20,000 calls set up within 64·T1. The last eighth is for what begins no call, and for calls
/// for help. More: a new INVITE gets 503, others are dropped.
pub const TRANSACTIONS: usize = 100_000;

/// Ends of our own: over UDP, TCP and TLS, on a handful of addresses. More: the configuration is refused.
pub const SIP_ENDS: usize = 16;

/// Connections of SIP at once: peers have a few each, and a carrier's cluster some dozens. An eighth is kept for those that we
/// open. More: they are closed at once.
pub const SIP_CONNECTIONS: usize = 1024;

/// Connections of SIP with one host. One behind whose address many sit is a carrier's edge. More: they are closed at once.
pub const SIP_CONNECTIONS_PER_HOST: usize = 64;

/// Messages that wait to go out over one connection: a second of a busy trunk. More: the connection is closed, and what waited in it is
/// told to be undeliverable.
pub const SIP_OUTGOING: usize = 512;

/// How long a connection may take to be opened, before anything else is tried: two retransmissions of a SYN (after 1 and 3 s), and below the
/// 4 s after which a call goes another way, so that one that is too long for a datagram has gone as one before.
pub const SIP_CONNECT: Duration = Duration::from_millis(3500);

/// How long a message that has begun may take to end, a handshake to be made, and what is sent to be taken. Longer: the connection is
/// closed.
pub const SIP_PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing need come over a connection, beyond the two minutes in which RFC 5626 §4.4.1 has pings sent. Longer: it is closed.
pub const SIP_IDLE: Duration = Duration::from_secs(600);

/// Addresses of the PBX, or of one trunk. A carrier's have two to four. More: the configuration is refused.
pub const PEER_ADDRESSES: usize = 16;

/// SIP messages a second that one address of a peer's may send, where the configuration says nothing (`sip.peer_messages_per_s`): a call
/// brings eight from one side when nothing is lost (INVITE, PRACK, ACK, BYE, or 100, 183, 200, 200), so this is 600 calls set up and ended
/// each second, where a trunk of 10,000 channels has 60. Twice as many at once, so that 5,000 phones register anew together, each challenged.
/// More: a datagram is dropped before it is parsed and counted (`mitschnitt_sip_over_rate_total`), and a connection is read no faster.
pub const SIP_PEER_RATE: u32 = 5000;

/// Requests a second of one stranger's address that are answered with 403, where that is configured (`sip.stranger_answers_per_s` says
/// otherwise), and ten times as many of all together: a person who tries needs one; who forges addresses has nobody flooded by us. More:
/// they are dropped before they are parsed.
pub const SIP_STRANGER_RATE: u32 = 10;

/// Sources whose rate is known at once, of peers and of strangers each: 80 kB. More: several share what one may send.
pub const SIP_SOURCES: usize = 1024;
/// Contacts of one REGISTER, each of which is told to the carrier as one of ours. Real ones have one to three. More: 403. Bindings need no
/// bound: nothing is kept of them.
pub const REGISTER_CONTACTS: usize = 32;

/// ACKs to a 2xx that the call has been told of and has not forwarded: it does so at once, so one is usual. More: the oldest is forgotten,
/// and the callee sends its 2xx again.
pub const ACKS_HELD: usize = 64;

// ── calls ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Calls at once. Each holds about 4 KiB of signalling state. More: 503 with `Retry-After`.
pub const CALLS: usize = 20_000;

/// Calls that ring at once, of all peers: half of [`CALLS`], so that those who are called and do not answer never take the room of those who
/// talk. More: 503 with `Retry-After`, but for calls to emergency numbers; the ledger says `overload`.
pub const RINGING: usize = CALLS / 2;

/// Calls of one peer that ring at once, where the configuration says nothing (`sip.ringing_of_peer`): 100 begun each second that ring for 50 s.
/// More: as for [`RINGING`].
pub const RINGING_OF_PEER: usize = 5000;

/// Names of header fields by which calls are found, in one configuration. More is a mistake in it: each is looked for in every INVITE.
pub const INDEXED_HEADERS: usize = 8;

/// Bytes of a header field's value by which a call is found: what is longer is passed on as ever, and not in the ledger.
pub const INDEXED_VALUE: usize = 256;

/// Values of header fields of one call that the ledger has: an INVITE of 64 KiB could hold thousands. Further ones are passed on, and not kept.
pub const INDEXED_OF_CALL: usize = 16;

/// How long messages may wait for signalling, or timers be late, at two readings in a row, until new calls are refused with 503; and how long at
/// most when they are taken again. T1 is 500 ms: later than that, whoever waits sends again, and makes it worse.
pub const OVERLOAD_LAG: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(100)];

/// Percent of all cores (the process), or of one core (the thread of signalling), from which on new calls are refused, read twice in a row; and
/// below which they are taken again. A tenth is left for those that are.
pub const OVERLOAD_CPU_PERCENT: [u32; 2] = [90, 75];

/// Percent of [`TRANSACTIONS`] from which on new calls are refused, before the stack itself has to; and below which they are taken again.
pub const OVERLOAD_TRANSACTIONS_PERCENT: [usize; 2] = [75, 60];

/// Percent of a leg's pairs of ports below which new calls are refused, so that forks, new media of calls that are, and calls for help find
/// some; and from which on they are taken again. Of fewer than 20 pairs none is kept back.
pub const OVERLOAD_PORTS_PERCENT: [usize; 2] = [5, 10];

/// Percent of [`CHUNKS_WAITING`] or [`LEDGER_ROWS_WAITING`] from which on new calls are refused, of the disk those that would be recorded; and
/// below which they are taken again. A disk that writes nothing at all refuses none: calls go on unrecorded then.
pub const OVERLOAD_QUEUE_PERCENT: [usize; 2] = [50, 25];

/// Dialogs (forks) of one call. A carrier forks to a handful of phones. More: the answer passes with its media rejected (port 0),
/// and `mitschnitt_call_forks_refused_total` counts it.
pub const DIALOGS_PER_CALL: usize = 16;

/// Transfers that are under way, in all calls: a REFER whose call has not come, or a call that replaces another and is not up. More: the oldest
/// is forgotten, and the call that comes of it is as any other: everybody in it is told and asked.
pub const TRANSFERS: usize = 256;

/// How long the call of a REFER may take to come: 64·T1, as long as the REFER itself (RFC 3261 §17.1.2.2). Later: it is as any other.
pub const TRANSFER_WAIT: Duration = Duration::from_secs(32);

/// `m=` lines of one session description. Real calls have one to three. More: 488.
pub const MEDIA_LINES: usize = 8;

/// Lines of one session description. More: 488.
pub const SDP_LINES: usize = 512;

/// Times an announcement begins anew on a leg whose media moved while it was played. More: the call goes on unrecorded.
pub const ANNOUNCEMENT_RESTARTS: u32 = 3;

// ── media ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Bytes of one media packet that is received: an Ethernet frame carries 1,472. Longer datagrams are cut by the kernel and dropped.
pub const MEDIA_PACKET_BYTES: usize = 2048;

/// How long a port rests after its call before another may have it: a peer that missed the BYE sends on for that long
/// (rtpengine's CVE-2025-53399 is the lesson). The range being smaller than what rests: a new call gets 503, since one that got such a
/// port early would hear the call before it.
pub const PORT_REST: Duration = Duration::from_secs(60);

/// Packets in sequence, of one SSRC and of a negotiated payload type, after which a source that the description does not give is the
/// party's (`latching = "learn"`, `media_networks`): 80 ms of speech. One stray packet, or one for each port of the range, learns nothing.
/// Fewer: they are dropped and counted as a stranger's, so that the party's first 60 ms are lost.
pub const LATCH_PACKETS: u8 = 4;

/// The time that those packets take at least: four of 10 ms take 30, and the network may push them together. Less: a burst, and no speech;
/// the source goes on being counted.
pub const LATCH_SPAN: Duration = Duration::from_millis(20);

/// How long after an offer and its answer a source is learned: as long as Asterisk's `strictrtp` does. Later: it is a stranger's until
/// the next offer and answer, and media is taken from, and goes to, where the description says.
pub const LATCH_WINDOW: Duration = Duration::from_secs(5);

/// Sources that are counted at once for one party, so that packets of others between a party's own do not make it begin anew. More: the
/// one of which least is known is forgotten; a flood from many addresses onto one port can keep a party from being learned, and
/// nothing of the flood is heard.
pub const LATCH_CANDIDATES: usize = 8;

/// How long past its end a session timer (RFC 4028) is waited for: 64·T1, by which a refresh that was sent at the last moment is answered.
/// Later: a call of which nothing is heard either is ended.
pub const SESSION_TIMER_GRACE: Duration = Duration::from_secs(32);

/// Port pairs bound ahead for each leg, so that a burst of calls does not wait for `bind`. Empty: 503.
pub const PORT_STOCK: usize = 64;

/// Sockets that one media thread knows: all ports of two addresses, one for each side. More: the bridge is not built.
pub const MEDIA_SOCKETS: usize = 131_072;

/// Bridges that share one socket: the dialogs of one offer. More: the bridge is not built.
pub const BRIDGES_PER_PORT: usize = DIALOGS_PER_CALL;

/// How many packets behind the newest one a packet may come and still be a late one (RFC 3550 §A.1, `MAX_MISORDER`). More: its source
/// has begun to count anew, and the stream is carried on from there.
pub const MEDIA_MISORDER: i16 = 100;

/// How many packets may be missing before one that still continues its source: a minute of 20 ms (RFC 3550 §A.1, `MAX_DROPOUT`). More,
/// and a second packet follows it: the source has begun to count anew, and nothing is taken for lost.
pub const MEDIA_DROPOUT: u16 = 3000;

/// Payload bytes of an announcement's packet: what goes through every link in one piece (1500 bytes of Ethernet, less IPv6, UDP, RTP and
/// what SRTP or a tunnel adds). More: packets of linear samples are shorter; one that was made longer cannot be played.
pub const ANNOUNCEMENT_PACKET_BYTES: usize = 1300;

/// Hz of an RTP clock that jitter is measured by; RFC 3551 has 8,000 to 90,000, and L16 may have 192,000. Others: no jitter is told.
pub const MEDIA_CLOCKS: std::ops::RangeInclusive<u32> = 1000..=192_000;

/// What a media thread tells signalling before it is fetched: a batch of packets brings a handful. More: keys are not told, and the
/// tally `digits_lost` counts them; announcements and ends are always told, since each answers one order.
pub const MEDIA_EVENTS: usize = 1024;

/// Lines `a=crypto` of one `m=` line: every suite that is registered, twice. More: the further ones are as if they were not there.
pub const CRYPTO_LINES: usize = 32;

/// Streams (SSRCs) under one SRTP key in one direction. Real legs have one or two, and one more for each time that a PBX puts another
/// source on the line. Only who has the key can begin one. More: the packets of the further ones are refused until the next key.
pub const SRTP_SOURCES: usize = 64;

/// How many packets up to the newest an SRTP stream remembers one by one (RFC 3711 §3.3.2 wants 64): 2.5 s at 20 ms, and more than
/// [`MEDIA_MISORDER`]. A packet further behind: refused as a replay.
pub const SRTP_REPLAY_WINDOW: u64 = 128;

/// How often an SRTP stream may have rolled over before the first packet of it that we can open: its beginning was lost, or came before
/// the answer with the key. Once is 22 minutes at 20 ms. More: the stream is not understood until the next key.
pub const SRTP_ROLLOVERS_MISSED: u32 = 1;

/// How long packets under the old SRTP key are taken once a new one was agreed, if none comes under the new one: 64·T1, by which the
/// answer has come or the call has gone (RFC 3261 §17.1.1.2). Later: they are refused.
pub const SRTP_OLD_KEY: Duration = Duration::from_secs(32);

/// How long they are taken after the first packet under the new key: they were overtaken on their way. Later: they are refused.
pub const SRTP_OLD_KEY_LATE: Duration = Duration::from_secs(2);

// ── vault ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Bytes of records in one chunk: about 0.9 s of two G.711 legs. Full: the chunk is closed and sealed.
pub const CHUNK_BYTES: usize = 16 * 1024;

/// Age of a chunk's oldest record. Reached: the chunk is closed and sealed, so that a killed process loses no more than this.
pub const CHUNK_AGE: Duration = Duration::from_millis(500);

/// Within such a time every format of a recording is said again, in the first chunk that begins after it: whoever opens a long recording in its
/// middle need not go back further.
pub const FORMATS_AGAIN: Duration = Duration::from_secs(60);

/// Chunks that wait for the disk, for all calls: 30 s of 1,000 calls, at most 1 GiB when all are full; a batch that is being written
/// and each recording's last chunk are not counted. More: the chunk is dropped and its packets become a gap that file, ledger and metrics name; and
/// a recording that would begin does not: its call goes on with the reason `vault-unavailable`.
pub const CHUNKS_WAITING: usize = 65_536;

/// Chunks that are held of a recording while its file cannot be written: half a minute. More: the chunk is dropped and becomes a gap with the reason
/// `disk-full` or `disk-failed`, and so does what comes after it, until a write goes well again.
pub const CHUNKS_HELD_PER_RECORDING: usize = 64;

/// The same, of all recordings: 128 MiB. More: as above.
pub const CHUNKS_HELD: usize = 8192;

/// Recipients of one recording. Each costs 118 bytes and 0.1 ms, of P-256 151 bytes, of X-Wing 1,206 bytes and 0.2 ms. More: the configuration is refused.
pub const RECIPIENTS: usize = 16;

/// Bytes of records in one chunk as a reader takes it: evidence may be longer than [`CHUNK_BYTES`]. More: nothing is sealed, and a
/// reader calls the file broken.
pub const CHUNK_BYTES_READ: usize = 1024 * 1024;

/// Bytes that a redacted recording says of what was taken out and of the keys of what is left, 44 for each chunk before: of a day's recording
/// 8 MB. More: nothing is taken out, and a reader calls the file broken.
pub const REDACTION_BYTES_READ: usize = 64 * 1024 * 1024;

/// Chunk buffers that rest between two uses, for all calls of one media thread: 16 MiB. More: the buffer is freed.
pub const CHUNK_BUFFERS_RESTING: usize = 1024;

/// Payload types one recording names. Real calls have two to ten. More: the oldest is named no more after a lost chunk.
pub const FORMATS: usize = 32;

/// Bytes of a codec's name in a recording. RFC 3551 has none over 10. More: the name is cut.
pub const FORMAT_NAME_BYTES: usize = 64;

/// Iterations of PBKDF2 that one try at a passphrase may take: a second or two; openssl makes 2,048, OWASP asks for 600,000. More: the key file is
/// refused before anything is tried.
pub const PBKDF2_ITERATIONS: u32 = 2_000_000;

/// Bytes of memory that scrypt may take for one try at a passphrase: N · r · 128. More: the key file is refused.
pub const SCRYPT_BYTES: u64 = 256 * 1024 * 1024;

/// Blocks that scrypt may make for one try at a passphrase: N · r · p, a second or two; ours take 655,360. More: the key file is refused.
pub const SCRYPT_BLOCKS: u64 = 1 << 21;

/// Entries of one key file: recipients at capture and those added since. More: the key file is refused.
pub const KEY_FILE_ENTRIES: usize = 256;

// ── ledger ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// How long ago a call may have changed last that goes on after a restart: longer than a call lasts that is never refreshed. Older: it is
/// forgotten, and its parties, if they still talk, hang up by requests that pass as those of a call that is not known.
pub const CALL_KEPT: Duration = Duration::from_secs(12 * 3600);

/// Rows that wait for the ledger: five for each of 20,000 calls, about 80 MB. More: the row is lost, and `mitschnitt_ledger_errors_total`
/// counts it; by then the ledger's disk has not answered for minutes.
pub const LEDGER_ROWS_WAITING: usize = 100_000;

/// Heads and recordings that wait for a timestamp: more than a year of heads, one an hour. More: the oldest are given up
/// (`mitschnitt_timestamps_given_up_total`): what comes later in the chain binds them too, only the time that is proven is a later one.
pub const STAMPS_WAITING: u64 = 10_000;

/// How long the disk's and the ledger's thread wait for a token with the node's key to sign once; waiting takes a quarter of their time at most. A
/// token takes 1 to 200 ms, and the lane to the disk holds 30 s. Longer: the recording stays torn until it is signed in the background.
pub const TOKEN_ANSWER: Duration = Duration::from_secs(2);

/// Bytes of an authority's answer. One with the authority's certificates has 2 to 8 kB. More: it is none, and the authority is asked again.
pub const STAMP_BYTES: usize = 64 * 1024;

/// Bytes of a web hook's answer: a word, the name of a policy and two texts of 400. More: it is none, and the hook has said nothing.
pub const HOOK_ANSWER_BYTES: usize = 4096;

/// Questions to the web hook that wait for an answer: a hundred calls a second, with a deadline of two and a half. More: of the call nothing was
/// said, and its policy has what becomes of it.
pub const HOOKS_AT_ONCE: usize = 256;

/// Tokens that were given out and are none too old: each that is shown is compared with all of them, some microseconds each. More: no other is given
/// out.
pub const TOKENS: usize = 1000;

/// How long a token is one, at most: a year, and a day for those who count in years. Longer: it is not given out.
pub const TOKEN_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long what takes two waits for the second person, and then for the first to do it: until the same hour of the next day. Longer: it is
/// asked for anew.
pub const APPROVAL_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Events of the ledger's chain that are looked through at a start, where more were added since the one before: two seconds at most on a machine
/// that does ten other things (17 to 26 µs an event there), so that nobody waits for a call. More: the older ones are left to `mitschnitt audit
/// verify`, which looks through all.
pub const LEDGER_EVENTS_CHECKED: u64 = 100_000;

// ── The HTTP API (node) ────────────────────────────────────────────────────────────────────────────────────────────

/// Bytes of the head of a request to the HTTP API: real ones have some hundreds, a bearer token 60 more. More: 431, and the connection is
/// closed.
pub const API_HEAD_BYTES: usize = 16 * 1024;

/// Bytes of the body of a request to the HTTP API: a reason or a complaint of some pages. More: 413, and nothing is done.
pub const API_BODY_BYTES: usize = 64 * 1024;

/// Connections with the HTTP API at once, over the socket and over TLS each: who is known by its certificate shares them with strangers, and
/// nobody there keeps a command out that is typed on the machine. More: they are closed at once.
pub const API_CONNECTIONS: usize = 64;

/// How long the head of a request to the HTTP API may take, and its body, a handshake, and what is sent to be taken. Longer: the connection
/// is closed, after 408 where that can be said.
pub const API_PATIENCE: Duration = Duration::from_secs(10);

/// Those who listen to what happens to calls (`GET /v1/calls/events`) at once: a wallboard or two, and what else a company has. More: 503.
pub const API_LISTENERS: usize = 16;

/// Events of calls that wait for one who listens: a second of 60 calls that begin and 60 that end, twice. More: the oldest are left out, and the
/// listener is told how many (`event: missed`).
pub const API_EVENTS: usize = 256;

/// How long the table of local shares is waited for. A renewal rewrites it, which takes seconds with a million recordings; whoever holds it for longer
/// hangs. Then what waits fails as if the disk had: a recording that is to begin is not made, and says so.
pub const SHARES_PATIENCE: Duration = Duration::from_secs(4);

/// How long a TPM behind a socket is waited for; the kernel's driver has limits of its own. Then what needs the key of the epoch fails, and says so.
pub const TPM_PATIENCE: Duration = Duration::from_secs(3);
