//! Two nodes and a hub: the scene of every test.
//!
//! It injects nothing by itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{
    BusLink, CacheKey, EventBus, Head, Lane, Moment, Op, ReadFrom, Record, Seq, ServerId, Shard, SharedStore,
    Write,
};
use cache_memory::{Endpoint, Hub, Witness};
use testkit::{Recorder, Scribe, VirtualClock, keys_in, shards_in};

/// A node that writes to one shard, and one that listens.
pub(crate) struct Scene {
    pub(crate) hub: Hub,
    pub(crate) writer: Endpoint,
    pub(crate) reader: Endpoint,
    pub(crate) inbox: Arc<Recorder>,
    pub(crate) link: Arc<dyn BusLink>,
    pub(crate) scribe: Scribe,
    pub(crate) truth: Arc<Truth>,
}

impl Scene {
    pub(crate) async fn new(seed: u64) -> Self {
        let truth = Arc::new(Truth::default());
        let hub = Hub::builder()
            .seed(seed)
            .clock(Arc::new(VirtualClock::new()))
            .witness(Arc::clone(&truth) as _)
            .build();
        let (writer, reader) = (hub.endpoint("writer"), hub.endpoint("reader"));
        let inbox = Recorder::new();
        let link = reader
            .subscribe(Lane::Bulk, Arc::clone(&inbox) as _)
            .await
            .expect("reachable");
        let store: Arc<dyn SharedStore> = Arc::new(writer.clone());
        let scribe = Scribe::create(&store, shards_in(Lane::Bulk, 1)[0]).await;
        Self {
            hub,
            writer,
            reader,
            inbox,
            link,
            scribe,
            truth,
        }
    }

    pub(crate) fn shard(&self) -> Shard {
        self.scribe.shard()
    }

    pub(crate) fn write(&self, value: u8) -> Write {
        let key = &keys_in(self.shard(), 1)[0];
        self.scribe
            .step(Op::Change(vec![Scribe::setting(key, &[value].into())]))
    }

    pub(crate) async fn set(&self, value: u8) {
        self.scribe.write(self.write(value).op).await;
    }

    /// Sets the key to 0, 1, 2, ...: the value is the number of the step less 2.
    pub(crate) async fn set_many(&self, count: u8) {
        for value in 0..count {
            self.set(value).await;
        }
    }

    pub(crate) async fn value(&self) -> Option<u8> {
        let keys = keys_in(self.shard(), 1);
        let reply = self
            .reader
            .read(self.shard(), &keys, ReadFrom::Primary)
            .await
            .expect("data works");
        Some(reply.answer?[0].as_ref()?.body[0])
    }

    pub(crate) async fn read(&self, from: ReadFrom) -> (u64, Option<u8>) {
        let keys = keys_in(self.shard(), 1);
        let reply = self
            .reader
            .read(self.shard(), &keys, from)
            .await
            .expect("data works");
        let record = reply.answer.expect("a head").remove(0);
        (
            reply.head.expect("a head").seq.0,
            record.map(|record| record.body[0]),
        )
    }

    pub(crate) async fn heads(&self) -> (Option<Head>, ServerId) {
        let heads = self.link.heads().await.expect("the bus works");
        let own = heads
            .heads
            .iter()
            .find(|head| head.shard == self.shard())
            .expect("its shard");
        (own.head, own.server)
    }

    /// The numbers of the events that have arrived, in the order they came.
    pub(crate) fn heard(&self) -> Vec<u64> {
        self.inbox
            .events_of(self.shard())
            .iter()
            .map(|event| event.seq.0)
            .collect()
    }

    /// Lets everything arrive that is on its way. Sleeps, so that the paused clock stops at each arrival.
    pub(crate) async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

/// A witness that keeps numbers.
#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) published: Mutex<Vec<Seq>>,
    pub(crate) adopted: Mutex<Vec<Seq>>,
    pub(crate) lost: Mutex<Vec<(Shard, Seq)>>,
}

impl Truth {
    pub(crate) fn lost(&self) -> Vec<(Shard, Seq)> {
        self.lost.lock().expect("whole").clone()
    }
}

impl Witness for Truth {
    fn published(&self, _write: &Write, head: &Head, _at: Moment) {
        self.published.lock().expect("whole").push(head.seq);
    }

    fn filled(&self, _shard: Shard, _key: &CacheKey, _record: &Record, _at: Moment) {}

    fn adopted(&self, _shard: Shard, head: &Head, _at: Moment) {
        self.adopted.lock().expect("whole").push(head.seq);
    }

    fn lost(&self, shard: Shard, from: Seq, _at: Moment) {
        self.lost.lock().expect("whole").push((shard, from));
    }
}

pub(crate) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
