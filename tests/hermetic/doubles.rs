//! A source of truth that a test can slow down, break and count, and a shared store that is watched.
//!
//! They decide nothing: what they do is set by the test.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{
    Adopted, Adoption, CacheKey, ErrorKind, FillBegun, FillCommitted, FillToken, Lineage, NewRecord, Op,
    ReadFrom, Record, Reply, Seq, Shard, SharedStore, StoreDescription, StoreError, Write, Written,
};
use edge_cache::{Load, LoadContext};
use futures_util::future::BoxFuture;

/// What the source says when it is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    Value(u64),
    ValueFor(u64, Duration),
    Tagged(u64, &'static str),
    Absent,
    AbsentFor(Duration),
    NotModified,
    Error,
    Panic,
}

/// A source of truth that holds one number. Clones are the same source.
#[derive(Clone)]
pub(crate) struct Source(Arc<Inner>);

struct Inner {
    says: Mutex<(Says, Duration)>,
    calls: AtomicUsize,
    dropped: AtomicUsize,
    previous: Mutex<Option<u64>>,
}

impl Source {
    pub(crate) fn of(value: u64) -> Self {
        Self::saying(Says::Value(value))
    }

    pub(crate) fn saying(says: Says) -> Self {
        Self(Arc::new(Inner {
            says: Mutex::new((says, Duration::ZERO)),
            calls: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            previous: Mutex::new(None),
        }))
    }

    /// Takes this long for every answer from now on.
    pub(crate) fn slow(self, delay: Duration) -> Self {
        self.0.says.lock().expect("source").1 = delay;
        self
    }

    pub(crate) fn set(&self, says: Says) {
        self.0.says.lock().expect("source").0 = says;
    }

    /// How often it was asked.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// How many of its answers were given up before they were there.
    pub(crate) fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    /// The expired value that came with the last question.
    pub(crate) fn previous(&self) -> Option<u64> {
        *self.0.previous.lock().expect("source")
    }

    /// A loader that asks this source. What it says is read when the question arrives.
    pub(crate) fn loader(
        &self,
    ) -> impl Fn(LoadContext<u64>) -> BoxFuture<'static, Result<Load<u64>, &'static str>> + Send + Sync + 'static
    {
        let source = self.clone();
        move |context| {
            source.0.calls.fetch_add(1, Ordering::SeqCst);
            *source.0.previous.lock().expect("source") = context.previous().copied();
            let (says, delay) = *source.0.says.lock().expect("source");
            let unfinished = Unfinished(Some(Arc::clone(&source.0)));
            Box::pin(async move {
                tokio::time::sleep(delay).await;
                unfinished.done();
                match says {
                    Says::Value(value) => Ok(Load::value(value)),
                    Says::ValueFor(value, ttl) => Ok(Load::value(value).with_ttl(ttl)),
                    Says::Tagged(value, tag) => Ok(Load::value(value).with_tag(tag)),
                    Says::Absent => Ok(Load::absent()),
                    Says::AbsentFor(ttl) => Ok(Load::absent().with_ttl(ttl)),
                    Says::NotModified => Ok(Load::not_modified()),
                    Says::Error => Err("the source is broken"),
                    Says::Panic => panic!("the source panics, as the test told it to"),
                }
            })
        }
    }
}

struct Unfinished(Option<Arc<Inner>>);

impl Unfinished {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(source) = self.0.take() {
            source.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// What passed a [`Watched`] store, and what may pass it.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    refuses_changes: bool,
    panics_on_reads: bool,
    hangs_when_described: bool,
    writes: Vec<(Shard, Op)>,
    lives: Vec<Duration>,
}

impl Watch {
    /// A wrap for [`tests::FleetOptions::shared`].
    pub(crate) fn wrap(&self) -> Option<tests::Wrap<dyn SharedStore>> {
        let watch = self.clone();
        Some(Arc::new(move |inner| {
            Arc::new(Watched {
                inner,
                watch: watch.clone(),
            })
        }))
    }

    /// From now on the store answers changes of keys as if their server were away, and nothing else.
    pub(crate) fn refuse_changes(&self) {
        self.0.lock().expect("watch").refuses_changes = true;
    }

    /// From now on every read is a mistake of the store's own.
    pub(crate) fn panic_on_reads(&self) {
        self.0.lock().expect("watch").panics_on_reads = true;
    }

    /// From now on, or from now on no longer, the store does not say how it is.
    pub(crate) fn hang_when_described(&self, hangs: bool) {
        self.0.lock().expect("watch").hangs_when_described = hangs;
    }

    pub(crate) fn writes(&self) -> Vec<(Shard, Op)> {
        self.0.lock().expect("watch").writes.clone()
    }

    /// The lives of all records that were to be stored.
    pub(crate) fn lives(&self) -> Vec<Duration> {
        self.0.lock().expect("watch").lives.clone()
    }
}

struct Watched {
    inner: Arc<dyn SharedStore>,
    watch: Watch,
}

#[async_trait::async_trait]
impl SharedStore for Watched {
    async fn read(
        &self,
        shard: Shard,
        keys: &[CacheKey],
        from: ReadFrom,
    ) -> Result<Reply<Vec<Option<Record>>>, StoreError> {
        let panics = self.watch.0.lock().expect("watch").panics_on_reads;
        assert!(!panics, "the store panics, as the test told it to");
        self.inner.read(shard, keys, from).await
    }

    async fn begin_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        newer_than: Seq,
        lineage: Lineage,
        token: FillToken,
        lease: Duration,
    ) -> Result<Reply<FillBegun>, StoreError> {
        self.inner
            .begin_fill(shard, key, newer_than, lineage, token, lease)
            .await
    }

    async fn commit_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        lineage: Lineage,
        token: FillToken,
        record: Option<NewRecord>,
    ) -> Result<Reply<FillCommitted>, StoreError> {
        self.watch
            .0
            .lock()
            .expect("watch")
            .lives
            .extend(record.as_ref().map(|record| record.ttl));
        self.inner.commit_fill(shard, key, lineage, token, record).await
    }

    async fn write(&self, write: Write) -> Result<Reply<Written>, StoreError> {
        {
            let mut log = self.watch.0.lock().expect("watch");
            if log.refuses_changes && matches!(write.op, Op::Change(_)) {
                return Err(StoreError::new(
                    ErrorKind::Unavailable,
                    "the master of this slot is away",
                ));
            }
            log.writes.push((write.shard, write.op.clone()));
        }
        self.inner.write(write).await
    }

    async fn adopt(&self, adoption: Adoption) -> Result<Reply<Adopted>, StoreError> {
        self.inner.adopt(adoption).await
    }

    async fn describe(&self) -> StoreDescription {
        let hangs = self.watch.0.lock().expect("watch").hangs_when_described;
        if hangs {
            std::future::pending::<()>().await;
        }
        self.inner.describe().await
    }
}
