//! The text that identifies a cached value on every node.
//!
//! Keys are built only by [`Namespace::key`](crate::Namespace::key); there is no way to make one from raw text
//! except to take over a key that came from the wire.

use std::fmt::{self, Display, Write as _};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64;

/// Longest key in bytes. Longer ones keep a readable start and end in a 128-bit hash of the whole.
const MAX_LEN: usize = 200;

/// What a shortened key ends in: a mark and 32 hexadecimal digits.
const HASH_LEN: usize = 33;

/// What a key that could not be written has behind its namespace. `~` is escaped in whole keys, and in shortened ones only
/// hexadecimal digits follow it.
const UNWRITABLE: &str = ":~!";

/// Longest name of a namespace in bytes. Longer ones would be cut off where a key is shortened, and other nodes could not tell
/// whose key it is; this one leaves half of a shortened key to its parameters.
pub(crate) const MAX_NAMESPACE: usize = 64;

const _: () = assert!(
    MAX_NAMESPACE + HASH_LEN < MAX_LEN,
    "a shortened key keeps its whole namespace"
);

/// A parameter of a key: whatever can be displayed, and seen by several threads, so that a future that holds it can be sent to
/// another one.
pub type Param<'a> = dyn Display + Sync + 'a;

/// A key: readable, deterministic, injection-proof and at most 200 bytes long.
///
/// The form is `namespace:name=value:name=value` with names in order; separators inside a name or value are
/// percent-encoded, so that no value can imitate another key. Its hash is computed once, here.
///
/// A parameter whose `Display` returns an error gives a key that equals no other and that no cache accepts: see
/// [`CacheKey::unwritable`].
#[derive(Clone)]
pub struct CacheKey {
    text: Arc<str>,
    hash: u64,
}

impl CacheKey {
    /// Builds the key of `namespace` from named parameters in any order.
    pub(crate) fn build(namespace: &str, params: &[(&str, &Param<'_>)]) -> Self {
        let mut parts = Vec::with_capacity(params.len());
        for (name, value) in params {
            let mut part = String::with_capacity(24);
            escape(name, &mut part);
            part.push('=');
            // Writing to a `String` cannot fail unless the value's own `Display` refuses. What it wrote before that says
            // nothing: two values may fail behind the same beginning.
            let mut value_text = String::new();
            if write!(value_text, "{value}").is_err() {
                return Self::unwritten(namespace, name);
            }
            escape(&value_text, &mut part);
            parts.push(part);
        }
        parts.sort_unstable();
        let mut text =
            String::with_capacity(namespace.len() + parts.iter().map(|part| part.len() + 1).sum::<usize>());
        escape(namespace, &mut text);
        for part in &parts {
            text.push(':');
            text.push_str(part);
        }
        Self::from_wire(bounded(text))
    }

    /// A key like no other, because this parameter could not be written.
    fn unwritten(namespace: &str, param: &str) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let mut text = String::with_capacity(MAX_LEN);
        escape(namespace, &mut text);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        text.push_str(UNWRITABLE);
        text.push_str(&number.to_string());
        text.push(':');
        escape(param, &mut text);
        text.truncate(MAX_LEN);
        Self::from_wire(text)
    }

    /// The name of the parameter whose `Display` returned an error when this key was built, escaped as in a key; `None` for
    /// every key that is fit for use. Such a key equals no other key of its process, and a cache answers every call about it
    /// with an error.
    ///
    /// ```
    /// use cache_core::{Namespace, Policy};
    /// use std::{fmt, time::Duration};
    ///
    /// struct Broken;
    /// impl fmt::Display for Broken {
    ///     fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
    ///         Err(fmt::Error)
    ///     }
    /// }
    /// const USERS: Namespace<u32> = Namespace::new("users", Policy::event_driven(Duration::from_secs(30)));
    /// assert_eq!(USERS.key(&[("id", &7)]).raw().unwritable(), None);
    /// let [one, two] = [USERS.key(&[("id", &Broken)]), USERS.key(&[("id", &Broken)])];
    /// assert_eq!(one.raw().unwritable(), Some("id"));
    /// assert_ne!(one, two);
    /// ```
    pub fn unwritable(&self) -> Option<&str> {
        let behind = self.text.strip_prefix(self.namespace())?;
        let (_number, param) = behind.strip_prefix(UNWRITABLE)?.split_once(':')?;
        Some(param)
    }

    /// Takes over a key that another node built and that came by the bus or the shared store.
    pub fn from_wire(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let hash = xxh3_64(text.as_bytes());
        Self { text, hash }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of the namespace this key belongs to, as it stands in the key.
    pub fn namespace(&self) -> &str {
        self.text.split(':').next().unwrap_or_default()
    }

    /// XXH3 of the text: the same on every node and in every release. Chooses the shard.
    pub const fn hash64(&self) -> u64 {
        self.hash
    }
}

fn escape(part: &str, into: &mut String) {
    for byte in part.bytes() {
        match byte {
            b':' | b'=' | b'%' | b'{' | b'}' | b'~' | 0..=b' ' | 0x7f => {
                let _ = write!(into, "%{byte:02X}");
            }
            0x80.. => {
                let _ = write!(into, "%{byte:02X}");
            }
            _ => into.push(char::from(byte)),
        }
    }
}

fn bounded(text: String) -> String {
    if text.len() <= MAX_LEN {
        return text;
    }
    let digest = Sha256::digest(text.as_bytes());
    // `~` is escaped everywhere else, so a shortened key cannot equal a whole one. Escaped text is ASCII.
    let mut short = text[..MAX_LEN - HASH_LEN].to_owned();
    short.push('~');
    for byte in &digest[..16] {
        let _ = write!(short, "{byte:02x}");
    }
    short
}

impl PartialEq for CacheKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl Eq for CacheKey {}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for CacheKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CacheKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({})", self.text)
    }
}

