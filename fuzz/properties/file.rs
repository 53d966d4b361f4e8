//! What holds of `vault`'s readers for any bytes: a verdict and no panic, and complete is only what the node has signed.

use std::sync::LazyLock;

use mitschnitt::time::Wall;
use mitschnitt::vault::{
    KeyFile, NodeKey, OpenError, RecipientSecret, Recording, Salvage, Verdict, salvage, verify, verify_content,
};

/// The node's key, a recipient's, and the key file of `complete.rec`.
static KEYS: LazyLock<(NodeKey, RecipientSecret)> = LazyLock::new(|| {
    let node = NodeKey::from_pem(include_bytes!("../../tests/vault/vectors/node.pem")).expect("a good key");
    let secret = RecipientSecret::from_pem(include_bytes!("../../tests/vault/vectors/recipient.pem")).expect("a good key");
    (node, secret)
});
const KEY_FILE: &[u8] = include_bytes!("../../tests/vault/vectors/complete.key");

/// All that this node has closed after a torn end.
const SALVAGED: [&[u8]; 6] = [
    include_bytes!("../../tests/vault/vectors/salvaged-in-chunk.rec"),
    include_bytes!("../../tests/vault/vectors/salvaged-between-chunks.rec"),
    include_bytes!("../../tests/vault/vectors/salvaged-after-evidence.rec"),
    include_bytes!("../../tests/vault/vectors/salvaged-unsigned.rec"),
    include_bytes!("../../tests/vault/vectors/salvaged-in-closing.rec"),
    include_bytes!("../../tests/vault/vectors/salvaged-in-zeros.rec"),
];

/// All that this node has signed as complete.
const SIGNED: [&[u8]; 12] = [
    include_bytes!("../../tests/vault/vectors/complete.rec"),
    include_bytes!("../../tests/vault/vectors/complete-without-packets.rec"),
    include_bytes!("../../tests/vault/vectors/complete-with-a-later-record.rec"),
    include_bytes!("../../tests/vault/vectors/end-record-miscounts.rec"),
    include_bytes!("../../tests/vault/vectors/record-malformed.rec"),
    include_bytes!("../../tests/vault/vectors/number-not-shortest.rec"),
    include_bytes!("../../tests/vault/version-0/complete.rec"),
    include_bytes!("../../tests/vault/version-0/complete-without-packets.rec"),
    include_bytes!("../../tests/vault/version-0/complete-with-a-later-record.rec"),
    include_bytes!("../../tests/vault/version-0/end-record-miscounts.rec"),
    include_bytes!("../../tests/vault/version-0/record-malformed.rec"),
    include_bytes!("../../tests/vault/version-0/number-not-shortest.rec"),
];

/// Checks all properties with one input, as a recording and as a key file.
pub(crate) fn check(data: &[u8]) {
    let (key, secret) = &*KEYS;
    let node = key.public();
    let length = u64::try_from(data.len()).expect("64 bits");
    match verify(data, node) {
        Ok(Verdict::Complete(complete)) => {
            assert_eq!(complete.bytes, length);
            assert!(SIGNED.contains(&data), "complete, and the node did not sign it");
        }
        Ok(Verdict::Salvaged(salvaged)) => {
            assert_eq!(salvaged.bytes, length);
            assert!(SALVAGED.contains(&data), "salvaged, and the node did not sign it");
        }
        Ok(Verdict::Cut(torn)) => {
            let whole = data.get(..usize::try_from(torn.bytes).expect("64 bits")).expect("no more is whole than there is");
            let Ok(Verdict::Cut(again)) = verify(whole, node) else { panic!("what is whole of a cut file is a cut file") };
            assert_eq!((again.chunks, again.bytes), (torn.chunks, torn.bytes));
        }
        Ok(Verdict::Broken(broken)) => assert!(broken.at <= length),
        Err(OpenError::OtherNode(..)) => {}
        Err(error) => panic!("{error}"),
    }
    match salvage(data, length, key, Wall::from_unix_micros(7)) {
        Ok(Salvage::Close { keep, closing, chunks, cut_off, .. }) => {
            assert_eq!(keep + cut_off, length, "each byte is kept or said to be taken off");
            let whole = data.get(..usize::try_from(keep).expect("64 bits")).expect("no more is whole than there is");
            let Ok(Verdict::Salvaged(salvaged)) = verify([whole, &closing].concat().as_slice(), node) else {
                panic!("what was closed verifies as that")
            };
            assert_eq!((salvaged.chunks, salvaged.cut_off), (chunks, cut_off));
        }
        Ok(Salvage::Closed(verdict)) => assert_eq!(verify(data, node).expect("it was read"), verdict),
        Ok(Salvage::Empty | Salvage::NotOurs | Salvage::Broken(_)) => {}
        Err(error) => panic!("{error}"),
    }
    if let Ok(Verdict::Complete(complete)) = verify_content(data, KEY_FILE, secret, node) {
        assert!(complete.totals.is_some());
        assert!(SIGNED.contains(&data), "complete, and the node did not sign it");
    }
    if let Ok(recording) = Recording::open(data, KEY_FILE, secret) {
        let mut records = recording.records();
        if let Some(Err(_)) = records.by_ref().last() {
            assert!(records.next().is_none());
        }
    }

    if let Ok(key_file) = KeyFile::parse(data) {
        assert_eq!(key_file.to_bytes(), data);
    }
    if let [complete, ..] = SIGNED
        && Recording::open(complete, data, secret).is_ok()
    {
        assert_eq!(data, KEY_FILE, "another key file opens the recording");
    }
}
