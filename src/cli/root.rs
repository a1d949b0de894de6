//! Which command it is, and the exit code that it ends with.

use super::{
    agent, attention, audit, backup, bench, budget, check, demo, key, logging, restore, runs, serve, setup, simulate,
    state, test,
};
use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::process::ExitCode;

/// The gate that an AI agent's runtime passes before every action and every retry
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, max_term_width = 110)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Check(check::CheckArgs),
    Test(test::TestArgs),
    Simulate(simulate::SimulateArgs),
    Budget(budget::BudgetArgs),
    Agent(agent::AgentArgs),
    Attention(attention::AttentionArgs),
    Key(key::KeyArgs),
    Runs(runs::RunsArgs),
    Setup(setup::SetupArgs),
    Audit(audit::AuditArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    State(state::StateArgs),
    Bench(bench::BenchArgs),
}

/// Runs the command line, to its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; a command that cannot be read is "could not tell".
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    logging::start();
    let mut out = std::io::stdout().lock();
    match run(&cli.command, &mut out).and_then(|code| out.flush().map(|()| code).map_err(Into::into)) {
        Ok(code) => ExitCode::from(code),
        // Whoever reads our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "tollgate: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(command: &Command, out: &mut dyn std::io::Write) -> anyhow::Result<u8> {
    match command {
        Command::Serve(args) => serve::run(args, out),
        Command::Demo(args) => demo::run(args, out),
        Command::Check(args) => check::run(args, out),
        Command::Test(args) => test::run(args, out),
        Command::Simulate(args) => simulate::run(args, out),
        Command::Budget(args) => budget::run(args, out),
        Command::Agent(args) => agent::run(args, out),
        Command::Attention(args) => attention::run(args, out),
        Command::Key(args) => key::run(args, out),
        Command::Runs(args) => runs::run(args, out),
        Command::Setup(args) => setup::run(args, out),
        Command::Audit(args) => audit::run(args, out),
        Command::Backup(args) => backup::run(args, out),
        Command::Restore(args) => restore::run(args, out),
        Command::State(args) => state::run(args, out),
        Command::Bench(args) => bench::run(args, out),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn commands_are_consistent_and_who_asks_may_be_said_before_and_behind_what_is_asked() {
        Cli::command().debug_assert();
        for line in [
            ["tollgate", "attention", "--json", "list"],
            ["tollgate", "attention", "list", "--json"],
            ["tollgate", "runs", "list", "--json"],
            ["tollgate", "setup", "list", "--json"],
        ] {
            assert!(Cli::try_parse_from(line).is_ok(), "{line:?}");
        }
    }

    fn is_plain(command: &mut clap::Command) {
        let help = command.render_long_help().to_string();
        assert!(!help.contains('`') && command.get_about().is_some(), "{help}");
        command.get_subcommands_mut().for_each(is_plain);
    }

    #[test]
    fn helps_are_plain_text_and_every_command_has_one() {
        let mut command = Cli::command();
        command.build();
        is_plain(&mut command);
        command.debug_assert();
    }
}
