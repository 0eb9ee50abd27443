//! After any sequence of changes on any nodes, what every node shows is what the records say.
//!
//! The truth is computed from scratch, without the cache.

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::fixture::{Market, book, cancel, gpu, settle, shelf};
use crate::inventory::OperatorStatus;
use crate::shelf::{DayTotals, DayWindow, GpuPage, PartSummary, PriceSheet, Summary};
use crate::*;

const MODELS: [&str; 2] = ["A100", "T4"];
const REGIONS: [&str; 2] = ["eu", "us"];
const GPUS: usize = 130;

/// The sheets as they must be; `shown` are those that a node shows, whose prices are judged by the rule itself: where it
/// would not move them, they are right.
async fn sheets(market: &Market, shown: &Marketplace) -> Vec<PriceSheet> {
    let mut sheets = Vec::new();
    for listing in market.records.inventory.catalogue().await.unwrap() {
        let mut pages = Vec::new();
        for key in listing.page_keys() {
            let listed = market.records.inventory.page(&key).await.unwrap().unwrap();
            let ids: Vec<_> = listed.gpus.iter().map(|gpu| gpu.id.clone()).collect();
            let occupied = market
                .bookings
                .occupied(&ids, market.records.clock.now())
                .await
                .unwrap();
            pages.push(PartSummary {
                number: key.page,
                summary: Summary::of_page(&GpuPage::assemble(&listed, &occupied)),
            });
        }
        let shown = shown.gpu_pricing(&listing.shelf).await.unwrap().value.unwrap();
        let before = Some(shown.multiplier);
        sheets.push(PriceSheet::assemble(
            listing.shelf,
            0,
            pages,
            &ScarcityPricing,
            before,
        ));
    }
    sheets
}

async fn day(market: &Market) -> DayTotals {
    let mut window = DayWindow::default();
    let changes = market
        .bookings
        .changes_since(Cursor::START, usize::MAX)
        .await
        .unwrap();
    changes.rows.iter().for_each(|change| window.record(change));
    window.totals(market.records.clock.now())
}

async fn agrees(market: &Market, node: &Marketplace) {
    let sheets = sheets(market, node).await;
    let truth = MarketStats::assemble(&sheets, day(market).await);
    assert_eq!(node.market_stats(None).await.unwrap().value, truth);
    for sheet in sheets {
        let book = node.order_book(&sheet.shelf).await.unwrap().value.unwrap();
        let asks: u64 = book.asks.iter().map(|ask| ask.count).sum();
        assert_eq!(
            asks + book.beyond,
            sheet.whole.states.available,
            "{}",
            sheet.shelf
        );
        assert_eq!(
            *node.gpu_pricing(&sheet.shelf).await.unwrap().value.unwrap(),
            sheet
        );
    }
}

/// One change drawn by `dice`, on one of the nodes.
async fn change(nodes: &[Marketplace], dice: &mut StdRng, booked: &mut Vec<Booked>, turn: usize) {
    let node = &nodes[dice.random_range(0..nodes.len())];
    let (region, model) = (REGIONS[dice.random_range(0..2)], MODELS[dice.random_range(0..2)]);
    let id = gpu(region, model, dice.random_range(0..GPUS));
    match dice.random_range(0..10) {
        0..6 => booked.push(book(node, &id, &format!("b{turn}")).await),
        6 if !booked.is_empty() => {
            let given_back = booked.swap_remove(dice.random_range(0..booked.len()));
            if given_back.outcome.won().is_some() {
                cancel(node, &given_back, &format!("c{turn}")).await;
            }
        }
        7 => {
            let status = [OperatorStatus::InService, OperatorStatus::Maintenance][dice.random_range(0..2)];
            node.update_gpu_status(&id, status).await.unwrap();
        }
        8 => {
            let price = Money::from_micros(dice.random_range(1..9) * 1_000_000, Currency::USD);
            node.update_gpu_pricing(&id, price).await.unwrap();
        }
        _ => {
            let provider =
                ProviderId::new(format!("{region}-provider-{}", dice.random_range(0..10))).unwrap();
            let status = [ProviderStatus::Online, ProviderStatus::Offline][dice.random_range(0..2)];
            node.update_provider_status(&provider, status).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_random_changes_on_random_nodes_all_of_them_show_the_truth() {
    for seed in 0..8 {
        let market = Market::of(&REGIONS, &MODELS, GPUS);
        let nodes = [
            market.node("a").await,
            market.node("b").await,
            market.node("c").await,
        ];
        let mut dice = StdRng::seed_from_u64(seed);
        let mut booked = Vec::new();
        for turn in 0..120 {
            change(&nodes, &mut dice, &mut booked, turn).await;
            if turn % 30 == 29 {
                settle().await;
                for node in &nodes {
                    agrees(&market, node).await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn changes_made_at_once_on_several_nodes_do_not_undo_each_other() {
    for seed in 0..8 {
        let market = Market::of(&["us"], &["T4"], GPUS);
        let nodes = [
            market.node("a").await,
            market.node("b").await,
            market.node("c").await,
        ];
        let delay = std::time::Duration::ZERO..=std::time::Duration::from_millis(5);
        market.hub.set_faults(cache_memory::Faults {
            request_delay: delay.clone(),
            event_delay: delay,
            ..cache_memory::Faults::NONE
        });
        let mut dice = StdRng::seed_from_u64(seed);
        let asks = (0..60).map(|turn| {
            let (node, id) = (&nodes[turn % 3], gpu("us", "T4", dice.random_range(0..GPUS)));
            async move { book(node, &id, &format!("b{turn}")).await }
        });
        join_all(asks).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        for node in &nodes {
            agrees(&market, node).await;
        }
        assert!(
            nodes[0]
                .gpu_pricing(&shelf("us", "T4"))
                .await
                .unwrap()
                .value
                .unwrap()
                .whole
                .states
                .busy
                > 30
        );
    }
}
