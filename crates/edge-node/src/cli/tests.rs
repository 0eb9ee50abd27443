//! Tests of what the command line takes and refuses.
//!
//! Nothing is run.

use clap::CommandFactory as _;

use super::*;

fn demo(line: &[&str]) -> Result<DemoArgs, String> {
    let line = [&["edge-node", "demo"], line].concat();
    match Cli::try_parse_from(line)
        .map_err(|error| error.to_string())?
        .command
    {
        Command::Demo(args) => Ok(*args),
        _ => Err("another command".to_owned()),
    }
}

#[test]
fn the_command_line_is_consistent_in_itself() {
    Cli::command().debug_assert();
}

#[test]
fn without_flags_the_demonstration_is_the_reference_deployment() {
    let args = demo(&[]).unwrap();
    let nodes: Vec<_> = args
        .nodes
        .regions()
        .iter()
        .map(|(region, nodes)| (region.as_str(), *nodes))
        .collect();
    assert_eq!(nodes, [("us-east", 5), ("us-west", 4), ("europe", 6)]);
    assert_eq!(
        (args.duration, args.seed, args.faults),
        (Duration::from_secs(20), 1, false)
    );
}

#[test]
fn a_fleet_that_makes_no_sense_is_refused_with_what_is_wrong() {
    for (text, expected) in [
        ("us-east", "part 1 is no REGION=NODES"),
        ("us-east=1,eu=five", "part 2 is no REGION=NODES"),
        ("us-east=0", "needs at least one node"),
        ("us-east=1,us-east=2", "is given twice"),
        ("us-east=65", "at most 64 nodes"),
        ("=3", "region is empty"),
    ] {
        let error = demo(&["--nodes", text]).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_duration_outside_its_limits_is_refused() {
    for text in ["0", "-1", "3601", "NaN", "soon"] {
        let error = demo(&["--duration", text]).unwrap_err();
        assert!(
            error.contains("0.5 to 3600") || error.contains("unexpected argument"),
            "{text}: {error}"
        );
    }
    assert_eq!(
        demo(&["--duration", "1.5"]).unwrap().duration,
        Duration::from_millis(1_500)
    );
}

#[test]
fn an_unknown_flag_is_refused_with_what_was_meant() {
    let error = demo(&["--seeds", "4"]).unwrap_err();
    assert!(error.contains("--seed"), "{error}");
}

#[test]
fn every_setting_has_a_flag_with_its_meaning() {
    let mut command = Cli::command();
    let config = command.find_subcommand_mut("config").unwrap();
    let help = config.render_long_help().to_string();
    for setting in config::SETTINGS {
        assert!(help.contains(&setting.flag()), "{}", setting.path);
        assert!(help.contains(&setting.variable()), "{}", setting.path);
    }
}

#[test]
fn a_server_is_named_by_its_address_and_has_its_own_faults() {
    let args = demo(&["--redis", "redis://127.0.0.1:6390/2"]).unwrap();
    let settings = args.redis.expect("a server");
    let there = cache_redis::Servers::Single(cache_redis::Address::new("127.0.0.1", 6390));
    assert_eq!((settings.servers, settings.database), (there, 2));
    let refused = demo(&["--redis", "127.0.0.1"]).unwrap_err();
    assert!(refused.contains("redis://"), "{refused}");
    assert!(demo(&["--redis", "redis://127.0.0.1", "--faults"]).is_err());
}

#[test]
fn a_store_is_named_by_kind_and_place_and_its_password_is_never_shown() {
    assert_eq!(demo(&[]).unwrap().store, StoreChoice::Memory);
    assert_eq!(
        demo(&["--store", "sqlite"]).unwrap().store,
        StoreChoice::Sqlite(None)
    );
    let file = demo(&["--store", "sqlite:a.db"]).unwrap().store;
    assert_eq!(file, StoreChoice::Sqlite(Some("a.db".into())));
    let args = demo(&["--store", "postgres://ada:secret@db/bookings"]).unwrap();
    assert!(!format!("{args:?}").contains("secret"));
    let args = demo(&["--store", "redis://ada:secret@cache", "--allow-lossy-bookings"]).unwrap();
    assert_eq!((args.store.kind(), args.allow_lossy_bookings), ("redis", true));
    assert!(!format!("{args:?}").contains("secret"));
    for text in [
        "",
        "sqlite:",
        "postgres",
        "postgres:db",
        "redis",
        "mysql://db/bookings",
    ] {
        let error = demo(&["--store", text]).unwrap_err();
        assert!(
            error.contains("postgres://USER@HOST/DATABASE") || error.contains("value is required"),
            "{text}: {error}"
        );
    }
}

#[test]
fn no_refusal_of_the_command_line_repeats_a_password() {
    for line in [
        &["demo", "--redis", "redis://:secret@host:port"][..],
        &["demo", "--redis", "redis://:secret"],
        &["demo", "--redis", "redis-sentinel://ada:secret@a,b:port/market"],
        &["demo", "--redis=redis-cluster://ada:secret@a,b:port"],
        &["demo", "--store", "mysql://ada:secret@db/bookings"],
        &["demo", "--store", "host=db password=secret"],
        &["demo", "redis://:secret@host"],
        &["demo", "--reds", "redis://:secret@host"],
        &["demo", "--reds=redis://:secret@host"],
        &["demo", "--seed", "redis://:secret@host"],
        &["demo", "--nodes", "redis://:secret@host"],
        &["redis://:secret@host"],
        &["migrate", "--store", "mysql://ada:secret@db/bookings"],
        &["migrate", "--store", "redis://ada:secret@db"],
        &["check", "--redis-password", "open", "secret"],
        &["check", "--set", "redis.password=open", "secret"],
        &["check", "--redis-pasword", "secret"],
        &["check", "--redis-host", "redis://ada:secret@cache"],
        &["check", "--redis-url", "redis://ada:secret@cache"],
        &["check", "--set", "redis.url=redis://ada:secret@cache"],
        &["check", "--set", "redis.sentinels=ada:secret@a,b"],
    ] {
        let words = ["edge-node"].iter().chain(line).map(std::ffi::OsString::from);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ending = crate::end(words, [], &mut out, &mut err);
        let said = String::from_utf8([out, err].concat()).unwrap();
        assert_eq!(ending, crate::Ending::Refused, "{line:?}: {said}");
        assert!(!said.contains("secret") && !said.is_empty(), "{line:?}: {said}");
    }
}

#[test]
fn no_debug_text_of_the_command_line_shows_a_password() {
    for line in [
        &["check", "--redis-password", "secret"][..],
        &["config", "--set", "redis.password=secret"],
        &["forget", "--prefix", "p", "--redis-cluster-password=secret"],
        &["demo", "--redis", "redis-sentinel://ada:secret@a/market"],
        &["migrate", "--store", "postgres://ada:secret@db/b"],
    ] {
        let shown = format!(
            "{:?}",
            Cli::try_parse_from([&["edge-node"], line].concat()).unwrap()
        );
        assert!(!shown.contains("secret"), "{shown}");
    }
}
