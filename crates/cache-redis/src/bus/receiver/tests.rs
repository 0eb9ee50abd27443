//! What a subscription makes of what the server says unasked.
//!
//! No server is needed: the words of one are handed in.

use std::sync::Mutex;

use cache_core::{Lane, Shard};

use super::*;

#[derive(Default)]
struct Pile(Mutex<Vec<BusMessage>>);

impl Inbox for Pile {
    fn deliver(&self, message: BusMessage) {
        self.0.lock().expect("a pile").push(message);
    }
}

fn receiver() -> (Arc<Pile>, Receiver) {
    let (pile, layout) = (
        Arc::new(Pile::default()),
        Arc::new(Layout::new("test", 0, cache_core::ShardCount::DEFAULT)),
    );
    let told = Arc::clone(&pile);
    let receiver = Receiver::new(
        layout,
        pile.clone(),
        Box::new(move || told.deliver(BusMessage::Lost)),
    );
    (pile, receiver)
}

fn push(kind: PushKind, words: &[&[u8]]) -> Option<PushInfo> {
    let data = words
        .iter()
        .map(|word| Value::BulkString(word.to_vec()))
        .collect();
    Some(PushInfo { kind, data })
}

fn shard() -> Shard {
    Shard::barriers(Lane::Bulk)
}

#[test]
fn a_channel_that_the_server_takes_back_ends_the_subscription_once() {
    let (pile, receiver) = receiver();
    let channel = receiver.layout.of(shard()).channel.clone();
    receiver.take(push(PushKind::SUnsubscribe, &[&channel]));
    receiver.take(push(PushKind::SUnsubscribe, &[&channel]));
    receiver.take(None);
    receiver.take(push(PushKind::SMessage, &[&channel, b"late"]));
    assert_eq!(*pile.0.lock().expect("a pile"), [BusMessage::Lost]);
}

#[test]
fn a_message_of_a_newer_release_is_a_loss_of_its_shard_and_never_ignored() {
    let (pile, receiver) = receiver();
    let channel = receiver.layout.of(shard()).channel.clone();
    receiver.take(push(PushKind::SMessage, &[&channel, b"\x02whatever it says"]));
    assert_eq!(*pile.0.lock().expect("a pile"), [BusMessage::Lagged(shard())]);
}

#[test]
fn an_end_of_the_connection_is_told() {
    let (pile, receiver) = receiver();
    receiver.take(None);
    assert_eq!(*pile.0.lock().expect("a pile"), [BusMessage::Lost]);
}
