//! What goes into the table of calls and what comes out of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::advice::{Advice, Consulting};
use super::guard::Guarding;
use super::handle::HandleKey;
use super::kept::Kept;
use super::keys::KeySource;
use super::overload::Load;
use super::peers::Peers;
use super::policy::Policy;
use super::registration::Registering;
use super::story::{Reason, Story};
use crate::consent::{How, Parties, Permit, Register, Standing};
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::media::{self, BridgeId, Order, PairIds};
use crate::sip::{self, Flow, Transport};
use crate::time::{Moment, Wall};
use crate::vault::EndReason;

/// What the table is told once.
#[derive(Debug)]
pub struct Config {
    /// The SIP stack's own settings.
    pub sip: sip::Config,
    /// Who may speak to us.
    pub peers: Peers,
    /// What becomes of messages from others.
    pub strangers: Strangers,
    /// How much is taken of anybody.
    pub guarding: Guarding,
    /// The address of the media ports that face each leg ([`Leg::index`]).
    pub media: [IpAddr; 2],
    /// The policies, the first that matches being the one.
    pub policies: Vec<Arc<Policy>>,
    /// Numbers whose calls, from the PBX, always pass and are never recorded, whatever else is; so is `urn:service:sos` (RFC 5031).
    pub emergency: Vec<String>,
    /// What is dialled before a number, on the PBX's side, so that the call is not recorded. It goes no further. Calls that must be recorded are
    /// so all the same.
    pub unrecorded: Option<String>,
    /// Names of the header fields by which a call is found again ([`indexed`](crate::indexed)), at most
    /// [`INDEXED_HEADERS`](crate::limits::INDEXED_HEADERS).
    pub indexed: Vec<Arc<str>>,
    /// What becomes of the PBX's registrations with the trunks.
    pub registering: Registering,
    /// The key of the handles by which calls are known again.
    pub handles: HandleKey,
    /// Port pairs to be kept in stock for each leg, at most [`PORT_STOCK`](crate::limits::PORT_STOCK).
    pub port_stock: usize,
    /// What becomes of a call that no media comes for; without it nobody looks.
    pub dead: Option<DeadMedia>,
    /// Where our SRTP keys come from.
    pub keys: KeySource,
    /// Two readings of the clocks, taken together.
    pub clocks: (Moment, Wall),
}

/// What becomes of a message that comes from neither PBX nor trunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strangers {
    /// Nothing is answered.
    Drop,
    /// Requests are answered with 403.
    Forbid,
}

/// When a call's media are dead, and what becomes of it then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeadMedia {
    /// For how long nothing comes from either side of a call that is up and not on hold.
    pub after: Duration,
    /// What becomes of it.
    pub then: WhenDead,
}

/// What becomes of a call whose media are dead.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WhenDead {
    /// It is told, and goes on.
    Mark,
    /// It is ended: a BYE on each half.
    End,
}

/// A pair of ports that the shell has opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortPair {
    /// The leg it faces.
    pub leg: Leg,
    /// The shell's names of the two sockets.
    pub ids: PairIds,
    /// The RTP port's number.
    pub rtp: u16,
    /// The RTCP port's number.
    pub rtcp: u16,
}

/// What is told to the table.
#[derive(Debug)]
pub enum Input {
    /// A message came: a datagram, or what a stream was parted into.
    Message {
        /// Which way.
        from: Flow,
        /// The whole of it.
        bytes: Bytes,
    },
    /// A message came over a stream of which nobody can tell where it ends; the stream ends with it.
    Broken {
        /// Which way.
        from: Flow,
        /// Its head, as far as it came.
        head: Bytes,
        /// The status for it; 0 where nothing is to be answered.
        status: u16,
    },
    /// A message could not be delivered: ICMP, or the socket's error, or no connection.
    Unreachable {
        /// Which way it was to go.
        to: Flow,
    },
    /// The media plane saw something.
    Media(media::Event),
    /// The vault cannot record this call, or not any longer.
    VaultFailed {
        /// The call.
        call: CallId,
        /// Whether anything of the recording lies on the disk.
        left_a_file: bool,
    },
    /// The vault could not write a call's recording for so long that a part of it will be missing.
    VaultDrops {
        /// The call.
        call: CallId,
    },
    /// A peer's name was looked up: it leads there from here on.
    Located {
        /// The trunk's place; nothing for the PBX.
        trunk: Option<usize>,
        /// Over what it is spoken to.
        transport: Transport,
        /// The ways, each with its priority and weight (RFC 2782); at least one.
        ways: Vec<(Flow, u16, u16)>,
    },
    /// An operator does something to a call; one [`Output::Answer`] comes of it.
    Operator {
        /// The call.
        call: CallId,
        /// What is done.
        deed: Deed,
    },
    /// A call that was up before a restart goes on, with these ports for each line that [`Kept::ports`] names. Before any message comes.
    Restore {
        /// The call.
        kept: Box<Kept>,
        /// Its ports, by the leg that they face ([`Leg::index`]); none where they were not to be had.
        ports: Vec<[Option<PortPair>; 2]>,
    },
    /// New calls are refused from here on; those that are go on.
    Drain,
    /// Ports were opened for the stock.
    Ports(Vec<PortPair>),
    /// How busy the machine is: once a second.
    Load(Load),
    /// The recordings of these policies take all the room that they may: no further one begins.
    Full(Vec<Arc<str>>),
    /// What the web hook says of a call; one for each [`Output::Consult`], however late, and also where it says nothing.
    Advised {
        /// The call.
        call: CallId,
        /// What it says.
        advice: Advice,
    },
    /// Who has agreed before any call, and who is never recorded, is this from here on; also in the calls that there are.
    Register(Arc<Register>),
    /// The clocks were read again.
    Clocks(Moment, Wall),
}

