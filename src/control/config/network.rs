//! A range of addresses, as `192.0.2.0/24`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Returns its first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// Returns how many leading bits are common.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Returns whether two ranges have an address in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let prefix = self.prefix.min(other.prefix);
        self.address.is_ipv4() == other.address.is_ipv4() && first(self.address, prefix) == first(other.address, prefix)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A bare address is a range of one.
impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| NotANetwork::Form)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(prefix) => prefix.parse().ok().filter(|&prefix| prefix <= most).ok_or(NotANetwork::Prefix(most))?,
        };
        let first = first(address, prefix);
        if first == address { Ok(Self { address, prefix }) } else { Err(NotANetwork::HostBits(Self { address: first, prefix })) }
    }
}

/// The text is no range of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotANetwork {
    /// It has another form.
    Form,
    /// There are not so many bits: the most there are.
    Prefix(u8),
    /// It names an address within the range instead of its first: the range.
    HostBits(Network),
}

fn first(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_is_read_as_it_is_printed() {
        for text in ["192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0", "192.0.2.1/32"] {
            assert_eq!(network(text).to_string(), text);
        }
        assert_eq!(network("192.0.2.1"), network("192.0.2.1/32"));
        assert_eq!("192.0.2.7/24".parse::<Network>(), Err(NotANetwork::HostBits(network("192.0.2.0/24"))));
        assert_eq!("192.0.2.0/33".parse::<Network>(), Err(NotANetwork::Prefix(32)));
        assert_eq!("192.0.2/24".parse::<Network>(), Err(NotANetwork::Form));
    }

    #[test]
    fn ranges_overlap_where_one_lies_in_the_other() {
        assert!(network("192.0.2.0/24").overlaps(network("192.0.2.128/25")));
        assert!(network("0.0.0.0/0").overlaps(network("192.0.2.1")));
        assert!(!network("192.0.2.0/25").overlaps(network("192.0.2.128/25")));
        assert!(!network("0.0.0.0/0").overlaps(network("::/0")));
    }
}
