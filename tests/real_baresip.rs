//! Real calls with baresip as the telephone on each side: one in each consent mode, each in another codec.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits, reads and listens"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;
use std::path::PathBuf;

use support::CALLED;
use support::authority::Authority;
use support::baresip::{Baresip, Signals, Speaks};
use support::site::{Policy, Site, policy};
use support::sound::{Wav, share_of};

// The announcement is a tone of 1000 Hz. Neither is a multiple of another, so that no distortion of one is taken for another.
const EMPLOYEE: f64 = 440.0;
const CUSTOMER: f64 = 700.0;
const ANNOUNCEMENT: f64 = 1000.0;

#[test]
fn announce_records_both_and_tells_both() {
    let call = Call::place(policy("announce"), "pcma", None);

    let id = call.site.recorded();
    assert_each_on_its_side(&call.site.export(&id));
    for (heard, other) in [(&call.employee_heard, CUSTOMER), (&call.customer_heard, EMPLOYEE)] {
        let seconds: Vec<_> = heard.channels[0].chunks_exact(heard.rate as usize / 4).collect();
        let told = seconds.iter().filter(|quarter| share_of(ANNOUNCEMENT, quarter, heard.rate) > 0.9).count();
        let talked = seconds.iter().filter(|quarter| share_of(other, quarter, heard.rate) > 0.9).count();
        assert!((3..=4).contains(&told), "the announcement of one second is heard whole: {told} quarters of a second");
        assert!(talked >= 10, "and then the other party: {talked} quarters of a second");
    }
}

#[test]
fn a_call_in_opus_is_announced_recorded_and_decoded() {
    let call = Call::place(policy("announce"), "opus", None);

    let id = call.site.recorded();
    assert_each_on_its_side(&call.site.export(&id));
    for (heard, other) in [(&call.employee_heard, CUSTOMER), (&call.customer_heard, EMPLOYEE)] {
        let quarters: Vec<_> = heard.channels[0].chunks_exact(heard.rate as usize / 4).collect();
        let told = quarters.iter().filter(|quarter| share_of(ANNOUNCEMENT, quarter, heard.rate) > 0.9).count();
        let talked = quarters.iter().filter(|quarter| share_of(other, quarter, heard.rate) > 0.9).count();
        assert!((3..=4).contains(&told), "the announcement of one second is heard whole: {told} quarters of a second");
        assert!(talked >= 10, "and then the other party: {talked} quarters of a second");
    }
}

#[test]
fn opt_out_by_the_key_is_not_recorded_and_they_talk_on() {
    let call = Call::place(policy("opt-out"), "pcmu", Some('1'));

    call.site.ledger_says("consent-refused");
    assert_eq!(call.site.recordings(), Vec::<PathBuf>::new());
    let heard = &call.customer_heard;
    let last = &heard.channels[0][heard.channels[0].len() - heard.rate as usize..];
    assert!(share_of(EMPLOYEE, last, heard.rate) > 0.9, "in the last second the customer hears the employee");
}

#[test]
fn opt_in_by_the_key_is_recorded() {
    let call = Call::place(Policy { answer_s: 3, ..policy("opt-in") }, "g722", Some('1'));

    let id = call.site.recorded();
    assert_each_on_its_side(&call.site.export(&id));
}

#[test]
fn srtp_of_the_carrier_ends_here_and_is_recorded_as_it_was_said() {
    let policy = Policy { media_as: Some(["rtp", "srtp"]), answer_s: 3, ..policy("opt-in") };

    let call = Call::encrypted(policy, "pcma", Some('1'), [None, Some("srtp-mand")]);

    let id = call.site.recorded();
    assert_each_on_its_side(&call.site.export(&id));
    call.assert_they_talked();
}

#[test]
fn both_may_encrypt_each_with_a_key_of_its_own() {
    // By these rules nothing plain is taken from either, so that what is heard was sealed.
    let policy = Policy { media_as: Some(["srtp", "srtp"]), ..policy("announce") };

    let call = Call::encrypted(policy, "pcmu", None, [Some("srtp"), Some("srtp-mand")]);

    let id = call.site.recorded();
    assert_each_on_its_side(&call.site.export(&id));
    call.assert_they_talked();
}

