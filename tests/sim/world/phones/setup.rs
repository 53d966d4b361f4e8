//! How a call is made: the INVITE, the phones that ring, what they answer, and how it is taken back (RFC 3261 §13, §9; RFC 3262).

use std::time::Duration;

use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use super::exchange::{Client, GIVEN_UP, Purpose, Repeat, Repeated, State};
use super::party::{Act, Deed, Dialog, Life, Party, Turn, challenge, credentials};
use super::plan::{Deviation, Outcome, Plan};
use super::sdp::Described;
use super::text::{Heard, finish, hop_by_hop, push};

// ── the caller ─────────────────────────────────────────────────────────────────────────────────────────────────────

impl Party {
    pub(super) fn invite(&mut self, lines: &str, turn: &mut Turn<'_>) {
        self.setup.cseq += 1;
        let (cseq, branch, plan) = (self.setup.cseq, self.branch(), turn.plan);
        let uri = format!("sip:{}@{}", self.numbers[self.leg.other().index()], self.the_box);
        let mut between = String::new();
        if plan.deviations.contains(&Deviation::RecordsRoute { leg: self.leg }) {
            push(&mut between, "Record-Route", &format!("<sip:{};lr>", self.here()));
        }
        push(&mut between, "From", &self.own_value());
        push(&mut between, "To", &format!("<{uri}>"));
        push(&mut between, "Call-ID", &format!("{}@world", self.call));
        push(&mut between, "CSeq", &format!("{cseq} INVITE"));
        let mut text = self.head("INVITE", &uri, &branch, &between);
        text.push_str("Supported: 100rel, timer\r\nAllow: INVITE, ACK, BYE, CANCEL, INFO, UPDATE, PRACK, REFER, NOTIFY\r\n");
        if plan.deviations.iter().any(|deviation| matches!(deviation, Deviation::Refreshes { .. } | Deviation::Expires { .. })) {
            text.push_str("Session-Expires: 90\r\n");
        }
        text.push_str(lines);
        let mut body = String::new();
        if !plan.deviations.contains(&Deviation::LateOffer) {
            let wish = self.first_wish(plan, 0);
            body = wish.write(self.session(), self.habit);
            self.setup.offer = Some(wish);
        }
        let bytes = finish(text, "application/sdp", &body);
        self.send(&bytes, turn);
        self.clients.push(Client::new("INVITE", branch, cseq, bytes, Purpose::Call, turn.now));
    }

    fn own_value(&self) -> String {
        format!("<sip:{}@{}>;tag=c{}", self.numbers[self.leg.index()], self.here().ip(), self.call)
    }

    /// The dialog with the phone that answers; it is new where its tag is.
    fn dialog_of(&mut self, heard: &Heard<'_>, turn: &Turn<'_>) -> Option<usize> {
        let tag = heard.tag("To")?;
        let known = self.dialogs.iter().position(|dialog| dialog.remote_tag == tag);
        let at = match known {
            Some(at) => at,
            None => {
                let wish = self.first_wish(turn.plan, 0);
                let stream = self.new_stream(wish.media);
                let mut dialog = Dialog::new(wish, stream);
                dialog.offered.clone_from(&self.setup.offer);
                dialog.written.clone_from(&self.setup.offer);
                dialog.local_tag = format!("c{}", self.call);
                dialog.local = self.own_value();
                dialog.remote_tag = tag.to_owned();
                dialog.remote = heard.first("To")?.to_owned();
                dialog.local_cseq = self.setup.cseq;
                self.dialogs.push(dialog);
                self.dialogs.len() - 1
            }
        };
        let dialog = &mut self.dialogs[at];
        if dialog.life == Life::Early
            && let Some(contact) = heard.contact()
        {
            contact.clone_into(&mut dialog.target);
            // Its proxy has taken out what lies between itself and the phone (RFC 3261 §12.1.2, reversed).
            let mut routes: Vec<&str> = heard.record_route().collect();
            routes.reverse();
            let ours = format!("<sip:{}", self.the_box);
            let first = routes.iter().position(|route| route.starts_with(&ours)).unwrap_or(0);
            dialog.route.clear();
            routes[first..].iter().for_each(|route| push(&mut dialog.route, "Route", route));
        }
        Some(at)
    }

