//! Readers for a market's opening stock and its past: hosts, bookings and rental offers from CSV files.
//!
//! They open no files and guess no values. A row that cannot be read is reported with its line and left out; a
//! file that cannot be read is an error with its name.

mod hosts;
mod offers;
mod stock;
mod table;
mod tasks;

pub use hosts::{Host, MOST_GPUS_PER_HOST, read_hosts};
pub use offers::{ModelOffers, Offer, OfferBook, read_offers};
pub use stock::{Layout, Stock, stock};
pub use table::{FileFault, FileProblem, Ingested, RowProblem};
pub use tasks::{Task, read_tasks};
