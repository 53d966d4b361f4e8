//! Transfers: what becomes of a call, its recording and its consent when a party puts another in its place.

use super::*;

#[test]
fn who_replaces_a_party_is_told_and_the_party_that_was_told_is_not_told_again() {
    let mut world = World::recorded_call();

    world.replaces("b", "a");
    assert_eq!(world.recording(), ["record"], "until it is answered nothing changes");
    world.new_call_is_answered();

    let announced = world.announced();
    assert_eq!(announced.iter().map(|a| a.leg).collect::<Vec<_>>(), [Leg::Pbx], "the other one knows");
    world.played(&announced[0]);
    let evidence = world.evidence();
    assert_eq!(evidence.matches("\"to\":\"trunk\"").count(), 1, "it has what was played to the one that stays: {evidence}");
    assert_eq!(evidence.matches("\"to\":\"pbx\"").count(), 1);

    // The replaced dialog is ended by the party that stays (RFC 3891 §3).
    world.old_call_is_hung_up_by_the_trunk();
    assert_eq!(world.recording(), ["record", "record", "suspend for a BYE", "end Transferred"]);
    assert_eq!((world.table.count(), world.last_story().reason), (1, Reason::Recorded));
    assert_ne!(world.table.live()[0].recording, world.last_story().recording, "each has a recording of its own");
}

#[test]
fn who_agreed_by_key_need_not_agree_again_and_the_new_party_must() {
    let mut world = World::agreed_by_key();

    world.replaces("b", "a");
    world.new_call_is_answered();
    for announcing in world.announced() {
        assert_eq!(announcing.leg, Leg::Pbx);
        world.played(&announcing);
    }

    assert_eq!(world.recorded_since(), 1, "only the trunk's party must agree, and it has");
    assert!(world.evidence().contains("\"how\":\"key-sip-info\""));
}

#[test]
fn who_withdrew_is_asked_anew_as_everybody_else() {
    let mut world = World::with(Mode::OptOut);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    world.passes(Duration::from_secs(5));
    world.replaces("b", "a");
    world.trunk_sends("INFO", 2, "b", "Content-Type: application/dtmf-relay\r\n", "Signal=1\r\n");
    world.asked = Some(world.first_word(TRUNK, "INVITE"));

    world.new_call_is_answered();

    assert_eq!(world.announced().len(), 2, "a no is not taken over, and neither is the yes before it");
    assert_eq!(world.recorded_since(), 1, "the first call alone");
}

#[test]
fn what_was_heard_in_a_call_that_ended_meanwhile_counts() {
    let mut world = World::recorded_call();
    world.replaces("b", "a");
    let invite = world.asked.clone();

    world.old_call_is_hung_up_by_the_trunk();
    world.asked = invite;
    world.new_call_is_answered();

    assert_eq!(world.announced().iter().map(|a| a.leg).collect::<Vec<_>>(), [Leg::Pbx]);
}

#[test]
fn who_was_not_told_to_the_end_is_told_from_the_beginning() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    let announced = world.announced();
    world.played(&announced[0]);

    world.replaces("b", "a");
    world.new_call_is_answered();

    assert_eq!(world.announced().len(), 2, "the trunk's party heard a part of it");
}

#[test]
fn the_new_call_stays_under_the_policy_of_the_old() {
    // The called number alone chose it, and the new INVITE has another.
    let mut policies = all_by(Mode::Announce, WithoutConsent::GoOn);
    let mut policy = (*policies[0]).clone();
    policy.selector.called_prefix = Some("200".into());
    policies = vec![Arc::new(policy)];
    let mut world = World::new(policies);
    world.call_is_up();

    world.replaces("b", "a");
    world.new_call_is_answered();

    let policies: Vec<_> = world.table.live().into_iter().map(|call| call.policy).collect();
    assert!(policies.len() == 2 && policies[0].is_some() && policies[0] == policies[1], "{policies:?}");
}

#[test]
fn the_call_of_a_call_for_help_is_one_too() {
    let mut world = World::with(Mode::Announce);
    let text = numbered(
        "INVITE",
        "sip:112@192.0.2.1",
        PBX,
        1,
        "a",
        None,
        "Content-Type: application/sdp\r\n",
        &offer("192.0.2.10", 4000, "0 101"),
        0,
    );
    world.datagram(PBX, &text);
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_acks("b");

    world.replaces("b", "a");
    world.new_call_is_answered();

    assert_eq!(world.announced(), []);
    assert_eq!(world.last_story().reason, Reason::Emergency);
}

