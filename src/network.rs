//! A range of addresses: who may speak to us, and from where media may come.

use std::net::IpAddr;

/// A range of addresses, as `192.0.2.0/24`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    /// Any address in it.
    pub address: IpAddr,
    /// How many leading bits are common.
    pub prefix: u8,
}

impl Network {
    /// Returns whether the address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                u32::from(net).checked_shr(shift).unwrap_or(0) == u32::from(ip).checked_shr(shift).unwrap_or(0)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.prefix.min(128));
                u128::from(net).checked_shr(shift).unwrap_or(0) == u128::from(ip).checked_shr(shift).unwrap_or(0)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_no_bits_holds_every_address_of_its_family() {
        let all = Network { address: "0.0.0.0".parse().expect("an address"), prefix: 0 };

        assert!(all.contains("203.0.113.9".parse().expect("an address")));
        assert!(!all.contains("::1".parse().expect("an address")));
    }
}
