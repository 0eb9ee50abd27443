//! What hears a connection: called by the task that reads it, and so never blocks.
//!
//! It asks nothing and mends nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cache_core::{BusMessage, Inbox};
use redis::{PushInfo, PushKind, Value};

use crate::event::unpack;
use crate::layout::Layout;

/// Who is told that a connection has ended.
pub(super) type Ending = Box<dyn Fn() + Send + Sync>;

/// Hears one connection until its end.
pub(super) struct Receiver {
    layout: Arc<Layout>,
    inbox: Arc<dyn Inbox>,
    ended: AtomicBool,
    ending: Ending,
}

impl Receiver {
    pub(super) fn new(layout: Arc<Layout>, inbox: Arc<dyn Inbox>, ending: Ending) -> Self {
        Self {
            layout,
            inbox,
            ended: AtomicBool::new(false),
            ending,
        }
    }

    /// `None` is the end of the connection.
    pub(super) fn take(&self, push: Option<PushInfo>) {
        if self.has_ended() {
            return;
        }
        let Some(push) = push else {
            return self.end();
        };
        match push.kind {
            PushKind::SMessage | PushKind::Message => self.deliver(&push.data),
            // A server that gives a slot away takes its channels back and keeps the connection. The client takes this
            // for the answer to a question, so that all later answers are one place off: the connection is useless.
            PushKind::SUnsubscribe | PushKind::Unsubscribe => self.end(),
            _ => {}
        }
    }

    fn deliver(&self, message: &[Value]) {
        let [Value::BulkString(channel), Value::BulkString(message)] = message else {
            return self.end();
        };
        let Some(shard) = self.layout.shard_of_channel(channel) else {
            return;
        };
        self.inbox.deliver(match unpack(shard, message) {
            Some(event) => BusMessage::Event(event),
            None => BusMessage::Lagged(shard),
        });
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Hears nothing more, and tells the end, once.
    pub(super) fn end(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            (self.ending)();
        }
    }

    /// Hears nothing more, and tells nobody.
    pub(super) fn fall_silent(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