    pub(super) fn on_provisional(&mut self, at: usize, is_first: bool, heard: &Heard<'_>, turn: &mut Turn<'_>) {
        if is_first && self.setup.is_cancelled {
            self.send_cancel(at, turn);
        }
        let Some(dialog) = self.dialog_of(heard, turn) else { return };
        if self.dialogs[dialog].life == Life::Over {
            return;
        }
        let rseq = heard.first("RSeq").and_then(|number| number.parse::<u32>().ok());
        if rseq.is_some_and(|rseq| rseq <= self.setup.rseq) {
            return;
        }
        let described = Described::read(heard.body);
        let mut answer = String::new();
        if let Some(theirs) = described {
            if self.dialogs[dialog].offered.is_some() {
                self.take_answer(dialog, theirs);
            } else if self.dialogs[dialog].theirs.is_none() && rseq.is_some() {
                self.dialogs[dialog].theirs = Some(theirs);
                answer = self.write_answer(dialog);
            }
        }
        if let Some(rseq) = rseq {
            self.setup.rseq = rseq;
            let lines = format!("RAck: {rseq} {} INVITE\r\n", self.setup.cseq);
            self.request(dialog, "PRACK", Purpose::Other, &lines, ("application/sdp", &answer), turn);
        }
        if turn.plan.deviations.contains(&Deviation::EarlyMedia { both: true }) || rseq.is_some() {
            self.tune(dialog, turn);
        }
    }

    pub(super) fn on_accept(&mut self, cseq: u32, heard: &Heard<'_>, turn: &mut Turn<'_>) {
        let Some(dialog) = self.dialog_of(heard, turn) else { return };
        if self.has_acknowledged(dialog, cseq) {
            return self.acknowledge_again(dialog, cseq, turn);
        }
        if self.dialogs[dialog].life == Life::Up {
            // The ACK is still to come, late.
            return;
        }
        let plan = turn.plan;
        let is_wanted = self.main.is_none() && !self.setup.is_cancelled && !self.setup.has_failed && !self.setup.is_planned;
        self.dialogs[dialog].life = Life::Up;
        if let Some(theirs) = Described::read(heard.body) {
            if self.dialogs[dialog].offered.is_some() {
                self.take_answer(dialog, theirs);
            } else if self.dialogs[dialog].theirs.is_none() {
                self.dialogs[dialog].theirs = Some(theirs);
                self.setup.owes_answer = Some(dialog);
            }
        }
        self.dialogs[dialog].offered = None;
        if !is_wanted {
            // Another phone was faster, or it is too late (RFC 3261 §13.2.2.4, §9.1).
            self.acknowledge(dialog, turn);
            return self.hang_up(dialog, false, turn);
        }
        self.main = Some(dialog);
        if plan.deviations.contains(&Deviation::AckNever) {
            return self.vanish(turn.now);
        }
        if !matches!(plan.outcome, Outcome::Cancelled(_)) {
            self.acts.retain(|(_, act)| *act != Act::Cancel);
        }
        for other in 0..self.dialogs.len() {
            if other != dialog && self.dialogs[other].life == Life::Early {
                self.dialogs[other].stream.end(turn.now);
            }
        }
        let late = plan.deviations.iter().find_map(|deviation| match deviation {
            Deviation::AckLate(after) => Some(*after),
            _ => None,
        });
        match late {
            Some(after) => {
                if self.setup.owes_answer != Some(dialog) {
                    self.tune(dialog, turn);
                }
                self.plan_act(turn.now + after, Act::Acknowledge(dialog));
            }
            None => self.acknowledge(dialog, turn),
        }
    }

    /// Sends the ACK of the first INVITE's 2xx, with the answer where one is owed.
    pub(super) fn acknowledge(&mut self, dialog: usize, turn: &mut Turn<'_>) {
        let answer = if self.setup.owes_answer == Some(dialog) { self.write_answer(dialog) } else { String::new() };
        self.send_ack(dialog, self.setup.cseq, &answer, turn);
        self.tune(dialog, turn);
        if self.main == Some(dialog) && !self.setup.is_planned {
            if self.dialogs[dialog].theirs.is_some() {
                self.plan_talk(dialog, turn);
            } else {
                self.plan_act(turn.now + Duration::from_millis(20), Act::Within(dialog, Deed::HangUp { expired: false }));
            }
        }
    }

