//! A value that was acknowledged is what every other node reads.
//!
//! What each codec can carry is tested where the codecs are.

use std::time::Duration;

use cache_core::{CodecId, MAX_VALUE_BYTES, Namespace, Policy};
use edge_cache::{CacheError, Tier};
use serde::{Deserialize, Serialize};
use tests::{Fleet, FleetOptions};
use tracing::Level;

use crate::log::Log;

const POLICY: Policy = Policy::event_driven(Duration::from_secs(60));

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Offer {
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<u8>,
    gpus: u32,
    cents: u32,
}

const OFFER: Offer = Offer {
    discount: None,
    gpus: 1,
    cents: 300,
};
const OFFERS: Namespace<Offer> = Namespace::new("offers", POLICY);
const OFFERS_IN_JSON: Namespace<Offer> = Namespace::new("offers_in_json", POLICY.with_codec(CodecId::JSON));

#[tokio::test(start_paused = true)]
async fn a_value_that_its_codec_cannot_carry_fails_where_it_is_written_or_loaded_and_json_carries_it() {
    let fleet = Fleet::start(FleetOptions::default(), |builder| {
        builder.namespace(&OFFERS).namespace(&OFFERS_IN_JSON)
    })
    .await;
    let key = OFFERS.key(&[("id", &1)]);
    for answer in [
        fleet.nodes[0].put(&key, OFFER).await.map(|_| ()),
        fleet.nodes[0]
            .get_or_load(&key, |_| async { Ok::<_, std::io::Error>(OFFER) })
            .await
            .map(|_| ()),
    ] {
        let Err(CacheError::Rejected(why)) = answer else {
            panic!("{answer:?}");
        };
        for word in ["\"offers\"", "values::Offer", "bincode", "CodecId::JSON"] {
            assert!(why.contains(word), "{word} is not in: {why}");
        }
    }
    let key = OFFERS_IN_JSON.key(&[("id", &1)]);
    fleet.nodes[0].put(&key, OFFER).await.expect("JSON carries it");
    let read = fleet.nodes[1].get(&key).await.expect("read").expect("stored");
    assert_eq!((&*read, read.tier()), (&OFFER, Tier::L2));
    fleet.shutdown().await;
}

/// Two types that look alike, of which one is not read back.
mod one_way {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    pub(super) struct Written(pub(super) u64);

    #[derive(Serialize, Debug)]
    pub(super) struct Read(u64);

    impl<'de> Deserialize<'de> for Read {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let number = u64::deserialize(deserializer)?;
            if number > 100 {
                return Err(serde::de::Error::custom("too much"));
            }
            Ok(Self(number))
        }
    }
}

const WRITTEN: Namespace<one_way::Written> = Namespace::new("one_way", POLICY);
const READ: Namespace<one_way::Read> = Namespace::new("one_way", POLICY);

#[tokio::test(start_paused = true)]
async fn records_of_the_own_schema_that_cannot_be_read_are_misses_counted_and_said_once() {
    let (log, _listening) = Log::listen();
    let mut fleet = Fleet::start(FleetOptions::default(), |builder| builder.namespace(&WRITTEN)).await;
    let reader = fleet.join(|builder| builder.namespace(&READ)).clone();
    assert!(reader.ready(Duration::from_secs(60)).await);
    for (id, value) in [(1, 1), (2, 200), (3, 300)] {
        let key = WRITTEN.key(&[("id", &id)]);
        fleet.nodes[0]
            .put(&key, one_way::Written(value))
            .await
            .expect("put");
        let read = reader.get(&READ.key(&[("id", &id)])).await.expect("no failure");
        assert_eq!(read.is_some(), value == 1);
    }
    assert_eq!(reader.stats().total().unreadable, 2);
    let warnings: Vec<_> = log
        .take()
        .into_iter()
        .filter(|(level, _)| *level == Level::WARN)
        .collect();
    let [(_, words)] = &*warnings else {
        panic!("{warnings:?}");
    };
    for word in ["one_way", "bincode", "too much"] {
        assert!(words.contains(word), "{word} is not in: {words}");
    }
    fleet.shutdown().await;
}

const TEXTS: Namespace<String> = Namespace::new("texts", POLICY);

#[tokio::test(start_paused = true)]
async fn a_value_larger_than_any_node_reads_is_refused_where_it_is_written_or_loaded() {
    let fleet = Fleet::start(FleetOptions::default(), |builder| builder.namespace(&TEXTS)).await;
    let (node, key) = (&fleet.nodes[0], TEXTS.key(&[("id", &1)]));
    let large = || "x".repeat(MAX_VALUE_BYTES);
    for answer in [
        node.put(&key, large()).await.map(|_| ()),
        node.get_or_load(&key, move |_| async move { Ok::<_, std::io::Error>(large()) })
            .await
            .map(|_| ()),
    ] {
        assert!(
            matches!(&answer, Err(CacheError::Rejected(why)) if why.contains("64 MiB") && why.contains("texts")),
            "{answer:?}"
        );
    }
    fleet.shutdown().await;
}

mod release {
    use super::*;

    /// Its second field is anything, so nobody can see what comes behind it.
    #[derive(Serialize, Deserialize)]
    pub(super) struct Note {
        pub(super) id: u32,
        pub(super) about: serde_json::Value,
        pub(super) stars: u32,
    }
}

const NOTES: Namespace<release::Note> = Namespace::new("notes", POLICY.with_codec(CodecId::JSON));

#[tokio::test(start_paused = true)]
async fn a_type_whose_shape_cannot_be_seen_is_warned_of_with_its_field_until_it_has_a_version() {
    let (log, _listening) = Log::listen();
    let one = || FleetOptions {
        nodes: 1,
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(one(), |builder| builder.namespace(&NOTES).namespace(&OFFERS)).await;
    let lines = log.take();
    let [(level, words)] = &*lines else {
        panic!("{lines:?}");
    };
    assert_eq!(*level, Level::WARN);
    for word in ["notes", "release::Note", "Note.about", "with_schema_version"] {
        assert!(words.contains(word), "{word} is not in: {words}");
    }
    fleet.shutdown().await;
    let fleet = Fleet::start(one(), |builder| builder.namespace(&NOTES.with_schema_version(1))).await;
    assert_eq!(log.take(), []);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_value_of_another_schema_version_is_missing_and_not_misread() {
    let mut fleet = Fleet::start(FleetOptions::default(), |builder| {
        builder.namespace(&NOTES.with_schema_version(1))
    })
    .await;
    let newer = fleet
        .join(|builder| builder.namespace(&NOTES.with_schema_version(2)))
        .clone();
    assert!(newer.ready(Duration::from_secs(60)).await);
    let key = NOTES.key(&[("id", &1)]);
    let note = release::Note {
        id: 1,
        about: serde_json::json!({"gpu": "H100"}),
        stars: 5,
    };
    fleet.nodes[0].put(&key, note).await.expect("put");
    let same = fleet.nodes[1].get(&key).await.expect("read").expect("stored");
    assert_eq!((same.id, same.stars, &same.about["gpu"]), (1, 5, &"H100".into()));
    assert!(newer.get(&key).await.expect("read").is_none());
    let stats = newer.stats().total();
    assert_eq!((stats.unusable, stats.unreadable), (1, 0));
    fleet.shutdown().await;
}
