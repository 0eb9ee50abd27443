//! One writer of one shard's history: short words for the calls that tests make over and over.
//!
//! It expects to be the only adopter and panics at anything but success; what may be refused is `attempt`ed.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{
    Adopted, Adoption, Barrier, CacheKey, Change, Entropy, EventId, Expect, FillBegun, FillCommitted,
    FillToken, Head, Lineage, NewRecord, Op, Propagation, ReadFrom, Record, Reply, Seq, Shard, SharedStore,
    SystemEntropy, Write, Written,
};

/// The life of everything a scribe writes: longer than any test.
const TTL: Duration = Duration::from_secs(600);

/// A writer of one shard.
pub struct Scribe {
    store: Arc<dyn SharedStore>,
    shard: Shard,
    lineage: Lineage,
    ids: SystemEntropy,
}

impl Scribe {
    /// Creates the first head of a shard, in lineage 1.
    pub async fn create(store: &Arc<dyn SharedStore>, shard: Shard) -> Self {
        Self::adopt(store, shard, None, Lineage(1), Seq::ZERO).await
    }

    /// Starts the next lineage of the shard.
    pub async fn succeed(&self, hint: Seq) -> Self {
        let next = Lineage(self.lineage.0 + 1);
        Self::adopt(&self.store, self.shard, Some(self.lineage), next, hint).await
    }

    async fn adopt(
        store: &Arc<dyn SharedStore>,
        shard: Shard,
        from: Option<Lineage>,
        to: Lineage,
        hint: Seq,
    ) -> Self {
        let scribe = Self::believing(store, shard, to);
        let adoption = Adoption {
            shard,
            from,
            to,
            hint,
            id: scribe.next_id(),
        };
        let reply = store.adopt(adoption).await.expect("an adoption is answered");
        assert_eq!(reply.answer, Some(Adopted::Won), "nobody else adopts {shard}");
        scribe
    }

    /// A writer that takes it for granted that the shard is in this lineage.
    pub fn believing(store: &Arc<dyn SharedStore>, shard: Shard, lineage: Lineage) -> Self {
        let seed = (lineage.0 << 32) ^ shard.index() as u64 ^ ((shard.lane().index() as u64) << 16);
        Self {
            store: Arc::clone(store),
            shard,
            lineage,
            ids: SystemEntropy::seeded(seed),
        }
    }

    /// The shard.
    pub const fn shard(&self) -> Shard {
        self.shard
    }

    /// The lineage the scribe writes in.
    pub const fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Sets a key for ten minutes; events carry only the key.
    pub async fn set(&self, key: &CacheKey, body: &Arc<[u8]>) -> Head {
        self.write(Op::Change(vec![Self::setting(key, body)])).await
    }

    /// Deletes a key.
    pub async fn delete(&self, key: &CacheKey) -> Head {
        self.write(Op::Change(vec![Self::deletion(key)])).await
    }

    /// Flushes the shard.
    pub async fn flush(&self) -> Head {
        self.write(Op::Flush).await
    }

    /// Raises a barrier.
    pub async fn raise(&self, barrier: &Barrier) -> Head {
        self.write(Op::Raise(barrier.clone())).await
    }

    /// Announces bytes.
    pub async fn announce(&self, bytes: &[u8]) -> Head {
        self.write(Op::Announce(bytes.into())).await
    }

    /// Takes a step that must succeed, and returns the head that it made.
    pub async fn write(&self, op: Op) -> Head {
        let reply = self.attempt(op).await;
        assert_eq!(
            reply.answer,
            Some(Written::Done),
            "{} refuses a write",
            self.shard
        );
        reply.head.expect("a write that is done has a head")
    }

    /// Takes a step that may be refused.
    pub async fn attempt(&self, op: Op) -> Reply<Written> {
        let write = self.step(op);
        self.store.write(write).await.expect("a write is answered")
    }

    /// The next step, not yet taken.
    pub fn step(&self, op: Op) -> Write {
        Write {
            shard: self.shard,
            lineage: self.lineage,
            id: self.next_id(),
            op,
        }
    }

    /// A change that sets a key for ten minutes, whatever is there; events carry only the key.
    pub fn setting(key: &CacheKey, body: &Arc<[u8]>) -> Change {
        Change {
            record: Some(Self::lasting(body)),
            ..Self::deletion(key)
        }
    }

    /// A change that deletes a key, whatever is there.
    pub fn deletion(key: &CacheKey) -> Change {
        Change {
            key: key.clone(),
            record: None,
            expect: Expect::Any,
            propagation: Propagation::Invalidate,
        }
    }

    /// A record that lives ten minutes.
    pub fn lasting(body: &Arc<[u8]>) -> NewRecord {
        NewRecord {
            body: Arc::clone(body),
            ttl: TTL,
        }
    }

    /// The live record of a key, from the primary.
    pub async fn record(&self, key: &CacheKey) -> Option<Record> {
        self.read(std::slice::from_ref(key)).await.remove(0)
    }

    /// The live records of some keys, from the primary.
    pub async fn read(&self, keys: &[CacheKey]) -> Vec<Option<Record>> {
        let reply = self.store.read(self.shard, keys, ReadFrom::Primary).await;
        let reply = reply.expect("a read is answered");
        reply.answer.expect("a shard with a head can be read")
    }

    /// The shard's head.
    pub async fn head(&self) -> Option<Head> {
        let reply = self.store.read(self.shard, &[], ReadFrom::Primary).await;
        reply.expect("a read is answered").head
    }

    /// Asks for the right to fill a key whose record, if any, is good enough.
    pub async fn begin_fill(&self, key: &CacheKey, token: u64, lease: Duration) -> FillBegun {
        self.begin_fill_newer_than(key, Seq::ZERO, token, lease).await
    }

    /// Asks for the right to fill a key whose record up to a version is no good.
    pub async fn begin_fill_newer_than(
        &self,
        key: &CacheKey,
        newer_than: Seq,
        token: u64,
        lease: Duration,
    ) -> FillBegun {
        let token = FillToken(token);
        let begun = self
            .store
            .begin_fill(self.shard, key, newer_than, self.lineage, token, lease);
        let reply = begun.await.expect("the beginning of a fill is answered");
        reply
            .answer
            .expect("a fill in the shard's lineage is not refused")
    }

    /// Ends a fill with a value that lives ten minutes, or without one.
    pub async fn commit_fill(
        &self,
        key: &CacheKey,
        token: u64,
        body: Option<&Arc<[u8]>>,
    ) -> Reply<FillCommitted> {
        let (token, record) = (FillToken(token), body.map(Self::lasting));
        let committed = self
            .store
            .commit_fill(self.shard, key, self.lineage, token, record);
        committed.await.expect("the end of a fill is answered")
    }

    fn next_id(&self) -> EventId {
        EventId(self.ids.draw())
    }
}

impl std::fmt::Debug for Scribe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scribe")
            .field("shard", &self.shard)
            .field("lineage", &self.lineage)
            .finish_non_exhaustive()
    }
}