    pub(super) fn send_ack(&mut self, dialog: usize, cseq: u32, answer: &str, turn: &mut Turn<'_>) {
        let (_, bytes) = self.write_within(dialog, "ACK", cseq, "", ("application/sdp", answer));
        self.send(&bytes, turn);
        self.dialogs[dialog].acks.push((cseq, bytes));
    }

    pub(super) fn has_acknowledged(&self, dialog: usize, cseq: u32) -> bool {
        self.dialogs[dialog].acks.iter().any(|(number, _)| *number == cseq)
    }

    pub(super) fn acknowledge_again(&mut self, dialog: usize, cseq: u32, turn: &mut Turn<'_>) {
        if let Some((_, bytes)) = self.dialogs[dialog].acks.iter().find(|(number, _)| *number == cseq) {
            self.send(bytes, turn);
        }
    }

    pub(super) fn on_refused(&mut self, status: u16, _heard: &Heard<'_>, turn: &mut Turn<'_>) {
        let is_challenge = matches!(status, 401 | 407) && turn.plan.deviations.contains(&Deviation::Challenge(status));
        if is_challenge && !self.setup.challenged[0] && !self.setup.is_cancelled {
            self.setup.challenged[0] = true;
            return self.invite(&credentials(status), turn);
        }
        self.call_failed(turn.now);
    }

    pub(super) fn call_failed(&mut self, now: Moment) {
        if self.main.is_some() {
            return;
        }
        self.setup.has_failed = true;
        self.acts.clear();
        for dialog in 0..self.dialogs.len() {
            if self.dialogs[dialog].life == Life::Early {
                self.lose(dialog, Duration::ZERO, now);
            }
        }
    }

    /// The caller has had enough.
    pub(super) fn cancel(&mut self, turn: &mut Turn<'_>) {
        if let Some(dialog) = self.main {
            if self.acts.contains_act(Act::Acknowledge(dialog)) {
                self.acknowledge(dialog, turn);
            }
            return self.hang_up(dialog, false, turn);
        }
        if self.setup.has_failed || self.setup.is_planned || self.setup.is_cancelled {
            return;
        }
        self.setup.is_cancelled = true;
        let open = |client: &Client| client.purpose == Purpose::Call && client.state != State::Done;
        if let Some(at) = self.clients.iter().position(open)
            && self.clients[at].state == State::Proceeding
        {
            self.send_cancel(at, turn);
        }
    }

    fn send_cancel(&mut self, at: usize, turn: &mut Turn<'_>) {
        let invite = &mut self.clients[at];
        // RFC 3261 §9.1: no answer by then is as good as 487.
        invite.until = Some(turn.now + GIVEN_UP);
        let (branch, cseq) = (invite.branch.clone(), invite.cseq);
        let Some(bytes) = hop_by_hop(&invite.bytes, "CANCEL", None) else { return };
        self.send(&bytes, turn);
        self.clients.push(Client::new("CANCEL", branch, cseq, bytes, Purpose::Cancel, turn.now));
    }