#[test]
fn a_replaces_that_names_no_call_of_ours_or_not_that_party_makes_a_call_like_any_other() {
    for (to_tag, from_tag) in [("x", "a"), ("b", "x"), ("a", "b")] {
        let mut world = World::recorded_call();

        world.replaces(to_tag, from_tag);
        world.new_call_is_answered();

        assert_eq!(world.announced().len(), 2, "{to_tag} {from_tag}");
        world.old_call_is_hung_up_by_the_trunk();
        assert!(world.recording().contains(&"end HungUp(Trunk)".to_owned()), "{to_tag} {from_tag}");
    }
}

#[test]
fn a_replacement_that_is_refused_leaves_the_call_as_it_was() {
    let mut world = World::recorded_call();
    world.replaces("b", "a");

    world.trunk_answers(481, "c", "");

    assert_eq!(world.to_pbx("481").status(), Some(481));
    assert_eq!((world.recording(), world.table.count()), (vec!["record".to_owned()], 1));
    world.calls = 0;
    world.old_call_is_hung_up_by_the_trunk();
    assert!(world.recording().contains(&"end HungUp(Trunk)".to_owned()));
}

#[test]
fn a_refer_passes_and_whoever_it_asks_to_call_is_not_told_again() {
    for uri in
        ["sip:300@192.0.2.1", "sip:300@192.0.2.1;method=INVITE", "sip:300@192.0.2.1?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2"]
    {
        let mut world = World::recorded_call();
        let lines = format!("Refer-To: <{uri}>\r\nReferred-By: <sip:100@192.0.2.10>\r\n");

        world.pbx_sends("REFER", 2, "b", &lines, "");
        let went = String::from_utf8_lossy(world.to_trunk("REFER").as_bytes()).into_owned();
        assert!(went.contains(&lines), "as it came: {went}");
        world.trunk_answers(202, "b", "");
        assert_eq!(world.to_pbx("202").status(), Some(202));
        // The party on the trunk calls, and the one that sent it away hangs up.
        world.referred_call("sip:300@192.0.2.1", "200");
        world.referred_call_is_answered();

        assert_eq!(world.announced().iter().map(|a| a.leg).collect::<Vec<_>>(), [Leg::Pbx], "{uri}");
        world.hangs_up_old_call();
        assert_eq!(world.recording(), ["record", "suspend for a BYE", "end Transferred"], "{uri}");
    }
}

#[test]
fn a_refer_that_is_followed_by_a_bye_at_once_still_says_who_was_told() {
    let mut world = World::recorded_call();
    world.pbx_sends("REFER", 2, "b", "Refer-To: <sip:300@192.0.2.1>\r\n", "");
    world.trunk_answers(202, "b", "");

    world.hangs_up_old_call();
    world.referred_call("sip:300@192.0.2.1", "200");
    world.referred_call_is_answered();

    assert_eq!(world.announced().iter().map(|a| a.leg).collect::<Vec<_>>(), [Leg::Pbx]);
}

#[test]
fn only_the_party_that_was_referred_and_only_in_time_has_been_told() {
    for (number, uri, after) in
        [("201", "sip:300@192.0.2.1", 1), ("200", "sip:301@192.0.2.1", 1), ("200", "sip:300@192.0.2.1", 33)]
    {
        let mut world = World::recorded_call();
        world.pbx_sends("REFER", 2, "b", "Refer-To: <sip:300@192.0.2.1>\r\n", "");
        world.trunk_answers(202, "b", "");
        world.passes(Duration::from_secs(after));

        world.referred_call(uri, number);
        world.referred_call_is_answered();

        assert_eq!(world.announced().len(), 2, "{number} {uri} {after}");
    }
}

#[test]
fn a_refer_counts_for_one_call() {
    let mut world = World::recorded_call();
    world.pbx_sends("REFER", 2, "b", "Refer-To: <sip:300@192.0.2.1>\r\n", "");
    world.trunk_answers(202, "b", "");
    world.referred_call("sip:300@192.0.2.1", "200");
    world.referred_call_is_answered();
    assert_eq!(world.announced().len(), 1);

    world.calls += 1;
    world.referred_call("sip:300@192.0.2.1", "200");
    world.referred_call_is_answered();

    assert_eq!(world.announced().len(), 2);
}

