//! What is told of each mistake, word for word, and that the files that are shipped have none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;
use std::time::Duration;

use super::parse::SECTIONS;
use super::*;
use crate::call::{DeadMedia, MediaAs, Registrations, WhenDead};
use crate::catalogue::Limits;
use crate::digit::PartyKey;
use crate::ids::Leg;
use crate::limits::{PEER_ADDRESSES, RECIPIENTS, SIP_ENDS};

#[test]
fn a_right_configuration_says_what_it_means() {
    let settings = right(BASE);

    assert_eq!(settings.sip.listen, [End { transport: Transport::Udp, address: "127.0.0.1:5060".parse().unwrap() }]);
    assert_eq!(settings.sip.strangers, Strangers::Drop);
    assert_eq!(settings.pbx.address.to_string(), "127.0.0.1:5090");
    assert_eq!(settings.trunks[0].name.as_str(), "carrier");
    assert_eq!((settings.pbx.latching, settings.pbx.media_networks.len()), (Latching::Strict, 0));
    assert_eq!((settings.pbx.media_as, settings.trunks[0].peer.media_as), (None, None));
    assert_eq!(settings.media.address(Leg::Trunk).to_string(), "127.0.0.1");
    assert_eq!((settings.media.ports.clone(), settings.media.pairs(), settings.media.threads), (20_000..=60_000, 20_000, 0));
    assert_eq!(settings.media.dead, Some(DeadMedia { after: Duration::from_secs(300), then: WhenDead::Mark }));
    assert_eq!(settings.metrics.to_string(), "127.0.0.1:9464");
    assert_eq!(settings.ledger(), Path::new("d/ledger.db"));
    assert_eq!(settings.node_key.path, Path::new("d/node.pem"));
    let terms = settings.policies[0].terms.as_ref().unwrap();
    assert_eq!((terms.mode, terms.must_agree, terms.answer), (Mode::OptIn, [false, true], Duration::from_secs(5)));
    assert_eq!((terms.key.unwrap().reveal(), terms.language.as_str()), ('1', "de"));
    assert_eq!((terms.without_consent, terms.longest_pause), (WithoutConsent::GoOn, Duration::from_secs(120)));
    assert_eq!(terms.announcement(), Some(Path::new("a.wav")));
}

#[test]
fn what_is_withdrawn_cannot_be_both_shredded_and_locked() {
    let text = BASE.replace("key = \"1\"", "key = \"1\"\non_withdrawal = \"shred\"");
    assert!(right(&text).policies[0].terms.as_ref().unwrap().shreds);

    assert_eq!(
        shown(&format!("{text}[[retention]]\npurpose = \"quality\"\nshortest = \"90d\"\n")),
        "error: f.toml:18: policy `all` shreds what is withdrawn, and line 30 locks its recordings for 90d\n  write on_withdrawal = \"keep\", or take `shortest` out\n"
    );
}

#[test]
fn the_agent_alone_pauses_by_key_unless_more_is_said() {
    let pauses = |lines: &str| {
        let settings = right(&BASE.replace("key = \"1\"", &format!("key = \"1\"\n{lines}")));
        let terms = settings.policies[0].terms.as_ref().unwrap();
        [terms.pause, terms.resume].map(|key| key.map(|PartyKey { key, of }| (key.reveal(), of)))
    };

    assert_eq!(pauses(""), [None, None]);
    assert_eq!(pauses("pause_key = \"#\""), [Some(('#', [true, false])); 2]);
    let both = [Some(('#', [true, true])), Some(('0', [true, true]))];
    assert_eq!(pauses("pause_key = \"#\"\nresume_key = \"0\"\nmay_pause = [\"local\", \"remote\"]"), both);
    assert_eq!(pauses("pause_key = \"1\""), [Some(('1', [true, false])); 2], "the agent need not agree here");
}

#[test]
fn in_every_mode_a_key_withdraws_unless_it_is_said_that_none_does() {
    let withdraw = |from: &str, to: &str| {
        let withdraw = right(&BASE.replace(from, to)).policies[0].terms.as_ref().unwrap().withdraw;
        withdraw.map(|PartyKey { key, of }| (key.reveal(), of))
    };
    let announce = "mode = \"announce\"\n";

    assert_eq!(withdraw("", ""), Some(('*', [true; 2])));
    assert_eq!(withdraw("key = \"1\"", "key = \"*\""), Some(('#', [true; 2])), "to agree twice is no withdrawal");
    assert_eq!(withdraw("opt-in", "opt-out"), Some(('1', [true; 2])), "the refusing key withdraws as well");
    assert_eq!(
        withdraw("key = \"1\"", "key = \"1\"\nwithdraw_key = \"#\"\nmay_withdraw = [\"remote\"]"),
        Some(('#', [false, true]))
    );
    assert_eq!(withdraw("key = \"1\"", "key = \"1\"\nwithdraw_key = \"none\""), None);
    let asked = "mode = \"opt-in\"\nmust_agree = [\"remote\"]\nkey = \"1\"\nanswer_s = 5\n";
    assert_eq!(withdraw(asked, announce), Some(('*', [true; 2])));
    assert_eq!(withdraw(asked, &format!("{announce}recording = \"mandatory\"\n")), None);
}

#[test]
fn a_call_whose_media_are_dead_may_be_ended_or_left_alone() {
    let dead = |lines: &str| right(&BASE.replace("[data]", &format!("{lines}\n[data]"))).media.dead;

    assert_eq!(dead("when_dead = \"end\""), Some(DeadMedia { after: Duration::from_secs(300), then: WhenDead::End }));
    assert_eq!(dead("dead_after_s = 60"), Some(DeadMedia { after: Duration::from_secs(60), then: WhenDead::Mark }));
    assert_eq!(dead("dead_after_s = 60\nwhen_dead = \"ignore\""), None);
}

#[test]
fn the_files_that_are_shipped_are_right() {
    for (name, text) in [
        ("mitschnitt.toml", SAMPLE),
        ("lab.toml", include_str!("../../../deploy/lab.toml")),
        ("lab-opt-in.toml", include_str!("../../../deploy/lab-opt-in.toml")),
    ] {
        let report = parse(text);
        assert_eq!(report.mistakes, [], "{name}");
        assert!(report.settings.is_some(), "{name}");
    }
}

#[test]
fn how_long_is_kept_is_said_by_purpose_and_how_much_by_policy() {
    let settings = right(
        &(BASE.replace("answer_s = 5", "answer_s = 5\nquota = \"2 GiB\"")
            + "[[retention]]\npurpose = \"quality\"\nshortest = \"12h\"\nlongest = \"2w\"\n"),
    );
    let hours = |hours: u64| Duration::from_secs(hours * 3600);

    assert_eq!(settings.retention.of(Some("quality")), Limits { shortest: hours(12), longest: Some(hours(14 * 24)) });
    assert_eq!(settings.retention.of(Some("other")), Limits { shortest: hours(0), longest: None });
    assert_eq!(settings.policies[0].terms.as_ref().unwrap().quota_bytes, Some(2 << 30));
    assert_eq!(settings.unlimited(), []);
    let unsaid = right(BASE).unlimited();
    assert_eq!(unsaid.len(), 1);
    assert_eq!(unsaid[0].what, "nothing says how long recordings for `quality` are kept: they are kept for ever");
}