    // ── the called party ───────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn on_call(&mut self, server: usize, heard: &Heard<'_>, turn: &mut Turn<'_>) {
        let plan = turn.plan;
        let is_busy = self.setup.server.is_some_and(|at| self.servers[at].answered.is_none_or(|status| status < 300));
        if is_busy || self.is_caller {
            // The same request by another way: the box has forgotten that it had it (RFC 3261 §8.2.2.2).
            return self.respond(server, 482, None, "", "", turn);
        }
        let status = plan.deviations.iter().find_map(|deviation| match deviation {
            Deviation::Challenge(status) => Some(*status),
            _ => None,
        });
        if let Some(status) = status.filter(|_| !self.setup.challenged[0]) {
            self.setup.challenged[0] = true;
            return self.respond(server, status, None, &challenge(status), "", turn);
        }
        self.setup.server = Some(server);
        let first = self.dialogs.len();
        let (phones, winner, second, early) = forks(plan);
        for phone in 0..phones {
            self.phone_rings(phone, server, heard, plan);
        }
        let rings = |share: u32| plan.rings * share / 100;
        for phone in 0..phones {
            let (at, late) = (first + usize::from(phone), Duration::from_millis(u64::from(phone) * 7));
            self.plan_act(turn.now + rings(20) + late, Act::Ring(at));
            if early || (phone == winner && has_early_media(plan)) {
                self.plan_act(turn.now + rings(50) + late, Act::Early(at));
            }
        }
        match plan.outcome {
            Outcome::Answered | Outcome::Cancelled(_) => {
                self.plan_act(turn.now + plan.rings, Act::Answer(first + usize::from(winner)));
                if let Some(second) = second {
                    self.plan_act(turn.now + plan.rings + SECOND, Act::Answer(first + usize::from(second)));
                }
            }
            Outcome::Refused(status) => self.plan_act(turn.now + plan.rings, Act::Refuse(status)),
            Outcome::Unanswered => self.plan_act(turn.now + UNANSWERED, Act::Refuse(480)),
        }
    }

    fn phone_rings(&mut self, phone: u8, server: usize, heard: &Heard<'_>, plan: &Plan) {
        let wish = self.first_wish(plan, phone);
        let stream = self.new_stream(wish.media);
        let mut dialog = Dialog::new(wish, stream);
        dialog.theirs = Described::read(heard.body);
        dialog.local_tag = format!("f{phone}-{}-{}", self.call, self.servers[server].cseq);
        dialog.local = format!("{};tag={}", self.servers[server].to, dialog.local_tag);
        dialog.remote_tag = heard.tag("From").unwrap_or_default().to_owned();
        dialog.remote = heard.first("From").unwrap_or_default().to_owned();
        dialog.target = heard.contact().unwrap_or_default().to_owned();
        dialog.remote_cseq = self.servers[server].cseq;
        heard.record_route().for_each(|route| push(&mut dialog.route, "Route", route));
        self.dialogs.push(dialog);
    }

    /// The server of the INVITE, while it may be answered by one more phone.
    fn ringing(&self, dialog: usize) -> Option<usize> {
        let server = self.setup.server.filter(|&at| self.servers[at].answered.is_none_or(|status| status < 300))?;
        (self.dialogs[dialog].life == Life::Early).then_some(server)
    }

    pub(super) fn ring(&mut self, dialog: usize, turn: &mut Turn<'_>) {
        if let Some(server) = self.ringing(dialog) {
            self.respond(server, 180, Some(dialog), "", "", turn);
        }
    }

    /// Ring-back tone, or an announcement of the exchange: 183 with a description, and media.
    pub(super) fn early(&mut self, dialog: usize, turn: &mut Turn<'_>) {
        let Some(server) = self.ringing(dialog) else { return };
        let is_reliable = turn.plan.deviations.iter().any(|deviation| matches!(deviation, Deviation::Reliable { .. }));
        let body = if self.dialogs[dialog].theirs.is_some() {
            self.write_answer(dialog)
        } else if is_reliable {
            let wish = self.dialogs[dialog].wish.clone();
            self.write_offer(dialog, wish)
        } else {
            // An offer belongs into a reliable response (RFC 3261 §13.2.1).
            String::new()
        };
        self.respond(server, 183, Some(dialog), if is_reliable { "Require: 100rel\r\nRSeq: 1\r\n" } else { "" }, &body, turn);
        if let Some(bytes) = self.servers[server].last.clone().filter(|_| is_reliable) {
            self.repeats.push(Repeat::new(Repeated::Reliable { dialog }, bytes, turn.now));
        }
        self.tune(dialog, turn);
    }

    pub(super) fn answer(&mut self, dialog: usize, turn: &mut Turn<'_>) {
        let Some(server) = self.ringing(dialog) else { return };
        if self.repeats.iter().any(|repeat| repeat.what == Repeated::Reliable { dialog }) {
            // RFC 3262 §3: not before the description was acknowledged.
            self.setup.answer_waits = Some(dialog);
            return;
        }
        let plan = turn.plan;
        let is_described = plan.deviations.contains(&Deviation::Reliable { again: false }) && self.dialogs[dialog].has_written();
        let body = if plan.deviations.contains(&Deviation::NoDescription) || is_described {
            String::new()
        } else if self.dialogs[dialog].theirs.is_some() {
            self.write_answer(dialog)
        } else {
            let wish = self.dialogs[dialog].wish.clone();
            self.write_offer(dialog, wish)
        };
        let cseq = self.servers[server].cseq;
        self.dialogs[dialog].life = Life::Up;
        self.respond(server, 200, Some(dialog), "", &body, turn);
        if let Some(bytes) = self.servers[server].last.clone() {
            self.repeats.push(Repeat::new(Repeated::Accept { dialog, cseq }, bytes, turn.now));
        }
        self.tune(dialog, turn);
        // The phones that have lost hear of it a little later.
        let waits: Vec<usize> = self
            .acts
            .iter()
            .filter_map(|(_, act)| match act {
                Act::Answer(at) => Some(*at),
                _ => None,
            })
            .collect();
        for other in 0..self.dialogs.len() {
            if self.dialogs[other].life == Life::Early && !waits.contains(&other) {
                self.lose(other, LOST, turn.now);
            }
        }
    }

    /// Refuses the call, unless it was answered.
    pub(super) fn refuse(&mut self, status: u16, turn: &mut Turn<'_>) {
        let Some(server) = self.setup.server.filter(|&at| self.servers[at].answered.is_none()) else { return };
        self.acts.clear();
        for dialog in 0..self.dialogs.len() {
            self.lose(dialog, Duration::ZERO, turn.now);
        }
        let dialog = self.dialogs.len().checked_sub(1);
        self.respond(server, status, dialog, "", "", turn);
    }

    pub(super) fn on_ack(&mut self, branch: &str, cseq: u32, heard: &Heard<'_>, turn: &mut Turn<'_>) {
        let refused = self.servers.iter().position(|server| server.branch == branch && server.method == "INVITE");
        if let Some(server) = refused {
            return self.repeats.retain(|repeat| repeat.what != Repeated::Refusal { server });
        }
        let Some(tag) = heard.tag("To") else { return };
        let Some(dialog) = self.dialogs.iter().position(|dialog| dialog.local_tag == tag && dialog.life == Life::Up) else {
            return;
        };
        let Some(at) = self.repeats.iter().position(|repeat| repeat.what == Repeated::Accept { dialog, cseq }) else { return };
        self.repeats.remove(at);
        if self.dialogs[dialog].offered.is_some()
            && let Some(theirs) = Described::read(heard.body)
        {
            self.take_answer(dialog, theirs);
            self.tune(dialog, turn);
        }
        if !self.setup.is_planned {
            self.plan_talk(dialog, turn);
        } else if self.main != Some(dialog) {
            // A second phone that has answered: should the caller never hang up on it, it does so itself.
            self.plan_act(turn.now + GIVEN_UP, Act::Within(dialog, Deed::HangUp { expired: false }));
        }
    }

    pub(super) fn acknowledged_early(&mut self, dialog: usize, heard: &Heard<'_>, turn: &mut Turn<'_>) {
        self.repeats.retain(|repeat| repeat.what != Repeated::Reliable { dialog });
        if self.dialogs[dialog].offered.is_some()
            && let Some(theirs) = Described::read(heard.body)
        {
            self.take_answer(dialog, theirs);
            self.tune(dialog, turn);
        }
        if self.setup.answer_waits.take_if(|waits| *waits == dialog).is_some() {
            self.answer(dialog, turn);
        }
    }

    pub(super) fn session(&self) -> u32 {
        self.call * 8 + if self.leg == Leg::Pbx { 1 } else { 5 }
    }
}

