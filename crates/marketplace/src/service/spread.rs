//! From a committed change to every node: the touched keys in order, then one event.
//!
//! It changes no record and cannot fail: what cannot be written is dropped, and so is everything computed from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cache_core::{CacheEvent, CacheKey, EventKind, EventPriority, Version};
use edge_cache::{Fetched, Put};
use futures_util::future::join_all;

use super::merge::{Fresh, Merged, merged, supersedes};
use super::news::{News, ShelfNews};
use super::rewrite::{Next, Rewritten, Told};
use super::turns::Turns;
use super::{Failure, Marketplace, keys};
use crate::inventory::Touched;
use crate::namespaces::{
    GPU_AVAILABILITY, GPU_PRICING, MARKET_STATS, PricedSection, PricedShelf, RegionTally, SHELF_SECTION,
    ShelfBook, ShelfTally,
};
use crate::shelf::{
    FAN_OUT, GpuPage, PageKey, PriceSheet, Section, SectionKey, ShelfKey, Summary, level_of_parts, parts_at,
};
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
    sections: Turns<SectionKey, Vec<Fresh>, Rewritten<PricedSection>>,
    sheets: Turns<ShelfKey, SheetParts, Rewritten<PricedShelf>>,
    books: Turns<ShelfKey, SheetPart, Rewritten<ShelfBook>>,
    tallies: Turns<Region, Vec<ShelfTally>, Rewritten<RegionTally>>,
    providers: Turns<ProviderId, (), Rewritten<ProviderStatus>>,
}

/// The parts of a sheet that changed, and their level; `None` for all of them.
type SheetParts = Option<(u8, Vec<Fresh>)>;

/// The touched parts of a level by number; `None` for one that had to be dropped.
type Parts = BTreeMap<u32, Option<Fresh>>;

/// Times a change is carried up again because its shelf had grown by a level in between.
const CLIMBS: u32 = 2;
/// Levels of sections that are dropped when nobody can say how many a shelf has: enough for 67 million GPUs.
const HIGHEST: u8 = 3;

