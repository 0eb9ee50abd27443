//! Which master has which slot of a cluster, as a table, and how names fall into slots.
//!
//! Pure: it asks nobody, and what it holds may be outdated; the cluster itself says so when it is.

use std::collections::{BTreeMap, BTreeSet};

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

use crate::Address;

/// Slots of every cluster.
const SLOTS: usize = 16_384;

/// Nobody's.
const NOBODY: u16 = u16::MAX;

const CHECKSUM: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// The slot of every name that has this hash tag.
pub(crate) fn slot_of(tag: &str) -> u16 {
    CHECKSUM.checksum(tag.as_bytes()) % SLOTS as u16
}

/// The masters and their slots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SlotMap {
    owners: Vec<u16>,
    masters: Vec<Address>,
    /// Of each master; a master without any may be missing.
    replicas: BTreeMap<Address, BTreeSet<Address>>,
}

impl SlotMap {
    /// Unpacks the answer to `CLUSTER SLOTS` that the server at `asked` gave; `None` for what is no such answer, or names
    /// no slot at all.
    pub(crate) fn unpack(answer: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        let mut map = Self {
            owners: vec![NOBODY; SLOTS],
            masters: Vec::new(),
            replicas: BTreeMap::new(),
        };
        for range in ranges {
            let Value::Array(range) = range else { return None };
            let [Value::Int(first), Value::Int(last), master, replicas @ ..] = &range[..] else {
                return None;
            };
            let address = address_of(master, asked)?;
            // A replica that cannot be read is not asked; the master is.
            let replicas = replicas.iter().filter_map(|replica| address_of(replica, asked));
            map.replicas.entry(address.clone()).or_default().extend(replicas);
            let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
            let owner = map.number_of(address);
            map.owners.get_mut(first..=last)?.fill(owner);
        }
        (!map.masters.is_empty()).then_some(map)
    }

    /// The master of a slot; `None` when nobody has it.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Address> {
        self.masters
            .get(usize::from(*self.owners.get(usize::from(slot))?))
    }

    /// The slot was found at another master.
    pub(crate) fn moved(&mut self, slot: u16, to: Address) {
        let owner = self.number_of(to);
        if let Some(slot) = self.owners.get_mut(usize::from(slot)) {
            *slot = owner;
        }
    }

    /// All masters that have a slot.
    pub(crate) fn masters(&self) -> BTreeSet<&Address> {
        let owners: BTreeSet<_> = self.owners.iter().collect();
        owners
            .into_iter()
            .filter_map(|owner| self.masters.get(usize::from(*owner)))
            .collect()
    }

    /// The replicas of a master.
    pub(crate) fn replicas(&self, master: &Address) -> Vec<Address> {
        self.replicas.get(master).into_iter().flatten().cloned().collect()
    }

    fn number_of(&mut self, master: Address) -> u16 {
        let known = self.masters.iter().position(|known| *known == master);
        let number = known.unwrap_or_else(|| {
            self.masters.push(master);
            self.masters.len() - 1
        });
        u16::try_from(number).unwrap_or(NOBODY)
    }
}

/// The address in what is told of a server; `None` for what is no such thing.
fn address_of(server: &Value, asked: &Address) -> Option<Address> {
    let Value::Array(server) = server else { return None };
    let [host, Value::Int(port), ..] = &server[..] else {
        return None;
    };
    Some(Address::new(host_of(host, asked)?, u16::try_from(*port).ok()?))
}

/// A server that does not know its own address tells none: it is where it was asked.
fn host_of(host: &Value, asked: &Address) -> Option<String> {
    match host {
        Value::Nil => Some(asked.host.clone()),
        Value::BulkString(host) if host.is_empty() => Some(asked.host.clone()),
        Value::BulkString(host) => String::from_utf8(host.clone()).ok(),
        Value::SimpleString(host) => Some(host.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: i64) -> Value {
        Value::Array(vec![
            Value::BulkString(host.into()),
            Value::Int(port),
            Value::BulkString(b"0a1b".to_vec()),
            Value::Array(Vec::new()),
        ])
    }

    fn range(first: i64, last: i64, master: Value) -> Value {
        let replica = server("10.0.0.9", 7009);
        Value::Array(vec![Value::Int(first), Value::Int(last), master, replica])
    }

    fn map(ranges: Vec<Value>) -> Option<SlotMap> {
        SlotMap::unpack(&Value::Array(ranges), &Address::new("asked", 7))
    }

    #[test]
    fn names_fall_into_the_slots_that_the_cluster_counts() {
        // As `CLUSTER KEYSLOT` answers.
        assert_eq!(slot_of("123456789"), 12_739);
        assert_eq!(slot_of("foo"), 12_182);
    }

    #[test]
    fn every_slot_has_the_master_that_was_named_and_the_others_have_none() {
        let ranges = vec![
            range(0, 99, server("10.0.0.1", 7001)),
            range(200, 16_383, server("10.0.0.2", 7002)),
            range(100, 100, server("10.0.0.1", 7001)),
        ];
        let map = map(ranges).expect("a map");
        let (first, second) = (Address::new("10.0.0.1", 7001), Address::new("10.0.0.2", 7002));
        for (slot, owner) in [
            (0, Some(&first)),
            (100, Some(&first)),
            (101, None),
            (200, Some(&second)),
            (16_383, Some(&second)),
            (16_384, None),
        ] {
            assert_eq!(map.owner(slot), owner, "{slot}");
        }
        assert_eq!(map.masters(), BTreeSet::from([&first, &second]));
        assert_eq!(map.replicas(&first), [Address::new("10.0.0.9", 7009)]);
    }

    #[test]
    fn a_slot_that_has_moved_is_the_new_masters_alone() {
        let mut map = map(vec![range(0, 16_383, server("10.0.0.1", 7001))]).expect("a map");
        let other = Address::new("10.0.0.3", 7003);
        map.moved(5, other.clone());
        assert_eq!(
            (map.owner(5), map.owner(6)),
            (Some(&other), Some(&Address::new("10.0.0.1", 7001)))
        );
        assert_eq!(map.masters().len(), 2);
    }

    #[test]
    fn a_server_without_an_address_is_where_it_was_asked() {
        for nameless in [Value::Nil, Value::BulkString(Vec::new())] {
            let master = Value::Array(vec![nameless, Value::Int(7001), Value::Nil]);
            let map = map(vec![range(0, 1, master)]).expect("a map");
            assert_eq!(map.owner(1), Some(&Address::new("asked", 7001)));
        }
    }

    #[test]
    fn what_is_no_map_is_none() {
        assert_eq!(map(vec![]), None);
        assert_eq!(map(vec![range(0, 20_000, server("a", 1))]), None);
        assert_eq!(map(vec![range(0, 1, server("a", 70_000))]), None);
        assert_eq!(map(vec![Value::Int(1)]), None);
    }
}
