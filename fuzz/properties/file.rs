//! What holds of `vault`'s readers for any bytes: a verdict and no panic, and complete is only what the node has signed.

use std::sync::LazyLock;

use mitschnitt::vault::{KeyFile, NodePublic, OpenError, RecipientSecret, Recording, Verdict, verify, verify_content};

/// The node's key, a recipient's, and the key file of `complete.rec`.
static KEYS: LazyLock<(NodePublic, RecipientSecret)> = LazyLock::new(|| {
    let node = NodePublic::from_pem(include_bytes!("../../tests/vault/vectors/node.pub.pem")).expect("a good key");
    let secret = RecipientSecret::from_pem(include_bytes!("../../tests/vault/vectors/recipient.pem")).expect("a good key");
    (node, secret)
});
const KEY_FILE: &[u8] = include_bytes!("../../tests/vault/vectors/complete.key");

/// All that this node has signed.
const SIGNED: [&[u8]; 6] = [
    include_bytes!("../../tests/vault/vectors/complete.rec"),
    include_bytes!("../../tests/vault/vectors/complete-without-packets.rec"),
    include_bytes!("../../tests/vault/vectors/complete-with-a-later-record.rec"),
    include_bytes!("../../tests/vault/vectors/end-record-miscounts.rec"),
    include_bytes!("../../tests/vault/vectors/record-malformed.rec"),
    include_bytes!("../../tests/vault/vectors/number-not-shortest.rec"),
];

/// Checks all properties with one input, as a recording and as a key file.
pub(crate) fn check(data: &[u8]) {
    let (node, secret) = &*KEYS;
    let length = u64::try_from(data.len()).expect("64 bits");
    match verify(data, node) {
        Ok(Verdict::Complete(complete)) => {
            assert_eq!(complete.bytes, length);
            assert!(SIGNED.contains(&data), "complete, and the node did not sign it");
        }
        Ok(Verdict::Torn(torn)) => {
            let whole = data.get(..usize::try_from(torn.bytes).expect("64 bits")).expect("no more is whole than there is");
            let Ok(Verdict::Torn(again)) = verify(whole, node) else { panic!("what is whole of a torn file is a torn file") };
            assert_eq!((again.chunks, again.bytes), (torn.chunks, torn.bytes));
        }
        Ok(Verdict::Broken(broken)) => assert!(broken.at <= length),
        Err(OpenError::OtherNode(..)) => {}
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
