//! What is said first on every connection: our name, and who the server is.
//!
//! A server is known by what changes when its history may: its run and its replication history, not by its address. What a
//! connection counts by later is in `identity`.

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{RedisError, RedisResult, Value};

use crate::Settings;

/// How the server takes events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Publishing {
    /// By sharded channels: in a cluster, only the servers of the shard carry them.
    Sharded,
    /// By plain channels, where the server knows no others.
    Plain,
}

impl Publishing {
    pub(crate) const fn publish(self) -> &'static str {
        match self {
            Self::Sharded => "SPUBLISH",
            Self::Plain => "PUBLISH",
        }
    }

    pub(crate) const fn subscribe(self) -> &'static str {
        match self {
            Self::Sharded => "SSUBSCRIBE",
            Self::Plain => "SUBSCRIBE",
        }
    }
}

/// What a server said about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Greeting {
    /// The process.
    pub(crate) run: u64,
    /// The replication history it is in.
    pub(crate) history: u64,
    pub(crate) takes_writes: bool,
    /// Whether it is one of a cluster; `None` when it does not say.
    pub(crate) clustered: Option<bool>,
    pub(crate) publishing: Publishing,
}

impl Greeting {
    pub(crate) async fn exchange(wire: &mut MultiplexedConnection, settings: &Settings) -> RedisResult<Self> {
        let mut words = redis::pipe();
        words.cmd("INFO").arg("server");
        words.cmd("INFO").arg("replication");
        words.cmd("COMMAND").arg("INFO").arg("ssubscribe").arg("spublish");
        words.cmd("CLIENT").arg("SETNAME").arg(&settings.client_name);
        let answers = wire.req_packed_commands(&words, 0, 4).await?;
        let answers: Vec<_> = answers.into_iter().map(Value::extract_error).collect();
        let Ok::<[_; 4], _>([server, replication, commands, named]) = answers.try_into() else {
            return Err(unreadable("the greeting has four answers", ""));
        };
        // Who the server is, we must know. The rest is a convenience, which a user's rights or a renamed command may refuse.
        let (server, replication) = (server?, replication?);
        if let Err(refused) = named {
            tracing::debug!(%refused, "the server does not take our name, and is used without");
        }
        let (server, replication) = (text(&server)?, text(&replication)?);
        Ok(Self {
            run: identity(&server, "run_id")?,
            history: identity(&replication, HISTORY)?,
            clustered: clustered(&server),
            takes_writes: field(&replication, "role")? == "master",
            publishing: publishing(commands, &server),
        })
    }
}

/// Redis and Valkey have a word each for it.
fn clustered(server: &str) -> Option<bool> {
    let mode = field(server, "redis_mode").or_else(|_| field(server, "server_mode"));
    mode.ok().map(|mode| mode == "cluster")
}

/// The field of `INFO replication` that names the replication history.
pub(crate) const HISTORY: &str = "master_replid";

/// The first 64 bits of an identity: each is random, and two need only differ.
pub(crate) fn identity(info: &str, name: &str) -> RedisResult<u64> {
    let digits = field(info, name)?.get(..16);
    digits
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| unreadable("INFO tells identities of 40 digits", name))
}

/// Whether the server has both commands of sharded channels. Where it does not tell, its version does.
fn publishing(commands: RedisResult<Value>, server: &str) -> Publishing {
    let known = |value: &Value| matches!(value, Value::Array(details) if !details.is_empty());
    let sharded = match &commands {
        Ok(Value::Array(commands)) if commands.len() == 2 => commands.iter().all(known),
        _ => is_new(server),
    };
    match sharded {
        true => Publishing::Sharded,
        false => Publishing::Plain,
    }
}

/// Whether it is of version 7.0 or newer, by its own account.
fn is_new(server: &str) -> bool {
    let version = field(server, "redis_version").unwrap_or_default();
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= 7)
}

/// The text of an `INFO` answer.
pub(crate) fn text(info: &Value) -> RedisResult<String> {
    redis::from_redis_value_ref(info).map_err(RedisError::from)
}

/// One field of an `INFO` text.
pub(crate) fn field<'i>(info: &'i str, name: &str) -> RedisResult<&'i str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
        .ok_or_else(|| unreadable("INFO lacks a field", name))
}

fn unreadable(what: &'static str, which: &str) -> RedisError {
    RedisError::from((redis::ErrorKind::UnexpectedReturnType, what, which.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let info = "# Replication\r\nrole:master\r\nmaster_replid2:00\r\nmaster_replid:ab\r\n";
        assert_eq!(field(info, "role").expect("a role"), "master");
        assert_eq!(field(info, "master_replid").expect("an identity"), "ab");
        assert!(field(info, "run_id").is_err());
    }

    #[test]
    fn a_server_says_whether_it_is_one_of_a_cluster_in_one_of_two_words_or_not_at_all() {
        assert_eq!(clustered("redis_mode:cluster\r\n"), Some(true));
        assert_eq!(clustered("server_mode:standalone\r\n"), Some(false));
        assert_eq!(clustered("run_id:0\r\n"), None);
    }

    #[test]
    fn a_server_that_lacks_one_of_the_two_commands_takes_plain_events() {
        let known = Value::Array(vec![Value::BulkString(b"ssubscribe".to_vec())]);
        let both = Value::Array(vec![known.clone(), known.clone()]);
        let new = "redis_version:7.2.4\r\n";
        assert_eq!(publishing(Ok(both), ""), Publishing::Sharded);
        let one = Value::Array(vec![known, Value::Nil]);
        assert_eq!(publishing(Ok(one), new), Publishing::Plain);
    }

    #[test]
    fn a_server_that_does_not_tell_its_commands_is_believed_by_its_version() {
        let refused = || Err(redis::make_extension_error("NOPERM".to_owned(), None));
        for (told, expected) in [
            ("redis_version:7.0.15\r\n", Publishing::Sharded),
            ("redis_version:6.2.14\r\n", Publishing::Plain),
            ("run_id:0\r\n", Publishing::Plain),
        ] {
            assert_eq!(publishing(refused(), told), expected, "{told}");
        }
    }

    #[test]
    fn a_field_that_is_missing_is_named() {
        let refused = field("role:master\r\n", "run_id").expect_err("it is not told");
        assert!(refused.to_string().contains("run_id"), "{refused}");
    }
}
