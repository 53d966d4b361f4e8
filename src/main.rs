//! `mitschnitt`: logging, arguments, and one of three doors: the command line, the proxy, the demo.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mitschnitt::cli::{self, Doors};
use mitschnitt::codec::Codec;
use mitschnitt::control::Trouble;
use mitschnitt::wire::rtpdump;
use mitschnitt::{demo, node, sound};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // `MITSCHNITT_LOG=debug` says more; nobody's number is in any of it.
    let filter = EnvFilter::try_from_env("MITSCHNITT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();

    let doors = Doors {
        run: &|settings, config| {
            let store = node::open_store(&settings.ledger(), mitschnitt::catalogue::Opening::Keep)
                .map_err(|error| Trouble::new(error.to_string(), error.remedy()))?;
            node::run(&settings, store, Arc::new(cli::Clerk::new(config.to_owned(), node::open_store)))
        },
        demo: &|out, term| {
            let doors = demo::Doors::of_this_program()
                .map_err(|error| Trouble::new(format!("the system does not say where this program is: {error}"), ""))?;
            demo::play(out, doors, term).map_err(|failed| Trouble::new(failed.to_string(), ""))
        },
        open_store: &|path: &Path, opening| node::open_store(path, opening),
        announcement: &announcement,
        payloads: &payloads,
        user: &cli::session,
    };
    cli::main(std::env::args_os(), &doors)
}

/// How long an announcement is: all codecs have the same bytes for a millisecond, so one will do.
fn announcement(wav: &[u8]) -> Result<Duration, Trouble> {
    let payload = sound::encode_wav(wav, Codec::Pcma).map_err(|error| Trouble::new(error.to_string(), error.remedy()))?;
    Ok(Duration::from_micros(payload.into_bytes().len() as u64 * 1000 / Codec::BYTES_PER_MS as u64))
}

/// How long an announcement's payloads are.
fn payloads(dump: &[u8], clock: u32) -> Result<Duration, Trouble> {
    let payloads = rtpdump::read(dump).map_err(|error| Trouble::new(error.to_string(), error.remedy()))?;
    Ok(payloads.duration(clock))
}
