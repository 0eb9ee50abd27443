//! Names of hosts, users, files, nodes and places.
//!
//! Does not look anything up: a name that is well-formed may still lead nowhere.

use std::fmt;
use std::net::Ipv6Addr;

use super::{Value, parsed_from_text};

/// Declares a name with the condition under which it is right.
macro_rules! names {
    ($($(#[doc = $doc:literal])+ $name:ident, $right:path, $expects:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Value for $name {
            fn expects() -> String {
                $expects.to_owned()
            }

            fn parse(text: &str) -> Option<Self> {
                let text = text.trim();
                $right(text).then(|| Self(text.to_owned()))
            }

            fn render(&self) -> String {
                self.0.clone()
            }
        }
        parsed_from_text!($name);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

names! {
    /// Name or address of a server, without scheme and port.
    Host, is_host, "a host name or an IP address, without scheme and port";
    /// User of a server's access list.
    User, is_user, "a user's name without blanks";
    /// Name under which Sentinel watches a master.
    MasterName, is_name, NAME;
    /// Path of a file.
    FilePath, is_path, "the path of a file";
    /// Identity of a node.
    NodeId, is_name, NAME;
    /// A region, such as `us-east`.
    Region, is_name, NAME;
    /// A datacenter.
    Datacenter, is_name, NAME;
    /// A rack in a datacenter.
    Rack, is_name, NAME;
    /// An availability zone of a region.
    AvailabilityZone, is_name, NAME;
    /// How far regions are from each other.
    RegionDistances, are_distances, "pairs of regions with a whole number, such as us-east/us-west=60, us-east/europe=80";
}

/// Narrow enough to stand unescaped in a key, a channel, a log line and a metric label.
const NAME: &str = "1 to 64 letters, digits, '.', '_' or '-'";

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(is_name_character)
}

fn are_distances(text: &str) -> bool {
    text.split(',').all(|pair| {
        let parts = pair
            .split_once('=')
            .and_then(|(regions, distance)| Some((regions.split_once('/')?, distance)));
        parts.is_some_and(|((one, other), distance)| {
            is_name(one.trim()) && is_name(other.trim()) && distance.trim().parse::<u32>().is_ok()
        })
    })
}

/// 253 characters is the longest name that the domain name system can carry.
fn is_host(text: &str) -> bool {
    let named = (1..=253).contains(&text.len()) && text.chars().all(is_name_character);
    named || text.parse::<Ipv6Addr>().is_ok()
}

fn is_user(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}
