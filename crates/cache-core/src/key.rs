//! The text that identifies a cached value on every node.
//!
//! Keys are built only by [`Namespace::key`](crate::Namespace::key); there is no way to make one from raw text
//! except to take over a key that came from the wire.

use std::fmt::{self, Display, Write as _};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64;

/// Longest key in bytes. Longer ones keep a readable start and end in a 128-bit hash of the whole.
const MAX_LEN: usize = 200;

/// A key: readable, deterministic, injection-proof and at most 200 bytes long.
///
/// The form is `namespace:name=value:name=value` with names in order; separators inside a name or value are
/// percent-encoded, so that no value can imitate another key. Its hash is computed once, here.
#[derive(Clone)]
pub struct CacheKey {
    text: Arc<str>,
    hash: u64,
}

impl CacheKey {
    /// Builds the key of `namespace` from named parameters in any order.
    pub(crate) fn build(namespace: &str, params: &[(&str, &dyn Display)]) -> Self {
        let mut parts: Vec<String> = params
            .iter()
            .map(|(name, value)| {
                let mut part = String::with_capacity(24);
                escape(name, &mut part);
                part.push('=');
                // Writing to a `String` cannot fail unless the value's own `Display` refuses.
                let mut value_text = String::new();
                let _ = write!(value_text, "{value}");
                escape(&value_text, &mut part);
                part
            })
            .collect();
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
    let mut short = text[..MAX_LEN - 33].to_owned();
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
                let borrowed: Vec<(&str, &dyn Display)> =
                    params.iter().map(|(name, value)| (name.as_str(), value as &dyn Display)).collect();
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
