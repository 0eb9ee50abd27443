//! What the buyers of one region ask: nine kinds of queries, the popular ones far more often than the others.
//!
//! It asks nothing itself. Within each kind, popularity follows Zipf's law, with the buyers' own region in front.

use marketplace::inventory::GpuRecord;
use marketplace::{AvailabilityQuery, GpuId, MemoryMib, ProviderId, Region, SearchFilter, ShelfKey, Show};
use rand::Rng;
use rand::seq::SliceRandom as _;

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// Which GPUs can be had.
    Availability(AvailabilityQuery),
    /// What a shelf costs.
    Pricing(ShelfKey),
    /// What is on offer on a shelf.
    Book(ShelfKey),
    /// A region, or the market, in numbers.
    Statistics(Option<Region>),
    /// Whether a provider is online.
    Provider(ProviderId),
    /// The fastest that pass.
    TopPerforming(SearchFilter),
    /// The cheapest that pass.
    Cheapest(SearchFilter),
    /// All that pass.
    Search(SearchFilter),
    /// One GPU.
    Gpu(GpuId),
}

/// All questions, ready to be drawn.
#[derive(Debug)]
pub struct Catalogue(Vec<Kind>);

#[derive(Debug)]
struct Kind {
    /// How many of a hundred questions are of this kind.
    share: u32,
    queries: Vec<Query>,
    zipf: Zipf,
}

/// GPUs that a list shows: a screenful.
pub const SHOWN: usize = 20;

impl Catalogue {
    /// Everything that can be asked about `gpus` by the buyers of `home`, in an order of popularity drawn from `rng`.
    pub fn of(gpus: &[GpuRecord], home: &Region, rng: &mut impl Rng) -> Self {
        let mut shelves: Vec<ShelfKey> = gpus
            .iter()
            .map(|gpu| ShelfKey {
                region: gpu.region.clone(),
                model: gpu.model.clone(),
            })
            .collect();
        let mut providers: Vec<(Region, ProviderId)> = gpus
            .iter()
            .map(|gpu| (gpu.region.clone(), gpu.provider.clone()))
            .collect();
        let mut ids: Vec<(Region, GpuId)> = gpus
            .iter()
            .map(|gpu| (gpu.region.clone(), gpu.id.clone()))
            .collect();
        let mut regions: Vec<Region> = gpus.iter().map(|gpu| gpu.region.clone()).collect();
        let mut memories: Vec<MemoryMib> = gpus.iter().map(|gpu| gpu.memory).collect();
        shelves.sort_unstable();
        shelves.dedup();
        providers.sort_unstable();
        providers.dedup();
        regions.sort_unstable();
        regions.dedup();
        memories.sort_unstable();
        memories.dedup();
        by_popularity(&mut shelves, |shelf| shelf.region == *home, rng);
        by_popularity(&mut providers, |(region, _)| region == home, rng);
        by_popularity(&mut ids, |(region, _)| region == home, rng);
        by_popularity(&mut regions, |region| region == home, rng);

        let places = || regions.iter().cloned().map(Some).chain([None]);
        let everywhere = places().map(|region| SearchFilter {
            region,
            ..SearchFilter::default()
        });
        let of_model = shelves.iter().map(|shelf| SearchFilter {
            region: Some(shelf.region.clone()),
            model: Some(shelf.model.clone()),
            ..SearchFilter::default()
        });
        let filters: Vec<SearchFilter> = everywhere.chain(of_model).collect();
        let searches = places().flat_map(|region| {
            memories.iter().map(move |memory| SearchFilter {
                region: region.clone(),
                min_memory: Some(*memory),
                ..SearchFilter::default()
            })
        });
        let listed = shelves.iter().flat_map(|shelf| {
            [Show::Available, Show::AvailableAndBusy].map(|show| AvailabilityQuery {
                region: Some(shelf.region.clone()),
                model: Some(shelf.model.clone()),
                show,
                limit: SHOWN,
            })
        });
        let all = |queries: Vec<Query>, share: u32| Kind {
            share,
            zipf: Zipf::over(queries.len()),
            queries,
        };
        Self(vec![
            all(listed.map(Query::Availability).collect(), 25),
            all(shelves.iter().cloned().map(Query::Pricing).collect(), 15),
            all(shelves.iter().cloned().map(Query::Book).collect(), 10),
            all(places().map(Query::Statistics).collect(), 5),
            all(
                providers.into_iter().map(|(_, id)| Query::Provider(id)).collect(),
                5,
            ),
            all(filters.iter().cloned().map(Query::TopPerforming).collect(), 10),
            all(filters.into_iter().map(Query::Cheapest).collect(), 10),
            all(searches.map(Query::Search).collect(), 10),
            all(ids.into_iter().map(|(_, id)| Query::Gpu(id)).collect(), 10),
        ])
    }

