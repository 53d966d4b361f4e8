//! `recordings play`: a recording is heard at once, by the player that this machine has; nothing of it is written to a disk.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::MemfdFlags;
use serde_json::json;

use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::exported::{in_words, silent, undecoded, with_part};
use crate::cli::list::length;
use crate::cli::opened::{Asked, Opened, Part, Refused, opened};
use crate::cli::table::pairs;
use crate::cli::term::Term;
use crate::cli::verify::{Word, unopened};
use crate::export::{self, Channels, ExportError, Exported};
use crate::ids::Leg;

/// What is wanted.
pub(super) struct Wanted {
    pub(super) asked: Asked,
    pub(super) channels: Channels,
    pub(super) json: bool,
}

/// A program that plays a WAV file, and how it is told to play that one and end.
struct Player {
    program: &'static str,
    arguments: &'static [&'static str],
}

/// Where the player finds the sound: its standard input is a file in memory that has no name, and is read as any file.
const SOUND: &str = "/dev/stdin";

/// Those that are known, the sound servers' own first.
const PLAYERS: [Player; 5] = [
    Player { program: "pw-play", arguments: &[SOUND] },
    Player { program: "paplay", arguments: &[SOUND] },
    Player { program: "aplay", arguments: &["-q", SOUND] },
    Player { program: "ffplay", arguments: &["-nodisp", "-autoexit", "-loglevel", "error", "-f", "wav", SOUND] },
    Player { program: "play", arguments: &["-q", "-t", "wav", SOUND] },
];

/// Plays a recording.
pub(super) fn play(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = PLAYERS.iter().find_map(|player| Some((player, program(player.program, &path)?)));
    // Without one nothing is opened; the access log says that it was asked for.
    let ready = || if found.is_some() { Ok(()) } else { Err(no_player()) };
    let (played, word) = opened(config, &wanted.asked, doors, term, ready, |opened| {
        let (player, program) = found.as_ref().ok_or_else(no_player)?;
        let (sound, heard) = decode(opened, wanted.channels)?;
        run(player, program, sound)?;
        Ok((player.program, heard))
    })?;
    let (player, heard) = played;
    say(wanted, player, &heard, term)?;
    // What was heard is less than what was recorded.
    if word == Some(Word::Cut) { Err(Stop::Said(Exit::NotSo)) } else { Ok(()) }
}

/// What was decoded.
struct Heard {
    exported: Exported,
    is_torn: bool,
    part: Option<Part>,
}

/// Decodes a recording into a file in memory.
fn decode(opened: &Opened<'_>, channels: Channels) -> Result<(File, Heard), Refused> {
    let survey = opened.survey()?.survey;
    let memory = |error: io::Error| {
        Stop::cannot(
            format!("cannot keep the sound in memory: {error}"),
            "`--mono` needs half as much; or export it, and play that",
        )
    };
    let mut sound = File::from(rustix::fs::memfd_create("recording", MemfdFlags::CLOEXEC).map_err(|error| memory(error.into()))?);
    let mut input = opened.records("decoding")?;
    let mut out = BufWriter::with_capacity(256 * 1024, &sound);
    let exported = export::wav(&survey, channels, &mut input, &mut out).map_err(|error| match error {
        ExportError::Recording(error) => unopened(opened.id(), &error),
        ExportError::Disk(error) => memory(error),
        ExportError::TooLong { .. } => Stop::cannot(format!("cannot {error}"), "export it: `--format opus` has no such bound"),
    })?;
    out.flush().map_err(memory)?;
    drop(out);
    sound.rewind().map_err(memory)?;
    Ok((sound, Heard { exported, is_torn: input.torn.is_some(), part: opened.part() }))
}

/// Plays it to its end.
fn run(player: &Player, program: &Path, sound: File) -> Result<(), Stop> {
    let name = player.program;
    let mut command = Command::new(program);
    command.args(player.arguments).stdin(sound).stdout(Stdio::null());
    let ended = command.status().map_err(|error| Stop::cannot(format!("cannot run `{name}`: {error}"), OTHERWISE))?;
    if ended.success() {
        return Ok(());
    }
    let remedy = format!("is there a sound device for this user? `{name}` says more with a WAV file of your own; {OTHERWISE}");
    Err(Stop::cannot(format!("`{name}` did not play it: {ended}"), remedy))
}

/// What always goes.
const OTHERWISE: &str = "`recordings export` writes a file that can be played elsewhere";

fn no_player() -> Stop {
    let names: Vec<_> = PLAYERS.iter().map(|player| player.program).collect();
    Stop::cannot(
        format!("there is no player here: none of {}", names.join(", ")),
        format!("install one, as pipewire-bin, pulseaudio-utils or alsa-utils has it; or {OTHERWISE}"),
    )
}

/// The file that a shell would run.
fn program(name: &str, path: &OsStr) -> Option<PathBuf> {
    let is_run =
        |file: &PathBuf| file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    // What PATH finds from here, wherever here is, is not taken: the sound goes to what is installed.
    std::env::split_paths(path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).find(is_run)
}

fn say(wanted: &Wanted, player: &str, heard: &Heard, term: &mut Term<'_>) -> Result<(), Stop> {
    let Heard { exported, is_torn, part } = heard;
    if wanted.json {
        return Ok(term.out.line(with_part(
            *part,
            json!({
                "recording": wanted.asked.id.to_string(),
                "player": player,
                "torn": is_torn,
                "channels": wanted.channels.count(),
                "rate": exported.rate,
                "duration_s": exported.duration.as_secs_f64(),
                "undecoded": undecoded(exported),
            }),
        ))?);
    }
    let channels = match wanted.channels {
        Channels::Stereo => "PBX left, trunk right",
        Channels::Mono => "mono, the mean of both",
        Channels::Only(Leg::Pbx) => "the PBX alone",
        Channels::Only(Leg::Trunk) => "the trunk alone",
    };
    let mut lines = vec![("played", format!("{}, {channels}, by {player}", length(exported.duration)))];
    lines.extend(silent(exported));
    lines.extend(part.map(|part| in_words(wanted.asked.id, part)));
    Ok(term.out.text(&pairs(lines, term.out.colour(), 0))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_player_is_what_can_be_run_and_is_installed() {
        let home = tempfile::tempdir().unwrap();
        let folders = ["a", "b", "c"].map(|name| home.path().join(name));
        folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        fs::create_dir(folders[0].join("aplay")).unwrap();
        fs::write(folders[1].join("aplay"), "no program").unwrap();
        fs::write(folders[2].join("aplay"), "#!/bin/sh\n").unwrap();
        let path = std::env::join_paths(&folders).unwrap();
        assert_eq!(program("aplay", &path), None, "a folder, and files that are not to be run");

        fs::set_permissions(folders[2].join("aplay"), fs::Permissions::from_mode(0o755)).unwrap();

        assert_eq!(program("aplay", &path), Some(folders[2].join("aplay")));
        assert_eq!(program("paplay", &path), None);
        assert_eq!(program("src", OsStr::new(".::relative")), None);
    }
}
