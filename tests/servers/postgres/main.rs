//! The PostgreSQL store on a real server, which each test starts for itself.
//!
//! It runs only when it is named, since it needs PostgreSQL's programs: `cargo xtask test-postgres`.

mod conformance;
mod demo;
mod failures;
mod proxy;
mod schema;
mod stress;
mod tls;
