//! A digest of what a value says through serde: two values with one digest say the same.
//!
//! It asks nothing of the value's type but `Serialize`. It compares what is said, not bytes: bytes of another value may be the
//! same where fields are left out.

use xxhash_rust::xxh3::xxh3_64;

use crate::walk::{Kind, Summary};

/// 64 bits of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Digest(u64);

/// Members that have come so far.
pub(crate) struct Members {
    kind: Kind,
    state: u64,
    count: u64,
    /// The key of a map whose value comes next.
    key: Option<u64>,
}

impl Summary for Digest {
    type Group = Members;

    fn number(bytes: &[u8]) -> Self {
        let mut wide = [0; 16];
        wide[..bytes.len()].copy_from_slice(bytes);
        let wide = u128::from_le_bytes(wide);
        Self(mixed(mixed(bytes.len() as u64, wide as u64), (wide >> 64) as u64))
    }

    fn text(bytes: &[u8]) -> Self {
        Self(mixed(17, xxh3_64(bytes)))
    }

    fn nothing(name: &'static str) -> Self {
        Self(mixed(18, xxh3_64(name.as_bytes())))
    }

    fn around(name: &'static str, inner: Self) -> Self {
        Self(mixed(mixed(19, xxh3_64(name.as_bytes())), inner.0))
    }

    fn begin(kind: Kind, _: &'static str) -> Members {
        Members {
            kind,
            state: 20 + kind as u64,
            count: 0,
            key: None,
        }
    }

    fn add(members: &mut Members, name: &'static str, Self(member): Self) {
        match (members.kind, members.key.take()) {
            (Kind::Fields, _) => {
                members.state = mixed(mixed(members.state, xxh3_64(name.as_bytes())), member);
            }
            // A set is a sequence to serde and has no order; that of a list is safe with every codec.
            (Kind::Sequence, _) => members.state = members.state.wrapping_add(mixed(21, member)),
            (Kind::Map, None) => {
                members.key = Some(member);
                return;
            }
            (Kind::Map, Some(key)) => members.state = members.state.wrapping_add(mixed(key, member)),
        }
        members.count += 1;
    }

    fn end(members: Members) -> Self {
        Self(mixed(members.state, members.count))
    }
}

/// Depends on every bit of both, and on which is which.
const fn mixed(one: u64, other: u64) -> u64 {
    let product = ((one ^ 0x9E37_79B9_7F4A_7C15) as u128) * ((other ^ 0xD1B5_4A32_D192_ED03) as u128 | 1);
    let folded = (product as u64) ^ ((product >> 64) as u64);
    (folded ^ one.rotate_left(23)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::{Floats, walk};
    use proptest::prelude::*;
    use serde::Serialize;
    use std::collections::{HashMap, HashSet};

    fn digest(value: &impl Serialize) -> Digest {
        walk(value, Floats::Exact).expect("serializable")
    }

    #[test]
    fn sets_and_maps_have_one_digest_whatever_their_order() {
        let (numbers, strings) = (0..1_000_u64, |number: u64| (number, number.to_string()));
        let sets: [HashSet<u64>; 2] = [numbers.clone().collect(), numbers.clone().rev().collect()];
        assert_eq!(digest(&sets[0]), digest(&sets[1]));
        let maps: [HashMap<u64, String>; 2] = [
            numbers.clone().map(strings).collect(),
            numbers.rev().map(strings).collect(),
        ];
        assert_eq!(digest(&maps[0]), digest(&maps[1]));
    }

    #[test]
    fn a_map_with_exchanged_values_is_another_one() {
        let one = HashMap::from([(1, "a"), (2, "b")]);
        let other = HashMap::from([(1, "b"), (2, "a")]);
        assert_ne!(digest(&one), digest(&other));
    }

    proptest! {
        #[test]
        fn values_that_differ_anywhere_have_another_digest(
            one: (Vec<u8>, Option<String>, (i64, u128), char), other: (Vec<u8>, Option<String>, (i64, u128), char),
        ) {
            let sorted = |mut bytes: Vec<u8>| { bytes.sort_unstable(); bytes };
            let same = (sorted(one.0.clone()), &one.1, one.2, one.3) == (sorted(other.0.clone()), &other.1, other.2, other.3);
            prop_assert_eq!(digest(&one) == digest(&other), same);
        }

        #[test]
        fn a_field_more_or_less_is_another_value(one: u8, other: u32) {
            #[derive(Serialize)]
            struct Both { #[serde(skip_serializing_if = "Option::is_none")] one: Option<u8>, other: u32 }
            prop_assert_ne!(digest(&Both { one: Some(one), other }), digest(&Both { one: None, other }));
        }
    }
}
