//! Shelves too large for one sheet: a change is carried up level by level, and costs the height and not the size.
//!
//! The tree itself is the shelf module's subject; here it lives in the cache of several nodes.

use super::fixture::{Market, book, gpu, record, settle, shelf};
use crate::inventory::{OperatorStatus, PAGE_SIZE};
use crate::shelf::{FAN_OUT, level_of_parts};
use crate::*;

/// One page more than a sheet can list.
const GPUS: usize = PAGE_SIZE * (FAN_OUT as usize + 1);

fn classes(effects: &Effects) -> Vec<String> {
    let Effects::Published { keys } = effects else {
        panic!("{effects:?}")
    };
    keys.iter().map(|(key, _)| key.namespace().to_owned()).collect()
}

async fn states(node: &Marketplace) -> shelf::StateCounts {
    node.gpu_pricing(&shelf("us", "T4"))
        .await
        .unwrap()
        .value
        .unwrap()
        .whole
        .states
}

#[tokio::test(start_paused = true)]
async fn a_booking_on_a_large_shelf_writes_one_key_more_for_each_level() {
    let market = Market::of(&["us"], &["T4"], GPUS);
    let (a, b) = (market.node("a").await, market.node("b").await);
    assert_eq!(states(&b).await.available, GPUS as u64);
    let booked = book(&a, &gpu("us", "T4", GPUS - 1), "k").await;
    assert_eq!(
        classes(&booked.effects),
        [
            "gpu_availability",
            "shelf_section",
            "gpu_pricing",
            "order_book",
            "market_stats"
        ]
    );
    settle().await;
    assert_eq!(
        (states(&b).await.available, states(&b).await.busy),
        (GPUS as u64 - 1, 1)
    );
    let stats = b.market_stats(None).await.unwrap().value;
    assert_eq!((stats.states.total(), stats.states.busy), (GPUS as u64, 1));
    let sheet = b.gpu_pricing(&shelf("us", "T4")).await.unwrap().value.unwrap();
    assert_eq!((sheet.level, sheet.parts.len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_large_shelf_is_listed_and_searched_through_its_sections() {
    let market = Market::of(&["us"], &["T4"], GPUS);
    let node = market.node("a").await;
    let last = gpu("us", "T4", GPUS - 1);
    node.update_gpu_pricing(&last, Money::parse("0.01", Currency::USD).unwrap())
        .await
        .unwrap();
    let cheapest = node.cheapest_gpus(1, SearchFilter::default()).await.unwrap();
    assert_eq!(cheapest.value[0].id, last);
    let opened = |answer: &Answer<Vec<Gpu>>, class: &str| {
        let of_class = answer.reads.iter().filter(|read| read.key.namespace() == class);
        of_class.count()
    };
    assert_eq!(
        (
            opened(&cheapest, "shelf_section"),
            opened(&cheapest, "gpu_availability")
        ),
        (1, 1)
    );
    let everything = AvailabilityQuery {
        limit: usize::MAX,
        ..AvailabilityQuery::default()
    };
    let all = node.gpu_availability(&everything).await.unwrap().value;
    assert_eq!(all.len(), GPUS);
    assert_eq!(
        (&all[0].id, &all[GPUS - 1].id),
        (&gpu("us", "T4", 0), &last),
        "in the order of the shelf"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shelf_that_outgrows_its_sheet_loses_no_change_on_any_node() {
    let market = Market::of(&["us"], &["T4"], GPUS - PAGE_SIZE);
    let (a, b) = (market.node("a").await, market.node("b").await);
    assert_eq!(level_of_parts(FAN_OUT), 0);
    for node in [&a, &b] {
        assert_eq!(states(node).await.available, (GPUS - PAGE_SIZE) as u64);
    }
    let added = (GPUS - PAGE_SIZE..GPUS).map(|number| record("us", "T4", 0, number));
    let touched = market.inventory.add(added).unwrap();
    assert_eq!(
        a.grown(&touched).await,
        [(shelf("us", "T4"), 1, 2)],
        "two sections take the place of pages"
    );
    // Another node changes something while this one tells of the growth.
    let first = gpu("us", "T4", 0);
    let (told, changed) = tokio::join!(
        a.stock_added(touched),
        b.update_gpu_status(&first, OperatorStatus::Maintenance)
    );
    assert!(matches!(told, Effects::Published { .. }), "{told:?}");
    assert!(matches!(changed.unwrap(), Effects::Published { .. }));
    settle().await;
    for node in [&a, &b] {
        let states = states(node).await;
        assert_eq!((states.available, states.maintenance), (GPUS as u64 - 1, 1));
    }
    b.update_gpu_status(&gpu("us", "T4", GPUS - 1), OperatorStatus::Offline)
        .await
        .unwrap();
    settle().await;
    assert_eq!(states(&a).await.offline, 1);
}

#[tokio::test(start_paused = true)]
async fn changes_made_at_once_on_a_large_shelf_do_not_undo_each_other() {
    let market = Market::of(&["us"], &["T4"], GPUS);
    let nodes = [market.node("a").await, market.node("b").await];
    let changes = (0..80).map(|turn| {
        let (node, id) = (&nodes[turn % 2], gpu("us", "T4", turn * 23));
        async move {
            node.update_gpu_status(&id, OperatorStatus::Offline)
                .await
                .unwrap()
        }
    });
    futures_util::future::join_all(changes).await;
    settle().await;
    for node in &nodes {
        assert_eq!(states(node).await.offline, 80);
    }
}
