//! What serde asks for when it reads a type: every name, number and text, of every variant, in order.
//!
//! A deserializer without data: it writes down what it is asked for, and answers with made-up values until each place has
//! one that its type accepts. It reads nothing and keeps no value.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::{DeserializeOwned, Error as _};

use super::reader::{Reader, Refused};

/// Passes over a type at most. Each sees one variant more of every enum; a type with more would need a version anyway.
const MAX_PASSES: usize = 2_000;

/// What the deepest type may take of the stack.
const STACK: usize = 16 << 20;

/// Values that are made up for one type at most, for all places together.
const MAX_ATTEMPTS: usize = 1_000;

/// What a type looks like.
pub(super) struct Shape {
    /// Everything that was asked for.
    pub(super) text: String,
    /// Where nothing that was made up is accepted, and what the type said to the last of it: what comes behind is not seen.
    pub(super) refusal: Option<(String, String)>,
}

/// The shape of `V`. Traced on a thread of its own: a recursive type is followed as deep as it has places, and a type that panics
/// is only a type that refuses.
pub(super) fn shape_of<V: DeserializeOwned>() -> Shape {
    let refused = |why: &str| Shape {
        text: why.to_owned(),
        refusal: Some((String::new(), why.to_owned())),
    };
    std::thread::scope(|scope| {
        let tracing = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, traced::<V>);
        match tracing.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(shape)) => shape,
            Ok(Err(_panic)) => refused("its Deserialize panicked"),
            Err(_no_thread) => traced::<V>(),
        }
    })
}

fn traced<V: DeserializeOwned>() -> Shape {
    let mut choices = BTreeMap::new();
    for _attempt in 0..MAX_ATTEMPTS {
        let mut trace = Trace {
            choices,
            ..Trace::default()
        };
        let Err(refused) = all_variants::<V>(&mut trace) else {
            return Shape {
                text: trace.text,
                refusal: None,
            };
        };
        let place = trace.last_leaf.take().filter(|_| !refused.is_final());
        let choice = place.and_then(|place| {
            let choice = trace.choices.entry(place.clone()).or_insert(0);
            *choice += 1;
            (*choice < place.kind.candidates()).then_some(())
        });
        if choice.is_none() {
            return Shape {
                text: trace.text,
                refusal: Some((trace.path.join("."), refused.to_string())),
            };
        }
        choices = trace.choices;
    }
    Shape {
        text: String::new(),
        refusal: Some((
            String::new(),
            "it has too many places that accept few values".to_owned(),
        )),
    }
}

fn all_variants<V: DeserializeOwned>(trace: &mut Trace) -> Result<(), Refused> {
    let mut idle = 0;
    for _pass in 0..MAX_PASSES {
        let known = trace.seen();
        trace.begin_pass();
        V::deserialize(Reader::new(trace))?;
        if !trace.unfinished {
            return Ok(());
        }
        idle = if trace.seen() > known { 0 } else { idle + 1 };
        // What is left could not be reached in as many passes as there are variants.
        if idle > known + 1 {
            return Ok(());
        }
    }
    Err(Refused::custom("it has too many variants"))
}

/// A trace under way.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) text: String,
    /// Names of fields and variants from the root to here. Left as it is when a value is refused.
    pub(super) path: Vec<String>,
    /// Which made-up value each place is given, where it is not the first.
    choices: BTreeMap<Leaf, usize>,
    /// The place that was given the last value.
    last_leaf: Option<Leaf>,
    /// Options, lists and maps that were entered in this pass, by their number: the next time they are empty, or a recursive
    /// type would not end.
    entered: BTreeMap<String, usize>,
    enums: BTreeMap<&'static str, Enum>,
    /// Whether an enum that was met since this was last reset has variants that nobody has seen.
    unfinished: bool,
}

/// A place that is given a made-up value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leaf {
    path: String,
    kind: LeafKind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum LeafKind {
    Truth,
    Number,
    Character,
    Text,
    Bytes,
}

