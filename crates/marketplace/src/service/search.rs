//! The table of contents of the market in this node's memory: shelves with their keys ready to use.
//!
//! It is derived from one cached list and thrown away when that changes; it remembers nothing else.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use cache_core::Key;
use edge_cache::CacheError;
use futures_util::future::try_join_all;

use super::answer::Trail;
use super::load::shown_before;
use super::{MarketError, Marketplace, keys};
use crate::namespaces::{PricedShelf, ShelfList};
use crate::shelf::ShelfKey;
use crate::{GpuModel, Region};

/// All shelves, with the keys of their sheets: building a hundred keys for each search would cost more than the search.
pub(super) struct Directory {
    list: Arc<ShelfList>,
    shelves: Vec<(ShelfKey, Key<PricedShelf>)>,
}

impl Directory {
    fn of(list: Arc<ShelfList>) -> Self {
        let shelves = list
            .shelves
            .iter()
            .map(|(shelf, _)| (shelf.clone(), keys::sheet(shelf)))
            .collect();
        Self { list, shelves }
    }

    /// Each region once, in order.
    pub(super) fn regions(&self) -> Vec<Region> {
        let mut regions: Vec<Region> = self
            .list
            .shelves
            .iter()
            .map(|(shelf, _)| shelf.region.clone())
            .collect();
        regions.dedup();
        regions
    }

    /// Each model once, in order.
    pub(super) fn models(&self) -> Vec<GpuModel> {
        let models: BTreeSet<&GpuModel> = self.list.shelves.iter().map(|(shelf, _)| &shelf.model).collect();
        models.into_iter().cloned().collect()
    }
}

impl Marketplace {
    /// How many pages a shelf has, as this node knows it; `None` when it does not.
    pub(super) async fn pages_of(&self, shelf: &ShelfKey) -> Option<u32> {
        let directory = self.directory(&mut Trail::of(1)).await.ok()?;
        let shelves = &directory.list.shelves;
        let place = shelves.binary_search_by(|(listed, _)| listed.cmp(shelf));
        match place {
            Ok(place) => shelves.get(place).map(|(_, pages)| *pages),
            // It may be newer than what this node knows.
            Err(_) => self.listed_pages(shelf).await.ok().flatten(),
        }
    }

    pub(super) async fn directory(&self, trail: &mut Trail) -> Result<Arc<Directory>, CacheError> {
        let key = keys::shelves();
        let list = self.read(trail, &key, |market, _| market.load_shelves()).await?;
        let list = list
            .map(edge_cache::Fetched::into_arc)
            .unwrap_or_else(|| Arc::new(ShelfList { shelves: Vec::new() }));
        let mut known = self.core.directory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = known
            .as_ref()
            .filter(|directory| Arc::ptr_eq(&directory.list, &list))
        {
            return Ok(Arc::clone(directory));
        }
        Ok(Arc::clone(known.insert(Arc::new(Directory::of(list)))))
    }

    /// The price sheets of all shelves of a region and a model, or of all.
    pub(super) async fn sheets(
        &self,
        trail: &mut Trail,
        region: Option<&Region>,
        model: Option<&GpuModel>,
    ) -> Result<Vec<Arc<PricedShelf>>, MarketError> {
        let directory = self.directory(trail).await?;
        let wanted = |shelf: &ShelfKey| {
            region.is_none_or(|region| *region == shelf.region)
                && model.is_none_or(|model| *model == shelf.model)
        };
        let mut sheets = Vec::with_capacity(directory.shelves.len());
        let mut missing = Vec::new();
        for (shelf, key) in directory.shelves.iter().filter(|(shelf, _)| wanted(shelf)) {
            match self.cache().peek(key)? {
                Some(sheet) => {
                    trail.note(key, &sheet);
                    sheets.push(Some(sheet.into_arc()));
                }
                None => {
                    missing.push((sheets.len(), shelf, key));
                    sheets.push(None);
                }
            }
        }
        let loads = missing.iter().map(|(_, shelf, key)| {
            let (market, shelf) = (self.clone(), (*shelf).clone());
            self.cache().get_or_load(key, move |known| {
                market.clone().load_sheet(shelf.clone(), shown_before(&known))
            })
        });
        if sheets.is_empty() {
            directory.admits(region, model)?;
        }
        for ((place, _, key), sheet) in missing.iter().zip(try_join_all(loads).await?) {
            if let Some(sheet) = sheet {
                trail.note(key, &sheet);
                sheets[*place] = Some(sheet.into_arc());
            }
        }
        Ok(sheets.into_iter().flatten().collect())
    }
}
