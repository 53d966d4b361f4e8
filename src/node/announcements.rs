//! The announcements: read from their files once, at the start, and encoded for every codec they can be had in.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::call::Signs;
use crate::codec::Codec;
use crate::consent::Clip;
use crate::control::config::Payloads;
use crate::sound::{self, Encoded};
use crate::wire::rtpdump;

/// Reads the payloads of an announcement in a codec that is not spoken here; `name` is the operator's for it.
///
/// # Errors
/// As for [`clips`].
pub(super) fn ready(payloads: &Payloads, name: &str, language: &str) -> Result<Clip, String> {
    let shown = payloads.path.display();
    let named = |what: &dyn std::fmt::Display, remedy: &str| format!("announcement in {name} `{shown}`: {what}\n  {remedy}");
    let bytes =
        fs::read(&payloads.path).map_err(|error| named(&error, "name an rtpdump file that the service's user can read"))?;
    let rtpdump::Payloads { packets, ticks } = rtpdump::read(&bytes).map_err(|error| named(&error, error.remedy()))?;
    Clip::ready(payloads.foreign, name, &packets, ticks, Sha256::digest(&bytes).into(), language)
        .map_err(|error| named(&error, "record it again"))
}

/// Makes the beeps that tell a party that what it wanted is done, and the tone that tells of a recording, for every codec.
///
/// # Errors
/// None that could be met.
pub(super) fn signs() -> Result<Signs, String> {
    let [ends, goes_on, telling] = [sound::beeps(1), sound::beeps(2), sound::telling()]
        .map(|wav| encoded(&wav, "", &|what, _| format!("a beep cannot be made: {what}")));
    Ok(Signs { ends: ends?.into(), goes_on: goes_on?.into(), telling: telling?.into() })
}

/// Reads an announcement and encodes it for every codec.
///
/// # Errors
/// The file cannot be read, is no WAV, or has no sound; the text says which file, what is wrong and what to do.
pub(super) fn clips(path: &Path, language: &str) -> Result<Vec<Clip>, String> {
    let named = |what: &dyn std::fmt::Display, remedy: &str| format!("announcement `{}`: {what}\n  {remedy}", path.display());
    let bytes = fs::read(path)
        .map_err(|error| named(&error, "name a WAV file that the service's user can read in the policy's `announcement`"))?;
    encoded(&bytes, language, &named)
}

fn encoded(wav: &[u8], language: &str, named: &dyn Fn(&dyn std::fmt::Display, &str) -> String) -> Result<Vec<Clip>, String> {
    let sha256: [u8; 32] = Sha256::digest(wav).into();
    Codec::ANNOUNCED
        .into_iter()
        .map(|codec| {
            let encoded = sound::encode_wav(wav, codec)
                .map_err(|error| named(&error, "any uncompressed WAV will do: sox IN.mp3 -b 16 -r 16000 -c 1 OUT.wav"))?;
            let clip = match encoded {
                Encoded::Stream(payload) => Clip::new(codec, &payload, sha256, language),
                // Each of 20 ms.
                Encoded::Packets(packets) => Clip::of_packets(codec, &packets, codec.clock() / 50, sha256, language),
            };
            clip.map_err(|error| named(&error, "record it again"))
        })
        .collect()
}
