//! Tests of the settings through `Sources::load`, the only way in.
//!
//! Deliberately reads neither the real environment nor a file of settings: both are handed in.

mod files;
mod layers;
mod limits;
mod presets;
mod problems;
mod reference;
mod secrets;

use config::{Loaded, Overrides, Problems, Sources};

/// What every preset but development requires, so that a test may name only what it is about.
const REQUIRED: [(&str, &str); 3] = [
    ("EDGE_NODE_ID", "node-1"),
    ("EDGE_NODE_REGION", "us-east"),
    ("REDIS_PASSWORD", "open sesame"),
];

fn environment(variables: &[(&str, &str)]) -> Sources {
    let owned = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Sources::new().environment(owned)
}

/// Loads a preset with everything that it requires and these variables on top.
fn load_preset(preset: &str, variables: &[(&str, &str)]) -> Loaded {
    let all = [&REQUIRED[..], &[("ENVIRONMENT", preset)], variables].concat();
    environment(&all)
        .load()
        .expect("a preset with all it requires loads")
}

fn set(assignment: &str) -> Result<Loaded, Problems> {
    Sources::new().overrides(Overrides::new().set(assignment)).load()
}

/// The value in force, as text.
fn value(loaded: &Loaded, path: &str) -> String {
    let found = loaded.effective.iter().find(|one| one.setting.path == path);
    found.unwrap_or_else(|| panic!("no setting {path}")).value.clone()
}

/// What the rules between settings ask for where this one is given.
fn needed(path: &str) -> &'static [&'static str] {
    match path {
        "redis.cluster_password" => &["redis.cluster_host=a"],
        "redis.user" => &["redis.password=a"],
        "redis.ssl_ca_file" => &["redis.ssl=on"],
        "redis.ssl_cert_file" => &["redis.ssl=on", "redis.ssl_key_file=a"],
        "redis.ssl_key_file" => &["redis.ssl=on", "redis.ssl_cert_file=a"],
        "redis.sentinels" => &["redis.sentinel_master=a"],
        "redis.sentinel_master" => &["redis.sentinels=a"],
        "redis.sentinel_user" => &[
            "redis.sentinels=a",
            "redis.sentinel_master=a",
            "redis.sentinel_password=a",
        ],
        "redis.sentinel_password" => &["redis.sentinels=a", "redis.sentinel_master=a"],
        _ => &[],
    }
}

/// Every problem as a line.
fn lines(result: Result<Loaded, Problems>) -> Vec<String> {
    result
        .expect_err("something is wrong")
        .iter()
        .map(ToString::to_string)
        .collect()
}
