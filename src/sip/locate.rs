//! Where a name leads: NAPTR, SRV, A and AAAA as RFC 3263 §4 has them asked for, without asking anybody.
//!
//! ```text
//!  a port is given                        ─────────────────────────────▶ A, AAAA of the name
//!  a transport is given                   ──▶ SRV of that transport ───▶ A, AAAA of each target
//!  neither ──▶ NAPTR: the first service that is spoken here ──▲    └──▶ none: A, AAAA of the name, the default port
//!                 └──▶ none: SRV of each transport that is spoken here, one after the other
//! ```

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::flow::Transport;
use crate::limits::PEER_ADDRESSES;

/// What is to be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// The NAPTR records of a name.
    Naptr(String),
    /// The SRV records of a name.
    Srv(String),
    /// The A and AAAA records of a name.
    Address(String),
}

/// What came of it. An empty list is an answer: there are none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Records {
    /// NAPTR records.
    Naptr(Vec<Naptr>),
    /// SRV records.
    Srv(Vec<Srv>),
    /// Addresses.
    Addresses(Vec<IpAddr>),
}

/// A NAPTR record, as far as it matters (RFC 3403 §4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Naptr {
    /// The lowest comes first.
    pub order: u16,
    /// The lowest of those of one order comes first.
    pub preference: u16,
    /// What it is for, as `SIP+D2U`.
    pub service: String,
    /// The name whose SRV records say where.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Srv {
    /// The lowest comes first.
    pub priority: u16,
    /// The share of the calls among those of one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `.` says that there is none.
    pub target: String,
}

/// An address that the name leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Over what.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// The lowest comes first.
    pub priority: u16,
    /// The share of the calls among those of one priority.
    pub weight: u16,
}

/// The search for where a name leads.
#[derive(Debug)]
pub struct Locate {
    name: String,
    /// Transports that may be asked for, the preferred first.
    spoken: Vec<Transport>,
    /// Those whose SRV records were not asked for yet.
    untried: VecDeque<Transport>,
    step: Step,
    found: Vec<Target>,
}

#[derive(Debug)]
enum Step {
    Naptr,
    Srv {
        name: String,
        transport: Transport,
    },
    Hosts {
        transport: Transport,
        left: VecDeque<Srv>,
    },
    /// The name itself is the host.
    Host {
        transport: Transport,
        port: u16,
    },
    Done,
}

impl Locate {
    /// Begins a search. `spoken` are the transports that may be used, the preferred first. `is_given` says that whoever names the host names
    /// the first of them, too: then the domain is not asked which it prefers.
    #[must_use]
    pub fn new(name: &str, port: Option<u16>, spoken: &[Transport], is_given: bool) -> Self {
        let transport = spoken.first().copied().unwrap_or(Transport::Udp);
        let mut locate = Self {
            name: name.trim_end_matches('.').to_owned(),
            spoken: spoken.to_vec(),
            untried: VecDeque::new(),
            step: Step::Done,
            found: Vec::new(),
        };
        locate.step = match port {
            Some(port) => Step::Host { transport, port },
            None if is_given => locate.srv_of(transport),
            None => Step::Naptr,
        };
        locate
    }

    /// Returns what is to be asked next; nothing once it is known where the name leads.
    #[must_use]
    pub fn query(&self) -> Option<Query> {
        match &self.step {
            Step::Naptr => Some(Query::Naptr(self.name.clone())),
            Step::Srv { name, .. } => Some(Query::Srv(name.clone())),
            Step::Hosts { left, .. } => left.front().map(|srv| Query::Address(srv.target.clone())),
            Step::Host { .. } => Some(Query::Address(self.name.clone())),
            Step::Done => None,
        }
    }

    /// Takes what came of the query.
    pub fn answer(&mut self, records: Records) {
        self.step = match (std::mem::replace(&mut self.step, Step::Done), records) {
            (Step::Naptr, Records::Naptr(naptr)) => self.chosen(naptr),
            (Step::Srv { transport, .. }, Records::Srv(mut srv)) => {
                // RFC 2782: a lone root says that the service is decidedly not there.
                let is_refused = matches!(srv.as_slice(), [only] if only.target.trim_end_matches('.').is_empty());
                srv.retain(|srv| !srv.target.trim_end_matches('.').is_empty() && srv.port > 0);
                srv.sort_by_key(|srv| srv.priority);
                srv.truncate(PEER_ADDRESSES);
                if !srv.is_empty() {
                    Step::Hosts { transport, left: srv.into() }
                } else if is_refused {
                    Step::Done
                } else {
                    self.next_transport(transport)
                }
            }
            (Step::Hosts { transport, mut left }, Records::Addresses(addresses)) => {
                if let Some(srv) = left.pop_front() {
                    self.take(addresses, |ip| Target {
                        transport,
                        address: SocketAddr::new(ip, srv.port),
                        priority: srv.priority,
                        weight: srv.weight,
                    });
                }
                if left.is_empty() { Step::Done } else { Step::Hosts { transport, left } }
            }
            (Step::Host { transport, port }, Records::Addresses(addresses)) => {
                self.take(addresses, |ip| Target { transport, address: SocketAddr::new(ip, port), priority: 0, weight: 1 });
                Step::Done
            }
            // What was not asked for says nothing.
            (step, Records::Naptr(_) | Records::Srv(_) | Records::Addresses(_)) => step,
        };
    }