impl Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl serde::Serialize for CacheKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for CacheKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from_wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_order_of_parameters_does_not_matter() {
        let one = CacheKey::build("gpu", &[("region", &"us"), ("model", &"H100")]);
        let two = CacheKey::build("gpu", &[("model", &"H100"), ("region", &"us")]);
        assert_eq!(one, two);
        assert_eq!(one.as_str(), "gpu:model=H100:region=us");
    }

    #[test]
    fn a_value_with_separators_cannot_imitate_another_key() {
        let honest = CacheKey::build("gpu", &[("a", &"1"), ("b", &"2")]);
        let forged = CacheKey::build("gpu", &[("a", &"1:b=2")]);
        assert_ne!(honest, forged);
        assert_eq!(forged.as_str(), "gpu:a=1%3Ab%3D2");
    }

    #[test]
    fn a_long_key_keeps_its_start_and_ends_in_a_hash() {
        let long = "x".repeat(5_000);
        let one = CacheKey::build("gpu", &[("id", &long)]);
        let two = CacheKey::build("gpu", &[("id", &format!("{long}y"))]);
        assert_eq!(one.as_str().len(), MAX_LEN);
        assert!(one.as_str().starts_with("gpu:id=xxx"));
        assert_ne!(one, two);
    }

    #[test]
    fn a_shortened_key_keeps_its_whole_namespace() {
        let (name, long) = ("n".repeat(MAX_NAMESPACE), "x".repeat(5_000));
        let short = CacheKey::build(&name, &[("id", &long)]);
        assert_eq!(short.as_str().len(), MAX_LEN);
        assert_eq!(short.namespace(), name);
    }

    /// Fails behind the same beginning, whatever it is.
    struct HalfWritten(u32);

    impl Display for HalfWritten {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("user-")?;
            if self.0 < 10 {
                return Err(fmt::Error);
            }
            write!(f, "{}", self.0)
        }
    }

    #[test]
    fn two_parameters_that_fail_half_way_never_share_a_key() {
        let keys: Vec<_> = [1, 2, 1]
            .map(|id| CacheKey::build("gpu", &[("user", &HalfWritten(id)), ("a", &1)]))
            .into();
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(key.unwritable(), Some("user"));
            assert_eq!(key.namespace(), "gpu");
            assert!(!keys[..index].contains(key), "{keys:?}");
        }
        let whole = CacheKey::build("gpu", &[("user", &HalfWritten(10))]);
        assert_eq!((whole.as_str(), whole.unwritable()), ("gpu:user=user-10", None));
    }

    #[test]
    fn no_key_that_was_written_looks_like_one_that_was_not() {
        let (long, marks) = ("x".repeat(5_000), "~!0:user");
        for key in [
            CacheKey::build("gpu", &[(marks, &marks)]),
            CacheKey::build("gpu", &[("id", &long)]),
            CacheKey::build("gpu", &[]),
        ] {
            assert_eq!(key.unwritable(), None, "{key}");
        }
    }

    #[test]
    fn a_parameter_that_cannot_be_written_is_named_however_long_its_name_is() {
        let (name, long) = ("n".repeat(MAX_NAMESPACE), "p".repeat(5_000));
        let key = CacheKey::build(&name, &[(&long, &HalfWritten(1))]);
        assert!(key.as_str().len() <= MAX_LEN);
        assert!(long.starts_with(key.unwritable().expect("it could not be written")));
    }

    #[test]
    fn the_namespace_is_readable_from_the_key() {
        assert_eq!(CacheKey::build("gpu", &[("id", &7)]).namespace(), "gpu");
        assert_eq!(CacheKey::build("gpu", &[]).namespace(), "gpu");
    }

    proptest! {
        #[test]
        fn different_parameters_never_share_a_key(
            a in proptest::collection::vec((".{0,12}", ".{0,90}"), 0..4),
            b in proptest::collection::vec((".{0,12}", ".{0,90}"), 0..4),
        ) {
            let key = |params: &[(String, String)]| {
                let borrowed: Vec<(&str, &Param<'_>)> =
                    params.iter().map(|(name, value)| (name.as_str(), value as &Param<'_>)).collect();
                CacheKey::build("n", &borrowed)
            };
            let (mut sorted_a, mut sorted_b) = (a.clone(), b.clone());
            sorted_a.sort();
            sorted_b.sort();
            prop_assert_eq!(key(&a) == key(&b), sorted_a == sorted_b);
            prop_assert!(key(&a).as_str().len() <= MAX_LEN);
        }
    }
}