/// What the table wants done, in order.
#[derive(Debug)]
pub enum Output {
    /// Send this message.
    Send {
        /// Which way.
        to: Flow,
        /// Where a connection is to be opened to if there is none any more that way; without it, to where that way leads.
        or: Option<SocketAddr>,
        /// The whole of it.
        bytes: Bytes,
    },
    /// An order for the media plane that has this call.
    Media {
        /// The call.
        call: CallId,
        /// The order.
        order: Order,
    },
    /// Begin a recording: the recorder first, then `Order::Record` with the permit.
    Record {
        /// The bridge that is mirrored.
        id: BridgeId,
        /// The call's recorder slot.
        slot: u32,
        /// The permit.
        permit: Permit,
        /// What the payload types mean.
        formats: Vec<RecordedFormat>,
    },
    /// What the payload types mean from here on.
    Formats {
        /// The call.
        call: CallId,
        /// Its recorder slot.
        slot: u32,
        /// The meanings.
        formats: Vec<RecordedFormat>,
    },
    /// End the recording and drop the permit.
    EndRecording {
        /// The call.
        call: CallId,
        /// Its recorder slot.
        slot: u32,
        /// Why.
        why: EndReason,
    },
    /// Keep nothing more, for now. It may come again while nothing is kept: a pause then counts for more than a BYE.
    Suspend {
        /// The call.
        call: CallId,
        /// Its recorder slot.
        slot: u32,
        /// Why.
        why: Suspension,
    },
    /// Go on keeping: what was not kept meanwhile is a gap.
    Resume {
        /// The call.
        call: CallId,
        /// Its recorder slot.
        slot: u32,
    },
    /// A pair is no longer needed; it comes after the orders that close its bridges.
    GiveBack {
        /// The call that had it.
        call: CallId,
        /// The pair.
        pair: PortPair,
    },
    /// The stock of pairs that face this leg is low: so many would fill it.
    WantPorts {
        /// The leg.
        leg: Leg,
        /// How many.
        count: usize,
    },
    /// Nothing comes from the parties of a call that is up: write it into the log. Told once of a bridge.
    Silent {
        /// The call.
        call: CallId,
        /// From whom.
        who: Silence,
        /// What becomes of it.
        then: WhenDead,
    },
    /// An address of a peer is up, or down, since now: write it into the log.
    Reached {
        /// The trunk; nothing for the PBX.
        trunk: Option<TrunkName>,
        /// The address.
        address: SocketAddr,
        /// Whether it is up.
        is_up: bool,
    },
    /// Ask the web hook about a call; nobody is announced anything before [`Input::Advised`] has come. The call itself goes on meanwhile.
    Consult(Box<Consulting>),
    /// A call changed: write it down.
    Story(Box<Story>),
    /// A call is up, or what it goes on by is another: keep this in the place of what was kept of it before.
    Keep(Box<Kept>),
    /// A call is over: nothing is kept of it any more.
    Forget(CallId),
    /// Somebody did something to the recording of a call that goes on: write it down. Where it was an operator, its [`Output::Answer`] is the next of these.
    Turn {
        /// The call.
        call: CallId,
        /// Its recording, where it has one.
        recording: Option<RecordingId>,
        /// What.
        what: Turn,
        /// Who.
        by: Doer,
    },
    /// What came of an operator's deed: one for each [`Input::Operator`], in order.
    Answer {
        /// The call.
        call: CallId,
        /// What was to be done.
        deed: Deed,
        /// Whether it was.
        answer: Result<Done, NotDone>,
    },
}

