//! Where a server is: host and port.
//!
//! It resolves nothing: a name may mean another machine at every connection.

use std::fmt;
use std::str::FromStr;

use crate::SettingsError;

/// Host name or address of a server, and its TCP port.
///
/// ```
/// use cache_redis::Address;
///
/// let address: Address = "cache.internal:7000".parse()?;
/// assert_eq!(address, Address::new("cache.internal", 7000));
/// assert_eq!("cache.internal".parse::<Address>()?.port, Address::USUAL_PORT);
/// assert_eq!(Address::new("::1", 7000).to_string(), "[::1]:7000");
/// # Ok::<(), cache_redis::SettingsError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    /// Host name or address. Resolved anew for every connection, so that a name may move to another server.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Address {
    /// Redis's own default.
    pub const USUAL_PORT: u16 = 6379;

    /// This host and port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// What is wrong with it, as a problem of this setting.
    pub(crate) fn problem(&self, setting: &str) -> Option<String> {
        if self.host.is_empty() {
            Some(format!("{setting}: has no host; name a host or an address"))
        } else if self.port == 0 {
            Some(format!("{setting}: {self} has port 0; use 1 to 65535"))
        } else {
            None
        }
    }
}

impl FromStr for Address {
    type Err = SettingsError;

    /// Reads `host:port`, `[address]:port`, or a host alone.
    fn from_str(text: &str) -> Result<Self, SettingsError> {
        // Before an `@` stands a user's password: then the text is not repeated.
        let shown = if text.contains('@') {
            "a text with a user"
        } else {
            &format!("{text:?}")
        };
        let refused = || SettingsError::one(format!("address: {shown} is none; write host:port"));
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().map_err(|_no_port| refused())?)
            }
            _ => (text, Self::USUAL_PORT),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let address = Self::new(host, port);
        let wrong = host.contains(|c: char| !c.is_ascii_graphic() || "[]{}/@,".contains(c));
        if wrong || address.problem("address").is_some() {
            return Err(refused());
        }
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for address in [
            Address::new("127.0.0.1", 7000),
            Address::new("cache.internal", 1),
            Address::new("fe80::1", 6379),
        ] {
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn a_password_before_a_host_is_not_repeated() {
        for text in ["ada:secret@host:1", "secret@", "redis://:secret@host"] {
            let refused = text.parse::<Address>().expect_err(text).to_string();
            assert!(
                !refused.contains("secret") && refused.contains("host:port"),
                "{refused}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_would_be() {
        for text in [
            "",
            ":1",
            "host:",
            "host:port",
            "host:0",
            "user@host",
            "a,b",
            "host:70000",
        ] {
            let refused = text.parse::<Address>().expect_err(text).to_string();
            assert!(refused.contains("host:port"), "{refused}");
        }
    }
}
