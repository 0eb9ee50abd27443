//! Searches against the plain answer: sort everything, take the first.
//!
//! They also count the pages a search opens, which is what it is for.

use super::super::fixtures::{free_page, listed, part, sheet, taken, usd};
use super::*;

fn market() -> Vec<GpuPage> {
    vec![
        free_page("us", "T4", 0, &["0.30", "0.20", "0.25"]),
        free_page("us", "T4", 1, &["0.90", "0.80"]),
        free_page("eu", "T4", 0, &["0.10", "0.95"]),
        free_page("eu", "H100", 0, &["2.00", "1.80"]),
    ]
}

fn sheets(pages: &[GpuPage]) -> Vec<PriceSheet> {
    pages
        .chunk_by(|one, other| one.key.shelf == other.key.shelf)
        .map(sheet)
        .collect()
}

/// Runs a search and says what it found and how many pages it opened.
fn run(filter: SearchFilter, ranking: Ranking, limit: usize, pages: &[GpuPage]) -> (Vec<Gpu>, usize) {
    run_over(&sheets(pages), &[], filter, ranking, limit, pages)
}

fn run_over(
    sheets: &[PriceSheet],
    sections: &[Section],
    filter: SearchFilter,
    ranking: Ranking,
    limit: usize,
    pages: &[GpuPage],
) -> (Vec<Gpu>, usize) {
    let mut search = Search::new(filter, ranking, limit, sheets);
    let mut opened = 0;
    while let Some(next) = search.next_part() {
        opened += 1;
        match next {
            PartKey::Page(key) => search.take_page(pages.iter().find(|page| page.key == key).unwrap()),
            PartKey::Section(key) => {
                search.take_section(sections.iter().find(|section| section.key == key).unwrap());
            }
        }
    }
    (search.finish(), opened)
}

fn prices(found: &[Gpu]) -> Vec<Money> {
    found.iter().map(|gpu| gpu.current_price).collect()
}

#[test]
fn the_cheapest_are_found_without_opening_pages_that_cannot_hold_them() {
    let (found, opened) = run(SearchFilter::default(), Ranking::Cheapest, 3, &market());
    assert_eq!(prices(&found), [usd("0.10"), usd("0.20"), usd("0.25")]);
    assert_eq!(opened, 2);
}

#[test]
fn every_limit_gives_the_first_of_the_sorted_market() {
    let everything = prices(&run(SearchFilter::default(), Ranking::Cheapest, 100, &market()).0);
    assert!(everything.is_sorted());
    assert_eq!(everything.len(), 9);
    for limit in 0..=9 {
        let (found, _) = run(SearchFilter::default(), Ranking::Cheapest, limit, &market());
        assert_eq!(prices(&found), everything[..limit]);
    }
}

#[test]
fn equal_gpus_on_many_pages_open_one_page() {
    let pages: Vec<_> = (0..50)
        .map(|page| free_page("us", "T4", page, &["0.10"; 64]))
        .collect();
    let (found, opened) = run(SearchFilter::default(), Ranking::Cheapest, 1, &pages);
    assert_eq!((found[0].id.as_str(), opened), ("us/T4/0/0", 1));
}

#[test]
fn the_top_performing_rank_by_score_then_price() {
    let (found, _) = run(SearchFilter::default(), Ranking::TopPerforming, 3, &market());
    let ranked: Vec<_> = found.iter().map(|gpu| (gpu.score.0, gpu.current_price)).collect();
    assert_eq!(
        ranked,
        [(1000, usd("0.10")), (1000, usd("0.30")), (1000, usd("0.90"))]
    );
}

