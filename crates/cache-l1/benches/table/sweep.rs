//! Hit ratios of `quick_cache` by its two settings: where this crate's constants come from.
//!
//! It does not choose: the argument for the choice stands with the constants.

use comfy_table::{CellAlignment, Table, presets};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

use crate::hit_ratio::SHARES;
use crate::trace::Trace;

const HOT: [f64; 9] = [0.7, 0.8, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.99];
const GHOST: [f64; 4] = [0.25, 0.5, 0.75, 1.0];

/// Prints the hit ratio of every combination, in percent.
pub(crate) fn print(traces: &[Trace]) {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let mut header = vec!["hot".to_owned(), "ghost".to_owned()];
    for trace in traces {
        header.extend(SHARES.map(|share| format!("{} {share} %", trace.name)));
        print!("{}", trace.remark);
    }
    table.set_header(header);
    for (hot, ghost) in HOT.iter().flat_map(|hot| GHOST.map(|ghost| (*hot, ghost))) {
        let mut row = vec![format!("{hot:.2}"), format!("{ghost:.2}")];
        for trace in traces {
            row.extend(
                SHARES.map(|share| format!("{:.2}", ratio(trace, trace.keys * share / 100, hot, ghost))),
            );
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}

fn ratio(trace: &Trace, capacity: usize, hot: f64, ghost: f64) -> f64 {
    let options = OptionsBuilder::new()
        .shards(1)
        .weight_capacity(capacity as u64)
        .estimated_items_capacity(capacity)
        .hot_allocation(hot)
        .ghost_allocation(ghost)
        .build()
        .expect("all values are set");
    let hasher = DefaultHashBuilder::default();
    let cache = Cache::with_options(options, UnitWeighter, hasher, DefaultLifecycle::default());
    let mut hits = 0;
    for key in &trace.requests {
        if cache.get(key).is_some() {
            hits += 1;
        } else {
            cache.insert(*key, ());
        }
    }
    100.0 * f64::from(hits) / trace.requests.len() as f64
}
