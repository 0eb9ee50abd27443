//! The scripts that run inside the server: one atomic step each, with the digest they are called by.
//!
//! What they are given is packed beforehand and what they answer is unpacked afterwards; they only decide and store.

use redis::Cmd;

/// A script.
#[derive(Debug)]
pub(crate) struct Script {
    source: &'static str,
    digest: String,
}

impl Script {
    fn new(source: &'static str) -> Self {
        let digest = redis::Script::new(source).get_hash().to_owned();
        Self { source, digest }
    }

    /// A call by digest: a few dozen bytes instead of the source.
    pub(crate) fn by_digest(&self, keys: &[Vec<u8>], arguments: &[Vec<u8>]) -> Cmd {
        call("EVALSHA", self.digest.as_bytes(), keys, arguments)
    }

    /// A call with the source, for a server that does not know the digest; it does afterwards.
    pub(crate) fn by_source(&self, keys: &[Vec<u8>], arguments: &[Vec<u8>]) -> Cmd {
        call("EVAL", self.source.as_bytes(), keys, arguments)
    }
}

fn call(command: &str, script: &[u8], keys: &[Vec<u8>], arguments: &[Vec<u8>]) -> Cmd {
    let size = keys.iter().chain(arguments).map(Vec::len).sum::<usize>();
    let mut call = Cmd::with_capacity(keys.len() + arguments.len() + 3, size + script.len() + 16);
    call.arg(command).arg(script).arg(keys.len());
    for word in keys.iter().chain(arguments) {
        call.arg(word.as_slice());
    }
    call
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) write: Script,
    pub(crate) begin_fill: Script,
    pub(crate) commit_fill: Script,
    pub(crate) adopt: Script,
    pub(crate) barriers: Script,
    pub(crate) replay: Script,
    pub(crate) rights: Script,
    pub(crate) reshard: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            write: Script::new(concat!(
                include_str!("script/prelude.lua"),
                include_str!("script/write.lua")
            )),
            begin_fill: Script::new(concat!(
                include_str!("script/prelude.lua"),
                include_str!("script/begin_fill.lua")
            )),
            commit_fill: Script::new(concat!(
                include_str!("script/prelude.lua"),
                include_str!("script/commit_fill.lua")
            )),
            adopt: Script::new(concat!(
                include_str!("script/prelude.lua"),
                include_str!("script/adopt.lua")
            )),
            barriers: Script::new(concat!(
                include_str!("script/prelude.lua"),
                include_str!("script/barriers.lua")
            )),
            replay: Script::new(include_str!("script/replay.lua")),
            rights: Script::new(include_str!("script/rights.lua")),
            reshard: Script::new(include_str!("script/reshard.lua")),
        }
    }
}