/// What somebody did to the recording of a call that goes on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Turn {
    /// It was wanted: the parties are told and asked.
    Demanded,
    /// Nothing is kept from here on.
    Paused,
    /// It goes on.
    Resumed,
    /// A party said no, or took its yes back.
    Withdrawn,
    /// The same, and what was kept until then is to be destroyed.
    Shredded,
}

/// Who did it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doer {
    /// The party on this leg, by a key that came so.
    Key(Leg, How),
    /// The party on this leg, by its telephone (RFC 7866 §7.3.2).
    Telephone(Leg),
    /// An operator.
    Operator,
    /// The register: what stood in it stands no more.
    Register,
    /// Nobody: the longest pause was over.
    Time,
}

/// What an operator may do to a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Deed {
    /// Tell and ask the parties now, where the policy records on demand.
    Start,
    /// Keep nothing from here on, until it is resumed or [`Terms::longest_pause`](crate::consent::Terms::longest_pause) has passed.
    Pause,
    /// Go on keeping.
    Resume,
    /// Refuse or withdraw for a party: nothing is kept from here on, for good.
    Withdraw,
    /// The same, and the keys of what was recorded until then are to be destroyed.
    Shred,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// The parties are being told and asked: what they say decides.
    Asks,
    /// Nothing is kept; it goes on by itself then.
    Paused {
        /// When.
        ends: Moment,
    },
    /// The pause is over.
    Resumed,
    /// The call is recorded no more, or will not be.
    Withdrawn,
    /// The call is recorded no more, and [`Reason::Shredded`] has those destroy its recording who keep it.
    Shreds,
}

/// Why nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotDone {
    /// There is no such call, or no longer.
    NoSuchCall,
    /// It is not recorded, for this reason: `InProgress` where that is not decided yet, `Recorded` where the recording has ended.
    NotRecorded(Reason),
    /// It is recorded already, or its parties are being asked.
    AlreadyStarted,
    /// It is paused already.
    AlreadyPaused,
    /// It is not paused.
    NotPaused,
    /// Consent was withdrawn already.
    AlreadyWithdrawn,
    /// What was recorded must be kept ([`Shred::Never`](crate::call::Shred::Never)): nothing was done.
    Locked,
}

/// From whom nothing comes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Silence {
    /// From neither party: the media are dead.
    Both,
    /// From this one, while the other talks: the call is one-way.
    One(Leg),
}

/// Why nothing is kept for now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Suspension {
    /// A BYE is on its way: if the call ends with it, the recording ended here.
    Bye,
    /// An operator paused: what was said meanwhile is a gap, whatever comes after it.
    Pause,
}

/// What a payload type of a leg means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedFormat {
    /// The leg that sends it.
    pub leg: Leg,
    /// The RTP payload type.
    pub payload_type: u8,
    /// The encoding name.
    pub name: String,
    /// The RTP clock in Hz.
    pub clock: u32,
    /// Channels.
    pub channels: u8,
}

/// What happened that no call can tell.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tallies {
    /// Messages from neither PBX nor trunk.
    pub strangers: u64,
    /// Those of them that were to be refused and came too fast for that.
    pub strangers_over_rate: u64,
    /// Peers' datagrams that came too fast: dropped before they were parsed.
    pub peers_over_rate: u64,
    /// In-dialog requests whose sender or tags are not those of the dialog.
    pub not_of_the_dialog: u64,
    /// Forks beyond [`DIALOGS_PER_CALL`](crate::limits::DIALOGS_PER_CALL), or for which no port was left.
    pub forks_refused: u64,
    /// Requests that belong to no call and passed.
    pub passed: u64,
    /// Registrations that a carrier took without the `Path` that leads its calls by us.
    pub registered_past_us: u64,
}

/// A call as an operator sees it.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its number.
    pub call: CallId,
    /// When the INVITE came, or when it was restored after a restart.
    pub began: Moment,
    /// How old it was then.
    pub before: Duration,
    /// Which way.
    pub direction: Direction,
    /// Over which trunk.
    pub trunk: TrunkName,
    /// Under which policy.
    pub policy: Option<Arc<str>>,
    /// Whether both parties are in it.
    pub is_up: bool,
    /// Where consent stands.
    pub consent: Option<Standing>,
    /// Whether it is recorded at this moment.
    pub is_recording: bool,
    /// When its recording goes on by itself, where it is paused.
    pub pause_ends: Option<Moment>,
    /// The recording's name, where it has one.
    pub recording: Option<RecordingId>,
    /// Why it has none, or has one.
    pub reason: Reason,
    /// Who talks.
    pub parties: Parties,
}