#[test]
fn beyond_the_transfers_that_are_remembered_everybody_is_told() {
    let mut world = World::recorded_call();
    world.pbx_sends("REFER", 2, "b", "Refer-To: <sip:300@192.0.2.1>\r\n", "");
    world.trunk_answers(202, "b", "");
    for cseq in 3..3 + u32::try_from(mitschnitt::limits::TRANSFERS).unwrap() {
        world.pbx_sends("REFER", cseq, "b", "Refer-To: <sip:400@192.0.2.1>\r\n", "");
    }

    world.referred_call("sip:300@192.0.2.1", "200");
    world.referred_call_is_answered();

    assert_eq!(world.announced().len(), 2);
}

#[test]
fn a_transfer_within_the_call_while_it_is_asked_has_the_new_party_told_and_not_the_other() {
    let mut world = World::with(Mode::OptIn);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }

    // The PBX puts another phone in (re-INVITE, no REFER through us).
    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.30", 4100, "0 101"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_sends("ACK", 2, "b", "", "");

    assert_eq!(world.announced().iter().map(|a| a.leg).collect::<Vec<_>>(), [Leg::Pbx]);
}

#[test]
fn another_party_that_its_side_asserts_is_told_from_the_beginning_while_the_call_is_asked() {
    for method in ["INVITE", "UPDATE"] {
        let mut world = World::with(Mode::OptIn);
        world.call_is_up();
        let announced = world.announced();
        world.pbx_asserts("UPDATE", 2, "<sip:+4930100@pbx.example>");
        assert_eq!(world.announced(), [], "who is there is known from here on");
        // The PBX's party has heard all, the trunk's is still being told.
        world.played(&announced[0]);

        world.pbx_asserts(method, 3, "\"New\" <sip:101@192.0.2.10>, <tel:+4930101>");

        let anew = world.announced();
        assert_eq!(anew.iter().map(|a| a.leg).collect::<Vec<_>>(), [Leg::Pbx], "{method}");
        world.played(&announced[1]);
        world.trunk_sends("INFO", 2, "b", "Content-Type: application/dtmf-relay\r\n", "Signal=1\r\n");
        assert_eq!(world.recorded_since(), 0, "the new one has not heard it yet");
        world.played(&anew[0]);
        assert_eq!(world.recorded_since(), 1, "{method}");
    }
}

#[test]
fn another_party_that_was_not_told_is_not_recorded() {
    let mut world = World::recorded_call();
    world.pbx_asserts("UPDATE", 2, "<tel:+4930100>");
    world.pbx_asserts("UPDATE", 3, "<sip:030100@192.0.2.10>");
    world.pbx_asserts("UPDATE", 4, "<sip:anonymous@anonymous.invalid>");
    assert_eq!(world.recording(), ["record"], "the same one, written in another way, or nobody");

    world.pbx_asserts("INVITE", 5, "<sip:101@192.0.2.10>");

    assert_eq!(world.recording(), ["record", "end Transferred"]);
    assert_eq!((world.last_story().reason, world.last_story().leg), (Reason::Transferred, Some(Leg::Pbx)));
    assert!(world.last_story().recording.is_some(), "what was recorded stays");
    assert_eq!((world.announced(), world.table.count()), (vec![], 1), "the call goes on");
}

#[test]
fn whom_the_answer_to_an_invite_asserts_is_there_too() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    world.trunk_answers_as("<tel:+4930200>", 200);
    world.pbx_acks("b");
    for announcing in world.announced() {
        world.played(&announcing);
    }

    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.10", 4000, "0 101"));
    world.trunk_answers_as("<tel:+4930200>", 200);
    assert_eq!(world.recording(), ["record"]);
    world.pbx_sends("INVITE", 3, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.10", 4000, "0 101"));
    world.trunk_answers_as("<tel:+4930299>", 200);

    assert_eq!(world.recording(), ["record", "end Transferred"]);
    assert_eq!(world.last_story().leg, Some(Leg::Trunk));
}

#[test]
fn a_redirection_passes_with_its_contacts_and_the_call_is_told_to_have_failed() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0"));
    let contacts = "Contact: <sip:301@198.51.100.20>;q=0.7, <sip:302@198.51.100.20>\r\nDiversion: <sip:200@198.51.100.20>;reason=unconditional\r\n";
    let answer = world.answer(302, "b", "").replacen("Contact: <sip:200@198.51.100.20:5060>\r\n", contacts, 1);

    world.datagram(TRUNK, &answer);

    assert!(String::from_utf8_lossy(world.to_pbx("302").as_bytes()).contains(contacts));
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::Failed, 0));
}

