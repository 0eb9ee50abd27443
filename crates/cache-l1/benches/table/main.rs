//! One table: this crate beside other memories, by time of a hit, of a fill, memory and hit ratio.
//!
//! It measures memories in one process only: nothing of the shared tier, of leases or of the network.
//!
//! `cargo bench -p cache-l1 --bench table` takes half a minute; add `-- --quick` for a rough one. A further
//! contender is one file in `contenders/` and one line in [`contenders`].

mod arguments;
mod contender;
mod contenders;
mod hit_ratio;
mod memory;
mod sweep;
mod timing;
mod trace;

use clap::Parser as _;
use comfy_table::{CellAlignment, Table, presets};

use arguments::Arguments;
use contender::{AnyContender, Field, Scope};
use hit_ratio::HitRatios;
use timing::Times;

/// Everyone in the table. The first one is what the ratios refer to.
fn contenders() -> Vec<Box<dyn AnyContender>> {
    vec![
        Field::<contenders::quick_cache::Strings>::boxed(),
        Field::<contenders::quick_cache::HashedKeys>::boxed(),
        Field::<contenders::cache_l1::ThroughThePort>::boxed(),
        Field::<contenders::edge_cache::TypedApi>::boxed(),
        Field::<contenders::moka::Moka>::boxed(),
        Field::<contenders::foyer::S3Fifo>::boxed(),
        Field::<contenders::dashmap::Unbounded>::boxed(),
    ]
}

fn main() {
    let arguments = Arguments::parse();
    let contenders = contenders();
    if let Some(name) = &arguments.memory_of {
        return memory::report(&contenders, name);
    }
    let traces = trace::all(&arguments);
    if arguments.sweep {
        return sweep::print(&traces);
    }
    let times = timing::measure(&contenders, arguments.rounds(), arguments.keys);
    let ratios = hit_ratio::measure(&contenders, &traces);
    println!("{}", table(&contenders, &times, &ratios));
    println!("{}", notes(&ratios, arguments.keys));
}

fn table(contenders: &[Box<dyn AnyContender>], times: &[Times], ratios: &HitRatios) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let mut header = vec!["", "hit ns", "x", "2 threads", "x", "fill ns", "x", "overhead B"]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    header.extend(ratios.columns.iter().cloned());
    table.set_header(header);
    for (index, contender) in contenders.iter().enumerate() {
        let times = &times[index];
        let mut row = vec![contender.name().to_owned()];
        for cell in [Some(times.hit), Some(times.hit_by_two), times.fill] {
            row.push(cell.map_or_else(dash, |time| format!("{:.0}", time.nanos)));
            row.push(cell.map_or_else(dash, |time| format!("{:.2}", time.ratio)));
        }
        row.push(
            (contender.scope() != Scope::HitTimes)
                .then(|| memory::overhead_in_child(contender.name()))
                .flatten()
                .map_or_else(dash, |bytes| format!("{bytes:.0}")),
        );
        row.extend(ratios.rows[index].iter().map(|ratio| percent(*ratio)));
        table.add_row(row);
    }
    let mut best = vec!["optimum (Belady)".to_owned()];
    best.extend((0..7).map(|_| dash()));
    best.extend(ratios.optimum.iter().map(|ratio| percent(Some(*ratio))));
    table.add_row(best);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn notes(ratios: &HitRatios, keys: u32) -> String {
    format!(
        "\nTimes: {keys} keys of {len} bytes, values of {value} bytes, Zipf 0.99, all resident, {cpus} CPUs; median of \
         interleaved rounds; x = median of the ratios to the first row in the same round. A fill builds key and \
         value, inserts and evicts.\n\
         Keys: `{l1}` and the second row look up keys whose hash was computed before; the others hash text.\n\
         Overhead: resident memory per entry in a process of its own, less key text and value. Of it, an `Entry` \
         in its `Arc` takes {entry}.\n\
         Hit ratios in %, at a capacity of a share of the distinct keys. {skipped}",
        len = contender::text(0).len(),
        value = contender::VALUE,
        cpus = std::thread::available_parallelism().map_or(1, usize::from),
        l1 = contenders::cache_l1::NAME,
        entry = size_of::<cache_core::Entry>() + 2 * size_of::<usize>(),
        skipped = ratios.remark,
    )
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(dash, |ratio| format!("{:.2}", 100.0 * ratio))
}

fn dash() -> String {
    "-".to_owned()
}
