//! The SQLite store at its boundary: the suite of the ports, its file, and what is left when its process is killed.
//!
//! It needs nothing but a folder for temporary files.

mod conformance;
mod file;
mod kill;
