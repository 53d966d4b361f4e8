//! What happens within a dialog: keys, hold, glare, transfer, and how it ends (RFC 3261 §14, §15; RFC 3311, RFC 3515, RFC 4028).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mitschnitt::ids::Leg;

use super::super::border::{CARRIER_SIP, Datagram, PBX_SIP};
use super::exchange::{Client, Purpose, Repeat, Repeated, State};
use super::party::{Act, Deed, Life, Party, Turn, challenge};
use super::plan::{By, Deviation, Ending, Forger, Hold, Outcome, PressedBy};
use super::sdp::{Described, Flow, Wish, speech};
use super::text::{Heard, finish, push};

/// What a new description changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Hold(Hold),
    Resume,
    /// To another host.
    Move,
    /// To where the translator has put us.
    Rebound,
    Recode,
    Nothing,
    /// The other is to make the offer.
    Ask,
}

impl Party {
    /// Both are in the call: what the plan has for this leg is put into the calendar.
    pub(super) fn plan_talk(&mut self, dialog: usize, turn: &Turn<'_>) {
        let (plan, leg, is_caller, now) = (turn.plan, self.leg, self.is_caller, turn.now);
        self.setup.is_planned = true;
        self.main = Some(dialog);
        if matches!(plan.outcome, Outcome::Cancelled(_)) && self.is_caller {
            return;
        }
        let mut will = |after: Duration, deed| self.acts.push((now + after, Act::Within(dialog, deed)));
        for (at, press) in plan.presses.iter().enumerate() {
            if press.leg == leg {
                will(press.after, Deed::Press(at));
            }
        }
        for deviation in &plan.deviations {
            match *deviation {
                Deviation::Glare { after } => {
                    // The ACK took its time from the caller to the other: the caller waits for the half of that, about.
                    let after = after + if is_caller { CROSSING } else { Duration::ZERO };
                    will(after, Deed::Change(Change::Nothing, By::Invite, 0));
                }
                Deviation::NewSource { leg: whose, after } if whose == leg => will(after, Deed::NewSource),
                Deviation::Rebinds { leg: whose, after, told } if whose == leg => {
                    will(after, Deed::Rebind);
                    if let Some(told) = told {
                        will(after + told, Deed::Change(Change::Rebound, By::Invite, 0));
                    }
                }
                Deviation::Holds { leg: whose, after, lasts, how } if whose == leg => {
                    will(after, Deed::Change(Change::Hold(how), By::Invite, 0));
                    will(after + lasts, Deed::Change(Change::Resume, By::Invite, 0));
                }
                Deviation::Transfers { leg: whose, after, .. } if whose == leg => will(after, Deed::Refer),
                Deviation::Moves { leg: whose, after, by } if whose == leg => will(after, Deed::Change(Change::Move, by, 0)),
                Deviation::Recodes { leg: whose, after, by } if whose == leg => will(after, Deed::Change(Change::Recode, by, 0)),
                Deviation::Asks { leg: whose, after } if whose == leg => will(after, Deed::Change(Change::Ask, By::Invite, 0)),
                Deviation::Refreshes { leg: whose, after, by } if whose == leg => {
                    will(after, Deed::Change(Change::Nothing, by, 0));
                }
                Deviation::Expires { leg: whose, after } if whose == leg => will(after, Deed::HangUp { expired: true }),
                Deviation::ForgedBye { leg: whose, after, by } if whose == leg => will(after, Deed::ForgeBye(by)),
                Deviation::ForgedRtp { leg: whose, after, packets } if whose == leg => {
                    will(after, Deed::ForgeRtp { left: packets });
                }
                Deviation::Garbage { leg: whose, after } if whose == leg => will(after, Deed::Garbage),
                Deviation::Beside { leg: whose, after } if whose == leg => will(after, Deed::Beside),
                _ => {}
            }
        }
        match plan.ending {
            Ending::Vanish => will(plan.talks, Deed::Vanish),
            Ending::HangsUp(whose) if whose == leg => will(plan.talks, Deed::HangUp { expired: false }),
            Ending::HangsUp(_) => will(plan.talks + UNHEARD, Deed::HangUp { expired: false }),
        }
    }

