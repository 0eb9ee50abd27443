//! The program `edge-node`: hands the command line, the environment and the standard streams to the library.
//!
//! It decides nothing, not even an exit code.

use std::process::ExitCode;

#[expect(
    clippy::disallowed_methods,
    reason = "the composition root reads the environment once and hands it in"
)]
fn main() -> ExitCode {
    edge_node::run(
        std::env::args_os(),
        std::env::vars_os(),
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    )
}
