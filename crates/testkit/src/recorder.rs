//! An inbox that keeps everything, and on which a test can wait for what it expects.
//!
//! It never sleeps: a wait ends with the message that fulfils it, or at its deadline.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{BusMessage, Inbox, Shard, WireEvent};
use tokio::sync::watch;

/// An [`Inbox`] that records messages in the order they come.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), testkit::Overdue> {
/// use cache_core::{BusMessage, Inbox};
/// use std::time::Duration;
/// use testkit::Recorder;
///
/// let inbox = Recorder::new();
/// inbox.deliver(BusMessage::Lost);
/// assert_eq!(inbox.wait_for(1, Duration::from_secs(1)).await?, [BusMessage::Lost]);
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Recorder {
    messages: watch::Sender<Vec<BusMessage>>,
}

impl Recorder {
    /// An empty recorder, shared as a bus wants it.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// All messages so far.
    pub fn messages(&self) -> Vec<BusMessage> {
        self.messages.borrow().clone()
    }

    /// The events of one shard so far.
    pub fn events_of(&self, shard: Shard) -> Vec<WireEvent> {
        events_of(shard, &self.messages.borrow())
    }

    /// Waits until at least `count` messages have come, and returns all.
    ///
    /// # Errors
    /// [`Overdue`] when the deadline, counted from now, passes first.
    pub async fn wait_for(&self, count: usize, deadline: Duration) -> Result<Vec<BusMessage>, Overdue> {
        self.wait_until(deadline, |messages| messages.len() >= count)
            .await
    }

    /// Waits until at least `count` events of a shard have come, and returns these.
    ///
    /// # Errors
    /// [`Overdue`] when the deadline, counted from now, passes first.
    pub async fn wait_for_events(
        &self,
        shard: Shard,
        count: usize,
        deadline: Duration,
    ) -> Result<Vec<WireEvent>, Overdue> {
        let enough = |messages: &[BusMessage]| events_of(shard, messages).len() >= count;
        let messages = self.wait_until(deadline, enough).await?;
        Ok(events_of(shard, &messages))
    }

    /// Waits until the messages fulfil a condition, and returns all.
    ///
    /// # Errors
    /// [`Overdue`] when the deadline, counted from now, passes first.
    pub async fn wait_until(
        &self,
        deadline: Duration,
        condition: impl Fn(&[BusMessage]) -> bool,
    ) -> Result<Vec<BusMessage>, Overdue> {
        let mut receiver = self.messages.subscribe();
        let fulfilled = receiver.wait_for(|messages| condition(messages));
        match tokio::time::timeout(deadline, fulfilled).await {
            Ok(Ok(messages)) => Ok(messages.clone()),
            // The sender lives as long as `self`, so only the deadline leads here.
            _ => Err(Overdue {
                deadline,
                seen: self.messages(),
            }),
        }
    }
}

impl Inbox for Recorder {
    fn deliver(&self, message: BusMessage) {
        self.messages.send_modify(|messages| messages.push(message));
    }
}

/// What was waited for did not come in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overdue {
    /// How long the test waited.
    pub deadline: Duration,
    /// What had come by then.
    pub seen: Vec<BusMessage>,
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "after {:?} there were only {} messages: {:?}",
            self.deadline,
            self.seen.len(),
            self.seen
        )
    }
}

impl std::error::Error for Overdue {}

fn events_of(shard: Shard, messages: &[BusMessage]) -> Vec<WireEvent> {
    messages
        .iter()
        .filter_map(|message| match message {
            BusMessage::Event(event) if event.shard == shard => Some(event.clone()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::{EventId, EventOp, Lane, Lineage, Seq};

    const SOON: Duration = Duration::from_secs(1);

    fn event(shard: Shard, seq: u64) -> BusMessage {
        BusMessage::Event(WireEvent {
            shard,
            lineage: Lineage(1),
            seq: Seq(seq),
            id: EventId(seq),
            prev: EventId(seq - 1),
            origin: cache_core::RegionId::HERE,
            op: EventOp::Flushed,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_fulfilled_by_messages_that_came_before_it() {
        let inbox = Recorder::new();
        inbox.deliver(BusMessage::Lost);
        assert_eq!(inbox.wait_for(1, SOON).await, Ok(vec![BusMessage::Lost]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_message_that_fulfils_it_and_not_at_the_deadline() {
        let inbox = Recorder::new();
        let before = tokio::time::Instant::now();
        let deliver = async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
                inbox.deliver(BusMessage::Lost);
            }
        };
        let (messages, ()) = tokio::join!(inbox.wait_for(3, SOON), deliver);
        assert_eq!(messages.expect("came").len(), 3);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_not_fulfilled_ends_at_its_deadline_and_tells_what_came() {
        let inbox = Recorder::new();
        inbox.deliver(BusMessage::Lost);
        let before = tokio::time::Instant::now();
        let overdue = inbox.wait_for(2, SOON).await.expect_err("one is missing");
        assert_eq!(overdue.seen, [BusMessage::Lost]);
        assert!(before.elapsed() >= SOON);
    }

    #[tokio::test(start_paused = true)]
    async fn events_of_other_shards_do_not_count() {
        let inbox = Recorder::new();
        let (asked, other) = (Shard::barriers(Lane::Bulk), Shard::barriers(Lane::Critical));
        inbox.deliver(event(other, 1));
        assert!(inbox.wait_for_events(asked, 1, SOON).await.is_err());
        inbox.deliver(event(asked, 1));
        assert_eq!(
            inbox.wait_for_events(asked, 1, SOON).await.expect("came").len(),
            1
        );
        assert_eq!(inbox.events_of(asked).len(), 1);
    }
}
