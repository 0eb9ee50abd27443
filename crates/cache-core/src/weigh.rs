//! What a value takes in memory, estimated from what serde shows of it.
//!
//! Encoded bytes say little: an empty string is one of them, and 24 in memory. It knows no allocator and no spare capacity.

use serde::Serialize;

use crate::walk::{Floats, Kind, Summary, walk};

/// The bytes that a value takes in memory: itself, and what it owns on the heap.
///
/// An estimate for every type that serde can carry. Lists, texts, structs and options of them are within a factor of two of
/// what the allocator takes, however small their parts; sets and maps within a factor of three. What serde does not see is not
/// counted: skipped fields, spare capacity, what is shared with others. A type for which that matters weighs itself
/// ([`Namespace::with_weight`](crate::Namespace::with_weight)).
///
/// ```
/// use cache_core::estimated_weight;
/// let empty = vec![String::new(); 20_000];
/// assert!(estimated_weight(&empty) >= 20_000 * size_of::<String>());
/// assert!(estimated_weight(&7_u64) == 8);
/// ```
pub fn estimated_weight<V: Serialize>(value: &V) -> usize {
    let own = size_of::<V>();
    match walk::<Weight, V>(value, Floats::Exact) {
        Ok(weight) => weight.heap + own.max(weight.inline),
        // It cannot be encoded either, so it is not kept.
        Err(_refused) => own,
    }
}

/// What a value takes where it lies, and on the heap.
#[derive(Clone, Copy)]
struct Weight {
    inline: usize,
    heap: usize,
}

/// A `String`, a `Vec` or a map without its contents.
const HANDLE: usize = 24;

/// What an absent value takes: its type is not seen. Most types are larger, most options are of small ones.
const ABSENT: usize = 16;

/// What a variant adds to its contents.
const VARIANT: usize = 8;

impl Summary for Weight {
    type Group = Members;

    fn number(bytes: &[u8]) -> Self {
        Self {
            inline: bytes.len(),
            heap: 0,
        }
    }

    fn text(bytes: &[u8]) -> Self {
        Self {
            inline: HANDLE,
            heap: allocated(bytes.len()),
        }
    }

    fn nothing(name: &'static str) -> Self {
        Self {
            inline: if name == "None" { ABSENT } else { VARIANT },
            heap: 0,
        }
    }

    fn around(_: &'static str, inner: Self) -> Self {
        Self {
            inline: inner.inline + VARIANT,
            ..inner
        }
    }

    fn begin(kind: Kind, _: &'static str) -> Members {
        Members {
            kind,
            count: 0,
            largest: [0; 2],
            inline: 0,
            heap: 0,
        }
    }

    fn add(members: &mut Members, _: &'static str, member: Self) {
        let key = members.kind == Kind::Map && members.count.is_multiple_of(2);
        let largest = &mut members.largest[usize::from(key)];
        *largest = (*largest).max(member.inline);
        members.inline += member.inline;
        members.heap += member.heap;
        members.count += 1;
    }

    fn end(members: Members) -> Self {
        let [largest, largest_key] = members.largest;
        match members.kind {
            // Fields lie beside each other, with gaps.
            Kind::Fields if members.inline > 8 => Self {
                inline: members.inline.next_multiple_of(8),
                heap: members.heap,
            },
            Kind::Fields => Self {
                inline: members.inline,
                heap: members.heap,
            },
            // All members lie in places as large as the largest. A quarter more, since a set looks the same and is half empty.
            Kind::Sequence => Self {
                inline: HANDLE,
                heap: members.heap + allocated(largest * members.count * 5 / 4),
            },
            // Between full and half empty, with a byte for each place.
            Kind::Map => Self {
                inline: 2 * HANDLE,
                heap: members.heap + allocated((largest + largest_key + 1) * members.count / 2 * 7 / 4),
            },
        }
    }
}

/// Members that have come so far. In a map, keys and values come in turns.
struct Members {
    kind: Kind,
    count: usize,
    /// The inline size of the largest member, and of the largest key.
    largest: [usize; 2],
    inline: usize,
    heap: usize,
}

/// What an allocator takes for so many bytes: it keeps a size beside them, and gives whole pieces.
const fn allocated(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let whole = (bytes + 8).next_multiple_of(16);
    if whole < 32 { 32 } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashMap, HashSet};

    #[derive(Serialize)]
    struct Offer {
        id: u32,
        names: Vec<String>,
        price: Option<f64>,
    }

    #[test]
    fn small_parts_weigh_what_they_take_and_not_what_they_are_encoded_in() {
        let strings = |length: usize| vec!["x".repeat(length); 1_000];
        for (weight, taken) in [
            (estimated_weight(&strings(0)), 24_000),
            (estimated_weight(&strings(1)), 56_000),
            (estimated_weight(&strings(100)), 24_000 + 112_000),
            (estimated_weight(&vec![0_u8; 10_000]), 10_000),
            (estimated_weight(&vec![0_u64; 10_000]), 80_000),
            (estimated_weight(&vec![Vec::<u64>::new(); 1_000]), 24_000),
            (estimated_weight(&vec![Some(1_u64); 1_000]), 16_000),
            (estimated_weight(&vec![None::<u64>; 1_000]), 16_000),
            (estimated_weight(&vec![((), (1_u8, 2_u64)); 1_000]), 16_000),
        ] {
            assert!(weight >= taken && weight <= taken * 2, "{weight} for {taken}");
        }
    }

    #[test]
    fn sets_and_maps_are_within_a_factor_of_three() {
        // As the standard library lays them out: 2,048 places of which 7 in 8 may be used, with a byte each.
        let set: HashSet<u64> = (0..1_000).collect();
        let map: HashMap<u64, u64> = (0..1_000).map(|number| (number, number)).collect();
        let tree: BTreeMap<u64, u64> = (0..1_000).map(|number| (number, number)).collect();
        for (weight, taken) in [
            (estimated_weight(&set), 2_048 * 9),
            (estimated_weight(&map), 2_048 * 17),
            (estimated_weight(&tree), 1_000 * 16 * 4 / 3),
        ] {
            assert!(weight * 3 >= taken && weight <= taken * 3, "{weight} for {taken}");
        }
    }

    #[test]
    fn a_struct_weighs_itself_and_all_that_it_owns() {
        let offer = |names| Offer {
            id: 1,
            names,
            price: Some(2.5),
        };
        assert_eq!(estimated_weight(&offer(Vec::new())), size_of::<Offer>());
        let weight = estimated_weight(&Vec::<Offer>::new());
        assert_eq!(weight, size_of::<Vec<Offer>>());
        let many: Vec<_> = (0..100).map(|_| offer(vec!["H100".to_owned()])).collect();
        let taken = 100 * (size_of::<Offer>() + 32 + 32);
        let weight = estimated_weight(&many);
        assert!(weight >= taken && weight <= taken * 2, "{weight} for {taken}");
    }
}
