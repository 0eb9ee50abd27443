//! Versions in one place: each member takes its dependencies from the workspace's table.
//!
//! It does not judge the versions in that table; `cargo deny` refuses wildcards.

use super::{File, Finding, manifest};

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let members = manifest::members(files);
    let findings = members.flat_map(|(file, manifest)| {
        let own = manifest
            .dependencies
            .into_iter()
            .filter(|dependency| !dependency.inherited);
        own.map(|dependency| {
            let key = &dependency.key;
            let right = format!("pin it in the workspace's Cargo.toml and write `{key}.workspace = true`");
            file.finding(
                dependency.line,
                format!("`{key}` brings its own version or path"),
                right,
            )
        })
        .collect::<Vec<_>>()
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::found;
    use super::*;

    fn checked(dependencies: &str) -> Vec<String> {
        found(
            check,
            &[(
                "crates/a/Cargo.toml",
                &format!("[package]\nname = \"a\"\n{dependencies}\n"),
            )],
        )
    }

    #[test]
    fn a_version_a_path_and_a_repository_in_a_member_are_refused() {
        let own = "[dependencies]\nb = \"1\"\nc = { path = \"../c\" }\n[dev-dependencies]\nd.git = \"x\"";
        let found = checked(own);
        assert_eq!(found.len(), 3, "{found:?}");
        let expected = "crates/a/Cargo.toml:4: `b` brings its own version or path; \
                        pin it in the workspace's Cargo.toml and write `b.workspace = true`";
        assert_eq!(found[0], expected);
    }

    #[test]
    fn an_inherited_dependency_may_add_features() {
        assert!(
            checked("[dependencies]\nb.workspace = true\nc = { workspace = true, features = [\"x\"] }")
                .is_empty()
        );
    }

    #[test]
    fn the_workspaces_own_table_holds_the_versions() {
        assert!(found(check, &[("Cargo.toml", "[workspace.dependencies]\nb = \"1\"\n")]).is_empty());
    }
}
