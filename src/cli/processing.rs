//! `processing`: what the records of processing (GDPR 30) have to say of the recorder, from its configuration and its ledger.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::catalogue::{Limits, Opening, Span, State, Store};
use crate::cli::check::kept;
use crate::cli::doors::Doors;
use crate::cli::exit::Stop;
use crate::cli::list::{counted, seconds};
use crate::cli::site::{self, Site};
use crate::cli::table::pairs;
use crate::cli::term::Term;
use crate::cli::who;
use crate::control::Settings;
use crate::control::config::PolicyTerms;

/// Tells it.
pub(super) fn processing(config: &Path, is_json: bool, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let settings = site::settings(config, term)?;
    let store = Site::find(config, term)?.store(Opening::Read, doors)?;
    let purposes = purposes(&settings, store.as_ref())?;
    if is_json {
        let of = |(purpose, one): (&String, &Purpose<'_>)| one.to_json(purpose, &settings);
        let purposes: Vec<Value> = purposes.iter().map(of).collect();
        let (made, measures) = (who::now().to_string(), measures(&settings));
        let people = PEOPLE.map(|(who, what)| json!({ "who": who, "what": what }));
        return Ok(term.out.line(json!({ "made": made, "purposes": purposes, "people": people, "measures": measures }))?);
    }
    let colour = term.out.colour();
    let mut text = format!("Recording of calls, as of {} UTC\n", seconds(who::now()));
    for (purpose, one) in &purposes {
        text += &format!("\npurpose {purpose}\n{}", pairs(one.lines(purpose, &settings), colour, 2));
    }
    text += &format!("\nwhose data, and what\n{}", pairs(PEOPLE.map(|(who, what)| (who, what.to_owned())), colour, 2));
    text += "\nmeasures\n";
    measures(&settings).iter().for_each(|measure| text += &format!("  {measure}\n"));
    text += "\nNot known here, to be added: who is responsible and how to reach them, the data-protection officer, to whom else and to which countries\nrecordings are given.\n";
    Ok(term.out.text(&text)?)
}

/// Whose data are processed, and which.
const PEOPLE: [(&str, &str); 3] = [
    ("outside", "who calls or is called over a trunk: number, voice, record of consent"),
    ("employees", "who calls or is called at the PBX: number, voice, record of consent"),
    ("operators", "who opens, erases or looks for recordings: name of the user, time, reason"),
];

/// What is done for one purpose.
#[derive(Default)]
struct Purpose<'s> {
    policies: Vec<(&'s str, &'s PolicyTerms)>,
    recordings: usize,
}

fn purposes<'s>(settings: &'s Settings, store: &dyn Store) -> Result<BTreeMap<String, Purpose<'s>>, Stop> {
    let mut purposes: BTreeMap<String, Purpose<'s>> = BTreeMap::new();
    for policy in &settings.policies {
        let Some(terms) = &policy.terms else { continue };
        purposes.entry(terms.purpose.clone()).or_default().policies.push((&policy.name, terms));
    }
    // What was recorded for a purpose that no policy has any more is there all the same.
    for stored in store.stored(None)?.iter().filter(|stored| stored.state != State::Erased) {
        let purpose = stored.purpose.as_deref().unwrap_or("none");
        purposes.entry(purpose.to_owned()).or_default().recordings += 1;
    }
    Ok(purposes)
}

impl Purpose<'_> {
    fn limits(purpose: &str, settings: &Settings) -> Limits {
        settings.retention.of(Some(purpose))
    }

    fn recipients<'s>(purpose: &str, settings: &'s Settings) -> Vec<&'s str> {
        let of = settings.recipients.iter().filter(|one| one.purposes.iter().any(|own| own == purpose));
        of.map(|one| one.name.as_str()).collect()
    }

    fn lines(&self, purpose: &str, settings: &Settings) -> Vec<(&'static str, String)> {
        let mut lines: Vec<_> = self
            .policies
            .iter()
            .map(|(name, terms)| {
                let legs = terms.must_agree;
                let agree = match legs {
                    [true, true] => "both sides agree",
                    [true, false] => "the employee agrees",
                    [false, true] => "the one outside agrees",
                    [false, false] => "nobody is asked",
                };
                ("policy", format!("{name}: {}; {}, {agree}", terms.legal_basis, terms.mode.as_str()))
            })
            .collect();
        if lines.is_empty() {
            lines.push(("policy", "none any more".into()));
        }
        let recipients = Self::recipients(purpose, settings);
        lines.push(("opened by", if recipients.is_empty() { "nobody named here".into() } else { recipients.join(", ") }));
        lines.push(("kept", kept(Self::limits(purpose, settings))));
        lines.push(("there are", counted(self.recordings as u64, "recording")));
        lines
    }

    fn to_json(&self, purpose: &str, settings: &Settings) -> Value {
        let Limits { shortest, longest } = Self::limits(purpose, settings);
        let policies: Vec<_> = self
            .policies
            .iter()
            .map(|(name, terms)| {
                let [local, remote] = terms.must_agree;
                let (basis, mode) = (&terms.legal_basis, terms.mode.as_str());
                json!({ "name": name, "legal_basis": basis, "mode": mode, "must_agree": { "local": local, "remote": remote } })
            })
            .collect();
        json!({
            "purpose": purpose,
            "policies": policies,
            "recipients": Self::recipients(purpose, settings),
            "kept_at_least": Span(shortest).to_string(),
            "kept_at_most": longest.map(|longest| Span(longest).to_string()),
            "recordings": self.recordings,
        })
    }
}

/// What is done for the safety of it (GDPR 32), as far as it is configured here.
fn measures(settings: &Settings) -> Vec<String> {
    let signs = if settings.node_key.token.is_some() { "a key in a token" } else { "a key in a file" };
    let mut measures = vec![
        "encrypted as it comes, each recording under a secret of its own, wrapped for the recipients (format.md)".to_owned(),
        format!("signed and chained, by {signs}; every opening is logged before it is done (chain.md)"),
        "nothing is kept before there is consent as the policy wants it, and nothing after it is withdrawn".to_owned(),
        "no number, key press or sound in a log or a metric".to_owned(),
    ];
    if settings.timestamps.is_some() {
        measures.push("heads of the chain are stamped by a time-stamping authority (RFC 3161)".to_owned());
    }
    if settings.retention.iter().any(|(_, limits)| limits.longest.is_some()) {
        measures.push("erased by itself when its time is up, by destroying what opens it".to_owned());
    }
    measures
}