#[test]
fn the_ten_lines_of_the_readme_are_right() {
    let (_, rest) = include_str!("../../../README.md").split_once("```toml\n").unwrap();
    let (ten_lines, _) = rest.split_once("```").unwrap();

    let settings = right(ten_lines);

    assert_eq!((settings.trunks.len(), settings.recipients.len(), settings.policies.len()), (1, 1, 1));
}

#[test]
fn srtp_ends_here_where_keys_may_be_said() {
    let lines = |pbx: &str, trunk: &str| {
        let settings = right(&BASE.replace("[[trunk]]", &format!("{pbx}\n[[trunk]]\n{trunk}")));
        (settings.pbx.media_as, settings.trunks[0].peer.media_as)
    };

    let in_clear = "media_as = \"srtp\"\nsrtp_keys = \"in-clear\"";
    assert_eq!(lines("media_as = \"rtp\"", in_clear), (Some(MediaAs::Rtp), Some(MediaAs::Srtp)));
    let either = "media_as = \"either\"\nsrtp_keys = \"in-clear\"";
    assert_eq!(lines(either, in_clear), (Some(MediaAs::Either), Some(MediaAs::Srtp)));
}

#[test]
fn registrations_come_by_us_unless_it_is_said_otherwise() {
    let with = |line: &str| right(&BASE.replace("[[trunk]]", &format!("[[trunk]]\n{line}"))).trunks[0].registrations;

    assert_eq!(with(""), Registrations::Contact);
    assert_eq!(with("registrations = \"path\""), Registrations::Path);
    assert_eq!(with("registrations = \"as-they-come\""), Registrations::AsTheyCome);
}

#[test]
fn each_peer_is_spoken_to_by_the_end_that_fits_it() {
    let settings = right(
        &BASE
            .replace(
                "\"udp 127.0.0.1:5060\"",
                "[\"udp 127.0.0.1:5060\", \"tls 127.0.0.1:5061\", \"tls 127.0.0.2:5061\", \"tcp 127.0.0.1:5060\"]\n[tls]\ncertificate = \"c\"\nprivate_key = \"k\"",
            )
            .replace("\"127.0.0.1:5090\"", "\"tcp 127.0.0.1:5090\"")
            .replace("\"127.0.0.1:5080\"", "\"tls 127.0.0.1:5080\"\nlocal = \"127.0.0.2:5061\"\ntls_name = \"sip.carrier.test\""),
    );

    assert_eq!((settings.pbx.end, settings.pbx.transport), (EndId(3), Transport::Tcp));
    let carrier = &settings.trunks[0].peer;
    assert_eq!(
        (carrier.end, carrier.transport, carrier.tls_name.as_deref()),
        (EndId(2), Transport::Tls, Some("sip.carrier.test"))
    );
    let tls = settings.tls.unwrap();
    assert_eq!(tls.authorities, Path::new("/etc/ssl/certs/ca-certificates.crt"));
    assert_eq!(tls.clients, crate::tls::Clients::Anybody);
}

#[test]
fn a_list_of_too_many_addresses_is_told() {
    let list = |count: usize| {
        let ends: Vec<String> = (0..count).map(|nth| format!("\"udp 127.0.0.1:{}\"", 5060 - nth)).collect();
        parse(&BASE.replace("\"udp 127.0.0.1:5060\"", &format!("[{}]", ends.join(", ")))).mistakes.len()
    };

    assert_eq!((list(SIP_ENDS), list(SIP_ENDS + 1)), (0, 1));
    let list = |count: usize| {
        let addresses: Vec<String> = (0..count).map(|nth| format!("\"127.0.0.1:{}\"", 5080 - nth)).collect();
        parse(&BASE.replace("\"127.0.0.1:5080\"", &format!("[{}]", addresses.join(", ")))).mistakes.len()
    };
    assert_eq!((list(PEER_ADDRESSES), list(PEER_ADDRESSES + 1)), (0, 1));
}

#[test]
fn a_peer_may_have_a_name_in_the_place_of_an_address() {
    let host = |address: &str| {
        let listen = "[\"udp 127.0.0.1:5060\", \"tcp 127.0.0.1:5060\"]";
        let text = BASE.replace("\"udp 127.0.0.1:5060\"", listen).replace("\"127.0.0.1:5080\"", &format!("\"{address}\""));
        let host = right(&text).trunks[0].peer.host.clone().unwrap();
        (host.name, host.port, host.spoken)
    };

    assert_eq!(host("sip.carrier.test"), ("sip.carrier.test".into(), None, vec![Transport::Udp, Transport::Tcp]));
    assert_eq!(host("tcp sip.carrier.test."), ("sip.carrier.test.".into(), None, vec![Transport::Tcp]));
    assert_eq!(host("carrier.test:5070"), ("carrier.test".into(), Some(5070), vec![Transport::Udp]));
}

#[test]
fn what_is_neither_a_name_nor_an_address_is_told() {
    for address in [
        "192.0.2.1",
        "192.0.2",
        "carrier.test:0",
        "carrier.test:x",
        "car rier.test",
        "-",
        "a..b",
        "sip:carrier.test",
        "sctp carrier.test",
    ] {
        let report = parse(&BASE.replace("\"127.0.0.1:5080\"", &format!("\"{address}\"")));
        assert_eq!(report.mistakes.len(), 1, "{address}: {:?}", report.mistakes);
    }
    let report = parse(&BASE.replace("\"127.0.0.1:5080\"", "\"tcp carrier.test\""));
    assert!(report.mistakes[0].what.contains("is spoken to over tcp"), "{}", report.mistakes[0].what);
}

#[test]
fn where_calls_go_is_said_of_each_trunk() {
    let settings = right(
        &BASE
            .replace(
                "\"127.0.0.1:5080\"",
                "[\"127.0.0.1:5080\", \"127.0.0.1:5081\"]\nspread = \"evenly\"\noptions_every_s = 30\npriority = 7\nweight = 3",
            )
            .replace("[media]", "[[trunk]]\nname = \"second\"\naddress = \"127.0.0.1:5082\"\ntakes_calls = \"no\"\n[media]"),
    );

    let [first, second] = [0, 1].map(|at| &settings.trunks[at].peer);
    assert_eq!((first.spread, first.priority, first.weight, first.takes_calls), (Spread::Evenly, 7, 3, true));
    assert_eq!((first.others.len(), first.options_every), (1, Some(Duration::from_secs(30))));
    assert_eq!((second.spread, second.priority, second.weight, second.takes_calls), (Spread::InOrder, 1, 1, false));
    assert_eq!(second.options_every, None);
}

#[test]
fn two_that_connect_from_one_host_to_one_address_cannot_be_told_apart() {
    let text = BASE
        .replace("\"udp 127.0.0.1:5060\"", "\"tcp 127.0.0.1:5060\"")
        .replace("\"127.0.0.1:5090\"", "\"tcp 127.0.0.1:5090\"")
        .replace("\"127.0.0.1:5080\"", "\"tcp 127.0.0.1:5080\"");

    let report = parse(&text);

    assert_eq!(report.mistakes.len(), 1);
    assert!(report.mistakes[0].what.contains("connects from the same host as the PBX"), "{}", report.mistakes[0].what);
}

