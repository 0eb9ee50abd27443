//! What a server says on a connection that subscribes, cut into whole messages, so that events can be lost, doubled and put out
//! of order while everything else passes.
//!
//! It knows as much of the server's language as it takes to find where a message ends.

/// What happens to events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Events {
    /// They are lost.
    Lost,
    /// Up to twenty change their places, and a third of them comes twice.
    Unruly,
}

/// The events that change their places, at most.
const MOST_HELD: usize = 20;

/// What has come and not yet passed.
#[derive(Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    held: Vec<Vec<u8>>,
    dice: u64,
}

impl Frames {
    /// What passes of all that has come, and how many events were lost, doubled or moved.
    pub(super) fn pass(&mut self, bytes: &[u8], events: Events) -> (Vec<u8>, u64) {
        self.bytes.extend_from_slice(bytes);
        let (mut passing, mut touched) = (Vec::new(), 0);
        while let Some(length) = length(&self.bytes) {
            let frame: Vec<u8> = self.bytes.drain(..length).collect();
            match (is_event(&frame), events) {
                (true, Events::Lost) => touched += 1,
                (true, Events::Unruly) => {
                    if self.draw(3) == 0 {
                        self.held.push(frame.clone());
                        touched += 1;
                    }
                    self.held.push(frame);
                    if self.held.len() >= MOST_HELD {
                        touched += self.release(&mut passing);
                    }
                }
                // An answer: nobody who asks waits for long, so that no event is held for longer than until the next.
                (false, _) => {
                    touched += self.release(&mut passing);
                    passing.extend(frame);
                }
            }
        }
        (passing, touched)
    }

    /// All that was held back, and the beginning of a message that is not whole.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.held.drain(..).flatten().collect::<Vec<_>>();
        rest.append(&mut self.bytes);
        rest
    }

    fn release(&mut self, passing: &mut Vec<u8>) -> u64 {
        let mut moved = 0;
        for place in (1..self.held.len()).rev() {
            let other = self.draw(place as u64 + 1) as usize;
            self.held.swap(place, other);
            moved += u64::from(other != place);
        }
        passing.extend(self.held.drain(..).flatten());
        moved
    }

    /// Below `sides`; the same every time.
    fn draw(&mut self, sides: u64) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }
}

fn is_event(frame: &[u8]) -> bool {
    frame.starts_with(b">3\r\n$8\r\nsmessage\r\n")
}

/// The bytes of the first message; `None` while it is not whole.
fn length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|end| end == b"\r\n")? + 2;
    let count = || -> Option<i64> { std::str::from_utf8(&bytes[1..line - 2]).ok()?.parse().ok() };
    let parts = match bytes[0] {
        b'$' | b'!' | b'=' => {
            let text = usize::try_from(count()?).map_or(0, |text| text + 2);
            return (bytes.len() >= line + text).then_some(line + text);
        }
        b'*' | b'~' | b'>' => count()?.max(0),
        b'%' | b'|' => count()? * 2,
        _ => 0,
    };
    (0..parts).try_fold(line, |end, _| Some(end + length(&bytes[end..])?))
}

#[test]
fn a_message_ends_where_its_last_part_ends_and_a_half_one_waits() {
    let event = b">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$2\r\n\r\n\r\n";
    let answer = b"*2\r\n:1\r\n%1\r\n+a\r\n_\r\n";
    for whole in [&event[..], answer, b"$-1\r\n", b"+OK\r\n"] {
        assert_eq!(length(whole), Some(whole.len()));
        assert!((0..whole.len()).all(|end| length(&whole[..end]).is_none()));
    }
    let mut frames = Frames::default();
    let both = [&event[..], answer].concat();
    let (first, second) = both.split_at(event.len() + 3);
    assert_eq!(frames.pass(first, Events::Lost), (Vec::new(), 1));
    assert_eq!(frames.pass(second, Events::Lost), (answer.to_vec(), 0));
}

#[test]
fn unruly_events_are_all_there_in_another_order_and_some_twice() {
    let event = |id: u8| [&b">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\n"[..], &[id], b"\r\n"].concat();
    let all: Vec<_> = (b'a'..=b'z').map(event).collect();
    let mut frames = Frames::default();
    let (mut passed, touched) = frames.pass(&all.concat(), Events::Unruly);
    passed.extend(frames.rest());
    let passed: Vec<_> = passed.chunks(all[0].len()).map(<[u8]>::to_vec).collect();
    assert!(all.iter().all(|event| passed.contains(event)), "none is lost");
    assert!(passed.len() > all.len() && touched > 10, "{touched}");
    assert_ne!(passed[..all.len()], all[..]);
}