#[test]
fn a_filter_is_met_by_every_hit_and_skips_shelves_it_excludes() {
    let filter = SearchFilter {
        region: Some(Region::new("eu").unwrap()),
        max_price: Some(usd("1.90")),
        ..SearchFilter::default()
    };
    let (found, opened) = run(filter.clone(), Ranking::Cheapest, 10, &market());
    assert_eq!(prices(&found), [usd("0.10"), usd("0.95"), usd("1.80")]);
    assert_eq!(opened, 2);
    let huge = SearchFilter {
        min_memory: Some(MemoryMib(20_000)),
        ..filter.clone()
    };
    assert_eq!(run(huge, Ranking::Cheapest, 10, &market()).1, 0);
    let many = SearchFilter {
        min_cores: Some(Cores(2_561)),
        ..filter
    };
    assert_eq!(run(many, Ranking::Cheapest, 10, &market()).1, 0);
}

#[test]
fn the_price_limit_counts_scarcity() {
    let page = listed("us", "T4", 0, &["1", "1", "1"]);
    let occupied = [taken(&page.gpus[0].id, 9), taken(&page.gpus[1].id, 9)];
    let pages = [GpuPage::assemble(&page, &occupied)];
    let at_most = |price| SearchFilter {
        max_price: Some(usd(price)),
        ..SearchFilter::default()
    };
    assert_eq!(run(at_most("1.19"), Ranking::Cheapest, 9, &pages).1, 0);
    assert_eq!(
        prices(&run(at_most("1.20"), Ranking::Cheapest, 9, &pages).0),
        [usd("1.20")]
    );
}

#[test]
fn busy_gpus_are_found_only_when_asked_for() {
    let page = listed("us", "T4", 0, &["1", "2"]);
    let pages = [GpuPage::assemble(&page, &[taken(&page.gpus[0].id, 9)])];
    assert_eq!(
        run(SearchFilter::default(), Ranking::Cheapest, 9, &pages).0.len(),
        1
    );
    let any = SearchFilter {
        availability: Availability::Any,
        ..SearchFilter::default()
    };
    assert_eq!(run(any, Ranking::Cheapest, 9, &pages).0.len(), 2);
}

#[test]
fn a_page_that_was_not_asked_for_is_passed_over() {
    let pages = market();
    let sheets = sheets(&pages);
    let mut search = Search::new(SearchFilter::default(), Ranking::Cheapest, 10, &sheets);
    search.take_page(&pages[0]);
    assert!(search.finish().is_empty());
}

#[test]
fn sections_are_opened_only_where_they_may_hold_a_hit() {
    let pages: Vec<_> = (0..20)
        .map(|page| {
            let prices: Vec<String> = (0..5)
                .map(|slot| format!("{}", 100 + (page * 7 + slot * 13) % 90))
                .collect();
            let prices: Vec<&str> = prices.iter().map(String::as_str).collect();
            free_page("us", "T4", page, &prices)
        })
        .collect();
    let sections: Vec<Section> = pages
        .chunks(4)
        .zip(0..)
        .map(|(pages, number)| {
            let key = SectionKey {
                shelf: pages[0].key.shelf.clone(),
                level: 1,
                number,
            };
            Section::assemble(key, pages.iter().map(part))
        })
        .collect();
    let summaries = sections.iter().map(|section| PartSummary {
        number: section.key.number,
        summary: section.summary(),
    });
    let shelf = pages[0].key.shelf.clone();
    let sheets = [PriceSheet::assemble(
        shelf,
        1,
        summaries,
        &crate::ScarcityPricing,
        None,
    )];
    for limit in [1, 3, 40, 100] {
        let filter = SearchFilter::default();
        let (found, opened) = run_over(
            &sheets,
            &sections,
            filter.clone(),
            Ranking::Cheapest,
            limit,
            &pages,
        );
        assert_eq!(
            prices(&found),
            prices(&run(filter, Ranking::Cheapest, limit, &pages).0)
        );
        assert!(limit > 1 || opened == 2, "one section and one page, not {opened}");
    }
    let dear = SearchFilter {
        max_price: Some(usd("99")),
        ..SearchFilter::default()
    };
    assert_eq!(
        run_over(&sheets, &sections, dear, Ranking::Cheapest, 9, &pages).1,
        0
    );
}