    /// The next question; `None` when there is nothing to ask about.
    pub fn draw(&self, rng: &mut impl Rng) -> Option<&Query> {
        let mut percent = rng.random_range(0..100);
        let kind = self.0.iter().find(|kind| {
            let found = percent < kind.share;
            percent = percent.saturating_sub(kind.share);
            found
        })?;
        kind.queries.get(kind.zipf.draw(rng))
    }
}

/// Puts what is near in front, each part in an order of its own.
fn by_popularity<T>(items: &mut [T], near: impl Fn(&T) -> bool, rng: &mut impl Rng) {
    items.shuffle(rng);
    items.sort_by_key(|item| !near(item));
}

/// Ranks drawn by Zipf's law: the n-th is drawn in proportion to 1 / n^0.99, the customary exponent of cache benches.
#[derive(Debug)]
struct Zipf(Vec<f64>);

const EXPONENT: f64 = 0.99;

impl Zipf {
    fn over(ranks: usize) -> Self {
        let mut sum = 0.0;
        let weight = |rank: usize| {
            sum += (rank as f64).powf(-EXPONENT);
            sum
        };
        Self((1..=ranks).map(weight).collect())
    }

    fn draw(&self, rng: &mut impl Rng) -> usize {
        let total = self.0.last().copied().unwrap_or_default();
        let at = rng.random::<f64>() * total;
        self.0
            .partition_point(|sum| *sum <= at)
            .min(self.0.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use marketplace::StoreTime;
    use marketplace::ingest::{Layout, OfferBook, stock};
    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    use super::*;

    fn catalogue(home: &str, rng: &mut SmallRng) -> Catalogue {
        let regions = ["us-east", "europe"]
            .map(|region| Region::new(region).unwrap())
            .to_vec();
        let layout = Layout {
            regions,
            hosts_per_provider: 3,
        };
        let hosts = super::super::generator::hosts(1).unwrap();
        let stock = stock(&hosts, &OfferBook::default(), &layout, StoreTime::from_millis(0)).unwrap();
        Catalogue::of(&stock.gpus, &Region::new(home).unwrap(), rng)
    }

    #[test]
    fn all_nine_kinds_are_asked_in_their_shares() {
        let mut rng = SmallRng::seed_from_u64(1);
        let catalogue = catalogue("europe", &mut rng);
        assert_eq!(catalogue.0.iter().map(|kind| kind.share).sum::<u32>(), 100);
        let mut kinds = BTreeMap::<String, u32>::new();
        for _ in 0..10_000 {
            let query = format!("{:?}", catalogue.draw(&mut rng).unwrap());
            *kinds
                .entry(query.split('(').next().unwrap().to_owned())
                .or_default() += 1;
        }
        assert_eq!(kinds.len(), 9, "{kinds:?}");
        assert!(kinds["Availability"].abs_diff(2_500) < 300, "{kinds:?}");
    }

    #[test]
    fn the_first_rank_is_drawn_far_more_often_than_the_last_and_each_sometimes() {
        let (zipf, mut rng) = (Zipf::over(50), SmallRng::seed_from_u64(2));
        let mut drawn = [0_u32; 50];
        (0..50_000).for_each(|_| drawn[zipf.draw(&mut rng)] += 1);
        assert!(drawn[0] > 30 * drawn[49], "{drawn:?}");
        assert!(drawn.iter().all(|count| *count > 0), "{drawn:?}");
    }

    #[test]
    fn buyers_ask_about_their_own_region_first() {
        let mut rng = SmallRng::seed_from_u64(3);
        let catalogue = catalogue("europe", &mut rng);
        let Query::Pricing(most_asked) = &catalogue.0[1].queries[0] else {
            panic!("prices come second")
        };
        assert_eq!(most_asked.region.as_str(), "europe");
    }

    #[test]
    fn an_empty_market_is_asked_nothing() {
        let mut rng = SmallRng::seed_from_u64(4);
        let home = Region::new("europe").unwrap();
        let catalogue = Catalogue::of(&[], &home, &mut rng);
        assert!(
            (0..1_000)
                .filter_map(|_| catalogue.draw(&mut rng))
                .all(|query| matches!(
                    query,
                    Query::Statistics(None) | Query::TopPerforming(_) | Query::Cheapest(_)
                ))
        );
    }
}