#[test]
fn srtp_keys_over_tls_need_no_leave() {
    let secured = |over: &str| {
        let text = BASE
            .replace(
                "\"udp 127.0.0.1:5060\"",
                "[\"udp 127.0.0.1:5060\", \"tls 127.0.0.1:5061\", \"tcp 127.0.0.1:5060\"]\n[tls]\ncertificate = \"c\"\nprivate_key = \"k\"",
            )
            .replace("\"127.0.0.1:5080\"", &format!("\"{over}127.0.0.1:5080\"\nmedia_as = \"srtp\""))
            .replace("\"127.0.0.1:5090\"", "\"127.0.0.1:5090\"\nmedia_as = \"rtp\"");
        parse(&text).mistakes.first().map(|mistake| mistake.what.clone())
    };

    assert_eq!(secured("tls "), None);
    assert!(secured("tcp ").unwrap().contains("keys over TCP"));
    assert!(secured("").unwrap().contains("keys over UDP"));
}

#[test]
fn the_sample_shows_every_setting() {
    for (section, settings) in SECTIONS {
        let header = if ["trunk", "recipient", "retention", "identity", "policy"].contains(&section) {
            format!("[[{section}]]")
        } else {
            format!("[{section}]")
        };
        let bodies = SAMPLE.split("\n[").map(|body| format!("[{body}"));
        let shown: Vec<String> = bodies.filter(|body| body.starts_with(&header)).collect();
        for setting in settings {
            // A section that may be left out is shown as a comment, with its name.
            let shown = if shown.is_empty() {
                vec![SAMPLE.split_once(&format!("# {header}\n")).unwrap().1.to_owned()]
            } else {
                shown.clone()
            };
            let is_shown = shown.iter().flat_map(|body| body.lines()).any(|line| {
                line.strip_prefix("# ").unwrap_or(line).strip_prefix(setting).is_some_and(|rest| rest.starts_with(" = "))
            });
            assert!(is_shown, "`{setting}` of {header}");
        }
    }
}

#[test]
fn a_setting_that_the_sample_shows_as_a_comment_is_right_when_it_is_taken_in() {
    let text: String = SAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(header @ ("[tls]" | "[dns]" | "[hook]" | "[api]" | "[access]" | "[[identity]]")) => header,
            Some(setting)
                if setting.split_once(" = ").is_some_and(|(name, _)| SECTIONS.iter().any(|(_, known)| known.contains(&name))) =>
            {
                setting
            }
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();

    // What is said of TLS means something only where it is spoken.
    let over_tls = [
        ("udp 192.0.2.1", "tls 192.0.2.1"),
        ("\"192.0.2.10:", "\"tls 192.0.2.10:"),
        ("\"198.51.100.20:", "\"tls 198.51.100.20:"),
    ];
    let text = over_tls.iter().fold(text, |text, (udp, tls)| text.replace(udp, tls));
    // And a TPM has something to keep only where there are shares.
    let text = text.replace("local_share = \"no\"", "local_share = \"yes\"");
    assert_eq!(parse(&text).mistakes, []);
}

#[test]
fn every_mistake_is_told_at_once_each_with_its_line() {
    let text = BASE
        .replace("listen = \"udp 127.0.0.1:5060\"", "listen = \"127.0.0.1:5060\"")
        .replace("ports = \"20000-60000\"", "prots = \"20000-60000\"")
        .replace("mode = \"opt-in\"", "mode = \"optin\"");

    let shown = shown(&text);

    assert_eq!(
        shown,
        "error: f.toml:2: `listen` of [sip] names no transport\n  write \"udp 127.0.0.1:5060\"\n\
         error: f.toml:8: [media] says no `ports`\n  for example: ports = \"20000-60000\"\n\
         error: f.toml:10: [media] has no setting `prots`\n  did you mean `ports`?\n\
         error: f.toml:22: `mode` of policy `all` cannot be `optin`\n  did you mean \"opt-in\"? it is one of: \"opt-in\", \"opt-out\", \"announce\", \"never\"\n"
    );
}

