//! Settings of an edge node: where they come from, which are right, and what is in force.
//!
//! Deliberately does no I/O: the text of the file, the environment and the flags are handed in, so that the
//! same input always gives the same settings. It knows no other crate of the workspace; wiring translates.
//!
//! Five layers, each overriding what stands before it:
//!
//! ```text
//! defaults  <  preset  <  YAML file  <  environment  <  flags
//! ```
//!
//! Everything derives from one table in `settings.rs`: the public structs, the parsing of every layer, the
//! checks, [`Loaded::show`] and the page written by [`reference()`]. A setting is written down once.
//!
//! # Example
//!
//! ```
//! use config::{NetworkTier, Overrides, Sources};
//!
//! let file = "
//! redis:
//!   host: cache.example.org
//! edge_node:
//!   network_tier: premium
//! ";
//! let loaded = Sources::new()
//!     .file("edge.yaml", file)
//!     .environment([("REDIS_PORT".to_owned(), "6380".to_owned())])
//!     .overrides(Overrides::new().set("cache.l1_size=250"))
//!     .load()?;
//!
//! assert_eq!(loaded.settings.redis.host.as_str(), "cache.example.org");
//! assert_eq!(loaded.settings.redis.port.get(), 6380);
//! assert_eq!(loaded.settings.cache.l1_size.get(), 250);
//! assert_eq!(loaded.settings.edge_node.network_tier, NetworkTier::Premium);
//! assert_eq!(loaded.origin("redis.port").unwrap().to_string(), "environment REDIS_PORT");
//! # Ok::<(), config::Problems>(())
//! ```
//!
//! Whoever makes three mistakes is told of three mistakes:
//!
//! ```
//! use config::Sources;
//!
//! let problems = Sources::new()
//!     .file("edge.yaml", "redis:\n  port: 99999\n  hots: cache.example.org\n")
//!     .environment([("CACHE_L1_TTL_MULTIPLIER".to_owned(), "1.5".to_owned())])
//!     .load()
//!     .unwrap_err();
//!
//! assert_eq!(
//!     problems.to_string(),
//!     "3 settings are wrong:
//!   redis.hots (file edge.yaml line 3): expected a known setting; did you mean redis.host?
//!   redis.port = \"99999\" (file edge.yaml line 2): expected a whole number from 1 to 65535
//!   cache.l1_ttl_multiplier = \"1.5\" (environment CACHE_L1_TTL_MULTIPLIER): expected a number from 0.1 to 1.0 with at most 3 decimals"
//! );
//! ```

mod given;
mod loaded;
mod origin;
mod overrides;
mod problems;
mod reference;
mod resolve;
mod rules;
mod secret;
mod settings;
mod sources;
mod suggest;
mod table;
mod values;
mod yaml;

pub use loaded::{Effective, Loaded};
pub use origin::Origin;
pub use overrides::Overrides;
pub use problems::{Problem, Problems};
pub use reference::reference;
pub use secret::{Secrecy, Secret};
pub use settings::{Cache, EdgeNode, Features, Market, Performance, Redis, SETTINGS, Security, Settings};
pub use sources::Sources;
pub use table::{PresetValue, Setting};
pub use values::{
    AvailabilityZone, CacheTier, Database, Datacenter, FilePath, Host, Hours, MasterName, NetworkTier,
    NodeId, Preset, Rack, Refused, Region, RegionDistances, Sentinels, Shards, Switch, TtlMultiplier, User,
};
