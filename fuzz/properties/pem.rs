//! What holds of the vault's keys for any bytes: a key is read as it is printed, as one kind of key and no other, and no error shows it.

use mitschnitt::vault::{BadKey, NodeKey, NodePublic, Recipient, RecipientSecret};

/// Checks all properties with one PEM file.
pub(crate) fn check(data: &[u8]) {
    let (node, node_public) = (NodeKey::from_pem(data), NodePublic::from_pem(data));
    let (secret, recipient) = (RecipientSecret::from_pem(data), Recipient::from_pem(data));
    let errors = [node.as_ref().err(), node_public.as_ref().err(), secret.as_ref().err(), recipient.as_ref().err()];
    errors.into_iter().flatten().for_each(|error| check_error(error, data));
    assert!(errors.into_iter().flatten().count() >= 3, "one file is one kind of key");

    if let Ok(key) = node {
        let pem = key.to_pem().expect("it came from a file");
        let again = NodeKey::from_pem(pem.as_bytes()).expect("a key is read as it is printed");
        assert_eq!((again.to_pem().as_ref(), again.public()), (Some(&pem), key.public()));
        assert_eq!(NodePublic::from_pem(key.public().to_pem().as_bytes()).as_ref(), Ok(key.public()));
    }
    if let Ok(key) = secret {
        let pem = key.to_pem().expect("it came from a file");
        let again = RecipientSecret::from_pem(pem.as_bytes()).expect("a key is read as it is printed");
        assert_eq!((again.to_pem().as_ref(), again.public()), (Some(&pem), key.public()));
        assert_eq!(Recipient::from_pem(key.public().to_pem().as_bytes()).as_ref(), Ok(key.public()));
    }
    if let Ok(key) = node_public {
        assert_eq!(NodePublic::from_pem(key.to_pem().as_bytes()), Ok(key));
    }
    if let Ok(key) = recipient {
        assert_eq!(Recipient::from_pem(key.to_pem().as_bytes()), Ok(key));
    }
}

/// It may name the kind of block, and no line of the block.
fn check_error(error: &BadKey, data: &[u8]) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.chars().any(char::is_control), "{shown}");
    for line in data.split(|b| b"\r\n".contains(b)).filter(|line| line.len() >= 32 && !line.starts_with(b"-----")) {
        let piece = line.get(..32).unwrap_or(line);
        assert!(!shown.as_bytes().windows(32).any(|window| window == piece), "{shown}");
    }
}
