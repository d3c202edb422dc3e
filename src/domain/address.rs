//! Addresses that no request may go to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether no request may go to `address`, however it was named: link-local addresses and the metadata services of
/// clouds, which hand out the machine's credentials. Nodes ask again for what a name resolves to.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4 == Ipv4Addr::new(100, 100, 100, 200),
        IpAddr::V6(v6) => {
            const EC2: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            v6 == EC2
                || v6.segments()[0] & 0xffc0 == 0xfe80
                || embedded_v4(v6).is_some_and(|v4| is_forbidden(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address inside a mapped, compatible or NAT64 one.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = v6.segments();
    let is_mapped = [a, b, c, d, e] == [0; 5] && (f == 0xffff || f == 0);
    let is_nat64 = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
    let bits = u32::from(high) << 16 | u32::from(low);
    (is_mapped || is_nat64).then(|| Ipv4Addr::from(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_known_in_every_spelling() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
        ] {
            assert!(is_forbidden(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "2001:db8::1", "100.100.100.201"] {
            assert!(!is_forbidden(address.parse().unwrap()), "{address}");
        }
    }
}
