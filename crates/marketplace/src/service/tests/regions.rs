//! What is near is offered first, and what is far is true all the same.
//!
//! Distances are stated by the settings; nothing measures them.

use super::fixture::{Market, book, gpu, settle};
use crate::*;

fn regions(found: &[Gpu]) -> Vec<&str> {
    found.iter().map(|gpu| gpu.region.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_own_region_is_offered_first_and_the_nearest_when_it_has_too_few() {
    let market = Market::of(&["ap", "eu", "us-east", "us-west"], &["T4"], 2);
    let settings = MarketSettings {
        home: Region::new("us-west").ok(),
        distances: "us-west/us-east=60, us-west/eu=140".parse().unwrap(),
        ..MarketSettings::default()
    };
    let node = market.node_with("a", settings).await;
    let near = node.nearby_gpus(SearchFilter::default(), 7).await.unwrap().value;
    assert_eq!(
        regions(&near),
        ["us-west", "us-west", "us-east", "us-east", "eu", "eu", "ap"]
    );
    let few = node.nearby_gpus(SearchFilter::default(), 2).await.unwrap();
    let opened = few
        .reads
        .iter()
        .filter(|read| read.key.namespace() == "gpu_pricing");
    assert_eq!(opened.count(), 1, "further regions are not looked into");
}

#[tokio::test(start_paused = true)]
async fn what_is_booked_in_another_region_is_not_offered_here() {
    let market = Market::of(&["eu", "us"], &["T4"], 1);
    let settings = MarketSettings {
        home: Region::new("us").ok(),
        distances: "us/eu=80".parse().unwrap(),
        ..MarketSettings::default()
    };
    let (here, there) = (
        market.node_with("us-1", settings).await,
        market.node("eu-1").await,
    );
    let near = here.nearby_gpus(SearchFilter::default(), 5).await.unwrap().value;
    assert_eq!(regions(&near), ["us", "eu"]);
    book(&there, &gpu("eu", "T4", 0), "k").await;
    settle().await;
    let near = here.nearby_gpus(SearchFilter::default(), 5).await.unwrap().value;
    assert_eq!(regions(&near), ["us"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_home_finds_regions_by_name() {
    let market = Market::of(&["us", "eu"], &["T4"], 1);
    let node = market.node("a").await;
    let found = node.nearby_gpus(SearchFilter::default(), 5).await.unwrap().value;
    assert_eq!(regions(&found), ["eu", "us"]);
}
