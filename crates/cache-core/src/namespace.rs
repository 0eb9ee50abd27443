//! A namespace: the name, value type and policy of one class of cached data, in one `const`.
//!
//! It opens nothing and holds no state; a cache is told about it when it is built.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use crate::{CacheKey, Policy, Shard};

/// A class of cached data: what it is called, what type its values have, how they live.
///
/// ```
/// use cache_core::{Namespace, Policy};
/// use std::time::Duration;
///
/// const GPUS: Namespace<String> = Namespace::new("gpus", Policy::event_driven(Duration::from_secs(30)));
/// assert_eq!(GPUS.key(&[("id", &42)]).as_str(), "gpus:id=42");
/// ```
pub struct Namespace<V> {
    name: &'static str,
    policy: Policy,
    value: PhantomData<fn() -> V>,
}

impl<V> Namespace<V> {
    /// A namespace. Its name is the first part of every key: letters, digits, `_`, `-` and `.` only.
    ///
    /// # Panics
    /// When the name is empty or has another character; in a `const`, that is a compile error.
    pub const fn new(name: &'static str, policy: Policy) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "a namespace needs a name");
        let mut index = 0;
        while index < bytes.len() {
            assert!(
                matches!(bytes[index], b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.'),
                "a namespace's name has letters, digits, '_', '-' and '.' only"
            );
            index += 1;
        }
        Self {
            name,
            policy,
            value: PhantomData,
        }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How its values live.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The key with these named parameters, in any order.
    pub fn key(&self, params: &[(&str, &dyn Display)]) -> Key<V> {
        let raw = CacheKey::build(self.name, params);
        Key {
            shard: Shard::of(self.policy.lane, &raw),
            namespace: self.name,
            raw,
            value: PhantomData,
        }
    }
}

impl<V> Clone for Namespace<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Namespace<V> {}

impl<V> fmt::Debug for Namespace<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name)
            .field("policy", &self.policy)
            .finish()
    }
}

/// A key that knows the type of its value, so that a wrong type is a compile error.
pub struct Key<V> {
    raw: CacheKey,
    namespace: &'static str,
    shard: Shard,
    value: PhantomData<fn() -> V>,
}

impl<V> Key<V> {
    /// The key without its type.
    pub const fn raw(&self) -> &CacheKey {
        &self.raw
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.raw.as_str()
    }

    /// The name of its namespace.
    pub const fn namespace(&self) -> &'static str {
        self.namespace
    }

    /// The shard that orders its changes.
    pub const fn shard(&self) -> Shard {
        self.shard
    }
}

impl<V> Clone for Key<V> {
    fn clone(&self) -> Self {
        Self {
            raw: self.raw.clone(),
            namespace: self.namespace,
            shard: self.shard,
            value: PhantomData,
        }
    }
}

impl<V> PartialEq for Key<V> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl<V> Eq for Key<V> {}

impl<V> std::hash::Hash for Key<V> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.raw.hash(state);
    }
}

impl<V> fmt::Debug for Key<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.raw, f)
    }
}