    pub(super) fn deed(&mut self, dialog: usize, deed: Deed, turn: &mut Turn<'_>) {
        match deed {
            Deed::HangUp { expired } => self.hang_up(dialog, expired, turn),
            Deed::Vanish => self.vanish(turn.now),
            Deed::Press(at) => self.press(dialog, at, turn),
            Deed::Change(change, by, tries) => self.change(dialog, change, by, tries, turn),
            Deed::NewSource => {
                let (source, drawn) = (self.source(), self.chance.next());
                self.dialogs[dialog].stream.become_another(source, drawn);
            }
            Deed::Rebind => {
                self.dialogs[dialog].rebound = Some(self.another_pair(dialog, true));
                self.tune(dialog, turn);
            }
            Deed::Refer => {
                let lines = format!("Refer-To: <sip:0@{}>\r\n", self.the_box);
                self.request(dialog, "REFER", Purpose::Other, &lines, ("", ""), turn);
            }
            Deed::Notify { last } => self.notify(dialog, last, turn),
            Deed::ForgeBye(by) => self.forge_bye(dialog, by, turn),
            Deed::ForgeRtp { left } => self.forge_rtp(dialog, left, turn),
            Deed::Garbage => self.garbage(turn),
            Deed::Beside => self.beside(turn),
        }
    }

    // ── requests of ours ───────────────────────────────────────────────────────────────────────────────────────────

    fn press(&mut self, dialog: usize, at: usize, turn: &mut Turn<'_>) {
        let press = turn.plan.presses[at];
        if press.by == PressedBy::Rtp && self.dialogs[dialog].stream.events {
            return self.dialogs[dialog].stream.press(press.key);
        }
        let body = format!("Signal={}\r\nDuration=160\r\n", press.key);
        self.request(dialog, "INFO", Purpose::Other, "", ("application/dtmf-relay", &body), turn);
    }

    fn change(&mut self, dialog: usize, change: Change, by: By, tries: u32, turn: &mut Turn<'_>) {
        let here = &self.dialogs[dialog];
        if here.life != Life::Up {
            return;
        }
        let is_asking = |client: &Client| {
            client.dialog == Some(dialog) && client.state != State::Done && matches!(client.purpose, Purpose::Change(..))
        };
        let is_answering = |repeat: &Repeat| matches!(repeat.what, Repeated::Accept { dialog: at, .. } if at == dialog);
        if here.offered.is_some() || self.clients.iter().any(is_asking) || self.repeats.iter().any(is_answering) {
            let again = Act::Within(dialog, Deed::Change(change, by, tries));
            return self.plan_act(turn.now + BUSY, again);
        }
        let method = if by == By::Update && change != Change::Ask { "UPDATE" } else { "INVITE" };
        let lines = if change == Change::Nothing { "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n" } else { "" };
        let body = match self.changed(dialog, change) {
            Some(wish) => self.write_offer(dialog, wish),
            None => String::new(),
        };
        self.request(dialog, method, Purpose::Change(change, tries), lines, ("application/sdp", &body), turn);
    }

    /// What this party wants from now on; nothing where it lets the other say first.
    fn changed(&mut self, dialog: usize, change: Change) -> Option<Wish> {
        let mut wish = self.dialogs[dialog].wish.clone();
        match change {
            Change::Ask => return None,
            Change::Nothing => {}
            Change::Hold(Hold::SendOnly) => wish.flow = Flow { sends: true, receives: false },
            Change::Hold(Hold::Inactive) => wish.flow = Flow { sends: false, receives: false },
            Change::Hold(Hold::Zeroes) => wish.zeroes = true,
            Change::Resume => (wish.flow, wish.zeroes) = (Flow::BOTH, false),
            Change::Move => wish.media = self.another_pair(dialog, false),
            Change::Rebound => wish.media = self.dialogs[dialog].rebound.unwrap_or(wish.media),
            Change::Recode => match speech(&wish.formats) {
                Some(0) => wish.formats = vec![8, 101],
                Some(8) => wish.formats = vec![0, 101],
                _ => {}
            },
        }
        Some(wish)
    }

