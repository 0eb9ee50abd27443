//! The commands about the servers of the settings: what endangers the cache there, what a deployment owns, and removing it.
//!
//! They read and write no value.

use std::ffi::OsString;

use cache_core::StoreError;
use cache_redis::{Obstacle, Owned, RedisTier, Report, Resharded};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use crate::Ending;
use crate::cli::{ForgetArgs, ReshardArgs, ServersArgs, SettingsArgs};
use crate::settings::load;
use crate::shared_tier::redis_settings;

/// What is said, and what the program ends with; a refusal is said to another stream.
type Answer = Result<(String, Ending), String>;

/// Reaches the servers and reports on them.
///
/// # Errors
/// When settings are wrong, or a server cannot be asked.
pub(crate) fn check(
    args: &ServersArgs,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Answer {
    let tier = tier(&args.settings, &args.prefix, environment)?;
    let report = on_runtime(&tier, tier.check())?;
    let ending = match report.findings() {
        [] => Ending::Well,
        _ => Ending::Broken,
    };
    Ok((format!("{}\n", reported(&tier, &report)), ending))
}

/// Lists what a deployment owns.
///
/// # Errors
/// As [`check`].
pub(crate) fn owned(
    args: &ServersArgs,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Answer {
    let tier = tier(&args.settings, &args.prefix, environment)?;
    let owned = on_runtime(&tier, tier.owned())?;
    let listed = match &owned[..] {
        [] => format!("nothing there has the prefix {}\n", args.prefix),
        owned => format!("{}\n", listed(owned)),
    };
    Ok((listed, Ending::Well))
}

/// Removes what a deployment owns, if that was confirmed.
///
/// # Errors
/// As [`check`], and when it was not confirmed.
pub(crate) fn forget(
    args: &ForgetArgs,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Answer {
    let tier = tier(&args.settings, &args.prefix, environment)?;
    let (count, prefix) = (on_runtime(&tier, tier.owned())?.len(), &args.prefix);
    if !args.yes {
        return Err(format!(
            "{} would lose {count} shards of {prefix}, and every node that uses them what it holds in memory; nothing was \
             removed: add --yes",
            tier.settings().servers
        ));
    }
    on_runtime(&tier, tier.forget())?;
    Ok((format!("removed {count} shards of {prefix}\n"), Ending::Well))
}

/// Gives a deployment the number of shards of the settings, if that was confirmed.
///
/// # Errors
/// As [`check`], when it was not confirmed, and when somebody else changes the number at the same time.
pub(crate) fn reshard(
    args: &ReshardArgs,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Answer {
    let tier = tier(&args.settings, &args.prefix, environment)?;
    let (prefix, to) = (&args.prefix, tier.settings().shards);
    let from = on_runtime(&tier, tier.deployed_shards())?;
    if let Some(from) = from.filter(|from| *from != to && !args.yes) {
        return Err(format!(
            "{prefix} has {from} shards in each lane at {}; with {to} it would begin empty, and nodes that were started for {from} \
             would answer from their sources until they are started for {to}; nothing was changed: add --yes",
            tier.settings().servers
        ));
    }
    let Resharded { from, to } = on_runtime(&tier, tier.reshard())?;
    let said = match from {
        None => format!("{prefix} begins with {to} shards in each lane\n"),
        Some(from) if from == to => format!("{prefix} has {to} shards in each lane\n"),
        Some(from) => format!(
            "{prefix} has {to} shards in each lane instead of {from}, and is empty: start its nodes with {to}\n"
        ),
    };
    Ok((said, Ending::Well))
}

fn tier(
    args: &SettingsArgs,
    prefix: &str,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<RedisTier, String> {
    let settings = load(args, environment)?.settings;
    RedisTier::new(redis_settings(&settings, prefix)?).map_err(|error| error.to_string())
}

fn on_runtime<T>(tier: &RedisTier, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))?;
    runtime.block_on(async {
        match asked.await {
            Ok(answer) => Ok(answer),
            // The report knows best what stands in the way.
            Err(error) => Err(hinted(&tier.check().await.err().unwrap_or(error))),
        }
    })
}

/// The error, and the setting that would be right, where it is known what stands in the way.
fn hinted(error: &StoreError) -> String {
    match Obstacle::behind(error).and_then(setting) {
        Some(right) => format!("{error}: {right}"),
        None => error.to_string(),
    }
}

fn setting(obstacle: &Obstacle) -> Option<&'static str> {
    Some(match obstacle {
        Obstacle::NoPassword { sentinel: true } => {
            "set redis.sentinel_password (REDIS_SENTINEL_PASSWORD), and redis.sentinel_user where it has users"
        }
        Obstacle::NoPassword { sentinel: false } => {
            "set redis.password (REDIS_PASSWORD), and redis.user where the server has users"
        }
        Obstacle::OtherPassword { sentinel: true } => "set redis.sentinel_user and redis.sentinel_password",
        Obstacle::OtherPassword { sentinel: false } => "set redis.user and redis.password",
        Obstacle::ClearText => "set redis.ssl to off (REDIS_SSL=off), or redis.port to the encrypted port",
        Obstacle::Encrypted => "set redis.ssl to on (REDIS_SSL=on), or redis.port to the port in clear text",
        Obstacle::Stranger { .. } => "set redis.host and redis.port to those of a Redis server",
        _ => return None,
    })
}

fn reported(tier: &RedisTier, report: &Report) -> Table {
    let mut table = table();
    table.add_row(["servers", &tier.settings().servers.to_string()]);
    let masters: Vec<_> = report.masters().iter().map(ToString::to_string).collect();
    table.add_row(["connected to", &masters.join(", ")]);
    table.add_row(["prefix", &tier.settings().prefix]);
    table.add_row(["version", &format!("{} {}", report.product(), report.version())]);
    for finding in report.findings() {
        table.add_row(["to change", &finding.to_string()]);
    }
    if report.findings().is_empty() {
        table.add_row(["to change", "nothing"]);
    }
    table
}

fn listed(owned: &[Owned]) -> Table {
    let mut table = table();
    table.set_header(["shard", "events in its log"]);
    for Owned { shard, logged } in owned {
        table.add_row([shard.to_string(), logged.to_string()]);
    }
    table
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table
}