impl World {
    fn agreed_by_key() -> Self {
        let mut world = Self::with(Mode::OptIn);
        world.call_is_up();
        for announcing in world.announced() {
            world.played(&announcing);
        }
        world.trunk_sends("INFO", 2, "b", "Content-Type: application/dtmf-relay\r\n", "Signal=1\r\n");
        assert_eq!(world.recorded_since(), 1);
        world.out.retain(|output| !matches!(output, Output::Record { .. }));
        world
    }

    /// The PBX says who is there, and is answered.
    fn pbx_asserts(&mut self, method: &str, cseq: u32, identity: &str) {
        let (lines, sdp) = match method {
            "INVITE" => ("Content-Type: application/sdp\r\n", offer("192.0.2.10", 4000, "0 101")),
            _ => ("", String::new()),
        };
        self.pbx_sends(method, cseq, "b", &format!("P-Asserted-Identity: {identity}\r\n{lines}"), &sdp);
        let answer = if sdp.is_empty() { sdp } else { offer("198.51.100.20", 6000, "0 101") };
        self.trunk_answers(200, "b", &answer);
    }

    fn trunk_answers_as(&mut self, identity: &str, status: u16) {
        let text = self.answer(status, "b", &offer("198.51.100.20", 6000, "0 101"));
        self.datagram(TRUNK, &text.replacen("Contact:", &format!("P-Asserted-Identity: {identity}\r\nContact:"), 1));
    }

    /// Another phone of the PBX calls the trunk's party, in the place of the one in call 0.
    fn replaces(&mut self, to_tag: &str, from_tag: &str) {
        let lines = format!(
            "Require: replaces\r\nReplaces: 0@test;to-tag={to_tag} ; from-tag={from_tag}\r\nContent-Type: application/sdp\r\n"
        );
        self.calls = 1;
        self.datagram(
            PBX,
            &numbered("INVITE", "sip:999@198.51.100.20:5060", PBX, 1, "c", None, &lines, &offer("192.0.2.40", 4200, "0 101"), 1),
        );
    }

    fn new_call_is_answered(&mut self) {
        self.trunk_answers(200, "d", &offer("198.51.100.20", 6002, "0 101"));
        self.datagram(PBX, &numbered("ACK", "sip:200@198.51.100.20:5060", PBX, 1, "c", Some("d"), "", "", 1));
    }

    fn old_call_is_hung_up_by_the_trunk(&mut self) {
        self.trunk_sends("BYE", 9, "b", "", "");
        self.pbx_answers("");
    }

    /// The trunk's party calls the PBX, as it was asked to.
    fn referred_call(&mut self, uri: &str, number: &str) {
        self.calls += 1;
        let text = numbered(
            "INVITE",
            uri,
            TRUNK,
            1,
            "e",
            None,
            "Content-Type: application/sdp\r\n",
            &offer("198.51.100.20", 6004, "0 101"),
            self.calls,
        );
        self.datagram(TRUNK, &text.replace("From: <sip:100@192.0.2.10>", &format!("From: <sip:{number}@198.51.100.20>")));
    }

    fn referred_call_is_answered(&mut self) {
        let answer = self.answer(200, "f", &offer("192.0.2.30", 4300, "0 101"));
        self.datagram(PBX, &answer);
        let text = numbered("ACK", "sip:300@192.0.2.10", TRUNK, 1, "e", Some("f"), "", "", self.calls);
        self.datagram(TRUNK, &text);
    }

    /// The PBX hangs up call 0.
    fn hangs_up_old_call(&mut self) {
        let calls = std::mem::take(&mut self.calls);
        self.pbx_sends("BYE", 900, "b", "", "");
        self.trunk_answers(200, "b", "");
        self.calls = calls;
    }

    /// How many recordings were begun of what is remembered.
    fn recorded_since(&self) -> usize {
        self.out.iter().filter(|output| matches!(output, Output::Record { .. })).count()
    }

    /// What stands at the head of the recording that was begun last.
    fn evidence(&self) -> String {
        let permit = self.out.iter().rev().find_map(|output| match output {
            Output::Record { permit, .. } => Some(permit),
            _ => None,
        });
        String::from_utf8(permit.expect("it is recorded").evidence().to_json()).unwrap()
    }
}
