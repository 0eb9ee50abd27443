//! The cache over Redis beside the plain client, in one run: `cargo xtask bench redis -- --url redis://127.0.0.1:6379`.
//!
//! Ratios are what it is for; the times themselves are the machine's. It judges none of them.

mod arguments;
mod burst;
mod events;
mod lanes;
mod nodes;
mod reads;
mod repairs;
mod table;
mod writes;

use arguments::{Arguments, PARTS};
use table::Table;

fn main() {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}");
            std::process::exit(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut table = Table::default();
    runtime.block_on(async {
        for part in PARTS.into_iter().filter(|part| arguments.wants(part)) {
            match part {
                "reads" => reads::measure(&arguments, &mut table).await,
                "writes" => writes::measure(&arguments, &mut table).await,
                "events" => events::measure(&arguments, &mut table).await,
                "lanes" => lanes::measure(&arguments, &mut table).await,
                "burst" => burst::measure(&arguments, &mut table).await,
                "repairs" => repairs::measure(&arguments, &mut table).await,
                _ => unreachable!("every part is measured by its module"),
            }
        }
    });
    println!(
        "{}",
        if arguments.json {
            table.json()
        } else {
            table.text()
        }
    );
}
