//! The names of everything in the server: keys and channels, all of one shard under one hash tag.
//!
//! One tag is one slot of a cluster, so that a script may touch all of its shard. It reads and writes nothing.

use std::collections::HashMap;

use cache_core::{BarrierKind, CacheKey, Lane, Shard, ShardCount};

use crate::slots::slot_of;

/// The names of all shards under one prefix.
#[derive(Debug)]
pub(crate) struct Layout {
    count: ShardCount,
    pub(crate) deployment: DeploymentName,
    shards: [Vec<Names>; 2],
    channels: HashMap<Vec<u8>, Shard>,
}

/// Where the deployment's number of shards is kept. It is of no shard, and so in a slot of its own.
#[derive(Debug)]
pub(crate) struct DeploymentName {
    pub(crate) name: Vec<u8>,
    pub(crate) slot: u16,
}

/// The names of one shard.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) head: Vec<u8>,
    pub(crate) stream: Vec<u8>,
    pub(crate) channel: Vec<u8>,
    /// In a barrier shard, the barriers of each kind; else none.
    pub(crate) barriers: Vec<Vec<u8>>,
    /// Where all of these are in a cluster.
    pub(crate) slot: u16,
    tag: String,
}

impl Names {
    fn new(prefix: &str, database: u16, count: ShardCount, shard: Shard) -> Self {
        // With the number: shards of two numbers hold different keys, and share nothing.
        let inside = format!("{prefix}:{count}:{shard}");
        let tag = format!("{{{inside}}}");
        Self {
            slot: slot_of(&inside),
            head: format!("{tag}:h").into_bytes(),
            stream: format!("{tag}:e").into_bytes(),
            barriers: match shard.holds_barriers() {
                true => BarrierKind::ALL
                    .map(|kind| format!("{tag}:b:{}", kind.index()).into_bytes())
                    .into(),
                false => Vec::new(),
            },
            // Channels know no databases: without its number, two databases would hear one another.
            channel: format!("{tag}:c:{database}").into_bytes(),
            tag,
        }
    }

    /// What has no end of life and is named without a key: the head first.
    pub(crate) fn lasting(&self) -> Vec<&Vec<u8>> {
        [&self.head, &self.stream]
            .into_iter()
            .chain(&self.barriers)
            .collect()
    }

    pub(crate) fn record(&self, key: &CacheKey) -> Vec<u8> {
        self.name(":v:", key)
    }

    pub(crate) fn lease(&self, key: &CacheKey) -> Vec<u8> {
        self.name(":l:", key)
    }

    /// Made for every key of every request: put together, not formatted.
    fn name(&self, kind: &str, key: &CacheKey) -> Vec<u8> {
        [&self.tag, kind, key.as_str()].concat().into_bytes()
    }
}

impl Layout {
    pub(crate) fn new(prefix: &str, database: u16, count: ShardCount) -> Self {
        let names = |lane| {
            count
                .all(lane)
                .map(|shard| Names::new(prefix, database, count, shard))
                .collect::<Vec<_>>()
        };
        let shards = Lane::ALL.map(names);
        let channels = Lane::ALL
            .into_iter()
            .flat_map(|lane| count.all(lane))
            .map(|shard| (shards[shard.lane().index()][shard.index()].channel.clone(), shard))
            .collect();
        let inside = format!("{prefix}:layout");
        let deployment = DeploymentName {
            slot: slot_of(&inside),
            name: format!("{{{inside}}}").into_bytes(),
        };
        Self {
            count,
            deployment,
            shards,
            channels,
        }
    }

    pub(crate) const fn shards(&self) -> ShardCount {
        self.count
    }

    /// The names of every shard, with its lane.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Lane, &Names)> {
        let of = |lane: Lane| self.shards[lane.index()].iter().map(move |names| (lane, names));
        Lane::ALL.into_iter().flat_map(of)
    }

    pub(crate) fn of(&self, shard: Shard) -> &Names {
        &self.shards[shard.lane().index()][shard.index()]
    }

    pub(crate) fn shard_of_channel(&self, channel: &[u8]) -> Option<Shard> {
        self.channels.get(channel).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_a_shard_has_one_hash_tag_and_no_name_is_used_twice() {
        let layout = Layout::new("market", 0, ShardCount::DEFAULT);
        let key = CacheKey::from_wire("gpu:id=1");
        let mut all = std::collections::HashSet::new();
        for shard in Lane::ALL.into_iter().flat_map(|lane| layout.shards().all(lane)) {
            let names = layout.of(shard);
            let tag = format!("{{market:{}:{shard}}}:", layout.shards()).into_bytes();
            for name in [
                names.head.clone(),
                names.stream.clone(),
                names.channel.clone(),
                names.record(&key),
                names.lease(&key),
            ]
            .into_iter()
            .chain(names.barriers.iter().cloned())
            {
                assert!(name.starts_with(&tag), "{}", String::from_utf8_lossy(&name));
                assert!(all.insert(name));
            }
        }
    }

    #[test]
    fn a_channel_names_its_shard_and_databases_have_channels_of_their_own() {
        let (zero, one) = (
            Layout::new("market", 0, ShardCount::DEFAULT),
            Layout::new("market", 1, ShardCount::DEFAULT),
        );
        let shard = Shard::barriers(Lane::Critical);
        assert_eq!(zero.shard_of_channel(&zero.of(shard).channel), Some(shard));
        assert_eq!(zero.shard_of_channel(&one.of(shard).channel), None);
    }
}