/// Looks for an act among those that are planned.
trait Planned {
    fn contains_act(&self, act: Act) -> bool;
}

impl Planned for Vec<(Moment, Act)> {
    fn contains_act(&self, act: Act) -> bool {
        self.iter().any(|(_, planned)| *planned == act)
    }
}

/// How many phones ring, which answers, which answers too, and whether all send early media.
fn forks(plan: &Plan) -> (u8, u8, Option<u8>, bool) {
    let forks = plan.deviations.iter().find_map(|deviation| match *deviation {
        Deviation::Forks { phones, winner, second, early } => Some((phones.clamp(1, 4), winner, second, early)),
        _ => None,
    });
    let (phones, winner, second, early) = forks.unwrap_or((1, 0, None, false));
    let winner = winner.min(phones - 1);
    (phones, winner, second.filter(|&second| second < phones && second != winner), early)
}

fn has_early_media(plan: &Plan) -> bool {
    plan.deviations.iter().any(|deviation| matches!(deviation, Deviation::EarlyMedia { .. } | Deviation::Reliable { .. }))
}

/// How much later the second phone answers: the CANCEL has not reached it.
const SECOND: Duration = Duration::from_millis(15);

/// How much later the phones that have lost fall silent.
const LOST: Duration = Duration::from_millis(40);

/// When the called party's exchange takes back a call that nobody answers; the caller's patience ends before.
const UNANSWERED: Duration = Duration::from_secs(60);
