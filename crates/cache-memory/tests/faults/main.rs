//! What each fault of the wires and each command of the hub does to a node, and that a seed decides all of it.
//!
//! How a node should survive them is the protocol's concern and tested there.

mod events;
mod nodes;
mod requests;
mod scene;
mod servers;
mod storm;
