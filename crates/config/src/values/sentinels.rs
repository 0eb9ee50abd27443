//! Where sentinels are: one or several hosts with their ports, in one value.
//!
//! Does not look anything up: a sentinel that is named may be down, and another answers in its place.

use std::net::Ipv6Addr;
use std::num::NonZeroU16;

use super::{Host, Value, parsed_from_text};

/// Hosts and ports of sentinels.
///
/// ```
/// let sentinels: config::Sentinels = "10.0.0.1, 10.0.0.2:5000, [::1]:26379".parse()?;
/// let addresses: Vec<_> = sentinels.addresses().collect();
/// assert_eq!(addresses, [("10.0.0.1", 26379), ("10.0.0.2", 5000), ("::1", 26379)]);
/// # Ok::<(), config::Refused>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sentinels(Vec<(Host, NonZeroU16)>);

impl Sentinels {
    /// Each host with its port, in the order in which they were named; at least one.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, u16)> {
        self.0.iter().map(|(host, port)| (host.as_str(), port.get()))
    }
}

impl Value for Sentinels {
    fn expects() -> String {
        "hosts, each with a port unless it is 26379, such as 10.0.0.1:26379,10.0.0.2:26379".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        text.split(',')
            .map(|one| address(one.trim()))
            .collect::<Option<_>>()
            .map(Self)
    }

    fn render(&self) -> String {
        let addresses = self.addresses().map(|(host, port)| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        });
        addresses.collect::<Vec<_>>().join(",")
    }
}
parsed_from_text!(Sentinels);

/// An IPv6 address stands in brackets if a port follows.
fn address(text: &str) -> Option<(Host, NonZeroU16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host.parse::<Ipv6Addr>().is_ok().then_some(host)?, None),
        Some((host, port)) => (
            host.parse::<Ipv6Addr>().is_ok().then_some(host)?,
            Some(port.strip_prefix(':')?),
        ),
        None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => NonZeroU16::parse(port),
        // Sentinel's own default.
        None => NonZeroU16::new(26_379),
    };
    Some((Host::parse(host)?, port?))
}