/// What texts are made up: nothing, numbers, and what common types accept.
pub(super) const TEXTS: [&str; 22] = [
    "",
    "0",
    "1",
    "a",
    "A",
    "00000000-0000-0000-0000-000000000000",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00",
    "1970-01-01",
    "00:00:00",
    "00000000000000000000000000",
    "127.0.0.1",
    "::1",
    "127.0.0.1:80",
    "[::1]:80",
    "127.0.0.0/8",
    "http://a.example/",
    "a@example.com",
    "a.example",
    "1.0.0",
    "UTC",
    "USD",
];

/// How long made-up stretches of bytes are, all zero.
pub(super) const LENGTHS: [usize; 9] = [0, 16, 32, 4, 8, 12, 20, 24, 64];

/// Numbers that are made up, all within a byte.
pub(super) const NUMBERS: [u8; 6] = [0, 1, 2, 10, 100, 127];

impl LeafKind {
    const fn candidates(self) -> usize {
        match self {
            Self::Truth => 2,
            Self::Number => NUMBERS.len(),
            Self::Character => 2,
            Self::Text => TEXTS.len(),
            Self::Bytes => LENGTHS.len(),
        }
    }
}

/// The variants of an enum, by their number.
#[derive(Default)]
struct Enum {
    begun: BTreeSet<usize>,
    /// In the order in which they were finished: the first one needs no other to end.
    finished: Vec<usize>,
    under_way: Vec<usize>,
    /// Variants in which something is left to be seen.
    left: BTreeSet<usize>,
}

impl Enum {
    /// The variant to go on with.
    fn choose(&self, variants: usize) -> usize {
        let unseen = (0..variants).find(|variant| !self.begun.contains(variant));
        let left = || self.left.iter().find(|variant| !self.under_way.contains(variant));
        unseen
            .or_else(|| left().copied())
            .or_else(|| self.finished.first().copied())
            .unwrap_or_default()
    }

    fn is_unfinished(&self, variants: usize) -> bool {
        self.begun.len() < variants || self.left.iter().any(|variant| !self.under_way.contains(variant))
    }
}

impl Trace {
    fn begin_pass(&mut self) {
        self.text.push('\n');
        self.path.clear();
        self.entered.clear();
        self.unfinished = false;
    }

    fn seen(&self) -> usize {
        self.enums.values().map(|one| one.begun.len()).sum()
    }

    /// Notes a word.
    pub(super) fn note(&mut self, word: &str) {
        self.text.push_str(&word.len().to_string());
        self.text.push(' ');
        self.text.push_str(word);
        self.text.push(' ');
    }

    /// Which made-up value this place is to be given.
    pub(super) fn choice(&mut self, word: &str, kind: LeafKind) -> usize {
        self.note(word);
        let leaf = Leaf {
            path: self.path.join("."),
            kind,
        };
        let choice = self.choices.get(&leaf).copied().unwrap_or_default();
        self.last_leaf = Some(leaf);
        choice
    }

    /// Whether an option, list or map is to have something in it. `owner` is what serde builds of it.
    pub(super) fn enters(&mut self, word: &str, owner: &str) -> bool {
        self.note(word);
        let place = format!("{}|{owner}", self.path.last().map_or("", String::as_str));
        let (count, mut first) = (self.entered.len(), false);
        let number = *self.entered.entry(place).or_insert_with(|| {
            first = true;
            count
        });
        // What is not entered again is named by what it is like, or two of them could be exchanged.
        self.note(&number.to_string());
        first
    }

    /// Begins a variant of an enum: its number, and what is to be handed back to [`Trace::end_variant`].
    pub(super) fn begin_variant(&mut self, id: &'static str, variants: usize) -> (usize, bool) {
        let one = self.enums.entry(id).or_default();
        let variant = one.choose(variants);
        one.begun.insert(variant);
        one.under_way.push(variant);
        (variant, std::mem::take(&mut self.unfinished))
    }

    pub(super) fn end_variant(
        &mut self,
        id: &'static str,
        variants: usize,
        (variant, outside): (usize, bool),
    ) {
        let one = self.enums.entry(id).or_default();
        one.under_way.pop();
        if self.unfinished {
            one.left.insert(variant);
        } else {
            one.left.remove(&variant);
        }
        if !one.finished.contains(&variant) {
            one.finished.push(variant);
        }
        self.unfinished = outside || one.is_unfinished(variants);
    }
}
