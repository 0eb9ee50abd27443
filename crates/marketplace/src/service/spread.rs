//! From a committed change to every node: the touched keys in order, then one event.
//!
//! It changes no record and cannot fail: what cannot be written is dropped, and so is everything computed from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cache_core::{CacheEvent, CacheKey, EventKind, EventPriority, Version};
use edge_cache::{Fetched, Put};
use futures_util::future::join_all;

use super::news::{News, ShelfNews};
use super::rewrite::{Next, Rewritten, Told};
use super::turns::Turns;
use super::{Failure, Marketplace, keys};
use crate::namespaces::{
    GPU_AVAILABILITY, GPU_PRICING, MARKET_STATS, ORDER_BOOK, PricedShelf, RegionTally, ShelfBook, ShelfTally,
};
use crate::shelf::{GpuPage, PageKey, PageSummary, PriceSheet, ShelfKey};
use crate::{ProviderId, ProviderStatus, Region, StoreTime};

/// Whether every node has been told of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effects {
    /// Every touched key stands at its version in the shared store, and the event is on its way.
    Published {
        /// The keys, in the order they were written.
        keys: Vec<(CacheKey, Version)>,
    },
    /// The shared store could not be reached. This node shows the change already; the others are told when it can
    /// be, and until then what they show is bounded by its TTL.
    Queued,
    /// Nothing was changed.
    None,
}

/// What a change touched.
#[derive(Debug, Default)]
pub(super) struct Touch {
    pub(super) pages: BTreeSet<PageKey>,
    /// Shelves to be priced anew from all their pages.
    pub(super) shelves: BTreeSet<ShelfKey>,
    pub(super) provider: Option<ProviderId>,
}

/// What to tell of it.
pub(super) struct Announcement {
    pub(super) kind: EventKind,
    pub(super) resource: String,
    pub(super) news: News,
}

/// The rewrites under way, by key: changes that come together share them.
#[derive(Default)]
pub(super) struct Spreading {
    pages: Turns<PageKey, (), Rewritten<GpuPage>>,
    sheets: Turns<ShelfKey, Vec<PagePart>, Rewritten<PricedShelf>>,
    books: Turns<ShelfKey, SheetPart, Rewritten<ShelfBook>>,
    tallies: Turns<Region, Vec<ShelfTally>, Rewritten<RegionTally>>,
    providers: Turns<ProviderId, (), Rewritten<ProviderStatus>>,
}

#[derive(Clone)]
enum PagePart {
    One(Version, Arc<GpuPage>),
    All,
}

type SheetPart = (Version, Arc<PricedShelf>);

impl Marketplace {
    /// Spreads a change in a task of its own: who asked for the change may go away, the change may not.
    pub(super) async fn spread(&self, touch: Touch, announcement: Announcement) -> Effects {
        let market = self.clone();
        let carried = tokio::spawn(async move { market.carry(touch, announcement).await });
        carried.await.unwrap_or(Effects::Queued)
    }

    async fn carry(self, touch: Touch, mut announcement: Announcement) -> Effects {
        let mut told = Vec::new();
        if let Some(provider) = &touch.provider {
            told.push(self.spread_provider(provider).await.outcome());
        }
        let mut shelves: BTreeMap<ShelfKey, Option<Vec<PagePart>>> = touch
            .shelves
            .into_iter()
            .map(|shelf| (shelf, Some(vec![PagePart::All])))
            .collect();
        let pages = join_all(touch.pages.iter().map(|page| self.spread_page(page))).await;
        for (key, page) in touch.pages.into_iter().zip(pages) {
            told.push(page.outcome());
            let parts = shelves.entry(key.shelf).or_insert_with(|| Some(Vec::new()));
            match page.stands {
                Some((version, page)) => parts.iter_mut().for_each(|parts| {
                    parts.push(PagePart::One(version, Arc::clone(&page)));
                }),
                None => *parts = None,
            }
        }
        let sheets = join_all(
            shelves
                .iter()
                .map(|(shelf, parts)| self.spread_sheet(shelf, parts.clone())),
        )
        .await;
        told.extend(sheets.iter().map(Rewritten::outcome));
        let books = shelves.keys().zip(&sheets);
        let books = join_all(books.map(|(shelf, sheet)| self.spread_book(shelf, sheet.stands.clone()))).await;
        told.extend(books.iter().map(Rewritten::outcome));
        let mut regions: BTreeMap<Region, Option<Vec<ShelfTally>>> = BTreeMap::new();
        for (shelf, sheet) in shelves.into_keys().zip(&sheets) {
            let parts = regions.entry(shelf.region).or_insert_with(|| Some(Vec::new()));
            match &sheet.stands {
                Some((version, priced)) => {
                    announcement.news.shelves.push(ShelfNews::of(&priced.sheet));
                    parts
                        .iter_mut()
                        .for_each(|parts| parts.push(ShelfTally::of(*version, &priced.sheet)));
                }
                None => *parts = None,
            }
        }
        let tallies = regions
            .into_iter()
            .map(|(region, parts)| self.spread_tally(region, parts));
        told.extend(join_all(tallies).await.iter().map(Rewritten::outcome));
        self.announce(told, announcement).await
    }

