//! The cache over Redis beside the plain client, in one run: `cargo xtask bench redis -- --url redis://127.0.0.1:6379`.
//!
//! Ratios are what it is for; the times themselves are the machine's. It judges none of them.

mod arguments;
mod events;
mod nodes;
mod reads;
mod repairs;
mod table;
mod writes;

use arguments::Arguments;
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
        if !arguments.only_repairs {
            reads::measure(&arguments, &mut table).await;
            writes::measure(&arguments, &mut table).await;
            events::measure(&arguments, &mut table).await;
        }
        repairs::measure(&arguments, &mut table).await;
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
