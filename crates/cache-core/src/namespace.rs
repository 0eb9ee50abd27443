//! A namespace: the name, value type and policy of one class of cached data, in one `const`.
//!
//! It opens nothing and holds no state; a cache is told about it when it is built.

use std::fmt;
use std::marker::PhantomData;

use crate::key::MAX_NAMESPACE;
use crate::{CacheKey, Lane, Param, Policy, Shard, ShardCount};

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
    schema_version: u32,
    weight: Option<fn(&V) -> usize>,
    value: PhantomData<fn() -> V>,
}

impl<V> Namespace<V> {
    /// A namespace. Its name is the first part of every key: at most 64 letters, digits, `_`, `-` and `.`.
    ///
    /// # Panics
    /// When the name is empty, longer, or has another character; in a `const`, that is a compile error.
    ///
    /// ```compile_fail
    /// use cache_core::{Namespace, Policy};
    /// use std::time::Duration;
    /// const LONG: Namespace<u32> = Namespace::new(
    ///     "a_name_of_sixty_five_letters_of_which_the_last_one_is_one_too_many",
    ///     Policy::event_driven(Duration::from_secs(30)),
    /// );
    /// let _ = LONG.key(&[]);
    /// ```
    pub const fn new(name: &'static str, policy: Policy) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "a namespace needs a name");
        assert!(
            bytes.len() <= MAX_NAMESPACE,
            "a namespace's name has at most 64 letters: a longer one would be cut off in long keys"
        );
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
            schema_version: 0,
            weight: None,
            value: PhantomData,
        }
    }

    /// Sets the version of what the values mean. Another version is another schema: values written under it are missing, not
    /// wrong. Default 0. To be raised when a type changes where its shape cannot be seen
    /// ([`SchemaTrace::untraced`](crate::SchemaTrace), which a cache warns of), or keeps its shape and means something else.
    pub const fn with_schema_version(mut self, version: u32) -> Self {
        self.schema_version = version;
        self
    }

    /// Sets how many bytes of memory a value takes, itself and all that it owns. Default:
    /// [`estimated_weight`](crate::estimated_weight), which knows what serde sees. The limit on the namespace's memory counts it;
    /// called once for each value that comes into memory.
    ///
    /// ```
    /// use cache_core::{Namespace, Policy};
    /// use std::time::Duration;
    ///
    /// // Half empty lists are not seen by the estimate.
    /// const LISTS: Namespace<Vec<u64>> =
    ///     Namespace::new("lists", Policy::event_driven(Duration::from_secs(30))).with_weight(|list| list.capacity() * 8);
    /// assert_eq!(LISTS.weight().map(|weight| weight(&Vec::with_capacity(10))), Some(80));
    /// ```
    pub const fn with_weight(mut self, weight: fn(&V) -> usize) -> Self {
        self.weight = Some(weight);
        self
    }

    /// The version of what its values mean.
    pub const fn schema_version(&self) -> u32 {
        self.schema_version
    }

    /// How its values are weighed, if not by the default.
    pub const fn weight(&self) -> Option<fn(&V) -> usize> {
        self.weight
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How its values live.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The key with these named parameters, in any order. A parameter whose `Display` returns an error gives a key that no cache
    /// accepts ([`CacheKey::unwritable`]); one that panics gives none.
    pub fn key(&self, params: &[(&str, &Param<'_>)]) -> Key<V> {
        let raw = CacheKey::build(self.name, params);
        Key {
            lane: self.policy.lane,
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
    lane: Lane,
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

    /// The lane of its namespace.
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    /// The shard that orders its changes, where a lane has so many.
    pub const fn shard(&self, shards: ShardCount) -> Shard {
        shards.of(self.lane, &self.raw)
    }
}

impl<V> Clone for Key<V> {
    fn clone(&self) -> Self {
        Self {
            raw: self.raw.clone(),
            namespace: self.namespace,
            lane: self.lane,
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const POLICY: Policy = Policy::event_driven(Duration::from_secs(30));

    #[test]
    fn a_name_of_64_letters_is_accepted_and_one_more_is_refused_in_words() {
        let name = |length| &*Box::leak("n".repeat(length).into_boxed_str());
        assert_eq!(Namespace::<u32>::new(name(64), POLICY).name().len(), 64);
        let refused = std::panic::catch_unwind(|| Namespace::<u32>::new(name(65), POLICY));
        let panic = refused.expect_err("one letter too many");
        let words = panic.downcast_ref::<&str>().expect("a message");
        assert!(words.contains("at most 64 letters"), "{words}");
    }

    #[test]
    fn a_key_made_in_the_call_may_be_held_by_a_future_that_goes_to_another_thread() {
        const NUMBERS: Namespace<u32> = Namespace::new("numbers", POLICY);
        async fn read(key: &Key<u32>) -> String {
            key.as_str().to_owned()
        }
        fn sent<F: Future<Output = String> + Send>(future: F) -> F {
            future
        }
        let id = 7;
        let reading = sent(async move { read(&NUMBERS.key(&[("id", &id)])).await });
        drop(reading);
    }
}
