//! `tokens add`, `list` and `revoke`: who is known to the API by a token, as what, and until when.

use std::path::Path;
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;
use zeroize::Zeroizing;

use crate::access::{Purposes, Role, Roles, TokenSecret};
use crate::catalogue::{Opening, Says, Warrant};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::gate::{Pass, warrant};
use crate::cli::list::{counted, seconds};
use crate::cli::site::Site;
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::Term;
use crate::cli::who;
use crate::cli::words::{self, Form, purpose_or_every, sentence, time};
use crate::control::Trouble;
use crate::limits::{TOKEN_LIFE, TOKENS};
use crate::time::Wall;

/// What is done with tokens.
#[derive(Subcommand, Debug)]
pub(super) enum Tokens {
    /// Give out a token, which is shown this once: whoever has it is what it says
    #[command(long_about = "Give out a token, which is shown this once: whoever has it is what it says.\n\n\
        It is for programs that use the HTTP API. What may be done with it say its roles, and for a\n\
        reviewer its purposes. Of the token itself nothing is kept but a hash; that it was given out,\n\
        by whom and for what, the chain has. It goes to standard output, alone; do not write it\n\
        where others read.")]
    Add {
        /// What it is called: the program, or the desk
        #[arg(value_name = "NAME", value_parser = words::name)]
        name: String,
        /// What whoever has it is: operator, reviewer, officer, auditor; may be said again
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        /// What a reviewer opens recordings for, * for everything; may be said again
        #[arg(long = "purpose", value_name = "PURPOSE", value_parser = purpose_or_every)]
        purposes: Vec<String>,
        /// Until when it is one, in UTC, a year at most [default: in 90 days]
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<Wall>,
        /// Why, for the chain
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: Option<String>,
        #[command(flatten)]
        site: words::Site,
        #[command(flatten)]
        form: Form,
    },
    /// List the tokens there are
    List {
        /// Those too whose time is over or which were revoked
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        site: words::Site,
        #[command(flatten)]
        form: Form,
    },
    /// Revoke a token: nobody is known by it from then on
    Revoke {
        /// Which
        #[arg(value_name = "NAME")]
        name: String,
        /// Why, for the chain
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: String,
        #[command(flatten)]
        site: words::Site,
        #[command(flatten)]
        form: Form,
    },
}

/// How long a token is one where nothing is said.
const LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// Does it.
pub(super) fn tokens(tokens: Tokens, pass: &Pass, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    match tokens {
        Tokens::Add { name, roles, purposes, until, reason, site, form } => {
            let purposes = if purposes.iter().any(|purpose| purpose == "*") {
                Purposes::All
            } else {
                Purposes::Only(purposes.into_iter().collect())
            };
            let asked = Given { name, roles: roles.into_iter().collect(), purposes, until, reason };
            add(&site.config, asked, pass, form.json, doors, term)
        }
        Tokens::List { all, site, form } => list(&site.config, all, form.json, doors, term),
        Tokens::Revoke { name, reason, site, form } => revoke(&site.config, &name, &reason, pass, form.json, doors, term),
    }
}

struct Given {
    name: String,
    roles: Roles,
    purposes: Purposes,
    until: Option<Wall>,
    reason: Option<String>,
}

fn add(config: &Path, asked: Given, pass: &Pass, is_json: bool, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let (now, usage) = (who::now(), |what: String, remedy: &str| Stop::Trouble(Exit::Usage, Trouble::new(what, remedy)));
    let until = asked.until.unwrap_or_else(|| after(now, LIFE));
    if until <= now || until > after(now, TOKEN_LIFE) {
        let most = TOKEN_LIFE.as_secs() / (24 * 3600);
        return Err(usage(
            format!("a token is one for {most} days at most, and not until {} UTC", seconds(until)),
            "say it by --until",
        ));
    }
    let is_reviewer = asked.roles.has(Role::Reviewer);
    let is_for_nothing = asked.purposes == Purposes::default();
    if is_reviewer == is_for_nothing {
        let what = if is_reviewer { "a reviewer opens recordings for a purpose" } else { "only a reviewer has a purpose" };
        return Err(usage(what.into(), "`--role reviewer` and `--purpose` go together"));
    }
    let mut store = Site::find(config, term)?.store(Opening::ReadAndLog, doors)?;
    let warrants = store.warrants()?;
    let standing: Vec<_> = standing(&warrants).into_iter().filter(|(_, token)| token.until > now).collect();
    if standing.iter().any(|(_, token)| token.name == asked.name) {
        let what = format!("there is a token `{}`", asked.name);
        return Err(refused(what, "give it another name, or revoke that one before"));
    }
    if standing.len() >= TOKENS {
        return Err(refused(format!("there are {TOKENS} tokens, and no more are given out"), "revoke those that nobody uses"));
    }
    let secret = draw()?;
    let (name, roles, hash) = (asked.name.clone(), asked.roles, secret.hash());
    let says = Says::Given { name, roles, hash, purposes: asked.purposes, until };
    store.warrant(&warrant(&pass.identity, says, asked.reason.as_deref()))?;
    if is_json {
        let (name, until) = (&asked.name, until.to_string());
        return Ok(term.out.line(json!({ "name": name, "token": *secret.reveal(), "until": until }))?);
    }
    let what = format!("token `{}` is for: {}; until {} UTC", asked.name, words_of(roles), seconds(until));
    term.note(&Trouble::new(what, "it is shown this once, and kept nowhere: give it to whoever is to have it"))?;
    Ok(term.out.line(&*secret.reveal())?)
}

