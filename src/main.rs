//! The command-line program: parses arguments and dispatches commands.

mod commands;
mod explain;
mod failure;
mod observer;
mod report;
mod say;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Train recurrent networks from recipes; predict, generate and forecast from their checkpoints.
///
/// Start with `seqzoo train agreement`, whose dataset is built in.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 2 usage, 3 configuration, 4 data, 5 backend, \
    6 recipe diverged, 7 check failed, 8 checkpoint or storage, 9 machine not deterministic, 10 run locked, 130 interrupted and saved, 143 terminated and saved."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(commands::list::List),
    Describe(commands::describe::Describe),
    Train(commands::train::Train),
    Evaluate(commands::evaluate::Evaluate),
    Verify(commands::verify::Verify),
    Predict(commands::predict::Predict),
    Generate(commands::generate::Generate),
    Forecast(commands::forecast::Forecast),
    Data(commands::data::DataCommand),
    Probe(commands::probe::Probe),
    Bench(commands::bench::Bench),
}

fn main() -> ExitCode {
    seqzoo_kernels::prepare();
    let done = match Arguments::parse().command {
        Command::List(list) => list.run(),
        Command::Describe(describe) => describe.run(),
        Command::Train(train) => train.run(),
        Command::Evaluate(evaluate) => evaluate.run(),
        Command::Verify(verify) => verify.run(),
        Command::Predict(predict) => predict.run(),
        Command::Generate(generate) => generate.run(),
        Command::Forecast(forecast) => forecast.run(),
        Command::Data(data) => data.run(),
        Command::Probe(probe) => probe.run(),
        Command::Bench(bench) => bench.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
