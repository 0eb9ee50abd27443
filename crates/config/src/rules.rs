//! The rules that span several settings.
//!
//! Holds no limit of a single setting: that belongs to the setting's type. A rule is silent about values that
//! were refused anyway.

use crate::problems::Problem;
use crate::resolve::{Resolved, Standing};
use crate::settings::{Redis, Settings};

/// Every rule that is broken.
pub(crate) fn check<'a>(
    settings: &'a Settings,
    resolved: &'a [Resolved],
) -> impl Iterator<Item = Problem> + 'a {
    RULES
        .iter()
        .filter(|rule| (rule.is_broken)(settings))
        .filter_map(|rule| {
            let find = |path: &str| resolved.iter().find(|one| one.setting.path == path);
            let given = |path: &&str| find(path).filter(|one| !one.shown.is_empty());
            let (blamed, because) = (find(rule.blamed)?, rule.because.iter().find_map(given)?);
            let firm = [blamed, because].iter().all(|one| one.standing == Standing::Firm);
            firm.then(|| {
                let reason = format!(
                    "{} is {} ({})",
                    because.setting.path, because.shown, because.origin
                );
                let expected = format!("{}, because {reason}", rule.expected);
                Problem::new(rule.blamed, blamed.origin.clone(), expected)
                    .with_value(&blamed.shown, blamed.setting.secrecy)
            })
        })
}

/// A condition on two settings, or on one and any of several: the first of those that is given is named as the reason.
struct Rule {
    is_broken: fn(&Settings) -> bool,
    blamed: &'static str,
    expected: &'static str,
    because: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        is_broken: |s| s.performance.connection_pool_size > s.redis.max_connections,
        blamed: "performance.connection_pool_size",
        expected: "no more connections than may be open",
        because: &["redis.max_connections"],
    },
    Rule {
        is_broken: |s| s.security.enable_tls.is_on() && !s.redis.ssl.is_on(),
        blamed: "redis.ssl",
        expected: "on",
        because: &["security.enable_tls"],
    },
    Rule {
        is_broken: |s| s.security.require_auth.is_on() && s.security.auth_token.is_none(),
        blamed: "security.auth_token",
        expected: "a token",
        because: &["security.require_auth"],
    },
    Rule {
        is_broken: |s| s.redis.cluster_password.is_some() && s.redis.cluster_host.is_none(),
        blamed: "redis.cluster_host",
        expected: "a host",
        because: &["redis.cluster_password"],
    },
    Rule {
        is_broken: |s| {
            let of_cluster = s.redis.cluster_host.is_some() && s.redis.cluster_password.is_some();
            s.redis.user.is_some() && s.redis.password.is_none() && !of_cluster
        },
        blamed: "redis.password",
        expected: "a password",
        because: &["redis.user"],
    },
    Rule {
        is_broken: |s| {
            let Redis {
                ssl_ca_file,
                ssl_cert_file,
                ssl_key_file,
                ..
            } = &s.redis;
            let files = [ssl_ca_file, ssl_cert_file, ssl_key_file];
            files.iter().any(|file| file.is_some()) && !s.redis.ssl.is_on()
        },
        blamed: "redis.ssl",
        expected: "on",
        because: &["redis.ssl_ca_file", "redis.ssl_cert_file", "redis.ssl_key_file"],
    },
    Rule {
        is_broken: |s| s.redis.ssl_cert_file.is_some() && s.redis.ssl_key_file.is_none(),
        blamed: "redis.ssl_key_file",
        expected: "the file with its key",
        because: &["redis.ssl_cert_file"],
    },
    Rule {
        is_broken: |s| s.redis.ssl_key_file.is_some() && s.redis.ssl_cert_file.is_none(),
        blamed: "redis.ssl_cert_file",
        expected: "the file with its certificate",
        because: &["redis.ssl_key_file"],
    },
    Rule {
        is_broken: |s| s.redis.sentinels.is_some() && s.redis.cluster_host.is_some(),
        blamed: "redis.sentinels",
        expected: "nothing",
        because: &["redis.cluster_host"],
    },
    Rule {
        is_broken: |s| {
            let login = s.redis.sentinel_user.is_some() || s.redis.sentinel_password.is_some();
            (s.redis.sentinel_master.is_some() || login) && s.redis.sentinels.is_none()
        },
        blamed: "redis.sentinels",
        expected: "the addresses of the sentinels",
        because: &[
            "redis.sentinel_master",
            "redis.sentinel_password",
            "redis.sentinel_user",
        ],
    },
    Rule {
        is_broken: |s| {
            let login = s.redis.sentinel_user.is_some() || s.redis.sentinel_password.is_some();
            (s.redis.sentinels.is_some() || login) && s.redis.sentinel_master.is_none()
        },
        blamed: "redis.sentinel_master",
        expected: "the name that stands in `sentinel monitor`",
        because: &[
            "redis.sentinels",
            "redis.sentinel_password",
            "redis.sentinel_user",
        ],
    },
    Rule {
        is_broken: |s| s.redis.sentinel_user.is_some() && s.redis.sentinel_password.is_none(),
        blamed: "redis.sentinel_password",
        expected: "a password",
        because: &["redis.sentinel_user"],
    },
];