/// A call of six seconds that the employee placed and ended.
#[test]
fn a_telephone_that_speaks_tls_says_its_srtp_keys_over_it() {
    let site = Site::new(policy("announce"));
    let at = |name: &str| site.path().join(name);
    let mut tls = site.ports.proxy();
    tls.set_port(tls.port() + 1);
    let mut phone = site.ports.pbx();
    // baresip is reached over TLS at the port above the one that it is given.
    phone.set_port(phone.port() + 1);
    let authority = Authority::new();
    std::fs::write(at("authority.pem"), authority.pem()).unwrap();
    authority.certify(&["127.0.0.1"]).write(&at("sip.crt.pem"), &at("sip.key.pem"));
    let own = authority.certify(&["127.0.0.1"]);
    std::fs::write(at("phone.pem"), own.chain.clone() + &own.key).unwrap();
    site.set("[sip]", &format!("listen = [\"udp {}\", \"tls {tls}\"]", site.ports.proxy()));
    site.set("[pbx]", &format!("address = \"tls {phone}\""));
    site.set("[pbx]", "media_as = \"srtp\"");
    site.set("[[trunk]]", "media_as = \"rtp\"");
    let config = std::fs::read_to_string(site.config()).unwrap();
    let section = format!(
        "[tls]\ncertificate = \"{}\"\nprivate_key = \"{}\"\nauthorities = \"{}\"\n\n[media]\n",
        at("sip.crt.pem").display(),
        at("sip.key.pem").display(),
        at("authority.pem").display()
    );
    std::fs::write(site.config(), config.replace("[media]\n", &section)).unwrap();
    let _proxy = site.start();
    let signals = Signals {
        config: format!("sip_certificate {}\nsip_cafile {}\n", at("phone.pem").display(), at("authority.pem").display()),
        outbound: Some(format!("{tls};transport=tls")),
        transport: ";transport=tls",
        ..Signals::default()
    };
    let speaks = |hertz, ms, encryption| Speaks { hertz, ms, codec: "pcma", encryption };
    let mut employee = Baresip::start_as(&site, site.ports.pbx(), "100", &speaks(EMPLOYEE, 6000, Some("srtp-mand")), &signals);
    let mut customer = Baresip::start(&site, site.ports.trunk(), CALLED, &speaks(CUSTOMER, 30_000, None));

    employee.dials(CALLED, site.ports.trunk());
    customer.wait_for("CALL_ESTABLISHED");
    employee.wait_for("CALL_ESTABLISHED");
    customer.wait_for("CALL_CLOSED");
    employee.wait_for("CALL_CLOSED");

    assert_each_on_its_side(&site.export(&site.recorded()));
}

struct Call {
    site: Site,
    employee_heard: Wav,
    customer_heard: Wav,
}

impl Call {
    fn place(policy: Policy, codec: &'static str, key: Option<char>) -> Self {
        Self::encrypted(policy, codec, key, [None, None])
    }

    /// One in which the employee's and the customer's telephones have this `mediaenc`.
    fn encrypted(
        policy: Policy,
        codec: &'static str,
        key: Option<char>,
        [of_employee, of_customer]: [Option<&'static str>; 2],
    ) -> Self {
        let site = Site::new(policy);
        let _proxy = site.start();
        let (pbx, trunk) = (site.ports.pbx(), site.ports.trunk());
        // The employee's sound ends first, and with it the call.
        let mut employee =
            Baresip::start(&site, pbx, "100", &Speaks { hertz: EMPLOYEE, ms: 6000, codec, encryption: of_employee });
        let mut customer =
            Baresip::start(&site, trunk, CALLED, &Speaks { hertz: CUSTOMER, ms: 30_000, codec, encryption: of_customer });

        employee.dials(CALLED, trunk);
        customer.wait_for("CALL_ESTABLISHED");
        employee.wait_for("CALL_ESTABLISHED");
        if let Some(key) = key {
            customer.presses(key);
        }
        customer.wait_for("CALL_CLOSED");
        employee.wait_for("CALL_CLOSED");

        let (_, employee_heard) = employee.quits();
        let (_, customer_heard) = customer.quits();
        Self { site, employee_heard, customer_heard }
    }
}

impl Call {
    /// Panics unless each heard the other in the last second.
    fn assert_they_talked(&self) {
        for (heard, other) in [(&self.employee_heard, CUSTOMER), (&self.customer_heard, EMPLOYEE)] {
            let last = &heard.channels[0][heard.channels[0].len() - heard.rate as usize..];
            let share = share_of(other, last, heard.rate);
            assert!(share > 0.9, "{share:.3} of the other's tone");
        }
    }
}

/// Panics unless the employee is on the left and the customer on the right, each alone.
fn assert_each_on_its_side(wav: &Wav) {
    for (channel, own, other) in [(0, EMPLOYEE, CUSTOMER), (1, CUSTOMER, EMPLOYEE)] {
        let samples = &wav.channels[channel];
        let begin = samples.iter().position(|&sample| sample != 0).unwrap_or_else(|| panic!("channel {channel} is silent"));
        // From the middle: the key's own event leaves a gap, after which the tone goes on at another phase.
        let middle = &samples[begin + (samples.len() - begin) / 2..][..wav.rate as usize];
        let (own, other) = (share_of(own, middle, wav.rate), share_of(other, middle, wav.rate));
        assert!(own > 0.9 && other < 0.05, "channel {channel}: {own:.3} its own tone, {other:.3} the other's");
    }
}
