//! The list of commands, one file each.

use clap::Subcommand;

use crate::failure::Failure;

/// Declares the module of each command, and the command line's choice among them.
macro_rules! commands {
    ($($module:ident::$command:ident),* $(,)?) => {
        $(mod $module;)*

        /// A command with its arguments.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($command($module::$command),)*
        }

        impl Command {
            pub fn run(&self) -> Result<(), Failure> {
                match self {
                    $(Self::$command(command) => command.run(),)*
                }
            }
        }
    };
}

commands! {
    list::List,
    describe::Describe,
    init::Init,
    check::Check,
    train::Train,
    compare::Compare,
    evaluate::Evaluate,
    verify::Verify,
    predict::Predict,
    generate::Generate,
    forecast::Forecast,
    detect::Detect,
    recommend::Recommend,
    caption::Caption,
    data::Data,
    probe::Probe,
    lab::Lab,
    bench::Bench,
}