    /// Nobody has answered the query, so that it is not known whether there are such records: but for NAPTR, which not every server knows,
    /// nothing is found then. What a domain says by SRV is not given up for its address because an answer was lost, nor TLS for UDP.
    pub fn failed(&mut self) {
        if matches!(self.step, Step::Naptr) {
            return self.answer(Records::Naptr(Vec::new()));
        }
        self.step = Step::Done;
        self.found.clear();
    }

    /// Returns where the name leads, the first to be tried first; at most [`PEER_ADDRESSES`].
    #[must_use]
    pub fn found(self) -> Vec<Target> {
        self.found
    }

    fn take(&mut self, addresses: Vec<IpAddr>, target: impl Fn(IpAddr) -> Target) {
        let room = PEER_ADDRESSES.saturating_sub(self.found.len());
        self.found.extend(addresses.into_iter().take(room).map(target));
    }

    /// Chooses by what the domain prefers, among what is spoken here (RFC 3263 §4.1).
    fn chosen(&mut self, mut naptr: Vec<Naptr>) -> Step {
        naptr.sort_by_key(|naptr| (naptr.order, naptr.preference));
        let chosen = naptr.into_iter().find_map(|naptr| {
            let transport = match naptr.service.to_ascii_uppercase().as_str() {
                "SIP+D2U" => Transport::Udp,
                "SIP+D2T" => Transport::Tcp,
                "SIPS+D2T" => Transport::Tls,
                _ => return None,
            };
            self.spoken.contains(&transport).then_some((transport, naptr.replacement))
        });
        match chosen {
            Some((transport, name)) => Step::Srv { name, transport },
            None => {
                self.untried = self.spoken.iter().copied().collect();
                match self.untried.pop_front() {
                    Some(transport) => self.srv_of(transport),
                    None => Step::Done,
                }
            }
        }
    }

    /// There are no SRV records: those of the next transport, or the name itself.
    fn next_transport(&mut self, transport: Transport) -> Step {
        match self.untried.pop_front() {
            Some(next) => self.srv_of(next),
            None => {
                let transport = if self.spoken.contains(&Transport::Udp) { Transport::Udp } else { transport };
                Step::Host { transport, port: transport.default_port() }
            }
        }
    }

