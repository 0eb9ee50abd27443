//! What a subscription makes of what the server says unasked.
//!
//! No server is needed: the words of one are handed in.

use std::sync::Mutex;

use super::*;

#[derive(Default)]
struct Pile(Mutex<Vec<BusMessage>>);

impl Inbox for Pile {
    fn deliver(&self, message: BusMessage) {
        self.0.lock().expect("a pile").push(message);
    }
}

fn receiver() -> (Arc<Pile>, Receiver) {
    let (pile, layout) = (Arc::new(Pile::default()), Arc::new(Layout::new("test", 0)));
    let receiver = Receiver {
        layout,
        inbox: pile.clone(),
        ended: AtomicBool::new(false),
    };
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

#[test]
fn a_log_is_as_good_as_trimmed_before_what_cannot_be_read() {
    let entry = |seq: &[u8], format: u8| {
        let packed = [&[format][..], &7_u64.to_be_bytes(), &[3]].concat();
        let fields = [Value::BulkString(b"e".to_vec()), Value::BulkString(packed)];
        Value::Array(vec![
            Value::BulkString(seq.to_vec()),
            Value::Array(fields.to_vec()),
        ])
    };
    let log = unpack_log(&[entry(b"0-1", 1), entry(b"0-2", 2), entry(b"0-3", 1)]);
    assert_eq!(log.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [Seq(3)]);
}
