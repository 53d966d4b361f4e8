//! What is said of an export, in words and as JSON.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::exit::Stop;
use crate::cli::export::Wanted;
use crate::cli::list::length;
use crate::cli::opened::Part;
use crate::cli::table::pairs;
use crate::cli::term::Term;
use crate::cli::words::Format;
use crate::export::{Channels, Exported, HandedOver, LegExport, Offset, Undecoded};
use crate::ids::RecordingId;
use crate::vault::Cut;

/// What came of an export.
pub(super) struct Made {
    pub(super) what: What,
    pub(super) torn: Option<Cut>,
    /// What of the recording; nothing where it is all.
    pub(super) part: Option<Part>,
    /// The file, or the folder.
    pub(super) path: PathBuf,
    /// The files and their SHA-256.
    pub(super) files: Vec<(PathBuf, String)>,
}

/// What was written.
pub(super) enum What {
    Sound(Exported),
    Picture(Exported),
    Undecoded(HandedOver),
}

/// Says it.
pub(super) fn say(config: &Path, wanted: &Wanted, made: &Made, term: &mut Term<'_>) -> Result<(), Stop> {
    match &made.what {
        What::Sound(exported) => say_sound(config, wanted, made, exported, term),
        What::Picture(exported) => say_picture(wanted, made, exported, term),
        What::Undecoded(handed) => say_undecoded(wanted, made, handed, term),
    }
}

fn say_picture(wanted: &Wanted, made: &Made, exported: &Exported, term: &mut Term<'_>) -> Result<(), Stop> {
    let out = made.path.display().to_string();
    let sha256 = made.files.first().map_or("", |(_, sha256)| sha256);
    if wanted.json {
        return Ok(term.out.line(with_part(
            made.part,
            json!({
                "recording": wanted.asked.id.to_string(),
                "picture": out,
                "sha256": sha256,
                "torn": made.torn.is_some(),
                "duration_s": exported.duration.as_secs_f64(),
                "undecoded": undecoded(exported),
            }),
        ))?);
    }
    let mut lines = vec![("picture", format!("{}, SVG", length(exported.duration)))];
    lines.extend(silent(exported));
    lines.extend(made.part.map(|part| in_words(wanted.asked.id, part)));
    lines.push(("sha256", sha256.to_owned()));
    term.out.text(&format!("{out}\n{}", pairs(lines, term.out.colour(), 2)))?;
    Ok(())
}

/// Says what of the recording it is, and what was verified of that.
pub(super) fn in_words(id: RecordingId, part: Part) -> (&'static str, String) {
    let Part { span, of } = part;
    let text = format!(
        "{span} of {}; this much opens under the recording's keys, the whole was not verified: `mitschnitt recordings verify {id}` does that",
        Offset(of)
    );
    ("span", text)
}

/// Adds the same to what is told as JSON.
pub(super) fn with_part(part: Option<Part>, mut value: serde_json::Value) -> serde_json::Value {
    if let (Some(Part { span, of }), serde_json::Value::Object(fields)) = (part, &mut value) {
        let [from, to, of] = [span.from, span.to, of].map(|at| at.as_secs_f64());
        fields.insert("span".into(), json!({ "from_s": from, "to_s": to, "of_s": of, "verified": "span" }));
    }
    value
}

/// What is silent since it is not decoded, as JSON.
pub(super) fn undecoded(exported: &Exported) -> Vec<serde_json::Value> {
    let one = |of: &Undecoded| json!({ "leg": of.leg.as_str(), "coding": of.name, "packets": of.packets });
    exported.undecoded.iter().map(one).collect()
}

/// The same in words.
pub(super) fn silent(exported: &Exported) -> impl Iterator<Item = (&'static str, String)> {
    let one =
        |of: &Undecoded| ("silent", format!("{} packets of the {} side: {} is not decoded here", of.packets, of.leg, of.name));
    exported.undecoded.iter().map(one)
}

