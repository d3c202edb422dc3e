//! Which addresses a request may go to: not those by which a cloud hands its keys to machines, nor any that is
//! link-local.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// An address that no request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forbidden {
    address: IpAddr,
    what: &'static str,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is refused: {}", self.address, self.what)
    }
}

impl Error for Forbidden {}

/// Refuses link-local addresses and those of metadata services, however they are wrapped.
pub(super) fn check(address: IpAddr) -> Result<(), Forbidden> {
    let forbidden = |what| Err(Forbidden { address, what });
    match unwrapped(address) {
        IpAddr::V4(v4) if v4 == Ipv4Addr::new(169, 254, 169, 254) => forbidden("a metadata service"),
        IpAddr::V4(v4) if v4.is_link_local() => forbidden("a link-local address"),
        IpAddr::V4(v4) if v4 == Ipv4Addr::new(100, 100, 100, 200) => forbidden("a metadata service"),
        IpAddr::V4(v4) if v4 == Ipv4Addr::new(192, 0, 0, 192) => forbidden("a metadata service"),
        IpAddr::V6(v6) if v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => forbidden("a metadata service"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => forbidden("a link-local address"),
        _ => Ok(()),
    }
}

/// The IPv4 address inside an IPv6 one: mapped (`::ffff:a.b.c.d`), compatible (`::a.b.c.d`), NAT64
/// (`64:ff9b::a.b.c.d`).
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let last = || {
        let [.., a, b, c, d] = v6.octets();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        _ if v6 == Ipv6Addr::LOCALHOST || v6 == Ipv6Addr::UNSPECIFIED => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => last(),
        _ => address,
    }
}

/// Checks the address in `url`, if it holds one: such are never resolved. Odd spellings (`http://2852039166/`) are read
/// by then.
pub(super) fn check_url(url: &Url) -> Result<(), Forbidden> {
    match url.host() {
        Some(Host::Ipv4(v4)) => check(v4.into()),
        Some(Host::Ipv6(v6)) => check(v6.into()),
        _ => Ok(()),
    }
}

/// The addresses among `found` that may be used; an error if only forbidden ones were found.
pub(super) fn permitted(found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Forbidden> {
    let mut usable = Vec::new();
    let mut refused = None;
    for address in found {
        match check(address.ip()) {
            Ok(()) => usable.push(address),
            Err(forbidden) => refused = Some(forbidden),
        }
    }
    match refused {
        Some(forbidden) if usable.is_empty() => Err(forbidden),
        _ => Ok(usable),
    }
}

/// The system's resolver, whose answers are checked; the connection is made to what was checked, so a second answer
/// changes nothing.
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(permitted(found)?.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_refused_however_spelled() {
        for url in [
            "http://169.254.169.254/latest/meta-data",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.1/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[::169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fe80::1]/",
            "http://[febf::1]/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200/",
            "http://192.0.0.192/",
        ] {
            let url = Url::parse(url).expect("a url");
            assert!(check_url(&url).is_err(), "{url}");
        }
    }

    #[test]
    fn other_addresses_pass() {
        for url in [
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://10.0.0.7/",
            "http://[fd00::1]/",
            "http://[fec0::1]/",
            "http://example.org/",
        ] {
            assert_eq!(check_url(&Url::parse(url).expect("a url")), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_name_that_resolves_to_forbidden_addresses_only_is_refused() {
        let bad: SocketAddr = "169.254.169.254:0".parse().expect("an address");
        let good: SocketAddr = "10.0.0.7:0".parse().expect("an address");
        assert!(permitted([bad].into_iter()).is_err());
        assert_eq!(permitted([bad, good].into_iter()), Ok(vec![good]));
        assert_eq!(permitted(std::iter::empty()), Ok(vec![]));
    }
}