fn draw() -> Result<TokenSecret, Stop> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| Stop::cannot(format!("the system gives no random numbers: {error}"), "try again"))?;
    Ok(TokenSecret::of(bytes))
}

fn after(now: Wall, life: Duration) -> Wall {
    Wall::from_unix_micros(now.unix_micros().saturating_add(i64::try_from(life.as_micros()).unwrap_or(i64::MAX)))
}

/// A token by the line that gave it out.
struct Line<'w> {
    name: &'w str,
    roles: Roles,
    purposes: &'w Purposes,
    until: Wall,
}

fn all(warrants: &[Warrant]) -> Vec<(&Warrant, Line<'_>)> {
    let given = warrants.iter().filter_map(|warrant| match &warrant.says {
        Says::Given { name, roles, purposes, until, .. } => {
            Some((warrant, Line { name, roles: *roles, purposes, until: *until }))
        }
        Says::Revoked(_)
        | Says::Asked(_)
        | Says::Approved(_)
        | Says::Refused(_)
        | Says::Used(_)
        | Says::Denied(_)
        | Says::Broke(_) => None,
    });
    given.collect()
}

fn standing(warrants: &[Warrant]) -> Vec<(&Warrant, Line<'_>)> {
    let mut all = all(warrants);
    all.retain(|(given, _)| revoked(warrants, given.number).is_none());
    all
}

fn revoked(warrants: &[Warrant], number: u64) -> Option<&Warrant> {
    warrants.iter().find(|warrant| warrant.says == Says::Revoked(number))
}

fn list(config: &Path, is_all: bool, is_json: bool, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let store = Site::find(config, term)?.store(Opening::Read, doors)?;
    let (warrants, now) = (store.warrants()?, who::now());
    let mut tokens = all(&warrants);
    let is_one = |given: &Warrant, token: &Line<'_>| token.until > now && revoked(&warrants, given.number).is_none();
    tokens.retain(|(given, token)| is_all || is_one(given, token));
    if is_json {
        for (given, token) in &tokens {
            let revoked = revoked(&warrants, given.number).map(|line| json!({ "at": line.at.to_string(), "who": line.who }));
            let (roles, purposes) = (token.roles.iter().map(Role::as_str).collect::<Vec<_>>(), purposes_of(token.purposes));
            let (given, until) = (json!({ "at": given.at.to_string(), "who": given.who }), token.until.to_string());
            let name = token.name;
            term.out.line(
                json!({ "name": name, "roles": roles, "purposes": purposes, "until": until, "given": given, "revoked": revoked }),
            )?;
        }
        return Ok(());
    }
    if tokens.is_empty() {
        return Ok(term.out.line("No tokens.")?);
    }
    let mut table = Table::new([
        ("NAME", Align::Left),
        ("ROLES", Align::Left),
        ("PURPOSES", Align::Left),
        ("UNTIL (UTC)", Align::Left),
        ("GIVEN BY", Align::Left),
        ("STATE", Align::Left),
    ]);
    for (given, token) in &tokens {
        let state = match revoked(&warrants, given.number) {
            Some(line) => format!("revoked by {}", line.who),
            None if token.until <= now => "over".into(),
            None => "in force".into(),
        };
        table.row([
            Cell::new(token.name),
            Cell::new(words_of(token.roles)),
            Cell::new(purposes_of(token.purposes).join(", ")),
            Cell::new(seconds(token.until)),
            Cell::new(&given.who),
            Cell::new(state),
        ]);
    }
    term.out.text(&table.text(term.out.colour(), 0))?;
    Ok(term.out.line(format_args!("\n{}.", counted(tokens.len(), "token")))?)
}

fn revoke(
    config: &Path,
    name: &str,
    reason: &str,
    pass: &Pass,
    is_json: bool,
    doors: &Doors<'_>,
    term: &mut Term<'_>,
) -> Result<(), Stop> {
    let mut store = Site::find(config, term)?.store(Opening::ReadAndLog, doors)?;
    let warrants = store.warrants()?;
    let mut numbers: Vec<u64> = Vec::new();
    numbers.extend(standing(&warrants).iter().filter(|(_, token)| token.name == name).map(|(given, _)| given.number));
    if numbers.is_empty() {
        let remedy = "`mitschnitt tokens list --all` shows those there were";
        return Err(Stop::Trouble(Exit::NotFound, Trouble::new(format!("there is no token `{}`", name.escape_debug()), remedy)));
    }
    for number in numbers {
        store.warrant(&warrant(&pass.identity, Says::Revoked(number), Some(reason)))?;
    }
    if is_json {
        return Ok(term.out.line(json!({ "name": name, "revoked": true }))?);
    }
    Ok(term.out.line(format_args!("Token `{name}` is revoked: nobody is known by it from here on."))?)
}

fn words_of(roles: Roles) -> String {
    roles.iter().map(Role::as_str).collect::<Vec<_>>().join(", ")
}

fn purposes_of(purposes: &Purposes) -> Vec<&str> {
    match purposes {
        Purposes::All => vec!["*"],
        Purposes::Only(purposes) => purposes.iter().map(String::as_str).collect(),
    }
}

fn refused(what: String, remedy: &str) -> Stop {
    Stop::Trouble(Exit::Refused, Trouble::new(what, remedy))
}