#[test]
fn each_mistake_is_told_with_what_to_do() {
    // What is replaced in the right configuration, by what, and what is said then.
    let cases = [
        // sip
        (
            "\"udp 127.0.0.1:5060\"",
            "\"sctp 127.0.0.1:5060\"",
            "2: `listen` of [sip] cannot be over `sctp`\n  there is udp, tcp and tls: \"udp 127.0.0.1:5060\"",
        ),
        (
            "\"udp 127.0.0.1:5060\"",
            "[\"udp 127.0.0.1:5060\", \"udp 127.0.0.1:5060\"]",
            "2: `listen` of [sip] has the same address twice\n  leave one of them out",
        ),
        ("\"udp 127.0.0.1:5060\"", "[]", "2: `listen` of [sip] has 0 addresses\n  from 1 to 16 are possible"),
        (
            "\"udp 127.0.0.1:5060\"",
            "[\"udp 127.0.0.1:5060\", \"tls 127.0.0.1:5061\"]",
            "2: `listen` of [sip] has an address over TLS, and there is no section [tls]\n  write [tls], and below it: certificate = \"/etc/mitschnitt/sip.crt.pem\" and private_key = \"/etc/mitschnitt/sip.key.pem\"",
        ),
        (
            "\"udp 127.0.0.1:5060\"",
            "\"udp 0.0.0.0:5060\"",
            "2: `listen` of [sip] is every address of this machine, and must be one\n  others are told to answer there; name the address they reach: `ip address` shows this machine's",
        ),
        (
            "\"udp 127.0.0.1:5060\"",
            "5060",
            "2: `listen` of [sip] is text, and here it is a number\n  for example: listen = \"udp 192.0.2.1:5060\"",
        ),
        (
            "[pbx]",
            "strangers = \"allow\"\n[pbx]",
            "3: `strangers` of [sip] cannot be `allow`\n  it is one of: \"drop\", \"forbid\"",
        ),
        (
            "[sip]",
            "[spi]",
            "1: there is no section [spi]\n  did you mean `sip`?\n: there is no section [sip]\n  write [sip], and below it, for example: listen = \"udp 192.0.2.1:5060\"",
        ),
        ("[sip]", "[[sip]]", "1: there is one [sip], and here it is a list\n  write [sip] with single brackets, once"),
        // peers
        (
            "\"127.0.0.1:5090\"",
            "\"pbx_example:5060\"",
            "4: `address` of [pbx] is no address: `pbx_example:5060`\n  write the IP address and the port, as \"192.0.2.10:5060\"; or, of a peer, a name: \"sip.carrier.example\"",
        ),
        (
            "\"127.0.0.1:5090\"",
            "\"127.0.0.1\"",
            "4: `address` of [pbx] has no port: `127.0.0.1`\n  for example: \"127.0.0.1:5060\"",
        ),
        ("\"127.0.0.1:5090\"", "\"127.0.0.1:0\"", "4: `address` of [pbx] has the port 0\n  name the port: 5060 is usual for SIP"),
        (
            "\"127.0.0.1:5090\"",
            "\"127.0.0.1:5060\"",
            "4: the PBX has the address that the proxy listens on\n  name the peer's own address, or another one for `sip.listen`",
        ),
        (
            "\"127.0.0.1:5090\"",
            "\"[::1]:5090\"",
            "4: the PBX is spoken to over udp and IPv6, and `sip.listen` has no such address\n  add one of this machine to `sip.listen`: listen = [\"udp 127.0.0.1:5060\", \"udp IP:5060\"]",
        ),
        (
            "\"127.0.0.1:5090\"",
            "\"tls 127.0.0.1:5090\"",
            "4: the PBX is spoken to over tls and IPv4, and `sip.listen` has no such address\n  add one of this machine to `sip.listen`: listen = [\"udp 127.0.0.1:5060\", \"tls IP:5061\"]",
        ),
        (
            "\"127.0.0.1:5090\"",
            "\"127.0.0.1:5090\"\nlocal = \"127.0.0.1:5070\"",
            "5: `local` of the PBX is no address of `sip.listen` over udp and IPv4\n  add \"udp 127.0.0.1:5070\" to `sip.listen`, or name one that stands there",
        ),
        (
            "\"127.0.0.1:5090\"",
            "\"127.0.0.1:5090\"\ntls_name = \"pbx.test\"",
            "warning 5: `tls_name` of [pbx] is not looked at: it is not spoken to over TLS\n  write its address as \"tls IP:PORT\", or leave the name out",
        ),
        (
            "\"udp 127.0.0.1:5060\"",
            "\"udp 127.0.0.1:5060\"\n[tls]\ncertificate = \"c\"\nprivate_key = \"k\"",
            "warning 3: there is a section [tls], and nobody is spoken to over TLS\n  add \"tls IP:5061\" to `listen` of [sip], or leave the section out",
        ),
        (
            "\"127.0.0.1:5080\"",
            "\"127.0.0.1:5090\"",
            "7: trunk `carrier` has the same address as the PBX, on line 4\n  they are told apart by their addresses: give each its own",
        ),
        (
            "[[trunk]]",
            "[trunk]",
            "5: there may be more than one [[trunk]], and here it is a section\n  write [[trunk]] with double brackets, once for each",
        ),
        (
            "name = \"carrier\"",
            "name = \"the carrier\"",
            "6: `the carrier` cannot be the `name` of trunk `the carrier`\n  up to 64 letters, digits, `-`, `_` and `.`, without spaces: it is used in commands and as a label",
        ),
        (
            "[[trunk]]",
            "networks = [\"192.0.2.9/24\", \"192.0.2.0/40\", \"x\"]\n[[trunk]]",
            "5: `192.0.2.9/24` in `networks` of [pbx] is an address within a network\n  the network is \"192.0.2.0/24\"\n5: `192.0.2.0/40` in `networks` of [pbx] has too many bits\n  there are 32 at most after the `/`\n5: `x` in `networks` of [pbx] is no network\n  write it as \"192.0.2.0/24\"",
        ),
        (
            "[[trunk]]",
            "latching = \"lern\"\nmedia_networks = [\"192.0.2.9/24\"]\n[[trunk]]",
            "5: `latching` of [pbx] cannot be `lern`\n  did you mean \"learn\"? it is one of: \"strict\", \"learn\"\n6: `192.0.2.9/24` in `media_networks` of [pbx] is an address within a network\n  the network is \"192.0.2.0/24\"",
        ),
        (
            "[[trunk]]",
            "media_networks = [\"0.0.0.0/0\"]\n[[trunk]]",
            "warning 5: `0.0.0.0/0` in `media_networks` of [pbx] is every address there is\n  whoever sends media first may be taken for the party: name the networks that the peer's media comes from",
        ),
        (
            "[[trunk]]",
            "media_as = \"srtp\"\n[[trunk]]\nmedia_as = \"rtp\"",
            "5: `media_as` of [pbx] would say SRTP keys over UDP, where whoever is on the way can read them\n  write its address as \"tls IP:PORT\"; or, where that network is your own, srtp_keys = \"in-clear\" below it",
        ),
        (
            "[[trunk]]",
            "media_as = \"rtp\"\n[[trunk]]",
            "5: [pbx] says `media_as`, and trunk `carrier` does not\n  say it for trunk `carrier` as well: media_as = \"rtp\" where it takes plain RTP, \"srtp\" where it must not, or \"either\"",
        ),
        (
            "[[trunk]]",
            "[[trunk]]\nmedia_as = \"sdes\"\nsrtp_keys = \"in-clear\"",
            "6: `media_as` of trunk `carrier` cannot be `sdes`\n  it is one of: \"rtp\", \"srtp\", \"either\"\n6: trunk `carrier` says `media_as`, and [pbx] does not\n  say it for [pbx] as well: media_as = \"rtp\" where it takes plain RTP, \"srtp\" where it must not, or \"either\"",
        ),
        (
            "[[trunk]]",
            "[[trunk]]\nregistrations = \"paths\"",
            "6: `registrations` of trunk `carrier` cannot be `paths`\n  did you mean \"path\"? it is one of: \"contact\", \"path\", \"as-they-come\"",
        ),
        (
            "[[trunk]]",
            "srtp_keys = \"in-clear\"\n[[trunk]]",
            "warning 5: `srtp_keys` of [pbx] says something of keys, and there will be none\n  write media_as = \"srtp\" or \"either\" beside it, or leave it out",
        ),
        (
            "[pbx]",
            "emergency_numbers = [\"112\", \"1 1 0\"]\n[pbx]",
            "3: `1 1 0` in `emergency_numbers` of [sip] is no number\n  write it as the PBX sends it to the carrier: digits, +, * and #, without spaces",
        ),
        (
            "[pbx]",
            "unrecorded_code = \"#31\"\n[pbx]",
            "3: `unrecorded_code` of [sip] is no code that is dialled before a number: `#31`\n  it is a star and digits, as \"*31\"; a # does not come as such in a SIP URI",
        ),
        (
            "[pbx]",
            "indexed_headers = [\"X-Deal:\"]\n[pbx]",
            "3: `X-Deal:` in `indexed_headers` of [sip] is no name of a header field\n  write the name alone, as \"X-Account\", without colon and value",
        ),
        (
            "[pbx]",
            "indexed_headers = [\"authorization\"]\n[pbx]",
            "3: `authorization` in `indexed_headers` of [sip] says by what somebody proves who he is\n  leave it out: what it says is not kept in a ledger",
        ),
        (
            "[pbx]",
            "indexed_headers = [\"A\", \"B\", \"C\", \"D\", \"E\", \"F\", \"G\", \"H\", \"I\"]\n[pbx]",
            "3: `indexed_headers` of [sip] has 9 names\n  name at most 8: each is looked for in every INVITE",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nannouncement_version = \"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\"",
            "25: `announcement_version` of policy `all` has 65 bytes\n  write by what the text is known to you, in 1 to 64 bytes: \"2026-11\"",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nweb_hook = \"ask\"",
            "18: policy `all` asks a web hook, and there is no section [hook]\n  write [hook], and below it: url = \"https://crm.example.com/consent\" and secret = \"/etc/mitschnitt/hook.secret\"",
        ),
        (
            "[data]",
            "[data]\nlocal_share = \"maybe\"",
            "12: `local_share` of [data] cannot be `maybe`\n  it is one of: \"no\", \"yes\"",
        ),
        (
            "[data]",
            "[data]\ntpm = \"/dev/tpmrm0\"",
            "12: `tpm` of [data] has nothing to keep\n  write local_share = \"yes\" as well: the TPM has the key of the local shares",
        ),
        (
            "[data]",
            "[data]\nlocal_share = \"yes\"\ntpm_index = \"0x01806d53\"",
            "13: `tpm_index` of [data] is of no TPM\n  name the TPM as well: tpm = \"/dev/tpmrm0\"",
        ),
        (
            "[data]",
            "[data]\nlocal_share = \"yes\"\ntpm = \"/dev/tpmrm0\"\ntpm_index = \"0x01c00002\"",
            "13: `tpm_index` of [data] is no number of the owner's\n  it is one from 0x01800000 to 0x01bffffc: that space and the next three are taken",
        ),
        (
            "[data]",
            "[hook]\nurl = \"http://crm.example.com/\"\nsecret = \"s\"\n[data]",
            "12: `url` of [hook] would have telephone numbers go over the network in the clear\n  write https://; http:// is for this machine alone, as http://127.0.0.1:8080/consent",
        ),
        (
            "[data]",
            "[hook]\nurl = \"https://crm.example.com/\"\nsecret = \"s\"\ncertificate = \"c\"\n[data]",
            "11: [hook] has one half of `certificate` and `private_key`\n  name both, or none: then the hook is not shown a certificate",
        ),
        (
            "[data]",
            "[hook]\nurl = \"http://127.0.0.1:8080\"\nsecret = \"s\"\n[data]",
            "warning 12: there is a section [hook], and no policy asks it\n  write web_hook = \"ask\" or \"deny\" in those that are to ask it, or leave the section out",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nrecord_one_in = 10\nrecording = \"mandatory\"",
            "25: policy `all` records one call in 10, and says that every call must be recorded\n  take out `record_one_in`, or recording = \"mandatory\"",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nhours = [\"mon-fri 8-18\"]\ntime_zone = \"UTC\"",
            "25: `hours` of policy `all` has `mon-fri 8-18`, which is no span of a day\n  days and times to the minute, as \"mon-fri 08:00-18:00\" or \"sat 22:00-06:00\"",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nhours = []\ntime_zone = \"UTC\"",
            "25: `hours` of policy `all` is empty: no call would begin at them\n  for example: hours = [\"mon-fri 08:00-18:00\", \"sat 09:00-13:00\"]",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nhours = [\"sat 09:00-13:00\"]",
            "25: `hours` of policy `all` needs a `time_zone`: by whose clocks?\n  for example: time_zone = \"Europe/Berlin\", or \"UTC\"",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nhours = [\"sat 09:00-13:00\"]\ntime_zone = \"Berlin\"",
            "26: `time_zone` of policy `all` is `Berlin`, which there is not\n  write it as the IANA's database has it: \"Europe/Berlin\", \"America/New_York\", \"UTC\"",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\ntime_zone = \"UTC\"",
            "25: `time_zone` of policy `all` means nothing without `hours`\n  write hours = [\"mon-fri 08:00-18:00\", \"sat 09:00-13:00\"], or take it out",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nstart_key = \"5\"",
            "25: `start_key` of policy `all` means nothing: its recordings begin by themselves\n  write recording = \"on-demand\", or take it out",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nrecording = \"on-demand\"\nmay_start = [\"local\"]",
            "26: `may_start` of policy `all` means nothing without a key\n  write start_key = \"5\", or take it out",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nrecording = \"on-demand\"\nstart_key = \"*\"",
            "26: `start_key` of policy `all` is the key that withdraws: one press cannot mean both\n  write another one, as start_key = \"#\"",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nbeep_to = [\"local\"]",
            "25: `beep_to` of policy `all` means nothing without `beep_every_s`\n  write beep_every_s = 15, or take it out",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nafter_review = \"stop\"",
            "25: `after_review` of policy `all` means nothing without `review_by`\n  write review_by = 2027-06-30, or take it out",
        ),
        (
            "key = \"1\"",
            "key = \"1\"\nconsent_version = \"2\"",
            "25: `consent_version` of policy `all` means nothing: everybody is asked, whatever the register has\n  write registered_local = \"told\" or \"untold\", or take it out",
        ),
        (
            "[pbx]",
            "peer_messages_per_s = 1000001\n[pbx]",
            "3: `peer_messages_per_s` of [sip] cannot be 1000001\n  it is a whole number of messages a second (0: no limit) from 0 to 1000000",
        ),
        (
            "[pbx]",
            "stranger_answers_per_s = \"few\"\n[pbx]",
            "3: `stranger_answers_per_s` of [sip] is a number, and here it is text\n  it is a whole number of messages a second (0: no limit) from 0 to 1000000",
        ),
        // media
        (
            "\"20000-60000\"",
            "\"20001-60000\"",
            "10: `ports` of [media] begins at 20001, which is odd\n  RTP takes an even port and RTCP the next one (RFC 3550 §11): begin at 20002",
        ),
        (
            "\"20000-60000\"",
            "\"60000-20000\"",
            "10: `ports` of [media] holds no pair of ports: 60000 to 20000\n  write the lower one first, as \"20000-60000\"",
        ),
        (
            "\"20000-60000\"",
            "\"20000-70000\"",
            "10: `ports` of [media] is no range: `20000-70000`\n  write the first and the last port (65535 at most), as \"20000-60000\"",
        ),
        (
            "\"20000-60000\"",
            "\"1000-2000\"",
            "10: `ports` of [media] begins at 1000\n  ports below 1024 belong to the system; begin at 1024 or above",
        ),
        (
            "\"20000-60000\"",
            "\"5000-60000\"",
            "10: `ports` of [media] contains the port of `sip.listen`, 5060\n  choose a range beside it",
        ),
        (
            "\"20000-60000\"",
            "\"20000-20009\"",
            "warning 10: `ports` of [media] is enough for 5 calls\n  a port rests 60 s after its call, and further calls get 503; some thousands are usual: \"20000-60000\"",
        ),
        (
            "address = \"127.0.0.1\"\n",
            "pbx_address = \"127.0.0.1\"\n",
            "8: [media] has a `pbx_address` and no `trunk_address`\n  write `trunk_address` as well, or `address` for both",
        ),
        (
            "address = \"127.0.0.1\"\n",
            "address = \"0.0.0.0\"\n",
            "9: `address` of [media] is every address of this machine, and must be one\n  it is written into session descriptions; name the address that is reached: `ip address` shows this machine's",
        ),
        (
            "[data]",
            "threads = 1000\n[data]",
            "11: `threads` of [media] cannot be 1000\n  it is a whole number of threads (0: one a core) from 0 to 256",
        ),
        (
            "[data]",
            "io = \"iouring\"\n[data]",
            "11: `io` of [media] cannot be `iouring`\n  did you mean \"io_uring\"? it is one of: \"epoll\", \"io_uring\"",
        ),
        (
            "[data]",
            "dead_after_s = 5\n[data]",
            "11: `dead_after_s` of [media] cannot be 5\n  it is a whole number of seconds from 10 to 86400",
        ),
        (
            "[data]",
            "when_dead = \"hang-up\"\n[data]",
            "11: `when_dead` of [media] cannot be `hang-up`\n  it is one of: \"mark\", \"end\", \"ignore\"",
        ),
        // metrics, data, recipients
        (
            "[data]",
            "[metrics]\nlisten = \"0.0.0.0:9464\"\n[data]",
            "warning 12: `listen` of [metrics] is open to others: 0.0.0.0:9464\n  whoever reaches it sees how many calls there are; listen on 127.0.0.1, or let a firewall admit Prometheus alone",
        ),
        (
            "directory = \"d\"",
            "directory = \"\"",
            "12: `directory` of [data] is empty\n  for example: directory = \"/var/lib/mitschnitt\"",
        ),
        (
            "purposes = [\"quality\"]",
            "purposes = [\"qualty\"]",
            "18: policy `all` records for `quality`, and nobody may listen for that\n  did you mean \"qualty\"? or add the purpose to a [[recipient]]",
        ),
        (
            "purposes = [\"quality\"]",
            "purposes = \"quality\"",
            "15: `purposes` of recipient `desk` is a list, and here it is text\n  for example: purposes = [\"quality\"]\n18: policy `all` records for `quality`, and nobody may listen for that\n  add a [[recipient]] with purposes = [\"quality\"], or the purpose to one that there is",
        ),
        (
            "desk.pub.pem",
            "desk.secret.pem",
            "16: `public_key` of recipient `desk` names a secret key\n  name the public half (`*.pub.pem`): the secret one has no place on this machine",
        ),
        // policies
        (
            "mode = \"opt-in\"\n",
            "",
            "18: policy `all` says no `mode`\n  write mode = \"opt-in\", \"opt-out\", \"announce\", or \"never\" for calls that are not to be recorded",
        ),
        ("key = \"1\"\n", "", "18: policy `all` is opt-in and says no `key`\n  write the key that agrees, as key = \"1\""),
        (
            "key = \"1\"\n",
            "key = \"10\"\n",
            "24: `key` of policy `all` is no key of a telephone: `10`\n  it is one of 0 to 9, *, # and A to D, as key = \"1\"",
        ),
        ("key = \"1\"\n", "key = 1\n", "24: `key` of policy `all` is text, and here it is a number\n  for example: key = \"1\""),
        (
            "key = \"1\"\n",
            "key = \"1\"\nwithdraw_key = \"1\"\n",
            "25: `withdraw_key` of policy `all` is the key that agrees: who presses it twice would withdraw\n  write another one, as withdraw_key = \"*\"",
        ),
        (
            "key = \"1\"\n",
            "key = \"1\"\nwithdraw_key = \"x\"\n",
            "25: `withdraw_key` of policy `all` is no key of a telephone: `x`\n  it is one of 0 to 9, *, # and A to D, as withdraw_key = \"*\"",
        ),
        (
            "key = \"1\"\n",
            "key = \"1\"\nwithdraw_key = \"none\"\nmay_withdraw = [\"local\"]\n",
            "26: `may_withdraw` of policy `all` means nothing without a key\n  write withdraw_key = \"*\", or take it out",
        ),
        (
            "key = \"1\"\n",
            "key = \"1\"\npause_key = \"*\"\n",
            "25: `pause_key` of policy `all` is the key that withdraws: one press cannot mean both\n  write another one, as pause_key = \"#\"",
        ),
        (
            "key = \"1\"\n",
            "key = \"1\"\npause_key = \"1\"\nmay_pause = [\"remote\"]\n",
            "25: `pause_key` of policy `all` is the key that agrees: who presses it twice would pause\n  write another one, as pause_key = \"#\"",
        ),
        (
            "key = \"1\"\n",
            "key = \"1\"\npause_key = \"#\"\nresume_key = \"*\"\n",
            "26: `resume_key` of policy `all` is the key that withdraws: one press cannot mean both\n  write another one, as resume_key = \"9\"",
        ),
        (
            "key = \"1\"\n",
            "key = \"1\"\nresume_key = \"0\"\n",
            "25: `resume_key` of policy `all` means nothing without a key that pauses\n  write pause_key = \"#\", or take it out",
        ),
        (
            "key = \"1\"\n",
            "key = \"1\"\nrecording = \"mandatory\"\nafter_pause = \"stop\"\n",
            "26: policy `all` must record its calls, and would stop after a pause\n  write after_pause = \"resume\", or take `recording` out",
        ),
        (
            "key = \"1\"\n",
            "key = \"1\"\nrecording = \"mandatory\"\non_withdrawal = \"shred\"\n",
            "26: policy `all` must record its calls, and would shred those recordings\n  write on_withdrawal = \"keep\", or take `recording` out",
        ),
        (
            "key = \"1\"\n",
            "key = \"1\"\nmay_withdraw = []\n",
            "25: `may_withdraw` of policy `all` is empty: nobody is meant\n  for example: may_withdraw = [\"local\"], the party on the PBX's side",
        ),
        (
            "answer_s = 5\n",
            "",
            "18: policy `all` is opt-in and says no `answer_s`\n  write how many seconds the key is waited for, as answer_s = 5",
        ),
        (
            "answer_s = 5\n",
            "answer_s = 0\n",
            "25: `answer_s` of policy `all` cannot be 0\n  it is a whole number of seconds from 1 to 60",
        ),
        (
            "answer_s = 5\n",
            "answer_s = 5.5\n",
            "25: `answer_s` of policy `all` is a number, and here it is a number with a point\n  it is a whole number of seconds from 1 to 60",
        ),
        (
            "answer_s = 5\n",
            "answer_s = 5\ntrunk = \"carier\"\n",
            "26: policy `all` is for the trunk `carier`, which there is not\n  did you mean \"carrier\"?",
        ),
        (
            "answer_s = 5\n",
            "answer_s = 5\ncalled_prefix = \"+49 30\"\n",
            "26: no number begins with `+49 30` (`called_prefix` of policy `all`)\n  write it as it is dialled, without spaces and signs: \"+4930\"",
        ),
        (
            "answer_s = 5\n",
            "answer_s = 5\ndirection = \"in\"\n",
            "26: `direction` of policy `all` cannot be `in`\n  it is one of: \"inbound\", \"outbound\"",
        ),
        (
            "must_agree = [\"remote\"]",
            "must_agree = [\"trunk\"]",
            "23: `must_agree` of policy `all` cannot be `trunk`\n  the party on that side is \"remote\"",
        ),
        (
            "must_agree = [\"remote\"]",
            "must_agree = []",
            "23: `must_agree` of policy `all` is empty: somebody must agree\n  for example: must_agree = [\"remote\"], the party on the trunk's side, or [\"remote\", \"local\"], both",
        ),
        (
            "announcement = { de = \"a.wav\" }\n",
            "",
            "18: policy `all` says no `announcement`: nobody would be told\n  for example: announcement = { de = \"/etc/mitschnitt/announcement.de.wav\" }",
        ),
        (
            "announcement = { de = \"a.wav\" }\n",
            "announcement = \"a.wav\"\n",
            "26: `announcement` of policy `all` has a name for each text, and here it is text\n  for example: announcement = { de = \"/etc/mitschnitt/announcement.de.wav\" }",
        ),
        (
            "announcement = { de = \"a.wav\" }\n",
            "announcement = { de = \"a.wav\" }\nannouncement_payloads = { G729 = \"a.rtpdump\" }\n",
            "27: `announcement_payloads` of policy `all` has a file for `G729`, which is no coding of speech: it has a name and a clock, as G729/8000\n  name it as a=rtpmap does, and as a=fmtp where that matters: announcement_payloads = { \"G729/8000\" = \"/etc/mitschnitt/announcement.de.g729.rtpdump\" }",
        ),
        (
            "announcement = { de = \"a.wav\" }\n",
            "announcement = { de = \"a.wav\" }\nannouncement_payloads = { \"PCMA/8000\" = \"a.rtpdump\" }\n",
            "27: `announcement_payloads` of policy `all` has a file for `PCMA/8000`, which is made of the WAV file\n  take it out: that is for codecs that are not spoken here",
        ),
        (
            "announcement = { de = \"a.wav\" }\n",
            "announcement = { de = \"a.wav\" }\nannouncement_payloads = { \"G729/8000\" = \"a\", \"g729/8000\" = \"b\" }\n",
            "27: `announcement_payloads` of policy `all` has two files for `g729/8000`\n  take one of them out",
        ),
        (
            "announcement = { de = \"a.wav\" }\n",
            "announcement = { de = \"a.wav\", en = \"b.wav\" }\n",
            "26: policy `all` has announcements in 2 languages and does not say which is spoken\n  write language = one of: \"de\", \"en\"",
        ),
        (
            "announcement = { de = \"a.wav\" }\n",
            "announcement = { de = \"a.wav\" }\nlanguage = \"en\"\n",
            "27: policy `all` speaks `en`, and has no announcement in it\n  add one to `announcement`, or say one of: \"de\"",
        ),
        (
            "legal_basis = \"consent\"\n",
            "",
            "18: policy `all` says no `legal_basis`\n  for example: legal_basis = \"consent, GDPR 6(1)(a)\"",
        ),
        (
            "mode = \"opt-in\"",
            "mode = \"announce\"",
            "warning 24: `key` of policy `all` means nothing in the mode announce: staying on the line is consent\n  take `key` out, or write mode = \"opt-in\" or \"opt-out\"\nwarning 25: `answer_s` of policy `all` means nothing in the mode announce: staying on the line is consent\n  take `answer_s` out, or write mode = \"opt-in\" or \"opt-out\"",
        ),
        // together
        (
            "[[policy]]",
            "[[policy]]\nname = \"first\"\nmode = \"never\"\n[[policy]]",
            "warning 21: policy `all` is never reached: `first`, on line 18, matches all of its calls\n  the first policy that matches decides: move the narrower one up, or take one of them out",
        ),
        (
            "[[policy]]",
            "[[policy]]\nname = \"all\"\nmode = \"never\"\ntrunk = \"carrier\"\n[[policy]]",
            "23: there is another policy `all`, on line 19\n  give one of them another name",
        ),
        // retention
        (
            "[[recipient]]",
            "[[retention]]\npurpose = \"quality\"\nlongest = \"90 days\"\nshortest = 30\n[[recipient]]",
            "15: `longest` of retention 1 is no length of time: `90 days`\n  a whole number with s, min, h, d or w behind it, of at most 36500d: \"90d\"; five years have 1826 days, or 1827\n16: `shortest` of retention 1 is text, and here it is a number\n  for example: shortest = \"0d\"",
        ),
        (
            "[[recipient]]",
            "[[retention]]\npurpose = \"quality\"\nlongest = \"23h\"\nshortest = \"1d\"\n[[recipient]]",
            "15: `longest` of retention 1 is 23h, and its `shortest` 1d\n  what is locked is not erased: let `longest` be as long as `shortest`, or longer",
        ),
        (
            "[[recipient]]",
            "[[retention]]\npurpose = \"quality\"\nlongest = \"0d\"\n[[retention]]\npurpose = \"quality\"\n[[recipient]]",
            "15: `longest` of retention 1 is nothing: each recording would be erased as soon as it ends\n  a policy with mode = \"never\" records nothing; or leave it out, and they are kept for ever\n17: there is another [[retention]] for `quality`, on line 14\n  take one of them out: a purpose has one",
        ),
        (
            "[[recipient]]",
            "[[retention]]\nlongest = \"1d\"\n[[recipient]]",
            "13: retention 1 says no `purpose`\n  for example: purpose = \"quality\"",
        ),
        (
            "[[recipient]]",
            "[[retention]]\npurpose = \"qualty\"\nlongest = \"1d\"\n[[recipient]]",
            "warning 14: there is a [[retention]] for `qualty`, and no policy records for that\n  did you mean \"quality\"? what was recorded for `qualty` before is kept so",
        ),
        (
            "answer_s = 5",
            "answer_s = 5\nquota = \"200\"",
            "26: `quota` of policy `all` is no size: `200`\n  a whole number with KiB, MiB, GiB or TiB behind it, or kB, MB, GB or TB: \"200 GiB\"",
        ),
        // text
        (
            "[data]",
            "[data",
            "11: this is no TOML: unclosed table, expected `]`\n  texts stand in \"double quotes\", lists in [brackets], sections in [brackets] on a line of their own",
        ),
        (
            "directory = \"d\"",
            "directory = d",
            "12: this is no TOML: string values must be quoted, expected literal string\n  texts stand in \"double quotes\", lists in [brackets], sections in [brackets] on a line of their own",
        ),
        (
            "name = \"carrier\"\n",
            "name = \"carrier\"\nname = \"other\"\n",
            "7: this is no TOML: duplicate key\n  texts stand in \"double quotes\", lists in [brackets], sections in [brackets] on a line of their own",
        ),
    ];

    let mut wrong = String::new();
    for (from, to, expected) in cases {
        assert_eq!(BASE.matches(from).count(), 1, "{from}");
        let report = parse(&BASE.replace(from, to));
        let said: Vec<String> = report
            .mistakes
            .iter()
            .map(|Mistake { line, weight, what, remedy }| {
                let weight = if *weight == Weight::Warning { "warning " } else { "" };
                format!("{weight}{}: {what}\n  {remedy}", line.map(|line| line.to_string()).unwrap_or_default())
            })
            .collect();
        assert_eq!(report.settings.is_some(), report.mistakes.iter().all(|m| m.weight == Weight::Warning), "{to}");
        if said.join("\n") != expected {
            wrong += &format!("--- {to}\n{}\n", said.join("\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn an_empty_configuration_is_told_all_that_is_needed() {
    assert_eq!(
        shown(""),
        "error: f.toml: there is no section [sip]\n  write [sip], and below it, for example: listen = \"udp 192.0.2.1:5060\"\n\
         error: f.toml: there is no section [pbx]\n  write [pbx], and below it, for example: address = \"192.0.2.10:5060\"\n\
         error: f.toml: there is no [[trunk]]\n  write [[trunk]], and below it, for example: name = \"carrier\" and address = \"198.51.100.20:5060\"\n\
         error: f.toml: there is no section [media]\n  write [media], and below it, for example: address = \"192.0.2.1\" and ports = \"20000-60000\"\n\
         error: f.toml: there is no section [data]\n  write [data], and below it, for example: directory = \"/var/lib/mitschnitt\"\n"
    );
}

#[test]
fn without_a_policy_nothing_is_recorded_and_that_is_said() {
    let (text, _) = BASE.split_once("[[recipient]]").unwrap();

    let report = parse(text);

    assert_eq!(report.mistakes.len(), 1);
    assert_eq!(report.mistakes[0].what, "there is no [[policy]]: nothing is recorded");
    assert!(report.settings.is_some());
}

#[test]
fn that_nobody_may_listen_is_told_although_the_policy_has_other_mistakes() {
    let mistaken = BASE.replace("purposes = [\"quality\"]", "purposes = [\"training\"]");
    let told = |from: &str, to: &str| {
        let report = parse(&mistaken.replace(from, to));
        report.mistakes.iter().filter(|mistake| mistake.what.contains("nobody may listen")).count()
    };

    assert_eq!(told("must_agree = [\"remote\"]", "must_agree = [\"agent\"]"), 1);
    assert_eq!(told("mode = \"opt-in\"", "mode = \"opt-im\""), 1);
    assert_eq!(told("mode = \"opt-in\"", "mode = \"never\""), 0, "nothing is recorded");
    assert_eq!(told("purpose = \"quality\"", "purpose = \"the quality\""), 0, "that it is no word is told already");
}

#[test]
fn the_data_directory_is_known_although_there_are_mistakes_elsewhere() {
    let report = parse(&BASE.replace("mode = \"opt-in\"", "mode = \"maybe\"").replace("\"udp 127.0.0.1:5060\"", "\"\""));

    assert!(report.settings.is_none());
    assert_eq!(report.data.as_deref(), Some(Path::new("d")));
    assert_eq!(report.node_key.unwrap().path, Path::new("d/node.pem"));
}

#[test]
fn the_nodes_key_may_lie_in_a_token_whose_pin_lies_in_a_file() {
    let with = |node: &str| parse(&format!("{BASE}\n[keys]\nnode = \"{node}\"\n"));
    let uri = "pkcs11:token=box;object=node?module-path=/lib/x.so";

    let key = with(&format!("{uri}&pin-source=file:/etc/pin")).settings.unwrap().node_key;
    let refused = |node: &str| with(node).mistakes.iter().map(|mistake| mistake.what.clone()).collect::<Vec<_>>();

    assert_eq!(key.token.as_ref().map(ToString::to_string).as_deref(), Some("pkcs11:token=box;object=node"));
    assert_eq!(key.public(), Path::new("d/node.pub.pem"));
    assert_eq!(refused(uri), ["`node` of [keys] names no file for the token's PIN"]);
    assert_eq!(refused("pkcs11:token=box;object=node"), ["`node` of [keys] cannot be used: it has no `module-path`"]);
    let with_pin = refused(&format!("{uri}&pin-value=1234"));
    assert!(with_pin[0].contains("it has the PIN in it") && !with_pin[0].contains("1234"), "{with_pin:?}");
}

#[test]
fn a_mistake_prints_nothing_that_plays_tricks_on_a_terminal() {
    for (from, to) in [
        ("\"udp 127.0.0.1:5060\"", r#""udp \u001b[2Jx""#),
        (
            "{ de = \"a.wav\" }",
            r#"{ "d\u001b" = "a.wav" }
language = "de""#,
        ),
        ("{ de = \"a.wav\" }", r#"{ "d\u001b" = "a.wav", e = "b.wav" }"#),
        ("purposes = [\"quality\"]", r#"purposes = ["qualit\u001b"]"#),
    ] {
        let report = parse(&BASE.replace(from, to));
        assert!(!report.mistakes.is_empty());
        let shown = |mistake: &Mistake| mistake.what.clone() + &mistake.remedy;
        assert!(!report.mistakes.iter().any(|mistake| shown(mistake).contains(char::is_control)), "{:?}", report.mistakes);
    }
}

#[test]
fn a_value_that_cannot_be_read_is_told_once_and_in_its_place() {
    let cases = [
        ("legal_basis = \"consent\"", "legal_basis = = \"consent\""),
        ("must_agree = [\"remote\"]", "must_agree = [= \"remote\"]"),
        ("{ de = \"a.wav\" }", "{ de == \"a.wav\" }"),
    ];

    for (from, to) in cases {
        assert_eq!(BASE.matches(from).count(), 1, "{from}");
        let text = BASE.replace(from, to);
        let line = text[..text.find(to).unwrap()].matches('\n').count() + 1;
        let report = parse(&text);
        assert!(report.mistakes.iter().all(|mistake| mistake.line == Some(line)), "{:?}", report.mistakes);
        assert!(report.mistakes.iter().all(|mistake| mistake.what.starts_with("this is no TOML")), "{:?}", report.mistakes);
    }
}

#[test]
fn of_a_number_that_is_far_too_long_only_the_beginning_is_repeated() {
    let report = parse(&BASE.replace("answer_s = 5", &format!("answer_s = {}", "9".repeat(5000))));

    assert_eq!(report.mistakes.len(), 1);
    assert!(report.mistakes[0].what.len() < 200, "{}", report.mistakes[0].what);
}

#[test]
fn a_key_in_the_wrong_place_is_not_repeated() {
    const KEY: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";

    let report = parse(&BASE.replace("key = \"1\"", &format!("key = \"{KEY}\"")));

    assert_eq!(report.mistakes.len(), 1);
    let what = &report.mistakes[0].what;
    assert_eq!(what, "`key` of policy `all` is no key of a telephone: `MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp…`");
}

#[test]
fn no_text_makes_the_reader_panic() {
    for cut in 0..BASE.len() {
        let _one = parse(&BASE[..cut]);
        let _other = parse(&BASE[cut..]);
    }
}

#[test]
fn more_recipients_than_a_recording_can_have_are_refused() {
    let with = |recipients: usize| {
        let more: String = (1..recipients)
            .map(|nth| format!("[[recipient]]\nname = \"desk{nth}\"\npurposes = [\"quality\"]\npublic_key = \"{nth}.pub.pem\"\n"))
            .collect();
        shown(&BASE.replace("\n[[policy]]", &format!("\n{more}[[policy]]")))
    };

    assert_eq!(with(RECIPIENTS), "");
    let said = with(RECIPIENTS + 1);
    assert!(said.contains("17 recipients may listen to what policy `all` records"), "{said}");
    assert!(said.contains("16 are possible: let some share a key"), "{said}");
}

#[test]
fn the_order_of_settings_and_the_comments_do_not_change_a_policys_version() {
    let one = right(BASE).policies[0].sha256();
    let other = right(&BASE.replace("key = \"1\"\n", "").replace("name = \"all\"", "key = \"1\" # one\nname = \"all\"")).policies
        [0]
    .sha256();
    let changed = right(&BASE.replace("answer_s = 5", "answer_s = 6")).policies[0].sha256();

    assert_eq!(one, other);
    assert_ne!(one, changed);
}

pub(super) const BASE: &str = r#"[sip]
listen = "udp 127.0.0.1:5060"
[pbx]
address = "127.0.0.1:5090"
[[trunk]]
name = "carrier"
address = "127.0.0.1:5080"
[media]
address = "127.0.0.1"
ports = "20000-60000"
[data]
directory = "d"
[[recipient]]
name = "desk"
purposes = ["quality"]
public_key = "desk.pub.pem"

[[policy]]
name = "all"
purpose = "quality"
legal_basis = "consent"
mode = "opt-in"
must_agree = ["remote"]
key = "1"
answer_s = 5
announcement = { de = "a.wav" }
"#;

fn right(text: &str) -> Settings {
    let report = parse(text);
    assert_eq!(report.mistakes, []);
    report.settings.unwrap()
}

fn shown(text: &str) -> String {
    parse(text).mistakes.iter().map(|mistake| format!("{}\n", mistake.shown(Path::new("f.toml")))).collect()
}
