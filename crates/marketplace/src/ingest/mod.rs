//! Readers for a market's opening stock and its past: hosts, bookings and rental offers from CSV files.
//!
//! They open no files and guess no values. Everything that is wrong with a file is told at once, each with line, column,
//! value and what would be right: a row that cannot be read is left out, and a file that cannot be read is an error. What
//! is read as something else than it says, because it was rounded or is spelled in another way, is told too.

mod hosts;
mod model;
mod offers;
mod report;
mod stock;
mod table;
mod tasks;
mod text;

pub use hosts::{Host, MOST_GPUS_PER_HOST, read_hosts};
pub use model::model_name;
pub use offers::{ModelOffers, Offer, OfferBook, read_offers};
pub use report::{Adjustment, FileFault, FileProblem, Ingested, ReadAs, RowProblem};
pub use stock::{Layout, Stock, stock};
pub use tasks::{Task, read_tasks};