    /// A re-INVITE or an UPDATE of ours is answered.
    #[expect(clippy::too_many_arguments, reason = "what was asked, and what was answered")]
    pub(super) fn on_changed(
        &mut self,
        dialog: usize,
        change: Change,
        tries: u32,
        cseq: u32,
        status: u16,
        heard: &Heard<'_>,
        turn: &mut Turn<'_>,
    ) {
        let by = if heard.cseq().is_some_and(|(_, method)| method == "UPDATE") { By::Update } else { By::Invite };
        if status < 300 {
            let mut answer = String::new();
            if let Some(theirs) = Described::read(heard.body) {
                if change == Change::Ask {
                    self.dialogs[dialog].theirs = Some(theirs);
                    answer = self.write_answer(dialog);
                } else {
                    self.take_answer(dialog, theirs);
                }
            }
            if by == By::Invite {
                self.send_ack(dialog, cseq, &answer, turn);
            }
            self.tune(dialog, turn);
        }
        self.dialogs[dialog].offered = None;
        match status {
            491 if tries < TRIES && self.dialogs[dialog].life == Life::Up => {
                // RFC 3261 §14.1: the owner of the Call-ID waits longer; in steps of 10 ms.
                let (from, to) = if self.is_caller { (210, 400) } else { (0, 200) };
                let pause = Duration::from_millis(self.chance.between(from, to) * 10);
                self.plan_act(turn.now + pause, Act::Within(dialog, Deed::Change(change, by, tries + 1)));
            }
            408 | 481 => self.hang_up(dialog, false, turn),
            _ => {}
        }
    }

    fn notify(&mut self, dialog: usize, last: bool, turn: &mut Turn<'_>) {
        let stands = turn.plan.deviations.iter().any(|deviation| matches!(deviation, Deviation::Transfers { stands: true, .. }));
        let (state, body) = match (last, stands) {
            (false, _) => ("active;expires=60", "SIP/2.0 100 Trying\r\n"),
            (true, true) => ("terminated;reason=noresource", "SIP/2.0 200 OK\r\n"),
            (true, false) => ("terminated;reason=noresource", "SIP/2.0 503 Service Unavailable\r\n"),
        };
        let lines = format!("Event: refer\r\nSubscription-State: {state}\r\n");
        self.request(dialog, "NOTIFY", Purpose::Other, &lines, ("message/sipfrag", body), turn);
    }

    pub(super) fn hang_up(&mut self, dialog: usize, expired: bool, turn: &mut Turn<'_>) {
        if self.dialogs[dialog].life == Life::Over {
            return;
        }
        let lines = if expired { "Reason: SIP;cause=408;text=\"Session expired\"\r\n" } else { "" };
        self.bye(dialog, lines, false, turn);
        self.over(dialog, turn);
    }

    pub(super) fn bye(&mut self, dialog: usize, lines: &str, again: bool, turn: &mut Turn<'_>) {
        self.request(dialog, "BYE", Purpose::Bye { again }, lines, ("", ""), turn);
    }

