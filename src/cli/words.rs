//! The words of the command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::catalogue::{Field, Reason};
use crate::cli::exit::Exit;
use crate::cli::named::Named;
use crate::cli::{approvals, complaint, party, span, subject, tokens};
use crate::ids::{CallId, RecordingId};
use crate::indexed;
use crate::limits::INDEXED_VALUE;
use crate::private::Private;
use crate::time::Wall;

/// A SIP/RTP recording proxy: announces, asks, and only then records, encrypted as it comes.
#[derive(Parser, Debug)]
#[command(name = "mitschnitt", version, after_help = Exit::HELP, max_term_width = 100)]
pub(super) struct Words {
    /// Do what the roles of whoever runs this, or the lack of a second person, forbid, and say why: for those whom the configuration lists
    /// under break_glass; the chain has it
    #[arg(long, global = true, value_name = "WHY", value_parser = sentence)]
    pub(super) break_glass: Option<String>,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// Run the proxy until it is told to stop (SIGTERM, SIGINT)
    Run(Site),
    /// Read the configuration and the files it names; tell every mistake at once
    Check {
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Make keys
    #[command(subcommand)]
    Keys(Keys),
    /// Look at the calls of this moment; pause, resume or end their recording
    #[command(subcommand)]
    Calls(Calls),
    /// Look at the addresses of the PBX and the trunks, and whether they are up
    #[command(subcommand)]
    Trunks(Trunks),
    /// Look at recordings, verify, export, play, hold and erase them
    #[command(subcommand)]
    Recordings(Recordings),
    /// Keep the register of those who have agreed before any call, and of those who are never recorded
    #[command(subcommand)]
    Staff(Staff),
    /// Answer a person whose calls came by: find what is held, hand it over
    #[command(subcommand)]
    Subject(subject::Subject),
    /// Tell what the records of processing (GDPR 30) have to say of this recorder
    Processing {
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Note complaints, list them, close them
    #[command(subcommand)]
    Complaint(complaint::Complaint),
    /// Look at the chain that the ledger is bound by: its head, its events, and whether all of it holds
    #[command(subcommand)]
    Audit(Audit),
    /// Give out the tokens by which programs are known to the HTTP API, list and revoke them
    #[command(subcommand)]
    Tokens(tokens::Tokens),
    /// Approve what takes two, or refuse it
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// Print what the HTTP API of the running proxy takes and answers, as OpenAPI
    Openapi,
    /// Play one recorded call for you to see and hear, on the loopback and with no set-up
    Demo {
        /// The directory for its keys, configuration and sound; made anew, never overwritten
        #[arg(long, value_name = "DIR", default_value = "demo-call")]
        out: PathBuf,
    },
}

#[derive(Subcommand, Debug)]
pub(super) enum Staff {
    /// Enter that somebody has agreed to be recorded, before any call
    #[command(long_about = "Enter that somebody has agreed to be recorded, before any call.\n\n\
        What that is worth says the policy (registered_local, registered_remote): whoever is entered\n\
        need not press a key, or is told nothing either. It counts for this number alone, from then\n\
        on; the evidence of each recording names the line of the register. A line is never changed\n\
        or taken out, and the chain has it.")]
    Add {
        /// The extension or number, as it comes in SIP
        #[arg(value_name = "NUMBER")]
        number: String,
        /// Which text was agreed to
        #[arg(long, value_name = "WORD", value_parser = sentence)]
        version: Option<String>,
        /// For which purpose; to be said again for each, and for all where it is not said
        #[arg(long = "purpose", value_name = "PURPOSE", value_parser = purpose)]
        purposes: Vec<String>,
        /// From when on, in UTC: 2027-01-31, or 2027-01-31T09:30:00
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: Option<Wall>,
        /// Until when
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<Wall>,
        /// Where the proof of it lies
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        evidence: String,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Enter that somebody has taken back all that was agreed to; what is recorded on it at this moment ends
    Revoke {
        /// The extension or number
        #[arg(value_name = "NUMBER")]
        number: String,
        /// Why, for the register
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: String,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Enter that calls of somebody are never recorded, whoever agrees: of a works council, or a doctor
    Exempt {
        /// The extension or number
        #[arg(value_name = "NUMBER")]
        number: String,
        /// Why, for the register
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: String,
        /// It is so no longer
        #[arg(long)]
        lift: bool,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Enter the consents of a table
    #[command(long_about = "Enter the consents of a table: CSV in UTF-8, with commas, and with a first line of\n\n\
        number,version,purposes,from,until,evidence\n\n\
        of which only `number` must be there. Purposes are parted by spaces, times are in UTC. All of\n\
        it is entered, or with a mistake in it nothing; what stands already is not entered again.")]
    Import {
        /// The table
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// List who has agreed and who is never recorded
    List {
        /// Every line there ever was, also what was taken back since
        #[arg(long)]
        history: bool,
        #[command(flatten)]
        numbers: Numbers,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Subcommand, Debug)]
pub(super) enum Trunks {
    /// List the addresses, in the order of the configuration; the running proxy is asked
    #[command(long_about = "List the addresses, in the order of the configuration; the running proxy is asked.\n\n\
        An address is down once three requests of OPTIONS in a row went unanswered (where\n\
        options_every_s has them sent), and avoided for 30 s once a call was not served there:\n\
        both are tried last, and tried all the same.")]
    List {
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Subcommand, Debug)]
pub(super) enum Keys {
    /// Make all keys that the configuration names and that are not there yet
    #[command(long_about = "Make all keys that the configuration names and that are not there yet.\n\n\
        The node's key signs recordings; it stays on this machine, or is made in the token that the\n\
        configuration names. For each recipient a pair is\n\
        made: the public key where the configuration names it, the secret one beside it as\n\
        *.secret.pem. Move the secret keys off this machine: whoever holds one can listen.\n\
        No key is ever overwritten.\n\n\
        A secret key is protected by a passphrase, which is asked for on a terminal; where there is\n\
        none and none is named, it is not, and that is said.")]
    Generate {
        /// The strength of new recipients' keys: x-wing holds against quantum computers too [default: x-wing, or that of the
        /// recipients' keys there are]
        #[arg(long, value_enum, value_name = "KIND")]
        strength: Option<Kind>,
        #[command(flatten)]
        passphrase: Passphrase,
        /// Protect no secret key by a passphrase
        #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_fd"])]
        no_passphrase: bool,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Make another key for a recipient, and say what to write so that it follows the one there is
    #[command(long_about = "Make another key for a recipient, and say what to write so that it follows the one there is.\n\n\
        The configuration is not changed: what to write into it is printed, `until` for the key there\n\
        is and a [[recipient]] with `from` for the new one, and `check` reads it afterwards. The\n\
        secret half goes where --private-to says, which is nowhere among the proxy's own files.")]
    Rotate {
        /// The recipient, by its name in the configuration
        #[arg(value_name = "RECIPIENT")]
        recipient: String,
        /// Where the secret half goes: a file on a stick that leaves with its holder
        #[arg(long, value_name = "FILE")]
        private_to: Option<PathBuf>,
        /// The public half of a key that its holder has made elsewhere
        #[arg(long, value_name = "FILE", conflicts_with_all = ["private_to", "strength", "passphrase_file", "passphrase_fd"])]
        public: Option<PathBuf>,
        /// The day on which the new key follows, from its midnight in UTC on [default: tomorrow]
        #[arg(long, value_name = "DATE", value_parser = day)]
        from: Option<Wall>,
        /// The strength of the new key [default: that of the keys beside which it is used, else x-wing]
        #[arg(long, value_enum, value_name = "KIND")]
        strength: Option<Kind>,
        #[command(flatten)]
        passphrase: Passphrase,
        /// Do not protect it by a passphrase
        #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_fd"])]
        no_passphrase: bool,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Print the public half of a recipient's key, be it in a file or in a token
    #[command(long_about = "Print the public half of a recipient's key, be it in a file or in a token.\n\n\
        With --make a key of P-256 is made in the token, which never leaves it, unless there is one\n\
        of that name. A key in a token is tried first, so that nothing is sealed to one that cannot\n\
        open it. What is printed goes into the file that a [[recipient]] names:\n\
        mitschnitt keys public --make 'pkcs11:token=desk;object=listen?module-path=/usr/lib/softhsm/libsofthsm2.so' > desk.pub.pem")]
    Public {
        /// The key: a file with either half of it, or pkcs11:…, a key in a token
        #[arg(value_name = "KEY")]
        key: PathBuf,
        /// Make it in the token, unless it is there
        #[arg(long)]
        make: bool,
        #[command(flatten)]
        passphrase: Passphrase,
        #[command(flatten)]
        form: Form,
    },
    /// Tell which recordings a key opens that was lost, and what to do
    #[command(long_about = "Tell which recordings a key opens that was lost, and what to do.\n\n\
        That is read from the key files that are here; no secret key is needed. Backups and\n\
        other machines have key files of their own.")]
    Exposure {
        /// The key: a file with either half of it, or its fingerprint
        #[arg(value_name = "KEY")]
        key: String,
        /// List the recordings
        #[arg(long)]
        list: bool,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Let others open recordings that a key opens, or take some out; what was recorded is not touched
    #[command(
        long_about = "Let others open recordings that a key opens, or take some out; what was recorded is not touched.\n\n\
        The secret of each recording is unwrapped with the key and wrapped for those that are added;\n\
        that it is the one which the recording commits to is checked first. The new key file takes\n\
        the place of the old one whole, which is then overwritten. What is being recorded is left\n\
        until it is over, what was erased stays so; the access log says who did it.\n\
        Who has a copy of the old key file and its key opens the recording still."
    )]
    Rewrap {
        /// The recordings: 32 hexadecimal digits each
        #[arg(value_name = "ID", required_unless_present = "all")]
        ids: Vec<RecordingId>,
        /// All recordings that the key opens
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        #[command(flatten)]
        key: SecretKey,
        /// The public key of one who is to open them too; may be said again
        #[arg(long, value_name = "FILE", required_unless_present = "remove")]
        add: Vec<PathBuf>,
        /// A key that is to open them no more: a file of it, or its fingerprint; may be said again
        #[arg(long, value_name = "KEY")]
        remove: Vec<String>,
        /// Take out every key that is not added
        #[arg(long, conflicts_with = "remove", requires = "add")]
        only: bool,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Subcommand, Debug)]
pub(super) enum Calls {
    /// List the calls of this moment; the running proxy is asked
    List {
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
        #[command(flatten)]
        numbers: Numbers,
    },
    /// Ask the parties of a call now, where its policy records on demand
    #[command(long_about = "Ask the parties of a call now, where its policy records on demand.\n\n\
        They hear the announcement, and are recorded only if the policy's terms are met, as in any\n\
        other call. A policy with recording = \"on-demand\" waits for this, or for its start_key.")]
    Start(OneCall),
    /// Pause the recording of a call: nothing is kept until it is resumed
    #[command(long_about = "Pause the recording of a call: nothing is kept until it is resumed.\n\n\
        That is for card numbers and the like. The pause is a gap in the recording, of its true\n\
        length and with its reason. It ends by itself after the policy's longest_pause_s.")]
    Pause(OneCall),
    /// Resume the recording of a paused call
    Resume(OneCall),
    /// Refuse or withdraw consent for a party: nothing of the call is kept from here on
    #[command(long_about = "Refuse or withdraw consent for a party: nothing of the call is kept from here on.\n\n\
        Before the call is recorded, it never will be; afterwards the recording ends here, and\n\
        what was recorded until then stays, or with --shred is erased: its keys are destroyed\n\
        within seconds. That cannot be undone within the call. The ledger says that it was\n\
        an operator.")]
    Withdraw {
        #[command(flatten)]
        one: OneCall,
        /// Destroy what was recorded until then as well
        #[arg(long)]
        shred: bool,
    },
    /// Take no new calls, and end the proxy once there are none left
    #[command(long_about = "Take no new calls, and end the proxy once there are none left.\n\n\
        New calls get 503 with Retry-After; those that are go on, and are recorded as before.\n\
        Those that are left at the limit are treated as on SIGTERM.")]
    Drain {
        /// Seconds after which the proxy ends although there are calls
        #[arg(long, value_name = "N", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(..=86_400))]
        limit_s: u64,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
}

/// Which call of this moment is meant.
#[derive(Args, Clone, Debug)]
pub(super) struct OneCall {
    /// The call: 16 hexadecimal digits, as `calls list` shows them
    #[arg(value_name = "CALL")]
    pub(super) call: CallId,
    #[command(flatten)]
    pub(super) site: Site,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Subcommand, Debug)]
pub(super) enum Recordings {
    /// List recordings, the newest last
    List {
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
        #[command(flatten)]
        numbers: Numbers,
        /// List the calls that were not recorded too, each with its reason
        #[arg(long)]
        all: bool,
        /// Only calls with this reason, such as consent-timeout; implies --all
        #[arg(long, value_name = "CODE", value_parser = reason)]
        reason: Option<Reason>,
        /// Show how good what came from each side was, in place of the parties; implies --all, of the calls that were answered
        #[arg(long)]
        quality: bool,
        /// Only calls of which a side was one-way or scored below this, 1 to 4.5; implies --quality
        #[arg(long, value_name = "MOS", value_parser = score)]
        mos_below: Option<u16>,
        /// Only the newest N
        #[arg(long, value_name = "N")]
        last: Option<u64>,
        /// Only calls of which this header field, one of `indexed_headers`, says so: a Session-ID by either of its UUIDs
        #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
        header: Option<(String, Private<String>)>,
        #[command(flatten)]
        span: party::Span,
        #[command(flatten)]
        party: party::Wanted,
    },
    /// Show all that is known of a recording, or of a call without one
    Show {
        /// The recording: 32 hexadecimal digits; or the call: 16
        #[arg(value_name = "ID")]
        id: Named,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
        #[command(flatten)]
        numbers: Numbers,
    },
    /// Verify recordings: the node's signature and the hashes over every byte
    #[command(long_about = "Verify recordings: the node's signature and the hashes over every byte.\n\n\
        That needs no secret key. With --key the content is verified as well: every chunk is\n\
        decrypted, every record read, and the totals are compared; nothing of it is shown, and\n\
        the access log says who did it.")]
    Verify {
        /// The recordings: 32 hexadecimal digits each
        #[arg(value_name = "ID", required_unless_present_any = ["all", "bundle"])]
        ids: Vec<RecordingId>,
        /// All recordings of the ledger that are no longer being written
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// An archive that `recordings bundle` made: nothing else is needed, no configuration and no ledger
        #[arg(long, value_name = "FILE", conflicts_with_all = ["ids", "all"])]
        bundle: Option<PathBuf>,
        /// A recipient's secret key: verify the content too
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        #[command(flatten)]
        passphrase: Passphrase,
        /// The node's public key [default: beside the configured private one, as *.pub.pem]
        #[arg(long, value_name = "FILE")]
        node: Option<PathBuf>,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Bundle a recording with all that it is verified by, in one archive for somebody elsewhere
    #[command(long_about = "Bundle a recording with all that it is verified by, in one archive for somebody elsewhere.\n\n\
        The archive (tar) has the recording, still encrypted, with its wrapped keys; what the node has\n\
        signed of it; the ledger's events about it up to a head that the node has signed; the\n\
        specifications, a second reader, and a README that says how to verify all of it with\n\
        openssl. It takes no private key, and whoever has none hears nothing. It is written to the\n\
        access log.\n\n\
        With --from or --to it has only that span, in whole parts of at most a second, and the evidence\n\
        of consent; of the rest only hashes, by which the span is proven to be of the recording that\n\
        the node has signed. To find the span takes a recipient's secret key; it is not put in.")]
    Bundle {
        /// The recording: 32 hexadecimal digits
        #[arg(value_name = "ID")]
        id: RecordingId,
        /// The archive to be written; it must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// For whom, or why: a sentence for the access log
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: String,
        #[command(flatten)]
        span: span::Asked,
        /// A recipient's secret key, by which the span is found
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        #[command(flatten)]
        passphrase: Passphrase,
        /// The node's public key [default: beside the configured private one, as *.pub.pem]
        #[arg(long, value_name = "FILE")]
        node: Option<PathBuf>,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Export a recording as sound: the PBX's side left, the trunk's side right; or as the packets that came
    #[command(
        long_about = "Export a recording as sound: the PBX's side left, the trunk's side right; or as the packets that came.\n\n\
        The recording is verified first. The purpose must be the one it was made for; every\n\
        export, and every refusal, is written to the access log. The same recording gives the\n\
        same bytes each time.\n\n\
        `wav` and `opus` decode G.711, G.722, Opus and L16; what else came is silence, and is named. `pcapng` and\n\
        `payload` decode nothing and hold everything: for tshark, Wireshark, and other decoders.\n\n\
        With --from or --to only that span is read: each part of it must open under the recording's\n\
        keys, but the recording as a whole is not verified by it; `recordings verify` does that."
    )]
    Export {
        /// The recording: 32 hexadecimal digits
        #[arg(value_name = "ID")]
        id: RecordingId,
        #[command(flatten)]
        key: SecretKey,
        /// What it is exported for
        #[arg(long, value_name = "PURPOSE")]
        purpose: String,
        /// The file's format
        #[arg(long, value_enum, default_value_t = Format::Wav)]
        format: Format,
        /// Mix both sides into one channel, each at half its loudness, so that nothing is clipped
        #[arg(long)]
        mono: bool,
        /// The file, for `payload` the folder; never overwritten
        #[arg(long, value_name = "FILE", required_unless_present = "picture")]
        out: Option<PathBuf>,
        /// Draw it, too, or only that: both sides' loudness over time, the consents, what is missing and why; as SVG
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
        #[command(flatten)]
        span: span::Asked,
        /// The node's public key [default: beside the configured private one, as *.pub.pem]
        #[arg(long, value_name = "FILE")]
        node: Option<PathBuf>,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Play a recording: the PBX's side left, the trunk's side right
    #[command(long_about = "Play a recording: the PBX's side left, the trunk's side right.\n\n\
        It is verified and opened as for `export`: with a key, for the purpose it was made for,\n\
        and with a line in the access log. The sound goes to the first of pw-play, paplay, aplay,\n\
        ffplay and play (sox) that is installed, through memory; nothing is written to a disk.")]
    Play {
        /// The recording: 32 hexadecimal digits
        #[arg(value_name = "ID")]
        id: RecordingId,
        #[command(flatten)]
        key: SecretKey,
        /// What it is played for
        #[arg(long, value_name = "PURPOSE")]
        purpose: String,
        /// Mix both sides into one channel
        #[arg(long)]
        mono: bool,
        #[command(flatten)]
        span: span::Asked,
        /// The node's public key [default: beside the configured private one, as *.pub.pem]
        #[arg(long, value_name = "FILE")]
        node: Option<PathBuf>,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Erase recordings: destroy their wrapped keys, without which nobody opens them, their files, and who talked
    #[command(group(ArgGroup::new("which").required(true).args(["id", "party", "before"])))]
    #[command(
        long_about = "Erase recordings: destroy their wrapped keys, without which nobody opens them, their files, and who talked.\n\n\
        The key file is overwritten, removed, and both are made durable; then the recording's file\n\
        is removed. The numbers of the parties and the salts beside them are cleared from the\n\
        ledger, of calls that were not recorded too, and its files are looked through for them. The\n\
        rows stay without them; the access log and the chain say who erased what and why. What is\n\
        held or locked is not erased, and is answered one by one; run it again until all is done.\n\
        What this cannot reach are copies: backups and snapshots of the `keys` folder, and blocks\n\
        that a flash disk or a copy-on-write file system has put aside. Who has such a copy and a\n\
        recipient's secret key opens the recording still. One that is being made is not erased."
    )]
    Erase {
        /// The recording: 32 hexadecimal digits
        #[arg(value_name = "ID")]
        id: Option<RecordingId>,
        /// All calls of this number, as `subject find` finds them; `-` reads it from standard input
        #[arg(long, value_name = "NUMBER")]
        party: Option<String>,
        /// The country in which a number that begins with a single 0 is: 49
        #[arg(long, value_name = "CODE", requires = "party")]
        country: Option<String>,
        /// All calls that began before this time, in UTC: 2026-11-24, or 2026-11-24T09:30:00
        #[arg(long, value_name = "TIME", value_parser = time)]
        before: Option<Wall>,
        /// Say what would be erased, and what not and why; nothing is
        #[arg(long)]
        dry_run: bool,
        /// Write a receipt to this file, which names no party; never overwritten
        #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
        receipt: Option<PathBuf>,
        /// Why, for the access log
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: String,
        /// Do not ask whether it is meant
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Take a span out of a recording, so that nobody opens it any more; the rest stays as it was signed
    #[command(
        long_about = "Take a span out of a recording, so that nobody opens it any more; the rest stays as it was signed.\n\n\
        That is for what should never have been kept, as the number of a card. It takes a key that\n\
        opens the recording. The chunks in which the span was, each of half a second at most, are\n\
        left out, and their hashes stand in their place: the node's signature holds, and proves that\n\
        nothing else is missing. New keys open what is left, and no other; the old ones are\n\
        destroyed. An export has silence there, and says why. What is held or locked is left whole.\n\
        If it fails on the way, run it again. Copies, as for `erase`, are out of its reach."
    )]
    Redact {
        /// The recording: 32 hexadecimal digits
        #[arg(value_name = "ID")]
        id: RecordingId,
        #[command(flatten)]
        span: span::Asked,
        #[command(flatten)]
        key: SecretKey,
        /// What the recording was made for
        #[arg(long, value_name = "PURPOSE")]
        purpose: String,
        /// Why, for the access log
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: String,
        /// The public key of one who opens it and whom the configuration does not name; may be said again
        #[arg(long, value_name = "FILE")]
        public: Vec<PathBuf>,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Hold a recording: nobody erases it until it is released, however old it is
    #[command(long_about = "Hold a recording: nobody erases it until it is released, however old it is.\n\n\
        That is for a case, a complaint, or somebody who wants it restricted (GDPR 18). The access\n\
        log says who holds it and why, and so does the chain. It may be held more than once.")]
    Hold {
        /// The recording: 32 hexadecimal digits
        #[arg(value_name = "ID")]
        id: RecordingId,
        /// Why, for the access log
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: String,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Correct what was noted wrongly of a recording; what was there stays beside it
    #[command(long_about = "Correct what was noted wrongly of a recording; what was there stays beside it.\n\n\
        That is for somebody who wants it put right (GDPR 16). `recordings show` has both, with who\n\
        corrected it, when and why, and the chain has that it was done. A purpose that is corrected\n\
        changes nothing of what the recording may be opened for: that is signed in it. `subject\n\
        find` goes by what stood there first.")]
    Correct {
        /// The recording: 32 hexadecimal digits
        #[arg(value_name = "ID")]
        id: RecordingId,
        /// What was wrong: calling, called, purpose; or remark
        #[arg(long, value_name = "FIELD", value_parser = field)]
        field: Field,
        /// What it should be, on one line
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        value: String,
        /// Why, for the chain
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: String,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Release a recording that is held
    #[command(long_about = "Release a recording that is held.\n\n\
        From then on it is erased as any other: at once where its time was up.")]
    Release {
        /// The recording: 32 hexadecimal digits
        #[arg(value_name = "ID")]
        id: RecordingId,
        /// Why, for the access log
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: String,
        /// Lift every hold, where there is more than one
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// List the recordings that are held, by whom and why
    Holds {
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Tell for each purpose what is kept, what falls due, what is overdue and why, and what was erased
    #[command(
        long_about = "Tell for each purpose what is kept, what falls due, what is overdue and why, and what was erased.\n\n\
        The running proxy erases by itself what is past the `longest` of its [[retention]]: its keys,\n\
        then its file. It never erases what is held or locked."
    )]
    Retention {
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Subcommand, Debug)]
pub(super) enum Audit {
    /// Print the head of the chain: one line, to be kept where nobody of this machine can change it
    #[command(long_about = "Print the head of the chain: one line, to be kept where nobody of this machine can change it.\n\n\
        The node has signed it, and it stands for all that was written before: whoever has it sees\n\
        whether the ledger was changed since, or cut (`audit verify --head`). The proxy writes the\n\
        same line to its log, as `ledger_head`, every `publish_head_every_s`.")]
    Head {
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Verify the whole ledger: the chain, its signatures, every row, and that no recording is missing
    #[command(
        long_about = "Verify the whole ledger: the chain, its signatures, every row, and that no recording is missing.\n\n\
        Each event must be behind the one before it, and the node must have signed; each row, and\n\
        each line of the access log, must be as the chain has it; each recording that was begun\n\
        must have ended, and its file be there, unless it was erased; and each head that was\n\
        published must lie on the chain. What is in the files, `recordings verify` says."
    )]
    Verify {
        /// A head that was published before: the line itself, or a file that has it, as a log has
        #[arg(long = "head", value_name = "TEXT|FILE")]
        heads: Vec<String>,
        /// The node's public key; again for each that it had before [default: beside the configured private one, as *.pub.pem]
        #[arg(long = "node", value_name = "FILE")]
        nodes: Vec<PathBuf>,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// List the timestamps of heads and recordings, and what waits for one; or write them out
    #[command(long_about = "List the timestamps of heads and recordings, and what waits for one; or write them out.\n\n\
        An authority (`[timestamps]`) has signed that a head, or the root of a recording, was there\n\
        at that time (RFC 3161). With --out each is written to a file *.tsr, and the head that it\n\
        is of beside it as *.txt; what checks them with openssl is said for each.\n\n\
        With --certificate each is verified here: that it is of this digest, and signed by the\n\
        authority's certificate. Whether that is to be believed openssl says, with --out.")]
    Timestamps {
        /// Verify each by this certificate of the authority (PEM)
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
        /// The folder to write them to; made where it is not there
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
    /// Show the events of the chain, the newest last
    Show {
        /// Only those of this recording: 32 hexadecimal digits
        #[arg(long, value_name = "ID")]
        recording: Option<RecordingId>,
        /// Only those of this kind, such as begun, sealed, erased, started
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// Only those from this time on, in UTC: 2026-11-24, or 2026-11-24T09:30:00
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<Wall>,
        /// Only those before this time
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<Wall>,
        /// Only the newest N
        #[arg(long, value_name = "N")]
        last: Option<usize>,
        #[command(flatten)]
        site: Site,
        #[command(flatten)]
        form: Form,
    },
}

/// A time in UTC, to the day or to the second.
pub(super) fn time(text: &str) -> Result<Wall, String> {
    let text = text.trim_end_matches('Z');
    let whole = ["T00:00:00.000Z", ":00.000Z", ".000Z", "Z"].iter().find_map(|rest| format!("{text}{rest}").parse().ok());
    whole.ok_or_else(|| "a time is a day, as 2026-11-24, or a second of it, as 2026-11-24T09:30:00, in UTC".into())
}

/// A header field's name and one value of it, as the ledger has them.
fn header(text: &str) -> Result<(String, Private<String>), String> {
    let (name, value) = text.split_once(':').ok_or("a header field is written NAME: VALUE")?;
    let mut values = indexed::values(name.trim(), value.as_bytes());
    match (values.pop(), values.is_empty()) {
        (Some(value), true) => Ok((name.trim().to_owned(), Private::new(value))),
        (Some(_), false) => Err("give one value, and no parameters of it".into()),
        (None, _) if name.trim().eq_ignore_ascii_case("Session-ID") => Err("a Session-ID is 32 hexadecimal digits".into()),
        (None, _) => Err(format!("give one value, of at most {INDEXED_VALUE} bytes")),
    }
}

/// A text with something in it, on one line and of a sentence or two.
pub(super) fn sentence(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > REASON_BYTES || text.chars().any(char::is_control) {
        return Err(format!("one line of at most {REASON_BYTES} bytes"));
    }
    Ok(text.to_owned())
}

/// Bytes of a reason that an operator gives.
const REASON_BYTES: usize = 400;

/// Which installation is meant.
#[derive(Args, Clone, Debug)]
pub(super) struct Site {
    /// The configuration; relative paths in it start at the directory in which this runs
    #[arg(long, value_name = "FILE", default_value = "/etc/mitschnitt/mitschnitt.toml")]
    pub(super) config: PathBuf,
}

/// A recipient's secret key.
#[derive(Args, Clone, Debug)]
pub(super) struct SecretKey {
    /// A recipient's secret key: a file, or pkcs11:…, a key in a token; its passphrase or PIN is asked for where it has one
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
    #[command(flatten)]
    pub(super) passphrase: Passphrase,
}

/// Where a passphrase is, where nobody is to be asked. Never an argument or the environment: other users see them.
#[derive(Args, Clone, Debug)]
pub(super) struct Passphrase {
    /// The file whose first line is the passphrase of the secret key, or the PIN of its token
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// The open file descriptor whose first line is the passphrase
    #[arg(long, value_name = "N")]
    pub(super) passphrase_fd: Option<u16>,
}

/// In which form it is told.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Form {
    /// Tell it as JSON, one object a line
    #[arg(long)]
    pub(super) json: bool,
}

/// Whether numbers are told.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// Show telephone numbers in full; otherwise their last digits
    #[arg(long)]
    pub(super) numbers: bool,
}

/// The format of an export.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// Sound: 16 bits, 8, 16 or 48 kHz
    Wav,
    /// Sound: Opus in Ogg (RFC 7845), a tenth of WAV or so
    Opus,
    /// A network capture: the RTP packets as they came
    Pcapng,
    /// A folder: the payloads of each party in a file, and an index
    Payload,
}

impl Format {
    /// Returns whether the recording is decoded for it.
    pub(super) const fn is_sound(self) -> bool {
        match self {
            Self::Wav | Self::Opus => true,
            Self::Pcapng | Self::Payload => false,
        }
    }
}

/// The strength of a recipient's key.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// X25519 and ML-KEM-768 together
    XWing,
    /// X25519 alone
    X25519,
    /// P-256, as tokens have it
    #[value(name = "p-256")]
    P256,
}

/// A mean opinion score, in hundredths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is 1 to 4.5")]
fn score(text: &str) -> Result<u16, String> {
    let score = text.parse::<f64>().ok().filter(|score| (1.0..=4.5).contains(score));
    score.map(|score| (score * 100.0).round() as u16).ok_or_else(|| "a score is a number from 1 to 4.5, as 3.5".into())
}

/// A day, which begins with its midnight in UTC.
fn day(text: &str) -> Result<Wall, String> {
    format!("{text}T00:00:00.000Z").parse().map_err(|_| "a day is written as 2027-01-31".into())
}

/// A purpose, which is a word.
fn purpose(text: &str) -> Result<String, String> {
    let is_word = !text.is_empty() && text.len() <= 64 && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if is_word { Ok(text.to_owned()) } else { Err("a purpose is one word, as in the configuration".into()) }
}

/// A purpose, or all of them.
pub(super) fn purpose_or_every(text: &str) -> Result<String, String> {
    if text == "*" { Ok(text.to_owned()) } else { purpose(text) }
}

/// A name that stands in a table and in the ledger.
pub(super) fn name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = !text.is_empty() && text.len() <= 64 && !text.starts_with('-') && text.chars().all(is_plain);
    if is_name { Ok(text.to_owned()) } else { Err("up to 64 letters, digits, `-`, `_` and `.`".into()) }
}

fn field(word: &str) -> Result<Field, String> {
    let all = || Field::ALL.map(Field::as_str).join(", ");
    word.parse().map_err(|_| format!("what may be corrected: {}", all()))
}

fn reason(code: &str) -> Result<Reason, String> {
    code.parse().map_err(|_| {
        let codes = Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(", ");
        format!("the reasons are: {codes}")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_words_do_not_contradict_each_other() {
        Words::command().debug_assert();
    }

    #[test]
    fn a_time_is_a_day_or_a_part_of_it() {
        for (text, whole) in [
            ("2026-11-24", "2026-11-24T00:00:00.000Z"),
            ("2026-11-24T09:30", "2026-11-24T09:30:00.000Z"),
            ("2026-11-24T09:30:07", "2026-11-24T09:30:07.000Z"),
            ("2026-11-24T09:30:07.250Z", "2026-11-24T09:30:07.250Z"),
        ] {
            assert_eq!(time(text).map(|wall| wall.to_string()), Ok(whole.to_owned()), "{text}");
        }
        assert!(time("yesterday").is_err() && time("2026-02-30").is_err() && time("").is_err());
    }
}