    async fn announce(&self, told: Vec<(CacheKey, Told)>, announcement: Announcement) -> Effects {
        let Announcement { kind, resource, news } = announcement;
        let event = CacheEvent::new(kind, resource).with_priority(EventPriority::Critical);
        let Ok(mut event) = event.with_data(&news) else {
            return Effects::Queued;
        };
        let mut keys = Vec::with_capacity(told.len());
        for (key, told) in &told {
            if let Told::At(version) = told {
                event = event.touching_key_at(key.clone(), version.seq);
                keys.push((key.clone(), *version));
            }
        }
        let complete = keys.len() == told.len();
        let published = self.cache().publish(event).await;
        if !complete || !matches!(published, Ok(edge_cache::Receipt::Published { .. })) {
            return Effects::Queued;
        }
        if let Some(booking) = &news.booking {
            self.core.heard.insert(booking);
        }
        Effects::Published { keys }
    }

    async fn spread_provider(&self, id: &ProviderId) -> Rewritten<ProviderStatus> {
        let rewrite = |_| async {
            let key = keys::provider(id);
            self.rewrite(&key, |_| async {
                let status = self.clone().load_provider(id.clone()).await?;
                Ok(status.map_or(Next::Drop, |status| Next::Write(Put::new(status))))
            })
            .await
        };
        self.core.spreading.providers.join(id, (), rewrite).await
    }

    async fn spread_page(&self, page: &PageKey) -> Rewritten<GpuPage> {
        let rewrite = |_| async {
            let key = keys::page(page);
            self.rewrite(&key, |_| async {
                let Some(page) = self.source().page(page).await? else {
                    return Ok(Next::Drop);
                };
                let life = self
                    .source()
                    .life(page.changes_at, GPU_AVAILABILITY.policy().l2_ttl);
                Ok(Next::Write(Put::new(page).with_ttl(life)))
            })
            .await
        };
        self.core.spreading.pages.join(page, (), rewrite).await
    }

    /// `parts` is `None` when a page of the shelf had to be dropped.
    async fn spread_sheet(&self, shelf: &ShelfKey, parts: Option<Vec<PagePart>>) -> Rewritten<PricedShelf> {
        let key = keys::sheet(shelf);
        let Some(parts) = parts else {
            return self.dropped(&key).await;
        };
        let rewrite = |work: Vec<Vec<PagePart>>| async move {
            let parts = &work.concat();
            self.rewrite(&key, |known| self.next_sheet(shelf, known, parts))
                .await
        };
        self.core.spreading.sheets.join(shelf, parts, rewrite).await
    }

    async fn next_sheet(
        &self,
        shelf: &ShelfKey,
        known: Option<Fetched<PricedShelf>>,
        parts: &[PagePart],
    ) -> Result<Next<PricedShelf>, Failure> {
        let known = known.filter(|known| !self.is_due(known.assembled, GPU_PRICING.policy().l2_ttl));
        let merged = match known {
            Some(known) => match known.with(parts) {
                Merged::Same => return Ok(Next::Keep),
                Merged::Pages(pages, of) => {
                    let sheet = PriceSheet::assemble(shelf.clone(), pages, &*self.source().records.pricing);
                    Some(PricedShelf {
                        sheet: sheet.into(),
                        of,
                        assembled: known.assembled,
                    })
                }
                Merged::Unknown => self.whole_sheet(shelf).await?,
            },
            None => self.whole_sheet(shelf).await?,
        };
        Ok(merged.map_or(Next::Drop, |priced| {
            let life = self.life_of_sheet(&priced);
            Next::Write(Put::new(priced).with_ttl(life))
        }))
    }