    fn srv_of(&self, transport: Transport) -> Step {
        let service = match transport {
            Transport::Udp => "_sip._udp",
            Transport::Tcp => "_sip._tcp",
            Transport::Tls => "_sips._tcp",
        };
        Step::Srv { name: format!("{service}.{}", self.name), transport }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

    fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Srv {
        Srv { priority, weight, port, target: target.into() }
    }

    fn naptr(order: u16, preference: u16, service: &str) -> Naptr {
        Naptr { order, preference, service: service.into(), replacement: format!("srv-{service}.test") }
    }

    /// Searches, with answers for the queries by their text; says what was asked and what was found.
    fn search(mut locate: Locate, answers: &[(&str, Records)]) -> (Vec<String>, Vec<String>) {
        let mut asked = Vec::new();
        while let Some(query) = locate.query() {
            let (text, none) = match query {
                Query::Naptr(name) => (format!("naptr {name}"), Records::Naptr(vec![])),
                Query::Srv(name) => (format!("srv {name}"), Records::Srv(vec![])),
                Query::Address(name) => (format!("a {name}"), Records::Addresses(vec![])),
            };
            assert!(asked.len() < 40, "it ends");
            let answer = answers.iter().find(|(query, _)| *query == text).map_or(none, |(_, records)| records.clone());
            asked.push(text);
            locate.answer(answer);
        }
        let found = locate
            .found()
            .into_iter()
            .map(|target| format!("{} {} {} {}", target.transport.as_str(), target.address, target.priority, target.weight));
        (asked, found.collect())
    }

    fn at(last: &[u8]) -> Records {
        Records::Addresses(last.iter().map(|&last| IpAddr::from([192, 0, 2, last])).collect())
    }

    #[test]
    fn a_port_leads_to_the_addresses_of_the_name() {
        let (asked, found) = search(Locate::new("h.test.", Some(5080), &[Transport::Tcp], true), &[("a h.test", at(&[1, 2]))]);

        assert_eq!(asked, ["a h.test"]);
        assert_eq!(found, ["tcp 192.0.2.1:5080 0 1", "tcp 192.0.2.2:5080 0 1"]);
    }

    #[test]
    fn a_transport_leads_to_its_srv_records_and_these_to_their_hosts() {
        let records = Records::Srv(vec![srv(20, 1, 5062, "b.test"), srv(10, 3, 5061, "a.test"), srv(10, 0, 0, "c.test")]);
        let answers = [("srv _sips._tcp.h.test", records), ("a a.test", at(&[1])), ("a b.test", at(&[2, 3]))];

        let (asked, found) = search(Locate::new("h.test", None, &[Transport::Tls], true), &answers);

        assert_eq!(asked, ["srv _sips._tcp.h.test", "a a.test", "a b.test"]);
        assert_eq!(found, ["tls 192.0.2.1:5061 10 3", "tls 192.0.2.2:5062 20 1", "tls 192.0.2.3:5062 20 1"]);
    }

    #[test]
    fn naptr_records_choose_the_transport_that_the_domain_prefers() {
        let records = Records::Naptr(vec![
            naptr(20, 1, "SIP+D2U"),
            naptr(10, 2, "SIP+D2T"),
            naptr(10, 1, "SIPS+D2T"),
            naptr(5, 0, "E2U+sip"),
        ]);
        let answers = [
            ("naptr h.test", records),
            ("srv srv-SIPS+D2T.test", Records::Srv(vec![srv(0, 0, 5061, "a.test")])),
            ("srv srv-SIP+D2U.test", Records::Srv(vec![srv(0, 0, 5060, "a.test")])),
            ("a a.test", at(&[1])),
        ];

        let (asked, found) = search(Locate::new("h.test", None, &ALL, false), &answers);
        assert_eq!(asked[..2], ["naptr h.test", "srv srv-SIPS+D2T.test"]);
        assert_eq!(found, ["tls 192.0.2.1:5061 0 0"]);

        let (_, found) = search(Locate::new("h.test", None, &[Transport::Udp], false), &answers);
        assert_eq!(found, ["udp 192.0.2.1:5060 0 0"], "what is not spoken here is passed over");
    }

    #[test]
    fn without_naptr_each_transport_is_asked_for_and_without_srv_the_name_itself() {
        let nothing = ["naptr h.test", "srv _sip._udp.h.test", "srv _sip._tcp.h.test", "srv _sips._tcp.h.test", "a h.test"];
        let (asked, found) = search(Locate::new("h.test", None, &ALL, false), &[("a h.test", at(&[1]))]);
        assert_eq!(asked, nothing);
        assert_eq!(found, ["udp 192.0.2.1:5060 0 1"]);

        let tcp = ("srv _sip._tcp.h.test", Records::Srv(vec![srv(0, 0, 5070, "a.test")]));
        let (asked, found) = search(Locate::new("h.test", None, &ALL, false), &[tcp, ("a a.test", at(&[1]))]);
        assert_eq!(asked[..3], nothing[..3]);
        assert_eq!(found, ["tcp 192.0.2.1:5070 0 0"]);

        let (_, found) = search(Locate::new("h.test", None, &[Transport::Tls], true), &[("a h.test", at(&[1]))]);
        assert_eq!(found, ["tls 192.0.2.1:5061 0 1"]);
    }

    #[test]
    fn a_target_that_says_there_is_none_is_none() {
        let none = Records::Srv(vec![srv(0, 0, 5060, ".")]);
        let answers = [("srv _sip._udp.h.test", none), ("a h.test", at(&[1]))];
        let (_, found) = search(Locate::new("h.test", None, &[Transport::Udp], true), &answers);

        assert_eq!(found, [""; 0], "nor is the name itself asked");
    }

    #[test]
    fn no_domain_makes_more_addresses_or_more_questions_than_a_peer_may_have() {
        let many = Records::Srv((0..1000).map(|nth| srv(nth, 1, 5060, &format!("h{nth}.test"))).collect());
        let hosts: Vec<(String, Records)> = (0..1000).map(|nth| (format!("a h{nth}.test"), at(&[1; 100]))).collect();
        let mut answers: Vec<(&str, Records)> = hosts.iter().map(|(query, records)| (query.as_str(), records.clone())).collect();
        answers.push(("srv _sip._udp.h.test", many));

        let (asked, found) = search(Locate::new("h.test", None, &[Transport::Udp], true), &answers);

        assert_eq!((asked.len(), found.len()), (1 + PEER_ADDRESSES, PEER_ADDRESSES));
    }

    #[test]
    fn a_question_that_nobody_answers_is_not_one_whose_answer_is_no() {
        let mut locate = Locate::new("h.test", None, &ALL, false);
        locate.answer(Records::Naptr(vec![naptr(1, 1, "SIPS+D2T")]));
        locate.failed();
        assert_eq!((locate.query(), locate.found()), (None, vec![]), "it does not go on to UDP");

        let mut locate = Locate::new("h.test", None, &[Transport::Udp], true);
        locate.answer(Records::Srv(vec![srv(1, 1, 5060, "a.test"), srv(2, 1, 5060, "b.test")]));
        locate.answer(at(&[1]));
        locate.failed();
        assert_eq!((locate.query(), locate.found()), (None, vec![]), "half of it is not all of it");

        let mut locate = Locate::new("h.test", None, &[Transport::Udp], false);
        locate.failed();
        assert_eq!(locate.query(), Some(Query::Srv("_sip._udp.h.test".into())), "some servers do not know NAPTR");
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let mut locate = Locate::new("h.test", None, &ALL, false);
        locate.answer(at(&[1]));

        assert_eq!(locate.query(), Some(Query::Naptr("h.test".into())));
    }
}
