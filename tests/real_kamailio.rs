//! Kamailio as the carrier: the proxy that most carriers have at their edge, with digest authentication and its own Record-Route.

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

use std::net::TcpStream;
use std::process::Command;

use support::baresip::{Baresip, Signals, Speaks};
use support::child::Running;
use support::site::{Site, policy};
use support::sound::share_of;
use support::{A_WHILE, CALLED, until};

const EMPLOYEE: f64 = 440.0;
const CUSTOMER: f64 = 700.0;

/// Kamailio, which asks who calls for a password and sends the call on to the telephone beyond it.
struct Kamailio {
    _running: Running,
    _directory: tempfile::TempDir,
}

impl Kamailio {
    fn start(site: &Site) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (at, beyond) = (site.ports.trunk(), site.ports.beyond());
        let config = format!(
            r#"#!KAMAILIO
debug=0
log_stderror=yes
fork=no
children=1
auto_aliases=no
disable_tcp=no
listen=udp:{at}
listen=tcp:{at}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "auth.so"
request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not here");
        exit;
    }}
    if (is_method("INVITE")) {{
        if (!pv_proxy_authenticate("carrier.test", "secret", "0")) {{ proxy_challenge("carrier.test", "0"); exit; }}
        consume_credentials();
    }}
    record_route();
    $du = "sip:{beyond}";
    t_relay();
}}
"#
        );
        let path = directory.path().join("kamailio.cfg");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new("kamailio");
        // In the foreground, with little memory, and nothing of it outside of the test's own directory.
        command.args(["-DD", "-E", "-m", "64", "-M", "8", "-f"]).arg(&path).arg("-Y").arg(directory.path());
        let running = Running::start("kamailio", &mut command);
        until("Kamailio to listen", A_WHILE, || TcpStream::connect(at).ok());
        Self { _running: running, _directory: directory }
    }
}

/// A call of the PBX's, with a login at the carrier, to a telephone beyond it; recorded.
fn calls_through(site: &Site) {
    let _proxy = site.start();
    let _kamailio = Kamailio::start(site);
    let login = Signals { account: ";auth_user=100;auth_pass=secret".into(), ..Signals::default() };
    let speaks = |hertz, ms| Speaks { hertz, ms, codec: "pcma", encryption: None };
    let mut employee = Baresip::start_as(site, site.ports.pbx(), "100", &speaks(EMPLOYEE, 6000), &login);
    let mut customer = Baresip::start(site, site.ports.beyond(), CALLED, &speaks(CUSTOMER, 30_000));

    employee.dials(CALLED, site.ports.trunk());
    customer.wait_for("CALL_ESTABLISHED");
    employee.wait_for("CALL_ESTABLISHED");
    customer.wait_for("CALL_CLOSED");
    employee.wait_for("CALL_CLOSED");

    let rows = site.ledger(2);
    let reasons: Vec<&str> = rows.iter().map(|row| row["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["challenged", "recorded"], "the first INVITE was asked for a password");
    let id = rows[1]["recording"].as_str().unwrap();
    site.verify(id);
    let wav = site.export(id);
    for (channel, own) in [(0, EMPLOYEE), (1, CUSTOMER)] {
        let samples = &wav.channels[channel];
        let middle = &samples[samples.len() / 2..][..wav.rate as usize];
        assert!(share_of(own, middle, wav.rate) > 0.9, "channel {channel} is who it should be");
    }
}

#[test]
fn a_login_at_the_carrier_passes_through() {
    calls_through(&Site::new(policy("announce")));
}

#[test]
fn a_login_at_the_carrier_passes_through_over_tcp() {
    let site = Site::new(policy("announce"));
    let proxy = site.ports.proxy();
    site.set("[sip]", &format!("listen = [\"udp {proxy}\", \"tcp {proxy}\"]"));
    site.set("[[trunk]]", &format!("address = \"tcp {}\"", site.ports.trunk()));

    calls_through(&site);
}
