//! The reference page that is checked in.
//!
//! Does not write it: a test that repairs what it checks would never fail.

use config::SETTINGS;

#[test]
fn the_checked_in_reference_page_is_the_one_that_the_table_gives() {
    let checked_in = include_str!("../../../../docs/configuration.md");
    assert!(
        checked_in == config::reference(),
        "docs/configuration.md is out of date; write it anew with\n\
         cargo run -p config --example reference > docs/configuration.md"
    );
}

#[test]
fn the_reference_page_names_path_variable_and_flag_of_every_setting() {
    let page = config::reference();
    for setting in SETTINGS {
        for name in [setting.path, &setting.variable(), &setting.flag()] {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}
