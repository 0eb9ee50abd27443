//! Which changes of a type are noticed, and which are reported as not noticeable.
//!
//! Each pair of types has one name, as in two releases of one program.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::*;

/// Declares two releases of types; only their shapes matter.
macro_rules! releases {
    ($($name:ident { $($body:tt)* })+) => {
        $(mod $name {
            #![expect(dead_code, reason = "only its shape matters")]
            use super::*;
            $($body)*
        })+
    };
}

/// Whether a change from one release to another is noticed, in a type of which everything can be seen.
fn noticed<Old: DeserializeOwned, New: DeserializeOwned>() -> bool {
    let (old, new) = (SchemaTrace::of::<Old>(), SchemaTrace::of::<New>());
    assert_eq!((&old.untraced, &new.untraced), (&None, &None));
    assert_eq!(old, SchemaTrace::of::<Old>(), "a trace can be repeated");
    old.fingerprint != new.fingerprint
}

releases! {
    old {
        #[derive(Deserialize)]
        pub(super) struct V { x: u32, y: Option<W> }
        #[derive(Deserialize)]
        pub(super) enum W { One, Two(String), Three { at: Vec<u8> } }
    }
    with_a_field {
        #[derive(Deserialize)]
        pub(super) struct V { x: u32, y: Option<old::W>, z: bool }
    }
    in_another_order {
        #[derive(Deserialize)]
        pub(super) struct V { y: Option<old::W>, x: u32 }
    }
    with_another_last_variant {
        #[derive(Deserialize)]
        pub(super) struct V { x: u32, y: Option<W> }
        #[derive(Deserialize)]
        pub(super) enum W { One, Two(String), Three { at: Vec<i8> } }
    }
    with_another_middle_variant {
        #[derive(Deserialize)]
        pub(super) struct V { x: u32, y: Option<W> }
        #[derive(Deserialize)]
        pub(super) enum W { One, Two(u64), Three { at: Vec<u8> } }
    }
}

#[test]
fn a_new_field_and_a_new_order_each_change_the_fingerprint() {
    assert!(!noticed::<old::V, old::V>());
    assert!(noticed::<old::V, with_a_field::V>());
    assert!(noticed::<old::V, in_another_order::V>());
}

#[test]
fn a_change_in_any_variant_of_an_enum_inside_is_noticed() {
    assert!(noticed::<old::V, with_another_last_variant::V>());
    assert!(noticed::<old::V, with_another_middle_variant::V>());
}

/// A type that refuses texts of any other form than its own, as UUIDs, dates and addresses do.
struct Parsed<const FORM: usize>;

impl<'de, const FORM: usize> Deserialize<'de> for Parsed<FORM> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = [
            "00000000-0000-0000-0000-000000000000",
            "1970-01-01T00:00:00Z",
            "127.0.0.1:80",
        ][FORM];
        if String::deserialize(deserializer)? == form {
            Ok(Self)
        } else {
            Err(D::Error::custom("it has another form"))
        }
    }
}

releases! {
    behind_parsed {
        #[derive(Deserialize)]
        pub(super) struct Booking { id: Parsed<0>, at: Parsed<1>, from: (Parsed<2>, Parsed<1>), gpus: u32 }
    }
    changed_behind_parsed {
        #[derive(Deserialize)]
        pub(super) struct Booking { id: Parsed<0>, at: Parsed<1>, from: (Parsed<2>, Parsed<1>), gpus: i32 }
    }
}

#[test]
fn a_change_behind_types_that_refuse_most_values_is_noticed() {
    assert!(noticed::<behind_parsed::Booking, changed_behind_parsed::Booking>());
}

/// Accepts nothing that anybody would make up.
struct Secret;

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if String::deserialize(deserializer)? == "a signature of something" {
            return Ok(Self);
        }
        Err(D::Error::custom("the signature is wrong"))
    }
}

releases! {
    behind_secret {
        #[derive(Deserialize)]
        pub(super) struct Order { number: u32, items: Vec<Item>, gpus: u32 }
        #[derive(Deserialize)]
        pub(super) struct Item { signature: Secret, cents: u32 }
    }
    with_a_field_behind_secret {
        #[derive(Deserialize)]
        pub(super) struct Order { number: u32, items: Vec<behind_secret::Item>, gpus: u32, more: u32 }
    }
    changed_behind_secret {
        #[derive(Deserialize)]
        pub(super) struct Order { number: u32, items: Vec<behind_secret::Item>, gpus: i32 }
    }
}

#[test]
fn a_field_that_accepts_nothing_is_named_and_what_is_promised_behind_it_holds() {
    let trace = SchemaTrace::of::<behind_secret::Order>();
    let untraced = trace.untraced.clone().expect("a field accepts nothing");
    assert_eq!(
        untraced.to_string(),
        "Order.items.Item.signature (the signature is wrong)"
    );
    // Names are seen, what they are made of is not; and a version of the namespace is seen everywhere.
    let fingerprint = trace.fingerprint;
    assert_ne!(
        fingerprint,
        SchemaFingerprint::of::<with_a_field_behind_secret::Order>()
    );
    assert_eq!(
        fingerprint,
        SchemaFingerprint::of::<changed_behind_secret::Order>()
    );
    assert_ne!(fingerprint, fingerprint.in_version(1));
    assert_ne!(fingerprint.in_version(1), fingerprint.in_version(2));
}

releases! {
    recursive {
        #[derive(Deserialize)]
        pub(super) enum Tree {
            Both(Box<Tree>, Box<Tree>), Many(Vec<Tree>), Named(BTreeMap<String, Tree>), Maybe(Option<Box<Tree>>),
            Leaf { weight: u32 },
        }
        #[derive(Deserialize)]
        pub(super) struct List { value: u8, next: Option<Box<List>>, trees: Vec<Tree> }
    }
    recursive_and_changed {
        #[derive(Deserialize)]
        pub(super) enum Tree {
            Both(Box<Tree>, Box<Tree>), Many(Vec<Tree>), Named(BTreeMap<String, Tree>), Maybe(Option<Box<Tree>>),
            Leaf { weight: u64 },
        }
        #[derive(Deserialize)]
        pub(super) struct List { value: u8, next: Option<Box<List>>, trees: Vec<Tree> }
    }
    alike {
        #[derive(Deserialize)]
        pub(super) struct Three { one: Option<u32>, two: Inner<i32>, three: Inner<u32> }
        #[derive(Deserialize)]
        pub(super) struct Inner<T> { one: Option<T> }
    }
    exchanged {
        #[derive(Deserialize)]
        pub(super) struct Three { one: Option<u32>, two: alike::Inner<i32>, three: alike::Inner<i32> }
    }
}

#[test]
fn a_recursive_type_ends_and_a_change_deep_inside_it_is_noticed() {
    assert!(noticed::<recursive::List, recursive_and_changed::List>());
}

#[test]
fn two_places_that_were_seen_before_cannot_be_exchanged() {
    assert!(noticed::<alike::Three, exchanged::Three>());
}

/// Is wrong about what it is given.
struct Panics;

impl<'de> Deserialize<'de> for Panics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        assert!(!text.is_empty(), "a bug in somebody's type");
        Ok(Self)
    }
}

#[test]
fn a_type_that_panics_on_what_is_made_up_is_one_that_refuses() {
    let untraced = SchemaTrace::of::<Vec<Panics>>().untraced;
    assert_eq!(untraced.expect("it panics").reason, "its Deserialize panicked");
}
