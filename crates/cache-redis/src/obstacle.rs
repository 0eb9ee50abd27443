//! Why a server cannot be talked to, in words: what stands between the settings and whatever answers there.
//!
//! It changes nothing and sends nothing that a server would obey: it listens to what is said first.

use std::fmt;
use std::time::Duration;

use redis::RedisError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Address, Settings};

/// What stands in the way. It is the source of the error of [`RedisTier::check`](crate::RedisTier::check), where it can be told.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Obstacle {
    /// A password is asked for, and the settings have none: those of Sentinel, or those of the servers.
    NoPassword {
        /// Whether a sentinel asks for it.
        sentinel: bool,
    },
    /// The user and password of the settings are not accepted.
    OtherPassword {
        /// Whether a sentinel does not accept them.
        sentinel: bool,
    },
    /// The settings ask for TLS, and the port speaks clear text.
    ClearText,
    /// The settings ask for clear text, and the port speaks TLS.
    Encrypted,
    /// The server refuses whatever it is asked, as one that has too many clients.
    Refuses {
        /// Its first error.
        said: String,
    },
    /// What answers is no Redis.
    Stranger {
        /// What it said first.
        said: String,
    },
}

impl Obstacle {
    /// What stands in the way, if an error has it as its source.
    #[must_use]
    pub fn behind(error: &dyn std::error::Error) -> Option<&Self> {
        error.source()?.downcast_ref()
    }

    /// What the error of a server says by its code.
    pub(crate) fn of(error: &RedisError, sentinel: bool) -> Option<Self> {
        match error.code()? {
            "NOAUTH" => Some(Self::NoPassword { sentinel }),
            "WRONGPASS" => Some(Self::OtherPassword { sentinel }),
            _ => None,
        }
    }

    /// What can be heard at an address where talking failed; `None` when that tells nothing.
    pub(crate) async fn heard(settings: &Settings, address: &Address) -> Option<Self> {
        let address = settings.reached_at.get(address).unwrap_or(address);
        let said = hear(address, PING).await?;
        let encrypted = match said.is_empty() {
            // One that speaks TLS alone hangs up on anything else.
            true => hear(address, HELLO_OF_TLS)
                .await
                .is_some_and(|said| is_tls(&said)),
            false => is_tls(&said),
        };
        Self::judge(&said, encrypted, settings.tls.is_some())
    }

    fn judge(said: &[u8], encrypted: bool, with_tls: bool) -> Option<Self> {
        let is_redis = said.starts_with(b"+PONG") || said.starts_with(b"-NOAUTH");
        match with_tls {
            true if is_redis || said.starts_with(b"-") => Some(Self::ClearText),
            true => None,
            false if encrypted => Some(Self::Encrypted),
            false if is_redis || said.is_empty() => None,
            false => Some(match said.strip_prefix(b"-") {
                Some(error) => Self::Refuses { said: line(error) },
                None => Self::Stranger { said: line(said) },
            }),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |sentinel: bool| if sentinel { "Sentinel" } else { "the server" };
        match self {
            Self::NoPassword { sentinel } => {
                write!(f, "{} asks for a password, and none is set", who(*sentinel))
            }
            Self::OtherPassword { sentinel } => {
                write!(f, "{} does not accept this user and password", who(*sentinel))
            }
            Self::ClearText => f.write_str("TLS is asked for, and this port speaks clear text"),
            Self::Encrypted => f.write_str("this port speaks TLS, and TLS is not asked for"),
            Self::Refuses { said } => write!(f, "the server refuses: {said}"),
            Self::Stranger { said } => write!(f, "what answers there is no Redis; it said {said:?}"),
        }
    }
}

impl std::error::Error for Obstacle {}

/// Understood by every Redis, whoever asks; other servers complain in their own words.
const PING: &[u8] = b"PING\r\n";

/// The beginning of a conversation in TLS that breaks off: whoever speaks it complains in TLS.
const HELLO_OF_TLS: &[u8] = &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0];

fn is_tls(said: &[u8]) -> bool {
    matches!(said, [0x15 | 0x16, 3, ..])
}

/// A server that says nothing for so long has nothing to say.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is said first: nothing, when it hangs up or stays silent. `None` when nobody is there.
async fn hear(address: &Address, word: &[u8]) -> Option<Vec<u8>> {
    let connecting = TcpStream::connect((address.host.as_str(), address.port));
    let mut wire = timeout(PATIENCE, connecting).await.ok()?.ok()?;
    let mut said = vec![0; 512];
    let heard = async {
        wire.write_all(word).await?;
        wire.read(&mut said).await
    };
    let length = timeout(PATIENCE, heard)
        .await
        .map_or(0, Result::unwrap_or_default);
    said.truncate(length);
    Some(said)
}

/// The first line, as far as it can be printed.
fn line(said: &[u8]) -> String {
    const MOST: usize = 160;
    let line = said.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let printable = text.trim().chars().filter(|c| !c.is_control());
    printable.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that says this to whoever comes, and hangs up.
    async fn saying(words: &'static [u8]) -> Address {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        tokio::spawn(async move {
            while let Ok((mut wire, _)) = listener.accept().await {
                let mut asked = [0; 64];
                let _ = wire.read(&mut asked).await;
                let _ = wire.write_all(words).await;
            }
        });
        Address::new("127.0.0.1", port)
    }

    async fn heard(words: &'static [u8]) -> Option<Obstacle> {
        let address = saying(words).await;
        Obstacle::heard(&Settings::at("127.0.0.1", address.port), &address).await
    }

    #[tokio::test]
    async fn a_server_that_is_no_redis_is_shown_by_what_it_says_first() {
        for (words, shown) in [
            (
                &b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n"[..],
                "HTTP/1.1 400 Bad Request",
            ),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH-2.0-OpenSSH_9.2p1"),
            (b"ERROR\r\n", "ERROR"),
        ] {
            let said = shown.to_owned();
            assert_eq!(heard(words).await, Some(Obstacle::Stranger { said }));
        }
        let said = "DENIED Redis is running in protected mode".to_owned();
        let denied = heard(b"-DENIED Redis is running in protected mode\r\n").await;
        assert_eq!(denied, Some(Obstacle::Refuses { said }));
    }

    #[tokio::test]
    async fn encryption_on_one_side_alone_is_told_from_the_first_bytes() {
        assert_eq!(heard(&[0x15, 3, 3, 0, 2, 2, 50]).await, Some(Obstacle::Encrypted));
        let address = saying(b"-NOAUTH Authentication required.\r\n").await;
        let mut settings = Settings::at("127.0.0.1", address.port);
        assert_eq!(
            Obstacle::heard(&settings, &address).await,
            None,
            "its code tells it"
        );
        settings.tls = Some(crate::Tls::default());
        assert_eq!(
            Obstacle::heard(&settings, &address).await,
            Some(Obstacle::ClearText)
        );
    }

    #[tokio::test]
    async fn who_says_nothing_and_who_is_not_there_are_not_judged() {
        assert_eq!(heard(b"").await, None);
        let nobody = Address::new("127.0.0.1", 1);
        assert_eq!(
            Obstacle::heard(&Settings::at("127.0.0.1", 1), &nobody).await,
            None
        );
    }

    #[test]
    fn what_cannot_be_printed_is_left_out_and_the_rest_is_cut() {
        assert_eq!(line(b"\x1b[31mred\x07\r\nmore"), "[31mred");
        assert_eq!(line(&[b'x'; 500]).len(), 160);
    }
}
