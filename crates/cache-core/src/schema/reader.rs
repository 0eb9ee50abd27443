//! The deserializer without data behind a trace.
//!
//! It decides nothing: which value a place is given, and which variant is next, is the trace's.

use std::any::type_name;
use std::fmt;

use serde::de::value::U32Deserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer as _, Visitor};

use super::trace::{LENGTHS, LeafKind, NUMBERS, TEXTS, Trace};

/// A type accepts nothing that was made up for it.
#[derive(Debug)]
pub(super) struct Refused {
    message: String,
    last: bool,
}

impl Refused {
    /// Whether no other value would be accepted either.
    pub(super) const fn is_final(&self) -> bool {
        self.last
    }

    fn for_good(message: &str) -> Self {
        Self {
            message: message.to_owned(),
            last: true,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            last: false,
        }
    }
}

/// How deep a type is nested at most: what fits the stack that a trace is given, with a wide margin.
const MAX_DEPTH: usize = 1_000;

/// Answers what a type asks for.
pub(super) struct Reader<'t> {
    trace: &'t mut Trace,
    depth: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(trace: &'t mut Trace) -> Self {
        Self { trace, depth: 0 }
    }

    fn inside(&mut self) -> Result<Reader<'_>, Refused> {
        if self.depth >= MAX_DEPTH {
            return Err(Refused::for_good("it is nested too deeply"));
        }
        Ok(Reader {
            trace: self.trace,
            depth: self.depth + 1,
        })
    }

    fn number(&mut self, word: &str) -> u8 {
        NUMBERS[self.trace.choice(word, LeafKind::Number)]
    }

    /// All names before any type: where a field is refused, those behind it are known by name at least.
    fn note_names(&mut self, names: &[&str]) {
        self.trace.note(&names.len().to_string());
        names.iter().for_each(|name| self.trace.note(name));
    }

    fn fields<'de, V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.note_names(fields);
        visitor.visit_seq(Members {
            reader: self,
            names: Names::Fields(fields),
            next: 0,
            count: fields.len(),
        })
    }

    /// Reads what belongs to this name. The path stays as it is when something is refused.
    fn at<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Reader<'_>) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        self.trace.path.push(name.to_owned());
        let value = read(self.inside()?)?;
        self.trace.path.pop();
        Ok(value)
    }
}

macro_rules! numbers {
    ($($name:ident $visit:ident $type:ty),+ $(,)?) => {
        $(fn $name<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
            visitor.$visit(self.number(stringify!($type)) as $type)
        })+
    };
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = Refused;

    numbers!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_i128 visit_i128 i128, deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128, deserialize_f32 visit_f32 f32, deserialize_f64 visit_f64 f64,
    );

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        self.trace.note("any");
        Err(Refused::for_good(
            "it looks at the data before it knows what it is",
        ))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_bool(self.trace.choice("bool", LeafKind::Truth) == 1)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_char(['a', '0'][self.trace.choice("char", LeafKind::Character)])
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_borrowed_str(TEXTS[self.trace.choice("text", LeafKind::Text)])
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        static ZEROS: [u8; 64] = [0; 64];
        visitor.visit_borrowed_bytes(&ZEROS[..LENGTHS[self.trace.choice("bytes", LeafKind::Bytes)]])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        if self.trace.enters("option", type_name::<V>()) {
            visitor.visit_some(self.inside()?)
        } else {
            visitor.visit_none()
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.trace.note("unit");
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.trace.note("unit struct");
        self.trace.note(name);
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.trace.note("newtype");
        self.trace.note(name);
        visitor.visit_newtype_struct(self.inside()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        let count = usize::from(self.trace.enters("list", type_name::<V>()));
        visitor.visit_seq(Members {
            reader: self.inside()?,
            names: Names::None,
            next: 0,
            count,
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, count: usize, visitor: V) -> Result<V::Value, Refused> {
        self.trace.note("tuple");
        self.trace.note(&count.to_string());
        visitor.visit_seq(Members {
            reader: self.inside()?,
            names: Names::Numbers,
            next: 0,
            count,
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.trace.note(name);
        self.deserialize_tuple(count, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        let count = usize::from(self.trace.enters("map", type_name::<V>()));
        visitor.visit_map(Members {
            reader: self.inside()?,
            names: Names::None,
            next: 0,
            count,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.trace.note("struct");
        self.trace.note(name);
        self.at(name, |reader| reader.fields(fields, visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.trace.note("enum");
        self.trace.note(name);
        self.note_names(variants);
        let id = type_name::<V>();
        let begun = self.trace.begin_variant(id, variants.len());
        let number = begun.0;
        self.trace.note(&number.to_string());
        let place = format!("{name}::{}", variants.get(number).copied().unwrap_or_default());
        let value = self.at(&place, |reader| visitor.visit_enum(Variant { reader, number }))?;
        self.trace.end_variant(id, variants.len(), begun);
        Ok(value)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.trace.note("ignored");
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The members of something, one after the other.
struct Members<'t> {
    reader: Reader<'t>,
    names: Names,
    next: usize,
    count: usize,
}

/// What members are called in the path.
enum Names {
    Fields(&'static [&'static str]),
    Numbers,
    None,
}

impl Members<'_> {
    fn read<'de, T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refused> {
        match self.names {
            Names::Fields(names) => self
                .reader
                .at(names[self.next], |reader| seed.deserialize(reader)),
            Names::Numbers => {
                let number = self.next.to_string();
                self.reader.at(&number, |reader| seed.deserialize(reader))
            }
            Names::None => seed.deserialize(self.reader.inside()?),
        }
    }
}

impl<'de> de::SeqAccess<'de> for Members<'_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        if self.next >= self.count {
            return Ok(None);
        }
        let value = self.read(seed)?;
        self.next += 1;
        Ok(Some(value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.count - self.next)
    }
}

impl<'de> de::MapAccess<'de> for Members<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        if self.next >= self.count {
            return Ok(None);
        }
        self.next += 1;
        self.reader.at("key", |reader| seed.deserialize(reader)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        self.reader.at("value", |reader| seed.deserialize(reader))
    }
}

/// One variant of an enum.
struct Variant<'t> {
    reader: Reader<'t>,
    number: usize,
}

impl<'de, 't> de::EnumAccess<'de> for Variant<'t> {
    type Error = Refused;
    type Variant = Reader<'t>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Reader<'t>), Refused> {
        let number: U32Deserializer<Refused> =
            u32::try_from(self.number).unwrap_or_default().into_deserializer();
        Ok((seed.deserialize(number)?, self.reader))
    }
}

impl<'de> de::VariantAccess<'de> for Reader<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        self.trace.note("unit");
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value, Refused> {
        self.trace.note("newtype");
        seed.deserialize(self.inside()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Refused> {
        de::Deserializer::deserialize_tuple(self, count, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.fields(fields, visitor)
    }
}