pub(super) type SheetPart = (Version, Arc<PricedShelf>);

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
        let mut shelves: BTreeMap<ShelfKey, Option<Parts>> =
            touch.shelves.into_iter().map(|shelf| (shelf, None)).collect();
        let pages = join_all(touch.pages.iter().map(|page| self.spread_page(page))).await;
        for (key, page) in touch.pages.into_iter().zip(pages) {
            told.push(page.outcome());
            let parts = shelves.entry(key.shelf).or_insert_with(|| Some(Parts::new()));
            if let Some(parts) = parts {
                parts.insert(key.page, fresh(key.page, &page, Summary::of_page));
            }
        }
        let spread = shelves
            .iter()
            .map(|(shelf, parts)| self.spread_shelf(shelf, parts.as_ref()));
        let mut sheets = Vec::with_capacity(shelves.len());
        for (sections, sheet) in join_all(spread).await {
            told.extend(sections);
            sheets.push(sheet);
        }
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

    pub(super) async fn announce(&self, told: Vec<(CacheKey, Told)>, announcement: Announcement) -> Effects {
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

    /// Carries changed pages up to the shelf's sheet, level by level; all of its parts when there are none.
    async fn spread_shelf(
        &self,
        shelf: &ShelfKey,
        pages: Option<&Parts>,
    ) -> (Vec<(CacheKey, Told)>, Rewritten<PricedShelf>) {
        let Some(pages) = pages else {
            return (Vec::new(), self.spread_sheet(shelf, None).await);
        };
        let mut told = Vec::new();
        let mut listed = self.pages_of(shelf).await;
        let mut climbs = 0;
        loop {
            let (level, mut parts) = match listed {
                Some(listed) => (level_of_parts(listed), pages.clone()),
                None => (HIGHEST, pages.keys().map(|page| (*page, None)).collect()),
            };
            for level in 1..=level {
                let mut groups: BTreeMap<u32, Vec<Option<Fresh>>> = BTreeMap::new();
                for (number, part) in parts {
                    groups.entry(number / FAN_OUT).or_default().push(part);
                }
                let sections = groups.into_iter().map(|(number, parts)| async move {
                    let shelf = shelf.clone();
                    let key = SectionKey { shelf, level, number };
                    (
                        number,
                        self.spread_section(&key, parts.into_iter().collect()).await,
                    )
                });
                parts = Parts::new();
                for (number, section) in join_all(sections).await {
                    told.push(section.outcome());
                    parts.insert(number, fresh(number, &section, |priced| priced.section.summary()));
                }
            }
            let parts: Option<Vec<Fresh>> = parts.into_values().collect();
            let sheet = match parts {
                Some(parts) => self.spread_sheet(shelf, Some((level, parts))).await,
                None => self.dropped(&keys::sheet(shelf)).await,
            };
            climbs += 1;
            let stands = sheet.stands.as_ref();
            if climbs == CLIMBS || stands.is_none_or(|(_, priced)| priced.sheet.level == level) {
                return (told, sheet);
            }
            listed = self.listed_pages(shelf).await.ok().flatten();
        }
    }

    /// Which of the touched shelves have outgrown the sections they had, and the level that is new there.
    pub(super) async fn grown(&self, touched: &Touched) -> Vec<(ShelfKey, u8, u32)> {
        let mut grown = Vec::new();
        for shelf in &touched.shelves {
            let of_shelf = touched.pages.iter().filter(|page| page.shelf == *shelf);
            let (Some(first), Ok(Some(pages))) = (
                of_shelf.map(|page| page.page).min(),
                self.listed_pages(shelf).await,
            ) else {
                continue;
            };
            let level = level_of_parts(pages);
            // The first of them may have been there before, and only have got more GPUs.
            if level_of_parts(first) < level {
                grown.push((shelf.clone(), level, parts_at(pages, level)));
            }
        }
        grown
    }

    /// Drops what stands on a level that is new. A change that was carried up without knowing of the level may be
    /// missing there: whoever loads it now finds that change below.
    pub(super) async fn drop_tops(&self, grown: &[(ShelfKey, u8, u32)]) {
        for (shelf, level, parts) in grown {
            let sections = (0..*parts).map(|number| SectionKey {
                shelf: shelf.clone(),
                level: *level,
                number,
            });
            let keys: Vec<_> = sections.map(|section| keys::section(&section)).collect();
            join_all(keys.iter().map(|key| self.dropped(key))).await;
            self.dropped(&keys::sheet(shelf)).await;
            self.dropped(&keys::book(shelf)).await;
            self.dropped(&keys::tally(&shelf.region)).await;
        }
    }

    /// `parts` is `None` when one of them had to be dropped.
    async fn spread_section(&self, of: &SectionKey, parts: Option<Vec<Fresh>>) -> Rewritten<PricedSection> {
        let key = keys::section(of);
        let Some(parts) = parts else {
            return self.dropped(&key).await;
        };
        let rewrite = |work: Vec<Vec<Fresh>>| async move {
            let parts = &work.concat();
            self.rewrite(&key, |known| self.next_section(of, known, parts))
                .await
        };
        self.core.spreading.sections.join(of, parts, rewrite).await
    }

    async fn next_section(
        &self,
        key: &SectionKey,
        known: Option<Fetched<PricedSection>>,
        parts: &[Fresh],
    ) -> Result<Next<PricedSection>, Failure> {
        let known = known.filter(|known| !self.is_due(known.assembled, SHELF_SECTION.policy().l2_ttl));
        let merged = known
            .as_ref()
            .map(|known| merged(&known.section.parts, &known.of, Some(parts)));
        let next = match (known, merged) {
            (_, Some(Merged::Same)) => return Ok(Next::Keep),
            (Some(known), Some(Merged::Parts(parts, of))) => Some(PricedSection {
                section: Section::assemble(key.clone(), parts).into(),
                of,
                assembled: known.assembled,
            }),
            _ => self.whole_section(key).await?,
        };
        Ok(next.map_or(Next::Drop, |section| {
            let life = self.life_of_section(&section);
            Next::Write(Put::new(section).with_ttl(life))
        }))
    }

    async fn spread_sheet(&self, shelf: &ShelfKey, parts: SheetParts) -> Rewritten<PricedShelf> {
        let key = keys::sheet(shelf);
        let rewrite = |work: Vec<SheetParts>| async move {
            let work = &work;
            self.rewrite(&key, |known| self.next_sheet(shelf, known, work))
                .await
        };
        self.core.spreading.sheets.join(shelf, parts, rewrite).await
    }

    async fn next_sheet(
        &self,
        shelf: &ShelfKey,
        known: Option<Fetched<PricedShelf>>,
        work: &[SheetParts],
    ) -> Result<Next<PricedShelf>, Failure> {
        let before = known.as_ref().map(|known| known.sheet.multiplier);
        let known = known.filter(|known| !self.is_due(known.assembled, GPU_PRICING.policy().l2_ttl));
        let merged = known.as_ref().map(|known| {
            let of_level = |parts: &SheetParts| match parts {
                Some((level, parts)) if *level == known.sheet.level => Some(parts.clone()),
                _ => None,
            };
            let parts: Option<Vec<Vec<Fresh>>> = work.iter().map(of_level).collect();
            let parts = parts.map(|parts| parts.concat());
            merged(&known.sheet.parts, &known.of, parts.as_deref())
        });
        let next = match (known, merged) {
            (_, Some(Merged::Same)) => return Ok(Next::Keep),
            (Some(known), Some(Merged::Parts(parts, of))) => {
                let (level, policy) = (known.sheet.level, &*self.source().records.pricing);
                Some(PricedShelf {
                    sheet: PriceSheet::assemble(shelf.clone(), level, parts, policy, before).into(),
                    of,
                    assembled: known.assembled,
                })
            }
            _ => self.whole_sheet(shelf, before).await?,
        };
        Ok(next.map_or(Next::Drop, |priced| {
            let life = self.life_of_sheet(&priced);
            Next::Write(Put::new(priced).with_ttl(life))
        }))
    }

    pub(super) async fn spread_book(
        &self,
        shelf: &ShelfKey,
        sheet: Option<SheetPart>,
    ) -> Rewritten<ShelfBook> {
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
                let (book, life) = self.book_of(*version, &priced.sheet).await?;
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
            Some(tally) => Some(tally.on(&self.source().tape.day(self.source(), region).await?)),
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

impl<V> Rewritten<V> {
    pub(super) fn outcome(&self) -> (CacheKey, Told) {
        (self.key.clone(), self.told)
    }
}

/// What stands there now as a part of what is above it; `None` when nothing does.
fn fresh<V>(number: u32, rewritten: &Rewritten<V>, summary: impl Fn(&V) -> Summary) -> Option<Fresh> {
    let (of, value) = rewritten.stands.as_ref()?;
    Some(Fresh {
        number,
        of: *of,
        summary: summary(value),
    })
}
