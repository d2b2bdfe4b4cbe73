//! The command-line program: parses arguments and dispatches commands.

mod arguments;
mod commands;
mod explain;
mod failure;
mod memory;
mod observer;
mod plot;
mod report;
mod say;
mod signals;

use std::process::ExitCode;

use clap::Parser;
use commands::Command;

/// Train recurrent networks from recipes; predict, generate and forecast from their checkpoints.
///
/// Start with `seqzoo train agreement`, whose dataset is built in.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 2 usage, 3 configuration, 4 data, 5 backend, \
    6 recipe diverged, 7 check failed, 8 checkpoint or storage, 9 machine not deterministic, 10 run locked, 129 hung up and saved, 130 interrupted and saved, 143 terminated and saved."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    seqzoo_kernels::prepare();
    match Arguments::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
