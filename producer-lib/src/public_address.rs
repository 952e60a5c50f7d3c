//! Which addresses belong to the public internet.
//!
//! Customers choose where webhooks go, so a URL must never reach the fleet's own network (server-side request
//! forgery). An address passes only if it is globally routable, and an IPv6 address that embeds an IPv4 one is judged
//! by both: transition forms are the usual way around such guards.
//! Ranges: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and successors).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Name of the range that an address was refused for.
pub type Range = &'static str;

/// Refused IPv4 ranges: network, prefix length, name.
const V4: &[(Ipv4Addr, u32, Range)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network (0.0.0.0/8)"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private network (10.0.0.0/8)"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "a carrier's network (100.64.0.0/10)"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "this machine (127.0.0.0/8)"),
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a cloud's metadata service"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local addresses (169.254.0.0/16)"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private network (172.16.0.0/12)"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments (192.0.0.0/24)"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation addresses (192.0.2.0/24)"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relays (192.88.99.0/24)"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private network (192.168.0.0/16)"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmark networks (198.18.0.0/15)"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation addresses (198.51.100.0/24)"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation addresses (203.0.113.0/24)"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast (224.0.0.0/4)"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved addresses (240.0.0.0/4)"),
];

/// Refused ranges inside `2000::/3`, the only part of IPv6 that is routed globally.
const V6: &[(Ipv6Addr, u32, Range)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol assignments and Teredo (2001::/23)"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation addresses (2001:db8::/32)"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation addresses (3fff::/20)"),
];

/// `Ok` when the address is on the public internet, otherwise the range that it lies in.
///
/// ```
/// use flota_producer::public_address::check;
///
/// assert!(check("93.184.215.14".parse().unwrap()).is_ok());
/// assert!(check("::ffff:10.0.0.1".parse().unwrap()).is_err());
/// ```
pub fn check(address: IpAddr) -> Result<(), Range> {
    match address {
        IpAddr::V4(address) => check_v4(address),
        IpAddr::V6(address) => check_v6(address),
    }
}

fn check_v4(address: Ipv4Addr) -> Result<(), Range> {
    let inside = |network: Ipv4Addr, bits: u32| (u32::from(address) ^ u32::from(network)) >> (32 - bits) == 0;
    V4.iter().find(|(network, bits, _)| inside(*network, *bits)).map_or(Ok(()), |(_, _, name)| Err(*name))
}

fn check_v6(address: Ipv6Addr) -> Result<(), Range> {
    if address.is_loopback() || address.is_unspecified() {
        return Err("this machine (::1)");
    }
    let segments = address.segments();
    if let Some(embedded) = embedded_v4(segments) {
        check_v4(embedded)?;
    }
    let mapped = address.to_ipv4_mapped().is_some();
    let translated = segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    if mapped || translated {
        return Ok(());
    }
    if segments[0] >> 13 != 1 {
        return Err("IPv6 addresses that are not routed globally (outside 2000::/3)");
    }
    let inside =
        |network: Ipv6Addr, bits: u32| (u128::from(address) ^ u128::from(network)) >> (128 - bits) == 0;
    V6.iter().find(|(network, bits, _)| inside(*network, *bits)).map_or(Ok(()), |(_, _, name)| Err(*name))
}

/// The IPv4 address inside the forms that carry one: mapped, compatible, NAT64, 6to4, ISATAP.
fn embedded_v4(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0x64, 0xff9b, _, _, _, _, high, low]
        | [0x2002, high, low, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_pass() {
        for text in [
            "1.1.1.1",
            "93.184.215.14",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert_eq!(check(text.parse().unwrap()), Ok(()), "{text}");
        }
    }

    #[test]
    fn internal_addresses_are_refused_by_range() {
        let refused = [
            "0.0.0.0",
            "10.255.255.255",
            "100.64.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:169.254.169.254",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:a00:1::1",
            "2001:0:1::1",
            "fe80::5efe:a00:1",
            "2600::5efe:7f00:1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "100::1",
        ];
        for text in refused {
            assert!(check(text.parse().unwrap()).is_err(), "{text} was accepted");
        }
    }
}
