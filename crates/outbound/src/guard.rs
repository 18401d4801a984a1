//! Keeps requests to URLs that a tenant gave away from private addresses: checked when the name is resolved for the
//! connection, so that a name cannot change its meaning in between.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};

/// Resolves names to public addresses only.
#[derive(Debug)]
pub(crate) struct PublicOnly;

#[derive(Debug, thiserror::Error)]
#[error("{0} is or resolves to a private address, which what a project names may not have")]
struct PrivateAddress(String);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if found.iter().any(|address| is_private(address.ip())) {
                return Err(PrivateAddress(host).into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// A client that resolves to public addresses only, where `settings` are shared with the other one.
pub fn guarded(settings: reqwest::ClientBuilder) -> reqwest::Result<Client> {
    settings.dns_resolver(PublicOnly).build()
}

/// Why a tenant may not have this URL; addresses that are written out are never resolved, so they are checked here.
pub fn problem_of(url: &Url) -> Option<String> {
    if url.scheme() != "https" {
        return Some("use https".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("leave user and password out".to_owned());
    }
    let literal = url
        .host_str()
        .map(|host| host.trim_matches(['[', ']']).to_owned());
    let Some(host) = literal else {
        return Some("name a host".to_owned());
    };
    match host.parse::<IpAddr>() {
        Ok(address) if is_private(address) => Some(PrivateAddress(host).to_string()),
        Err(_) if host == "localhost" || host.ends_with(".localhost") => {
            Some(PrivateAddress(host).to_string())
        }
        _ => None,
    }
}

/// Whether an address is not on the public internet (IANA special-purpose registries).
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => is_private_v4(inner),
            None => is_private_v6(address),
        },
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        // Shared address space of providers (RFC 6598), protocol assignments (RFC 6890), benchmarks (RFC 2544).
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        // Unique local (RFC 4193), link-local, the old site-local, documentation (RFC 3849).
        || first & 0xfe00 == 0xfc00
        || first & 0xffc0 == 0xfe80
        || first & 0xffc0 == 0xfec0
        || (first == 0x2001 && second == 0x0db8)
}

/// The IPv4 address inside an IPv6 one: mapped, compatible, NAT64 (RFC 6052) or 6to4 (RFC 3056).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(v4(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known_in_every_disguise() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "::127.0.0.1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn urls_that_lead_inside_are_refused() {
        for url in [
            "http://api.openai.com/v1",
            "https://127.0.0.1/v1",
            "https://[::1]/v1",
            "https://localhost/v1",
            "https://me:secret@api.openai.com/v1",
            // The URL parser turns other spellings of addresses into the usual one.
            "https://0x7f000001/v1",
            "https://2130706433/v1",
        ] {
            assert!(problem_of(&Url::parse(url).unwrap()).is_some(), "{url}");
        }
        assert!(problem_of(&Url::parse("https://api.openai.com/v1").unwrap()).is_none());
    }

    #[tokio::test]
    async fn a_name_that_resolves_inside_is_refused_when_connecting() {
        let client = guarded(Client::builder().no_proxy()).unwrap();
        let error = client.get("http://localhost:9/").send().await.unwrap_err();
        assert!(format!("{error:?}").contains("PrivateAddress"), "{error:?}");
    }
}
