//! What the nodes are asked for: reads by one key and by many, and every kind of write.
//!
//! It judges nothing: the truth does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{Clock as _, Key, Moment, Tag};
use edge_cache::{CacheError, Options, Receipt, TierUse};
use rand::Rng;
use rand::rngs::SmallRng;

use super::run::{BULK, CRITICAL, World};
use super::scenario::{Load, TIMING};
use crate::Node;

/// Reads that a reader makes one after the other before it rests: what memory answers takes no time at all.
const BURST: usize = 8;

impl World {
    pub(super) async fn keep_reading(self: Arc<Self>, index: usize, end: Moment, mut rng: SmallRng) {
        while self.clock.now() < end {
            if self.load == Load::Everything && rng.random_ratio(1, 5) {
                self.read_many(index, rng.random_range(0..self.keys.len())).await;
            }
            for _read in 0..BURST {
                let key = rng.random_range(0..self.keys.len());
                self.read(index, key, &mut rng).await;
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(1..6))).await;
        }
    }

    async fn read(&self, index: usize, key: usize, rng: &mut SmallRng) {
        let (node, process) = self.node(index);
        let begun = self.truth.begin(process, key, self.clock.now());
        let slow = Duration::from_millis(if rng.random_ratio(1, 20) {
            150
        } else {
            rng.random_range(0..8)
        });
        let fails = self.load == Load::Stale && rng.random_ratio(1, 3);
        let passes_by = self.load == Load::Refreshes && rng.random_ratio(1, 3);
        let (truth, tag) = (Arc::clone(&self.truth), self.tags[key].clone());
        let loader = move |_| {
            // The worst moment to read the source: right at the start.
            let load = loaded(tag.as_ref(), truth.value(key));
            async move {
                tokio::time::sleep(slow).await;
                match fails {
                    true => Err(std::io::Error::other("the source is down")),
                    false => Ok(load),
                }
            }
        };
        let options = match passes_by {
            true => Options::default().with_l1(TierUse::Skip),
            false => Options::default(),
        };
        let answer = match self.load {
            Load::Stored => node.get(&self.keys[key]).await,
            _ => node.get_or_load_with(&self.keys[key], options, loader).await,
        };
        // A read that fails in an outage broke no promise.
        if let Ok(Some(value)) = answer {
            let (tier, seq) = (value.tier(), value.version().seq);
            let now = self.clock.now();
            self.truth.trace(
                now,
                format_args!("node {index} reads key {key} = {} from {tier:?} at {seq}", *value),
            );
            self.truth.end(begun, &value, now);
        }
    }

    /// This key and its neighbours, with one call of the loader for all that are missing.
    async fn read_many(&self, index: usize, first: usize) {
        let (node, process) = self.node(index);
        // A loader of many gives its values no tags.
        let near = first..self.keys.len().min(first + 8);
        let wanted: Vec<usize> = near.filter(|key| self.tags[*key].is_none()).collect();
        let begun: Vec<_> = wanted
            .iter()
            .map(|key| self.truth.begin(process, *key, self.clock.now()))
            .collect();
        let keys: Vec<Key<u64>> = wanted.iter().map(|key| self.keys[*key].clone()).collect();
        let (truth, all) = (Arc::clone(&self.truth), self.keys.clone());
        let loader = move |missing: Vec<Key<u64>>| {
            let found: HashMap<Key<u64>, u64> = missing
                .into_iter()
                .map(|key| {
                    let index = all.iter().position(|other| *other == key).expect("one of ours");
                    (key, truth.value(index))
                })
                .collect();
            async move { Ok::<_, std::io::Error>(found) }
        };
        if let Ok(values) = node.get_or_load_many(&keys, loader).await {
            for (begun, value) in begun.into_iter().zip(values) {
                if let Some(value) = value {
                    // Each answer was given before the last of them; at the earliest when the read began.
                    self.truth.end(begun, &value, begun.at());
                }
            }
        }
    }

    pub(super) async fn keep_writing(self: Arc<Self>, index: usize, end: Moment, mut rng: SmallRng) {
        let keys = self.keys_written_by(index);
        while self.clock.now() < end && !keys.is_empty() {
            tokio::time::sleep(Duration::from_millis(rng.random_range(2..40))).await;
            let key = keys[rng.random_range(0..keys.len())];
            let value = self.truth.commit(key, self.clock.now());
            let (node, process) = self.node(index);
            let everything = self.load == Load::Everything;
            let tags = if self.load == Load::Tags { 7 } else { 3 };
            let told = match (rng.random_range(0..10), &self.tags[key]) {
                _ if self.load == Load::Stored => node.put(&self.keys[key], value).await,
                (0..2, _) => self.refresh(&node, key).await,
                (which @ 2..7, Some(tag)) if which < tags => node.invalidate_tag(tag.as_str()).await,
                (3, _) if everything => node.expire(&self.keys[key]).await,
                (4, _) if everything => node.clear(self.namespace_of(key)).await,
                (5, _) if everything && rng.random_ratio(1, 4) => node.clear_all().await,
                _ => node.invalidate(&self.keys[key]).await,
            };
            self.truth.trace(
                self.clock.now(),
                format_args!("node {index} makes key {key} = {value}: {told:?}"),
            );
            if told.is_ok() || node.invalidate(&self.keys[key]).await.is_ok() {
                self.truth.acknowledged(process, key, value, self.clock.now());
            } else {
                self.make_known(index, key, value).await;
            }
        }
    }

    /// The keys that a node writes. Those that are put have one writer each: of two, the cache could not tell whose is newer.
    fn keys_written_by(&self, index: usize) -> Vec<usize> {
        let keys = 0..self.keys.len();
        match self.load {
            Load::Stored => keys.skip(index).step_by(self.fleet.nodes.len()).collect(),
            _ => keys.collect(),
        }
    }

    /// The node shut down under its writer: what the system of record holds is made known by the next process.
    pub(super) async fn make_known(&self, index: usize, key: usize, value: u64) {
        loop {
            let (node, process) = self.node(index);
            if node.invalidate(&self.keys[key]).await.is_ok() {
                self.truth.acknowledged(process, key, value, self.clock.now());
                return;
            }
            tokio::time::sleep(TIMING.lease / 10).await;
        }
    }

    async fn refresh(&self, node: &Node, key: usize) -> Result<Receipt, CacheError> {
        let (truth, tag) = (Arc::clone(&self.truth), self.tags[key].clone());
        let loader = move |_| {
            let load = loaded(tag.as_ref(), truth.value(key));
            async move { Ok::<_, std::io::Error>(load) }
        };
        node.refresh(&self.keys[key], loader).await
    }

    fn namespace_of(&self, key: usize) -> &'static cache_core::Namespace<u64> {
        let bulk = self.keys[key].raw().namespace() == BULK.name();
        if bulk { &BULK } else { &CRITICAL }
    }
}

fn loaded(tag: Option<&Tag>, value: u64) -> edge_cache::Load<u64> {
    let load = edge_cache::Load::value(value);
    match tag {
        Some(tag) => load.with_tag(tag.as_str()),
        None => load,
    }
}