    async fn spread_book(&self, shelf: &ShelfKey, sheet: Option<SheetPart>) -> Rewritten<ShelfBook> {
        let key = keys::book(shelf);
        let Some(sheet) = sheet else {
            return self.dropped(&key).await;
        };
        let rewrite = |sheets: Vec<SheetPart>| async move {
            let newest = sheets
                .into_iter()
                .reduce(|one, other| if supersedes(other.0, one.0) { other } else { one });
            let Some((version, priced)) = &newest else {
                return self.dropped(&key).await;
            };
            self.rewrite(&key, |known| async move {
                if known.is_some_and(|known| !supersedes(*version, known.of)) {
                    return Ok(Next::Keep);
                }
                let book = self.book_of(*version, &priced.sheet).await?;
                let life = self
                    .source()
                    .life(priced.sheet.changes_at(), ORDER_BOOK.policy().l2_ttl);
                Ok(Next::Write(Put::new(book).with_ttl(life)))
            })
            .await
        };
        self.core.spreading.books.join(shelf, sheet, rewrite).await
    }

    async fn spread_tally(&self, region: Region, parts: Option<Vec<ShelfTally>>) -> Rewritten<RegionTally> {
        let key = keys::tally(&region);
        let Some(parts) = parts else {
            return self.dropped(&key).await;
        };
        let of = &region;
        let rewrite = |work: Vec<Vec<ShelfTally>>| async move {
            let parts = &work.concat();
            self.rewrite(&key, |known| self.next_tally(of, known, parts))
                .await
        };
        self.core.spreading.tallies.join(&region, parts, rewrite).await
    }

    async fn next_tally(
        &self,
        region: &Region,
        known: Option<Fetched<RegionTally>>,
        parts: &[ShelfTally],
    ) -> Result<Next<RegionTally>, Failure> {
        let known = known.filter(|known| !self.is_due(known.assembled, MARKET_STATS.policy().l2_ttl));
        let tally = match known.and_then(|known| known.with(parts)) {
            Some(mut tally) => {
                tally.day = self.source().tape.day(self.source(), region).await?;
                Some(tally)
            }
            None => self.whole_tally(region).await?,
        };
        Ok(tally.map_or(Next::Drop, |tally| {
            let life = self.life_of_tally(&tally);
            Next::Write(Put::new(tally).with_ttl(life))
        }))
    }

    /// Whether a value with so little life left is better put together anew by this writer than by the next reader.
    fn is_due(&self, assembled: StoreTime, ttl: std::time::Duration) -> bool {
        self.source().now() >= assembled.plus(ttl - ttl / 8)
    }
}

/// What new pages make of a sheet.
enum Merged {
    /// None of them is newer.
    Same,
    /// These pages, of these versions.
    Pages(Vec<PageSummary>, Vec<Version>),
    /// It cannot be said without reading all pages.
    Unknown,
}

impl PricedShelf {
    fn with(&self, parts: &[PagePart]) -> Merged {
        let (mut pages, mut of) = (self.sheet.pages.clone(), self.of.clone());
        let mut changed = false;
        for part in parts {
            let PagePart::One(version, page) = part else {
                return Merged::Unknown;
            };
            let place = pages.iter().position(|summary| summary.page == page.key.page);
            let Some(stands) = place.and_then(|place| pages.get_mut(place).zip(of.get_mut(place))) else {
                return Merged::Unknown;
            };
            if supersedes(*version, *stands.1) {
                (*stands.0, *stands.1) = (PageSummary::of(page), *version);
                changed = true;
            }
        }
        if changed {
            Merged::Pages(pages, of)
        } else {
            Merged::Same
        }
    }
}

impl RegionTally {
    /// The tally with newer parts; `None` when it lacks one of the shelves.
    fn with(&self, parts: &[ShelfTally]) -> Option<Self> {
        let mut tally = self.clone();
        for part in parts {
            let place = tally.shelves.iter_mut().find(|shelf| shelf.shelf == part.shelf)?;
            if supersedes(part.of, place.of) {
                *place = part.clone();
            }
        }
        Some(tally)
    }
}

impl<V> Rewritten<V> {
    fn outcome(&self) -> (CacheKey, Told) {
        (self.key.clone(), self.told)
    }
}

/// Whether a part of version `new` takes the place of one of version `old`: unless it is older. Versions of two
/// histories do not compare; then the later writer is right.
fn supersedes(new: Version, old: Version) -> bool {
    new.partial_cmp(&old) != Some(std::cmp::Ordering::Less)
}
