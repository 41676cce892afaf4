//! The command line.
//!
//! Every command answers in two ways: to people in plain lines and aligned tables, with `--json` to programs. And every command ends
//! with one of four codes, so that a script need not read words: 0 done, 1 the answer is no, 2 wrong usage, 3 something could not
//! be reached or read. What `--help` says is written here, beside what it is about.

mod anchor_file;
mod backup;
mod client;
mod config_check;
mod doctor;
mod ledger_anchor;
mod ledger_export;
mod ledger_prove;
mod ledger_tail;
mod ledger_verify;
mod out;
mod session;
mod subject;
mod table;
mod vault;

pub(crate) use out::{Done, Stop};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, process::ExitCode};

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 something could not be reached or read.
The log goes to standard error; NIGHTLATCH_LOG sets its level (error, warn, info, debug).";

/// Ends user sessions when the firm's policy says so, on every channel, and keeps a record that can be checked.
#[derive(Debug, Parser)]
#[command(name = "nightlatch", version, after_help = AFTER_HELP, disable_help_subcommand = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it: a demo brokerage behind the gateway, with short limits and nothing to configure
    Demo(crate::demo::DemoArgs),
    /// Run the gateway and the admin listener
    Serve(crate::serve::ServeArgs),
    /// Work with a configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at sessions of a running server, and end them
    #[command(subcommand)]
    Session(SessionCommand),
    /// Block subjects: none of their sessions lives or starts
    #[command(subcommand)]
    Subject(SubjectCommand),
    /// Check, prove, anchor, follow and export the record
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Look for what is in the way of a start, of enforcing or of the record, and say what to do
    ///
    /// Before the first start, beside a running server, or after an incident; run it as the server's user. It changes nothing.
    /// Exits with 1 if something is wrong. What cannot be seen from here is said to be not looked at, and never counts as good.
    Doctor(doctor::DoctorArgs),
    /// Copy everything that a data directory remembers to another directory, also beside a running server
    ///
    /// What was copied is verified. The backup holds the key that signs the record, and names of people.
    Backup {
        /// The directory to write to; must not exist yet, or be empty
        to: PathBuf,
        /// The data directory of the server: `[data] dir` in its configuration
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Put a backup in place as a data directory, and end every session in it
    ///
    /// The server must be stopped. Every session that lives in the backup ends, with reason `restored` on the record.
    Restore {
        /// The backup
        from: PathBuf,
        /// The data directory to make: `[data] dir` in the server's configuration
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Put it in the place of a data directory that is there; that one is kept beside it
        #[arg(long)]
        replace: bool,
    },
    /// Print the OpenAPI description of the API
    #[command(hide = true)]
    Openapi,
    /// Print a generated page of the reference
    #[command(hide = true)]
    Reference {
        /// Which page
        page: Page,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say everything that is wrong with a file, each mistake with its line, column and what to do
    ///
    /// Then reads the secrets and certificates that it points at, as `serve` does. Exits with 1 if the file would be refused, with 3 if
    /// something that it points at cannot be used here. Nothing is connected to.
    Check {
        /// The configuration file
        file: PathBuf,
        /// Open no other file, to say the same on every machine: where the secrets are not
        #[arg(long)]
        file_only: bool,
    },
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// List sessions, live and lately ended
    List {
        #[command(flatten)]
        at: AdminArgs,
        /// Only sessions of subjects of this name
        #[arg(long)]
        subject: Option<String>,
        /// Only sessions of subjects of this provider: an issuer, or `key:NAME`
        #[arg(long)]
        provider: Option<String>,
        /// Only sessions in this state
        #[arg(long)]
        state: Option<State>,
        /// How many at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one session: its limits and the rules that set them, its deadline, and how it ended
    Show {
        #[command(flatten)]
        at: AdminArgs,
        /// The session's public name, `ses_` and 32 digits
        id: String,
    },
    /// End sessions now, on every channel; done when the ends are on disk
    ///
    /// Give ids, or a subject. Needs an operator's key. The reason on the record is `revoked`.
    End {
        #[command(flatten)]
        at: AdminArgs,
        /// The public names of the sessions
        #[arg(required_unless_present = "subject", conflicts_with = "subject")]
        ids: Vec<String>,
        /// End every live session of the subject of this name
        #[arg(long)]
        subject: Option<String>,
        /// Whose subject it is, where several providers have one of this name
        #[arg(long, requires = "subject")]
        provider: Option<String>,
        /// What is behind it, for the record; no names of people, as the record is kept for years
        #[arg(long)]
        cause: Option<String>,
        /// The ticket that asks for it, for the record
        #[arg(long)]
        ticket: Option<String>,
        /// Say what would end, and end nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
enum SubjectCommand {
    /// Block a subject: all its sessions end now, on every channel, and none starts until it is unblocked
    ///
    /// Done when the block and the ends are on disk. Needs an operator's key. The reason on the record is `blocked`.
    Block(SubjectArgs),
    /// Lift a block: the subject may start sessions again; those that ended stay ended
    Unblock(SubjectArgs),
    /// List the blocks that stand
    List {
        #[command(flatten)]
        at: AdminArgs,
    },
}

/// Which subject, and why.
#[derive(Debug, Args)]
struct SubjectArgs {
    #[command(flatten)]
    at: AdminArgs,
    /// The subject's name
    subject: String,
    /// Whose subject it is: an issuer, or `key:NAME`; needed where no provider, or more than one, has one of this name
    #[arg(long)]
    provider: Option<String>,
    /// What is behind it, for the record; no names of people, as the record is kept for years
    #[arg(long)]
    cause: Option<String>,
    /// The ticket that asks for it, for the record
    #[arg(long)]
    ticket: Option<String>,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Check a ledger offline, against its own checkpoints and those you bring
    ///
    /// Takes a server's data directory (also while it runs), a ledger, a copy of one, or an export. Nothing is written. Exits
    /// with 1 if something does not fit together. A record that is consistent may still have been written anew by whoever
    /// holds its key: bring a checkpoint that was out of their reach with --checkpoint, or trust a witness with --witness.
    Verify {
        #[command(flatten)]
        at: LedgerArgs,
        /// A checkpoint that was kept elsewhere, as a signed note; may be given more than once
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// The key of a witness whose cosignature you trust, as `name+id+base64`; may be given more than once
        #[arg(long, value_name = "KEY")]
        witness: Vec<String>,
    },
    /// Prove that an entry is in the record, for somebody who has only a checkpoint and the ledger's key
    ///
    /// Prints the entry and a proof that was checked before it was printed. Exits with 1 if no checkpoint covers the entry.
    Prove {
        #[command(flatten)]
        at: LedgerArgs,
        /// The entry: its index, or its name `node:index`
        entry: String,
    },
    /// Follow the record of a running server
    Tail {
        #[command(flatten)]
        at: AdminArgs,
        /// Begin behind this entry, named `node:index`; without a place to begin, only what is new
        #[arg(long, conflicts_with = "from", value_name = "ENTRY")]
        after: Option<String>,
        /// Begin with the entry of this index
        #[arg(long, value_name = "INDEX")]
        from: Option<u64>,
        /// Only entries of this kind: session_started, session_ended, cut, ..
        #[arg(long)]
        what: Option<String>,
        /// Only entries about this session
        #[arg(long, value_name = "ID")]
        session: Option<String>,
        /// Stop after so many
        #[arg(long)]
        count: Option<u64>,
    },
    /// Show the newest checkpoint to witnesses, and write it to a file, so that a rewritten history can be told
    ///
    /// Also beside a running server, which is not asked; run it from a timer. Cosignatures are verified and kept beside the
    /// ledger. Exits with 1 if a witness, or the file, has seen another history than the one that is here; with 3 if a witness
    /// could not be asked.
    #[command(group = clap::ArgGroup::new("where").required(true).args(["config", "data"]))]
    Anchor {
        /// The configuration of the server: its data directory, and its `[[ledger.witness]]`
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The data directory, to write --file without a configuration; no witness is asked
        #[arg(long, value_name = "DIR", requires = "file")]
        data: Option<PathBuf>,
        /// Write the checkpoint with its cosignatures to this file; one that it does not continue is left as it is
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
    },
    /// Write the record in the public tlog-tiles layout, for whoever is to check it
    Export {
        #[command(flatten)]
        at: LedgerArgs,
        /// The folder to write to; must not exist yet, or be empty
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

/// How to reach a running server.
#[derive(Debug, Args)]
struct AdminArgs {
    /// Where the admin listener is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    admin: String,
    /// The file with the secret of an API key; without it, the variable NIGHTLATCH_KEY
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Where a ledger is.
#[derive(Debug, Args)]
struct LedgerArgs {
    /// The data directory of a server, a ledger, a copy of one, or an export
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The file with the ledger's public key; without it, the one beside the ledger
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Live,
    Ended,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Page {
    Configuration,
    Metrics,
    Problems,
}

/// Reads the arguments and does what they say.
///
/// The exit code says what became of it; see the module.
pub fn main() -> ExitCode {
    let Cli { command, json } = Cli::parse();
    let out = out::Out { json };
    let done = match command {
        Command::Demo(args) => crate::demo::run(&args),
        Command::Serve(args) => crate::serve::run(&args),
        Command::Config(ConfigCommand::Check { file, file_only }) => config_check::run(out, &file, file_only),
        Command::Doctor(args) => doctor::run(out, &args),
        Command::Session(command) => session(out, command),
        Command::Subject(command) => subject(out, command),
        Command::Ledger(command) => ledger(out, command),
        Command::Backup { to, data } => backup::take(out, &data, &to),
        Command::Restore { from, data, replace } => backup::put_back(out, &from, &data, replace),
        Command::Openapi => out.text(&crate::api::openapi_document()),
        Command::Reference { page } => out.text(&match page {
            Page::Configuration => crate::config::reference_markdown(),
            Page::Metrics => crate::metrics::reference_markdown(),
            Page::Problems => crate::api::problems_markdown(),
        }),
    };
    done.map_or_else(|stop| stop.say(out), |()| ExitCode::SUCCESS)
}

fn session(out: out::Out, command: SessionCommand) -> out::Done {
    match command {
        SessionCommand::List { at, subject, provider, state, limit } => {
            let state = state.map(|state| match state {
                State::Live => "live",
                State::Ended => "ended",
            });
            session::list(
                out,
                &client::Client::of(&at)?,
                &session::Filter { subject, provider, state, limit },
            )
        }
        SessionCommand::Show { at, id } => session::show(out, &client::Client::of(&at)?, &id),
        SessionCommand::End { at, ids, subject, provider, cause, ticket, dry_run } => {
            let order = session::EndOrder {
                ids: subject.is_none().then_some(ids),
                subject,
                provider,
                cause,
                ticket,
                dry_run,
            };
            session::end(out, &client::Client::of(&at)?, &order)
        }
    }
}

fn subject(out: out::Out, command: SubjectCommand) -> out::Done {
    let order = |args: SubjectArgs| {
        let SubjectArgs { at, subject, provider, cause, ticket } = args;
        Ok((client::Client::of(&at)?, subject::Order { subject, provider, cause, ticket }))
    };
    match command {
        SubjectCommand::Block(args) => {
            order(args).and_then(|(client, order)| subject::block(out, &client, &order))
        }
        SubjectCommand::Unblock(args) => {
            order(args).and_then(|(client, order)| subject::unblock(out, &client, &order))
        }
        SubjectCommand::List { at } => subject::list(out, &client::Client::of(&at)?),
    }
}

fn ledger(out: out::Out, command: LedgerCommand) -> out::Done {
    match command {
        LedgerCommand::Verify { at, checkpoint, witness } => {
            ledger_verify::run(out, &vault::Vault::of(&at.dir, at.key.as_deref())?, &checkpoint, &witness)
        }
        LedgerCommand::Prove { at, entry } => {
            ledger_prove::run(out, &vault::Vault::of(&at.dir, at.key.as_deref())?, &entry)
        }
        LedgerCommand::Tail { at, after, from, what, session, count } => {
            let wanted = ledger_tail::Wanted { after, from, what, session, count };
            ledger_tail::run(out, &client::Client::of(&at)?, &wanted)
        }
        LedgerCommand::Anchor { config, data, file } => {
            ledger_anchor::run(out, &ledger_anchor::Order { config, data, file })
        }
        LedgerCommand::Export { at, to } => {
            ledger_export::run(out, &vault::Vault::of(&at.dir, at.key.as_deref())?, &to)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_tree_of_commands_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_every_argument_says_what_it_is_for() {
        fn look(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }
}
