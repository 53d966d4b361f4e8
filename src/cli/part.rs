//! A span of a recording in a bundle: which chunks it takes, and what proves them to be of the recording.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::ops::{ControlFlow, Range};

use serde_json::{Value, json};

use crate::cli::exit::{Exit, Stop};
use crate::cli::list::counted;
use crate::cli::secret::read_secret;
use crate::cli::span;
use crate::cli::verify::unopened;
use crate::cli::words::SecretKey;
use crate::control::Trouble;
use crate::export::{Offset, Span};
use crate::ids::RecordingId;
use crate::vault::{CutOut, Format, NodePublic, OpenError, Proof, Proven, Record, Recording};

/// The span that is asked for, and a key by which it is found: when a packet came stands inside the chunks.
pub(super) struct Asked {
    pub(super) span: span::Asked,
    pub(super) key: SecretKey,
}

/// A span to be handed over.
pub(super) struct Part {
    pub(super) span: Span,
    /// How long all of the recording is.
    of: std::time::Duration,
    pub(super) cut: CutOut,
    /// What the payload types mean where it begins.
    formats: Vec<Format>,
}

/// Takes what was asked for together; nothing where all of the recording is.
pub(super) fn asked(span: span::Asked, key: Option<SecretKey>) -> Result<Option<Asked>, Stop> {
    span.check()?;
    let usage = |what, remedy| Err(Stop::Trouble(Exit::Usage, Trouble::new(what, remedy)));
    match (span.is_all(), key) {
        (true, None) => Ok(None),
        (false, Some(key)) => Ok(Some(Asked { span, key })),
        (false, None) => usage(
            "a span is found with a key",
            "name a recipient's with --key: when something was said stands inside the recording",
        ),
        (true, Some(_)) => {
            usage("all of a recording is bundled without a key", "leave out --key; or say with --from and --to what of it")
        }
    }
}

impl Asked {
    /// Finds it in a recording.
    pub(super) fn find(&self, id: RecordingId, file: &File, keys: &[u8], node: &NodePublic) -> Result<Part, Stop> {
        let secret = read_secret(&self.key)?;
        let failed = |error: OpenError| unopened(id, &error);
        let disk = |error| failed(OpenError::Disk(error));
        let mut file = file;
        file.rewind().map_err(disk)?;
        let mut recording = Recording::open(file, keys, &secret).map_err(failed)?;
        let (says, given) = (recording.header().node, node.fingerprint());
        if says != given {
            return Err(failed(OpenError::OtherNode(says, given)));
        }
        let index = recording.index().map_err(failed)?;
        let of = recording.length(&index).map_err(failed)?;
        let span = self.span.of(of)?;
        let chunks = recording.chunks_of(&index, span.from..span.to).map_err(failed)?;
        if chunks.is_empty() {
            return Err(Stop::cannot(
                format!("no span of recording {id} can be proven without the rest: its format is version 0"),
                "bundle all of it, without --from and --to",
            ));
        }
        recording.seek(&index, span.from).map_err(failed)?;
        let formats = formats(&mut recording, span).map_err(failed)?;
        file.rewind().map_err(disk)?;
        // The evidence says who agreed to what: nobody may be handed a word without it.
        let evidence = 0..1;
        let cut = CutOut::find(BufReader::with_capacity(256 * 1024, file), vec![evidence, chunks]).map_err(failed)?;
        Ok(Part { span, of, cut, formats })
    }
}

/// Returns what was said of payload types before the span.
fn formats(recording: &mut Recording<&File>, span: Span) -> Result<Vec<Format>, OpenError> {
    let mut said = BTreeMap::new();
    recording.lend(|record| match record {
        Record::Format(format) => {
            said.insert((format.leg.index(), format.payload_type), format.clone());
            ControlFlow::Continue(())
        }
        Record::Rtp { came, .. } if *came >= span.from => ControlFlow::Break(()),
        Record::Rtp { .. }
        | Record::Evidence(_)
        | Record::Gap(_)
        | Record::Quality(_)
        | Record::End(_)
        | Record::Other { .. } => ControlFlow::Continue(()),
    })?;
    Ok(said.into_values().collect())
}

impl Part {
    /// Returns the chunks that are handed over beside that of the evidence.
    pub(super) fn chunks(&self) -> Range<u32> {
        self.cut.proof.spans().last().cloned().unwrap_or_default()
    }

    /// `1:30:00 to 1:31:00 of 2:00:00`.
    pub(super) fn in_words(&self) -> String {
        format!("{} of {}", self.span, Offset(self.of))
    }

    /// Returns how many bytes of the file are handed over.
    pub(super) fn bytes(&self) -> u64 {
        self.cut.parts.iter().map(|part| part.end.saturating_sub(part.start)).sum()
    }

