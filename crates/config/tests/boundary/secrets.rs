//! Secrets stay secret in everything that may reach a log.
//!
//! Says nothing of memory: whoever can read it can read the connections too.

use crate::{environment, lines};
use config::{Overrides, SETTINGS, Secrecy, Sources};

const SECRET: &str = "hunter2";

fn with_secrets() -> Sources {
    environment(&[
        ("REDIS_PASSWORD", SECRET),
        ("REDIS_CLUSTER_HOST", "a"),
        ("CACHE_AUTH_TOKEN", SECRET),
    ])
    .overrides(Overrides::new().set(&format!("redis.cluster_password={SECRET}")))
}

#[test]
fn passwords_and_tokens_are_secret_and_nothing_else_is() {
    let secret = SETTINGS
        .iter()
        .filter(|setting| setting.secrecy == Secrecy::Secret);
    let paths: Vec<_> = secret.map(|setting| setting.path).collect();
    assert_eq!(
        paths,
        [
            "redis.password",
            "redis.cluster_password",
            "redis.sentinel_password",
            "security.auth_token"
        ]
    );
}

#[test]
fn neither_show_nor_debug_gives_a_secret_away() {
    let sources = with_secrets();
    let loaded = sources.clone().load().unwrap();
    for text in [
        format!("{sources:?}"),
        loaded.show(),
        format!("{loaded:?}"),
        format!("{:?}", loaded.settings),
    ] {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert_eq!(loaded.show().matches("[redacted]").count(), 3);
    assert_eq!(loaded.settings.redis.password.unwrap().reveal(), SECRET);
}

#[test]
fn a_refused_secret_is_not_shown() {
    let problems = environment(&[("REDIS_PASSWORD", "hunter2\n")]).load();
    assert!(lines(problems)[0].starts_with("redis.password = \"[redacted]\" (environment REDIS_PASSWORD)"));
}

#[test]
fn the_value_under_an_unknown_name_is_not_shown_for_it_may_be_a_secret() {
    let problems = environment(&[("REDIS_PASWORD", SECRET)])
        .file("edge.yaml", format!("redis:\n  pasword: {SECRET}\n"))
        .overrides(
            Overrides::new()
                .set(&format!("redis.pass={SECRET}"))
                .flag("--redis-pasword", SECRET),
        )
        .load()
        .unwrap_err();
    assert_eq!(problems.iter().len(), 4);
    assert!(!format!("{problems} {problems:?}").contains(SECRET));
}

#[test]
fn a_password_inside_an_address_is_not_shown() {
    let problems = environment(&[("REDIS_HOST", "redis://user:hunter2@redis.internal")])
        .load()
        .unwrap_err();
    assert!(!format!("{problems} {problems:?}").contains(SECRET));
}

#[test]
fn a_secret_in_a_malformed_file_is_not_shown() {
    for text in [
        "redis:\n  password: hunter2\n port: 1\n",
        "redis: {password: hunter2",
        "password: 'hunter2\n",
        "a: *hunter2",
    ] {
        let problems = Sources::new().file("edge.yaml", text).load().unwrap_err();
        assert!(!format!("{problems} {problems:?}").contains(SECRET), "{problems}");
    }
}
