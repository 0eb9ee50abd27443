//! A walk over a value as serde shows it, which sums it up piece by piece.
//!
//! It produces no bytes. What is made of the pieces is decided by a [`Summary`]: a digest, or a weight.

use serde::ser::{self, Serialize};

use crate::CodecError;

/// What a walk makes of a value.
pub(crate) trait Summary: Sized {
    /// What is known of a group while its members come.
    type Group;

    /// A number, a character or a truth, in its own bytes.
    fn number(bytes: &[u8]) -> Self;
    /// A text or a stretch of bytes.
    fn text(bytes: &[u8]) -> Self;
    /// Something without contents: a unit, or the absence of an option.
    fn nothing(name: &'static str) -> Self;
    /// Something around one value: an option, or a variant of this name.
    fn around(name: &'static str, inner: Self) -> Self;
    /// Begins a group.
    fn begin(kind: Kind, name: &'static str) -> Self::Group;
    /// Adds a member; `name` is that of a field.
    fn add(group: &mut Self::Group, name: &'static str, member: Self);
    /// Ends a group.
    fn end(group: Self::Group) -> Self;
}

/// What kind of group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any number of members: a list, or a set, whose order means nothing.
    Sequence,
    /// Any number of keys and values, in any order. They come as members one after the other.
    Map,
    /// The fields of a type, in their order.
    Fields,
}

/// Walks over a value. Its serialization is told that the format is for people where floats are not exact.
///
/// # Errors
/// When the value's own serialization refuses.
pub(crate) fn walk<S: Summary, V: Serialize + ?Sized>(value: &V, floats: Floats) -> Result<S, Refused> {
    value.serialize(Walker {
        floats,
        summary: std::marker::PhantomData,
    })
}

/// How a codec treats numbers with a fraction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floats {
    /// Bit by bit.
    Exact,
    /// As what comes back of them when they are written as JSON: that may differ in the last bit.
    Written,
    /// As they are, of a value that came from JSON.
    Read,
}

/// The value's own serialization refused.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl From<Refused> for CodecError {
    fn from(refused: Refused) -> Self {
        Self::new(
            crate::ErrorKind::Rejected,
            "the value's own serialization refused",
        )
        .caused_by(refused)
    }
}

struct Walker<S> {
    floats: Floats,
    summary: std::marker::PhantomData<S>,
}

impl<S> Clone for Walker<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Walker<S> {}

impl<S: Summary> Walker<S> {
    fn begin(self, kind: Kind, name: &'static str, variant: bool) -> Result<Group<S>, Refused> {
        Ok(Group {
            walker: self,
            group: S::begin(kind, name),
            variant: variant.then_some(name),
        })
    }

    /// JSON writes the shortest decimals that mean this number, but may read them as a neighbour of it.
    fn float<F: Serialize + serde::de::DeserializeOwned>(self, number: F) -> F {
        if self.floats != Floats::Written {
            return number;
        }
        let text = serde_json::to_string(&number).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(number)
    }
}

macro_rules! numbers {
    ($($name:ident $type:ty),+ $(,)?) => {
        $(fn $name(self, value: $type) -> Result<S, Refused> {
            Ok(S::number(&value.to_le_bytes()))
        })+
    };
}

impl<S: Summary> ser::Serializer for Walker<S> {
    type Ok = S;
    type Error = Refused;
    type SerializeSeq = Group<S>;
    type SerializeTuple = Group<S>;
    type SerializeTupleStruct = Group<S>;
    type SerializeTupleVariant = Group<S>;
    type SerializeMap = Group<S>;
    type SerializeStruct = Group<S>;
    type SerializeStructVariant = Group<S>;

    numbers!(
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128,
    );

    fn serialize_bool(self, value: bool) -> Result<S, Refused> {
        Ok(S::number(&[u8::from(value)]))
    }

    fn serialize_f32(self, value: f32) -> Result<S, Refused> {
        Ok(S::number(&self.float(value).to_le_bytes()))
    }

    fn serialize_f64(self, value: f64) -> Result<S, Refused> {
        Ok(S::number(&self.float(value).to_le_bytes()))
    }

    fn serialize_char(self, value: char) -> Result<S, Refused> {
        Ok(S::number(&u32::from(value).to_le_bytes()))
    }

    fn serialize_str(self, value: &str) -> Result<S, Refused> {
        Ok(S::text(value.as_bytes()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<S, Refused> {
        Ok(S::text(value))
    }

    fn serialize_none(self) -> Result<S, Refused> {
        Ok(S::nothing("None"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S, Refused> {
        Ok(S::around("Some", value.serialize(self)?))
    }

    fn serialize_unit(self) -> Result<S, Refused> {
        Ok(S::nothing(""))
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S, Refused> {
        Ok(S::nothing(name))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<S, Refused> {
        Ok(S::nothing(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<S, Refused> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S, Refused> {
        Ok(S::around(variant, value.serialize(self)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Group<S>, Refused> {
        self.begin(Kind::Sequence, "", false)
    }

    fn serialize_tuple(self, _: usize) -> Result<Group<S>, Refused> {
        self.begin(Kind::Fields, "", false)
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Group<S>, Refused> {
        self.begin(Kind::Fields, name, false)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Group<S>, Refused> {
        self.begin(Kind::Fields, variant, true)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Group<S>, Refused> {
        self.begin(Kind::Map, "", false)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Group<S>, Refused> {
        self.begin(Kind::Fields, name, false)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Group<S>, Refused> {
        self.begin(Kind::Fields, variant, true)
    }

    fn is_human_readable(&self) -> bool {
        self.floats != Floats::Exact
    }
}

/// A group under way.
pub(crate) struct Group<S: Summary> {
    walker: Walker<S>,
    group: S::Group,
    /// The variant that the group is the contents of.
    variant: Option<&'static str>,
}

impl<S: Summary> Group<S> {
    fn member<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Refused> {
        let member = value.serialize(self.walker)?;
        S::add(&mut self.group, name, member);
        Ok(())
    }

    fn ended(self) -> S {
        let group = S::end(self.group);
        match self.variant {
            Some(name) => S::around(name, group),
            None => group,
        }
    }
}

macro_rules! groups {
    ($($trait:ident :: $method:ident ( $($argument:ident : $type:ty),* ) as $name:expr),+ $(,)?) => {
        $(impl<S: Summary> ser::$trait for Group<S> {
            type Ok = S;
            type Error = Refused;

            fn $method<T: Serialize + ?Sized>(&mut self, $($argument: $type,)* value: &T) -> Result<(), Refused> {
                self.member($name, value)
            }

            fn end(self) -> Result<S, Refused> {
                Ok(self.ended())
            }
        })+
    };
}

groups!(
    SerializeSeq::serialize_element() as "",
    SerializeTuple::serialize_element() as "",
    SerializeTupleStruct::serialize_field() as "",
    SerializeTupleVariant::serialize_field() as "",
    SerializeStruct::serialize_field(name: &'static str) as name,
    SerializeStructVariant::serialize_field(name: &'static str) as name,
);

impl<S: Summary> ser::SerializeMap for Group<S> {
    type Ok = S;
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        self.member("", key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.member("", value)
    }

    fn end(self) -> Result<S, Refused> {
        Ok(self.ended())
    }
}