fn say_undecoded(wanted: &Wanted, made: &Made, handed: &HandedOver, term: &mut Term<'_>) -> Result<(), Stop> {
    let out = made.path.display().to_string();
    let [pbx, trunk] = handed.packets;
    let duration = made.part.map_or(handed.duration, |part| part.span.length());
    if wanted.json {
        let codings: Vec<_> = handed
            .codings
            .iter()
            .map(|((leg, coding), packets)| json!({ "leg": leg.as_str(), "coding": coding, "packets": packets }))
            .collect();
        let files: Vec<_> =
            made.files.iter().map(|(path, sha256)| json!({ "file": path.display().to_string(), "sha256": sha256 })).collect();
        return Ok(term.out.line(with_part(
            made.part,
            json!({
                "recording": wanted.asked.id.to_string(),
                "files": files,
                "torn": made.torn.is_some(),
                "duration_s": duration.as_secs_f64(),
                "pbx": { "packets": pbx },
                "trunk": { "packets": trunk },
                "ignored": handed.ignored,
                "codings": codings,
            }),
        ))?);
    }
    let kind = match wanted.format {
        Format::Pcapng => "RTP in pcapng",
        Format::Payload | Format::Wav | Format::Opus => "RTP payloads",
    };
    let mut lines = vec![
        ("packets", format!("{}, {kind}", length(duration))),
        ("from", format!("PBX: {pbx} packets; trunk: {trunk} packets")),
    ];
    lines.extend(
        handed
            .codings
            .iter()
            .map(|((leg, coding), packets)| ("coding", format!("{packets} packets of the {leg} side: {coding}"))),
    );
    if handed.ignored > 0 {
        lines.push(("left out", format!("{} packets: no RTP, or longer than a datagram", handed.ignored)));
    }
    match made.files.as_slice() {
        [(_, sha256)] => lines.push(("sha256", sha256.clone())),
        files => lines.extend(files.iter().map(|(path, sha256)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            ("sha256", format!("{sha256}  {name}"))
        })),
    }
    term.out.text(&format!("{out}\n{}", pairs(lines, term.out.colour(), 2)))?;
    Ok(())
}

fn say_sound(config: &Path, wanted: &Wanted, made: &Made, exported: &Exported, term: &mut Term<'_>) -> Result<(), Stop> {
    let out = made.path.display().to_string();
    let sha256 = made.files.first().map_or("", |(_, sha256)| sha256);
    if wanted.json {
        let leg = |leg: &LegExport| json!({ "packets": leg.packets, "ignored": leg.ignored, "sounding_s": leg.sounding.as_secs_f64(), "concealed_s": leg.concealed.as_secs_f64(), "silence_s": leg.silence.as_secs_f64() });
        return Ok(term.out.line(with_part(
            made.part,
            json!({
                "recording": wanted.asked.id.to_string(),
                "file": out,
                "sha256": sha256,
                "torn": made.torn.is_some(),
                "channels": wanted.channels.count(),
                "rate": exported.rate,
                "frames": exported.frames,
                "duration_s": exported.duration.as_secs_f64(),
                "pbx": leg(&exported.pbx),
                "trunk": leg(&exported.trunk),
                "undecoded": undecoded(exported),
            }),
        ))?);
    }
    let side = |leg: &LegExport| {
        let concealed = leg.concealed.as_secs_f64();
        let concealed = if concealed > 0.0 { format!(", {concealed:.2} s made up for lost packets") } else { String::new() };
        format!(
            "{} packets; {:.1} s of sound{concealed}, {:.1} s of silence",
            leg.packets,
            leg.sounding.as_secs_f64(),
            leg.silence.as_secs_f64()
        )
    };
    let [channels, left, right] = match wanted.channels {
        Channels::Stereo => ["stereo", "left", "right"],
        Channels::Mono | Channels::Only(_) => ["mono, the mean of both", "from", "from"],
    };
    let mut lines = vec![
        ("sound", format!("{}, {} Hz, {channels}", length(exported.duration), exported.rate)),
        (left, format!("PBX: {}", side(&exported.pbx))),
        (right, format!("trunk: {}", side(&exported.trunk))),
    ];
    lines.extend(silent(exported));
    if !exported.undecoded.is_empty() {
        lines.push(("whole", format!("for other decoders: {}", undecoded_command(config, wanted, &made.path))));
    }
    lines.extend(made.part.map(|part| in_words(wanted.asked.id, part)));
    lines.push(("sha256", sha256.to_owned()));
    term.out.text(&format!("{out}\n{}", pairs(lines, term.out.colour(), 2)))?;
    Ok(())
}

/// The command that exports what is not decoded here.
fn undecoded_command(config: &Path, wanted: &Wanted, out: &Path) -> String {
    let word = |text: std::path::Display<'_>| quoted(&text.to_string());
    format!(
        "mitschnitt recordings export {} --key {} --purpose {} --format pcapng --out {} --config {}",
        wanted.asked.id,
        word(wanted.asked.key.key.display()),
        quoted(&wanted.asked.purpose),
        word(out.with_extension("pcapng").display()),
        word(config.display())
    )
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