    /// Reads them.
    pub(super) fn reader<'f>(&'f self, file: &'f File) -> impl Read + 'f {
        Pieces { file, parts: self.cut.parts.iter(), left: 0 }
    }

    /// Returns the proof as it lies in the archive. What it says of times and formats is its maker's word, and nothing is proven by it.
    pub(super) fn to_json(&self, id: RecordingId) -> String {
        let proof = &self.cut.proof;
        let spans: Vec<_> = proof.spans().iter().map(|span| [span.start, span.end]).collect();
        let hex = |hash: &[u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let format = |format: &Format| {
            let Format { leg, payload_type, clock, channels, name, .. } = format;
            json!({ "leg": leg.as_str(), "payload_type": payload_type, "clock": clock, "channels": channels, "name": name })
        };
        let [from, to, of] = [self.span.from, self.span.to, self.of].map(|at| at.as_secs_f64());
        let value = json!({
            "proof": 1, "recording": id.to_string(), "chunks": proof.chunks(), "spans": spans,
            "hashes": proof.hashes().iter().map(hex).collect::<Vec<_>>(),
            "said": { "from_s": from, "to_s": to, "of_s": of, "formats": self.formats.iter().map(format).collect::<Vec<_>>() },
        });
        format!("{value:#}\n")
    }
}

/// Reads what [`Part::to_json`] has written; nothing where it is not that.
pub(super) fn read_proof(text: &str) -> Option<Proof> {
    let value: Value = serde_json::from_str(text).ok()?;
    let number = |value: &Value| u32::try_from(value.as_u64()?).ok();
    let span = |span: &Value| match span.as_array()?.as_slice() {
        [from, to] => Some(number(from)?..number(to)?),
        _ => None,
    };
    let hash = |hash: &Value| Some(*hash.as_str()?.parse::<crate::vault::Digest>().ok()?.as_bytes());
    if value.get("proof")?.as_u64() != Some(1) {
        return None;
    }
    let spans = value.get("spans")?.as_array()?.iter().map(span).collect::<Option<_>>()?;
    let hashes = value.get("hashes")?.as_array()?.iter().map(hash).collect::<Option<_>>()?;
    Proof::new(number(value.get("chunks")?)?, spans, hashes)
}

/// Says what was found of a span that is proven.
pub(super) fn in_words(proof: &Proof, proven: &Proven) -> String {
    let spans: Vec<_> = proof
        .spans()
        .iter()
        .map(
            |span| {
                if span.end - span.start == 1 { span.start.to_string() } else { format!("{} to {}", span.start, span.end - 1) }
            },
        )
        .collect();
    let closed = if proven.is_complete { "complete" } else { "salvaged" };
    let content = proven.content.as_ref().map_or_else(String::new, |content| {
        let [pbx, trunk] = content.packets;
        let came = content
            .came
            .map_or_else(String::new, |(first, last)| format!(" that came from {} to {}", Offset(first), Offset(last)));
        format!("; each opens: {} from the PBX, {trunk} from the trunk{came}", counted(pbx, "packet"))
    });
    let holes = match proven.holes {
        0 => String::new(),
        1 => ", 1 of them taken out since,".into(),
        holes => format!(", {holes} of them taken out since,"),
    };
    format!(
        "chunks {} of {}{holes} are of the recording that the node has signed as {closed}{content}; the rest of it is not here",
        spans.join(", "),
        proof.chunks()
    )
}

/// Pieces of a file, one after the other.
struct Pieces<'f> {
    file: &'f File,
    parts: std::slice::Iter<'f, Range<u64>>,
    /// What is left of the piece that is read.
    left: u64,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.left == 0 {
            let Some(part) = self.parts.next() else { return Ok(0) };
            self.file.seek(SeekFrom::Start(part.start))?;
            self.left = part.end.saturating_sub(part.start);
        }
        let read = self.file.take(self.left).read(into)?;
        if read == 0 && !into.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_proof_is_not_read_as_one() {
        let good = json!({ "proof": 1, "chunks": 9, "spans": [[0, 1], [3, 5]], "hashes": ["ab".repeat(32)] });
        assert!(read_proof(&good.to_string()).is_some_and(|proof| proof.spans() == [0..1, 3..5] && proof.chunks() == 9));
        for (member, wrong) in [
            ("proof", json!(2)),
            ("chunks", json!(-1)),
            ("chunks", json!(4)),
            ("spans", json!([[0]])),
            ("spans", json!([[3, 5], [0, 1]])),
            ("spans", json!([])),
            ("hashes", json!(["ab"])),
            ("hashes", json!([7])),
        ] {
            let mut bad = good.clone();
            bad.as_object_mut().expect("an object").insert(member.into(), wrong.clone());
            assert!(read_proof(&bad.to_string()).is_none(), "{member}: {wrong}");
        }
        assert!(read_proof("").is_none() && read_proof("[]").is_none());
    }
}
