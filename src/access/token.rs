//! Tokens: 256 bits that somebody shows to be known by, of which nothing is kept but a hash.

use std::collections::BTreeSet;
use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::access::{Identity, Person, Purposes, Roles};
use crate::time::Wall;

/// What every token begins with, so that one which lies where it should not is known for what it is.
const PREFIX: &str = "mst_";

/// Characters behind it: 32 bytes in base64url (RFC 4648 §5) without padding.
const CHARACTERS: usize = 43;

/// The secret of a token, as it is shown once. It prints as nothing of itself.
pub struct TokenSecret(Zeroizing<[u8; 32]>);

impl TokenSecret {
    /// Makes one of 32 bytes that were drawn.
    #[must_use]
    pub const fn of(drawn: Zeroizing<[u8; 32]>) -> Self {
        Self(drawn)
    }

    /// Returns it as it is shown, and as whoever has it sends it: `mst_` and 43 characters.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(&*self.0)))
    }

    /// Returns what is kept of it. It was drawn, 256 bits of it: what slows a guess down is of no use, and a salt neither.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(*self.0).into())
    }

    fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == CHARACTERS)?;
        let mut bytes = Zeroizing::new([0; 32]);
        let read = Base64UrlUnpadded::decode(digits, &mut *bytes).ok().map(<[u8]>::len);
        (read == Some(32)).then_some(Self(bytes))
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret([private])")
    }
}

/// The SHA-256 of a token's 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Takes what was kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns what is kept.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Nothing of it: whoever reads logs need not know which tokens are one.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash([private])")
    }
}

/// A token that was given out and not revoked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// What is kept of it.
    pub hash: TokenHash,
    /// What whoever has it is.
    pub roles: Roles,
    /// What he may open recordings for.
    pub purposes: Purposes,
    /// Until when.
    pub until: Wall,
    /// Whoever gave it out: he has seen it.
    pub givers: BTreeSet<Person>,
}

/// All tokens that were given out and not revoked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// Takes these.
    #[must_use]
    pub const fn new(tokens: Vec<Token>) -> Self {
        Self(tokens)
    }

    /// Returns them.
    #[must_use]
    pub fn as_slice(&self) -> &[Token] {
        &self.0
    }

    /// Returns who has shown this text; nobody where it is no token, or was revoked, or its time is over.
    ///
    /// How long it takes depends on how many tokens there are, and on nothing of what was shown but whether it has the form of one: its hash is
    /// compared with that of each, in constant time.
    #[must_use]
    pub fn identify(&self, shown: &str, now: Wall) -> Option<Identity> {
        let hash = TokenSecret::read(shown)?.hash();
        let (mut found, mut at) = (Choice::from(0), 0_u64);
        for (nth, token) in (0_u64..).zip(&self.0) {
            let is_it = token.hash.0.ct_eq(&hash.0);
            at.conditional_assign(&nth, is_it);
            found |= is_it;
        }
        let token = self.0.get(usize::try_from(at).ok()?).filter(|_| bool::from(found))?;
        (now < token.until).then(|| token.identity())
    }
}

impl Token {
    fn identity(&self) -> Identity {
        let person = Person::Token(self.name.clone());
        let name = person.to_string();
        let persons = self.givers.iter().cloned().chain([person]).collect();
        Identity { name, persons, roles: self.roles, purposes: self.purposes.clone(), breaks_glass: false }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::access::Role;

    fn secret(byte: u8) -> TokenSecret {
        TokenSecret::of(Zeroizing::new([byte; 32]))
    }

    fn token(name: &str, byte: u8, until: i64) -> Token {
        Token {
            name: name.into(),
            hash: secret(byte).hash(),
            roles: Roles::of(&[Role::Operator]),
            purposes: Purposes::default(),
            until: Wall::from_unix_micros(until),
            givers: BTreeSet::from([Person::Unix(1000)]),
        }
    }

    #[test]
    fn whoever_shows_a_token_is_known_by_it_until_its_time_is_over() {
        let tokens = Tokens::new(vec![token("desk", 1, 100), token("wall", 2, 50)]);
        let who = |byte, now| {
            let identity = tokens.identify(&secret(byte).reveal(), Wall::from_unix_micros(now))?;
            Some((identity.name.clone(), identity))
        };

        let (name, desk) = who(1, 99).unwrap();
        assert_eq!((name.as_str(), desk.roles), ("token desk", Roles::of(&[Role::Operator])));
        assert!(desk.is_same(&BTreeSet::from([Person::Unix(1000)])), "it is also whoever gave it out");
        assert_eq!(who(2, 49).unwrap().0, "token wall");
        assert_eq!((who(1, 100), who(2, 50), who(3, 0)), (None, None, None));
        assert_eq!(Tokens::default().identify(&secret(1).reveal(), Wall::from_unix_micros(0)), None);
    }

    #[test]
    fn what_has_not_the_form_of_a_token_is_none() {
        let tokens = Tokens::new(vec![token("desk", 0, 100)]);
        let right = secret(0).reveal();
        let shown = |text: &str| tokens.identify(text, Wall::from_unix_micros(0)).is_some();

        assert!(shown(&right));
        assert_eq!(right.len(), PREFIX.len() + CHARACTERS);
        for wrong in ["", "mst_", right.trim_start_matches(PREFIX), &format!("{}=", *right), &format!(" {}", *right)] {
            assert!(!shown(wrong), "{wrong}");
        }
        // The last character has two bits that are of no byte, and must be 0.
        assert!(!shown(&format!("{}B", right.trim_end_matches('A').to_owned() + &"A".repeat(42))));
        assert!(!shown(&"ä".repeat(30)));
    }

    #[test]
    fn nothing_of_a_token_is_printed() {
        let (secret, token) = (secret(7), token("desk", 7, 1));
        let text = secret.reveal();

        let printed = format!("{secret:?} {token:?} {:?}", Tokens::new(vec![token.clone()]));

        assert!(!printed.contains(text.trim_start_matches(PREFIX)), "{printed}");
        assert!(!printed.contains("7, 7") && !printed.contains(&format!("{:?}", token.hash.as_bytes())), "{printed}");
    }
}