    // ── requests of theirs ─────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn on_request_within(
        &mut self,
        dialog: usize,
        server: usize,
        method: &str,
        heard: &Heard<'_>,
        turn: &mut Turn<'_>,
    ) {
        match method {
            "BYE" => self.on_bye(dialog, server, turn),
            "INVITE" | "UPDATE" => self.on_change(dialog, server, method == "INVITE", heard, turn),
            "PRACK" => {
                self.respond(server, 200, Some(dialog), "", "", turn);
                self.acknowledged_early(dialog, heard, turn);
            }
            "REFER" => {
                self.respond(server, 202, Some(dialog), "", "", turn);
                let notify = |last| Act::Within(dialog, Deed::Notify { last });
                self.plan_act(turn.now + Duration::from_millis(20), notify(false));
                self.plan_act(turn.now + Duration::from_millis(150), notify(true));
            }
            "NOTIFY" => {
                self.respond(server, 200, Some(dialog), "", "", turn);
                if heard.body.starts_with("SIP/2.0 200") {
                    self.plan_act(turn.now + BUSY, Act::Within(dialog, Deed::HangUp { expired: false }));
                }
            }
            _ => self.respond(server, 200, Some(dialog), "", "", turn),
        }
    }

    fn on_bye(&mut self, dialog: usize, server: usize, turn: &mut Turn<'_>) {
        let status = turn.plan.deviations.iter().find_map(|deviation| match deviation {
            Deviation::ChallengedBye(status) => Some(*status),
            _ => None,
        });
        if let Some(status) = status.filter(|_| !self.setup.challenged[1]) {
            self.setup.challenged[1] = true;
            return self.respond(server, status, Some(dialog), &challenge(status), "", turn);
        }
        self.respond(server, 200, Some(dialog), "", "", turn);
        if self.dialogs[dialog].life == Life::Early {
            self.refuse(487, turn);
        }
        let was_main = self.main == Some(dialog);
        self.over(dialog, turn);
        // The caller has kept another phone that answered.
        let other = self.dialogs.iter().position(|dialog| dialog.life == Life::Up);
        if let Some(other) = other.filter(|_| was_main) {
            self.plan_talk(other, turn);
        }
    }

    fn on_change(&mut self, dialog: usize, server: usize, is_invite: bool, heard: &Heard<'_>, turn: &mut Turn<'_>) {
        let theirs = Described::read(heard.body);
        let is_asking = |client: &Client| {
            client.dialog == Some(dialog)
                && client.state != State::Done
                && client.method == "INVITE"
                && client.purpose != Purpose::Call
        };
        let is_glare = self.dialogs[dialog].offered.is_some() || (is_invite && self.clients.iter().any(is_asking));
        if is_glare && (is_invite || theirs.is_some()) {
            return self.respond(server, 491, Some(dialog), "", "", turn);
        }
        if turn.plan.deviations.contains(&Deviation::Refuses { leg: self.leg }) && (is_invite || theirs.is_some()) {
            return self.respond(server, 488, Some(dialog), "", "", turn);
        }
        let body = match theirs {
            Some(theirs) => {
                self.dialogs[dialog].theirs = Some(theirs);
                self.write_answer(dialog)
            }
            None if is_invite => {
                let wish = self.dialogs[dialog].wish.clone();
                self.write_offer(dialog, wish)
            }
            None => String::new(),
        };
        if let Some(contact) = heard.contact() {
            contact.clone_into(&mut self.dialogs[dialog].target);
        }
        self.respond(server, 200, Some(dialog), "", &body, turn);
        if let Some(bytes) = self.servers[server].last.clone().filter(|_| is_invite) {
            let what = Repeated::Accept { dialog, cseq: self.servers[server].cseq };
            self.repeats.push(Repeat::new(what, bytes, turn.now));
        }
        self.tune(dialog, turn);
    }

    // ── what others do in our name, and what has nothing to do with it ─────────────────────────────────────────────

    fn forge_bye(&mut self, dialog: usize, by: Forger, turn: &mut Turn<'_>) {
        let from = match by {
            Forger::Stranger => stranger(self.call, 5060),
            Forger::OtherLeg => address(if self.leg == Leg::Pbx { CARRIER_SIP } else { PBX_SIP }),
            Forger::Neighbour => address(NEIGHBOUR),
        };
        let cseq = self.dialogs[dialog].local_cseq + 20;
        let (_, bytes) = self.write_within(dialog, "BYE", cseq, "", ("", ""));
        let mut text = String::from_utf8_lossy(&bytes).replace(&self.here().to_string(), &from.to_string());
        if by == Forger::Neighbour {
            text = text.replace(&format!("tag={}", self.dialogs[dialog].local_tag), "tag=guessed");
        }
        turn.out.push(Datagram { from, to: self.the_box, bytes: Bytes::from(text) });
    }

    fn forge_rtp(&mut self, dialog: usize, left: u32, turn: &mut Turn<'_>) {
        let stream = &mut self.dialogs[dialog].stream;
        if left == 0 || stream.to == stream.from {
            return;
        }
        self.forged += 1;
        let bytes = stream.forged(FORGED, self.forged);
        turn.out.push(Datagram { from: stranger(self.call, 4000), to: stream.to, bytes });
        let next = Act::Within(dialog, Deed::ForgeRtp { left: left - 1 });
        self.plan_act(turn.now + Duration::from_millis(20), next);
    }

    /// What scanners and broken senders send: keep-alives, noise, requests that are cut, and one that is wrong.
    fn garbage(&mut self, turn: &mut Turn<'_>) {
        let options = self.outside("OPTIONS", 90);
        let cut = usize::try_from(self.chance.below(options.len() as u64)).unwrap_or(0);
        let noise: Vec<u8> = (0..self.chance.between(1, 200)).map(|_| self.chance.next().to_be_bytes()[7]).collect();
        let wrong = String::from_utf8_lossy(&options)
            .replace("CSeq: 1 OPTIONS", "CSeq: one")
            .replace("Max-Forwards: 70", "Max-Forwards: x");
        for bytes in [Bytes::from_static(b"\r\n\r\n"), Bytes::from(noise), options.slice(..cut), Bytes::from(wrong)] {
            self.send(&bytes, turn);
        }
    }

    fn beside(&mut self, turn: &mut Turn<'_>) {
        for (at, method) in [(1, "OPTIONS"), (2, "REGISTER")] {
            let bytes = self.outside(method, at);
            let Some(branch) = Heard::read(&bytes).and_then(|heard| heard.branch().map(str::to_owned)) else { continue };
            self.send(&bytes, turn);
            self.clients.push(Client::new(method, branch, 1, bytes, Purpose::Other, turn.now));
        }
    }

    /// A request outside of any dialog.
    fn outside(&mut self, method: &str, at: u32) -> Bytes {
        let branch = self.branch();
        let uri = format!("sip:{}", self.the_box);
        let user = self.user().to_owned();
        let leg = if self.leg == Leg::Pbx { 'p' } else { 't' };
        let mut between = String::new();
        push(&mut between, "From", &format!("<sip:{user}@{}>;tag=o{}", self.here().ip(), self.call));
        push(&mut between, "To", &format!("<sip:{user}@{}>", self.here().ip()));
        push(&mut between, "Call-ID", &format!("{}@world-{leg}{at}", self.call));
        push(&mut between, "CSeq", &format!("1 {method}"));
        finish(self.head(method, &uri, &branch, &between), "", "")
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Somebody of whom nobody has heard.
fn stranger(call: u32, port: u16) -> SocketAddr {
    address(&format!("233.252.0.{}:{port}", call % 99 + 1))
}

/// Another host in the carrier's network.
const NEIGHBOUR: &str = "198.51.100.99:5060";

/// Whoever is not to hang up does so in the end, where the other's BYE never came.
const UNHEARD: Duration = Duration::from_secs(20);

/// When to look again whether a description may be offered.
const BUSY: Duration = Duration::from_millis(60);

/// Less than the way from one party to the other, so that what both send crosses.
const CROSSING: Duration = Duration::from_millis(3);

/// How often a new description is offered that meets another.
const TRIES: u32 = 3;

/// The marker's source in forged packets.
const FORGED: u8 = 200;
