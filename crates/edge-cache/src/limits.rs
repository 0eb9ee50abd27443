//! What may travel to other nodes and how large it may be, checked where it enters the cache: nothing is cut off later.
//!
//! The names of namespaces are checked by `Namespace::new`, the sizes of values where they are encoded.

use cache_core::{CacheEvent, CacheKey, Tag};

use crate::CacheError;

/// Tags a value may carry. Each read of a value compares its tags with what was invalidated, one by one.
const MAX_TAGS: usize = 1_024;

/// Longest name of a node or a region in bytes, as long as a host's name may be: every event carries both.
const MAX_NAME: usize = 255;

/// Largest event in bytes of JSON. It is sent to every node and kept in the log: a document belongs into a namespace.
const MAX_EVENT: usize = 1 << 20;

/// Refuses a key that could not be written.
pub(crate) fn check_key(key: &CacheKey) -> Result<(), CacheError> {
    key.unwritable().map_or(Ok(()), |param| {
        Err(CacheError::rejected(format!(
            "a key of namespace {:?} has no identity: the Display of its parameter {param:?} returned an error; make it write \
             every value, and a different text for each",
            key.namespace()
        )))
    })
}

/// Refuses a tag that is too long.
pub(crate) fn check_tag(tag: &Tag) -> Result<(), CacheError> {
    let (name, length) = (tag.as_str(), tag.as_str().len());
    if length <= Tag::MAX_LEN {
        return Ok(());
    }
    let beginning = name.chars().take(40).collect::<String>();
    Err(CacheError::rejected(format!(
        "the tag that begins with {beginning:?} has {length} bytes, and at most {} are possible; use a hash of it",
        Tag::MAX_LEN
    )))
}

/// Refuses tags of one value that are too many or too long.
pub(crate) fn check_tags(tags: &[Tag]) -> Result<(), CacheError> {
    if tags.len() > MAX_TAGS {
        return Err(CacheError::rejected(format!(
            "a value may carry {MAX_TAGS} tags, and this one has {}; a namespace can be cleared as a whole",
            tags.len()
        )));
    }
    tags.iter().try_for_each(check_tag)
}

/// Refuses an event that is too large, or names something that cannot exist.
pub(crate) fn check_event(event: &CacheEvent) -> Result<(), CacheError> {
    event.tags.iter().try_for_each(check_tag)?;
    event
        .keys
        .iter()
        .try_for_each(|affected| check_key(&affected.key))?;
    let bytes = serde_json::to_vec(event).map_err(|error| CacheError::rejected(error.to_string()))?;
    if bytes.len() > MAX_EVENT {
        return Err(CacheError::rejected(format!(
            "an event of kind {:?} has {} bytes as JSON, and at most {MAX_EVENT} are possible; put what it tells into a \
             namespace and name its key",
            event.kind.name(),
            bytes.len()
        )));
    }
    Ok(())
}

/// What is wrong with the name of a node or a region, if something is.
pub(crate) fn problem_of_name(what: &str, name: &str) -> Option<String> {
    (name.len() > MAX_NAME).then(|| {
        format!(
            "the name of the {what} has {} bytes, and at most {MAX_NAME} are possible",
            name.len()
        )
    })
}
