//! The readers on the real files, and a market opened from them.
//!
//! The files are no part of this project: where they are missing, this says so and tests nothing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use marketplace::checks::states_add_up;
use marketplace::ingest::{Layout, OfferBook, Stock, read_hosts, read_offers, read_tasks, stock};
use marketplace::shelf::{DayTotals, MarketStats, PartKey, PartSummary, Summary, level_of_parts};
use marketplace::{
    Currency, GpuPage, Inventory, ManualClock, MemoryInventory, PriceSheet, Ranking, Region, ScarcityPricing,
    Search, SearchFilter, StoreTime,
};

/// Beside the workspace.
fn real(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(file);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn real_stock() -> Option<Stock> {
    let hosts = File::open(real("openb_node_list_gpu_node.csv")?).expect("it opens");
    let offers = File::open(real("vast_offers.csv")?).expect("it opens");
    let hosts = read_hosts(hosts, "hosts").expect("it is a table");
    let offers = read_offers(offers, "offers").expect("it is a table");
    assert_eq!((hosts.problems, offers.problems), (vec![], vec![]));
    assert_eq!((hosts.rows.len(), offers.rows.len()), (1_213, 67));
    let regions = ["us-east", "us-west", "eu-central"].map(|region| Region::new(region).expect("a name"));
    let layout = Layout {
        regions: regions.to_vec(),
        hosts_per_provider: 20,
    };
    let stock = stock(
        &hosts.rows,
        &OfferBook::of(&offers.rows),
        &layout,
        StoreTime::from_millis(0),
    );
    Some(stock.expect("host names are names"))
}

#[test]
fn every_gpu_of_the_hosts_gets_a_price() {
    let Some(stock) = real_stock() else { return };
    assert_eq!(stock.gpus.len(), 6_212);
    assert!(stock.unknown.is_empty());
    let price = |model: &str| {
        stock
            .gpus
            .iter()
            .find(|gpu| gpu.model.as_str() == model)
            .unwrap()
            .base_price
            .to_string()
    };
    assert_eq!(price("V100M16"), "0.10625 USD", "of the one offer of eight");
    assert_eq!(price("G3"), "0.76 USD", "the median of the A100 offers");
    assert_eq!(price("T4"), "0.10 USD", "an estimate");
}

#[test]
fn every_task_with_gpus_is_a_booking() {
    let Some(path) = real("openb_pod_list_default.csv") else {
        return;
    };
    let tasks = read_tasks(File::open(path).unwrap(), "tasks").unwrap();
    assert_eq!(tasks.problems, vec![]);
    assert_eq!(tasks.rows.len(), 7_064);
    assert_eq!(
        tasks.rows.iter().filter(|task| task.interval().is_none()).count(),
        1,
        "one was cancelled at once"
    );
}

#[tokio::test]
async fn a_market_of_the_real_stock_adds_up_and_is_searched_through_few_pages() {
    let Some(stock) = real_stock() else { return };
    let inventory = MemoryInventory::new(
        Arc::new(ManualClock::at(StoreTime::from_millis(0))),
        Currency::USD,
    );
    inventory.add(stock.gpus).unwrap();
    let (mut sheets, mut pages) = (Vec::new(), std::collections::HashMap::new());
    for shelf in inventory.catalogue().await.unwrap() {
        let mut summaries = Vec::new();
        for key in shelf.page_keys() {
            let page = GpuPage::assemble(&inventory.page(&key).await.unwrap().unwrap(), &[]);
            let summary = Summary::of_page(&page);
            summaries.push(PartSummary {
                number: key.page,
                summary,
            });
            pages.insert(key, page);
        }
        assert_eq!(level_of_parts(shelf.pages), 0, "{}", shelf.shelf);
        let sheet = PriceSheet::assemble(shelf.shelf, 0, summaries, &ScarcityPricing, None);
        sheets.push(sheet);
    }
    let stats = MarketStats::assemble(&sheets, DayTotals::default());
    assert_eq!(states_add_up(6_212, stats.states), Ok(()));
    assert_eq!(stats.states.available, 6_212);

    let mut search = Search::new(SearchFilter::default(), Ranking::TopPerforming, 20, &sheets);
    let mut opened = 0;
    while let Some(PartKey::Page(key)) = search.next_part() {
        opened += 1;
        search.take_page(&pages[&key]);
    }
    let found = search.finish();
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|gpu| gpu.model.as_str() == "G3"));
    assert_eq!(opened, 1, "of {} pages", pages.len());
}
