//! What was published of one key, and when: searched by how old a value is.
//!
//! It keeps what the servers have not forgotten, and judges nothing.

use cache_core::{Moment, Seq, Shard};

/// The publications of one key, in the order in which they happened.
#[derive(Debug, Default)]
pub(crate) struct Published(Vec<Publication>);

#[derive(Debug)]
struct Publication {
    at: Moment,
    value: u64,
    shard: Shard,
    seq: Seq,
    /// The newest value up to here: it rises, so that it can be searched.
    newest: u64,
}

impl Published {
    /// Nothing older than this value is current any more, says that step of that shard.
    pub(crate) fn push(&mut self, at: Moment, value: u64, shard: Shard, seq: Seq) {
        let newest = self.0.last().map_or(value, |last| last.newest.max(value));
        self.0.push(Publication {
            at,
            value,
            shard,
            seq,
            newest,
        });
    }

    /// When the first thing was published that a value lacks.
    pub(crate) fn first_after(&self, value: u64) -> Option<Moment> {
        let first = self.0.partition_point(|publication| publication.newest <= value);
        self.0.get(first).map(|publication| publication.at)
    }

    /// The newest value that a step of this shard published.
    pub(crate) fn newest_of(&self, shard: Shard) -> Option<u64> {
        let of_shard = self.0.iter().filter(|publication| publication.shard == shard);
        of_shard.map(|publication| publication.value).max()
    }

    /// The servers forgot the steps of a shard from this one on. Tells when the first of them was taken.
    pub(crate) fn forget(&mut self, shard: Shard, from: Seq) -> Option<Moment> {
        let forgotten = |publication: &Publication| publication.shard == shard && publication.seq >= from;
        let first = self.0.iter().find(|publication| forgotten(publication));
        let first = first.map(|publication| publication.at);
        self.0.retain(|publication| !forgotten(publication));
        let mut newest = 0;
        for publication in &mut self.0 {
            newest = publication.value.max(newest);
            publication.newest = newest;
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::Lane;

    #[test]
    fn what_was_forgotten_is_missed_by_nobody_and_what_came_before_and_after_is() {
        let [one, two] = [Lane::Critical, Lane::Bulk].map(Shard::barriers);
        let mut published = Published::default();
        for (at, value, shard) in [(1, 1, one), (2, 3, two), (3, 2, one), (4, 5, one)] {
            published.push(Moment::from_nanos(at), value, shard, Seq(at));
        }
        let first_after = |published: &Published, value| published.first_after(value).map(Moment::as_nanos);
        assert_eq!(
            [0, 1, 3, 5].map(|value| first_after(&published, value)),
            [Some(1), Some(2), Some(4), None]
        );
        assert_eq!(published.newest_of(two), Some(3));
        assert_eq!(published.forget(two, Seq(3)), None);
        assert_eq!(published.forget(two, Seq(2)).map(Moment::as_nanos), Some(2));
        assert_eq!(
            [1, 3].map(|value| first_after(&published, value)),
            [Some(3), Some(4)]
        );
    }
}
