//! The rules that span two settings.
//!
//! Holds no limit of a single setting: that belongs to the setting's type. A rule is silent about values that
//! were refused anyway.

use crate::problems::Problem;
use crate::resolve::{Resolved, Standing};
use crate::settings::Settings;

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
            let (blamed, because) = (find(rule.blamed)?, find(rule.because)?);
            let firm = [blamed, because].iter().all(|one| one.standing == Standing::Firm);
            firm.then(|| {
                let reason = format!("{} is {} ({})", rule.because, because.shown, because.origin);
                let expected = format!("{}, because {reason}", rule.expected);
                Problem::new(rule.blamed, blamed.origin.clone(), expected)
                    .with_value(&blamed.shown, blamed.setting.secrecy)
            })
        })
}

/// A condition on two settings.
struct Rule {
    is_broken: fn(&Settings) -> bool,
    blamed: &'static str,
    expected: &'static str,
    because: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        is_broken: |s| s.performance.connection_pool_size > s.redis.max_connections,
        blamed: "performance.connection_pool_size",
        expected: "no more connections than may be open",
        because: "redis.max_connections",
    },
    Rule {
        is_broken: |s| s.security.enable_tls.is_on() && !s.redis.ssl.is_on(),
        blamed: "redis.ssl",
        expected: "on",
        because: "security.enable_tls",
    },
    Rule {
        is_broken: |s| s.security.require_auth.is_on() && s.security.auth_token.is_none(),
        blamed: "security.auth_token",
        expected: "a token",
        because: "security.require_auth",
    },
    Rule {
        is_broken: |s| s.redis.cluster_password.is_some() && s.redis.cluster_host.is_none(),
        blamed: "redis.cluster_host",
        expected: "a host",
        because: "redis.cluster_password",
    },
];
