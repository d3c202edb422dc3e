//! `upbeat doctor`: one page that says whether all is well, each line with its fix below it.

use clap::Args;

use crate::cli::App;
use crate::cli::args::Changing;
use crate::cli::fleet;
use crate::cli::output::{Ended, Format, printable};
use crate::service::{Check, CheckState, DoctorView};

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Take Redis' clock as it is, after one that had run ahead; prints by how much each shard goes back
    #[arg(long)]
    accept_clock: bool,
    #[command(flatten)]
    changing: Changing,
}

pub const DOCTOR_EXAMPLES: &str = "\
Examples:
  upbeat doctor                        one page; below each line that is not ok what to type
  upbeat doctor -q || page-somebody    exit 1 when something is WRONG
  upbeat doctor -o id                  names of the checks that are not ok
  upbeat doctor --accept-clock         take Redis' clock as it is
WRONG: something does not work, or is about to be lost. note: worth a look; exit stays 0. could not see: this user, or this
server, does not say; exit stays 0. Lines in capitals are for redis-cli. At most 10,000 entries are looked at one by one.";

/// `upbeat doctor`: exit 1 when something is wrong.
pub async fn doctor(app: &App, args: DoctorArgs) -> Ended {
    if args.accept_clock {
        return fleet::accept_clock(app, &args.changing).await;
    }
    let mut page = app.service().await?.doctor().await?;
    if let Some(namespace) = &app.common.namespace {
        // Pasted as it stands a command must mean the same namespace.
        for command in page.checks.iter_mut().flat_map(|check| &mut check.todo) {
            if command.starts_with("upbeat ") && !command.contains(" -n ") {
                *command = command.replacen("upbeat ", &format!("upbeat -n {namespace} "), 1);
            }
        }
    }
    let not_ok: Vec<&Check> = page.checks.iter().filter(|check| check.state != CheckState::Ok).collect();
    match app.printer.format {
        Format::Jsonl => app.printer.list(&page.checks, |check| check.check.to_owned(), String::new),
        Format::Id => app.printer.list(&not_ok, |check| check.check.to_owned(), String::new),
        Format::Table | Format::Json => app.printer.one(&page, |_| String::new(), || table(&page)),
    }
    Ok(u8::from(!page.ok))
}

fn mark(state: CheckState) -> &'static str {
    match state {
        CheckState::Ok => "ok",
        CheckState::Note => "note",
        CheckState::Wrong => "WRONG",
        CheckState::Unseen => "could not see",
    }
}

/// Mark, what, value; below what is not ok what it means and what to type.
fn table(page: &DoctorView) -> String {
    let marks = page.checks.iter().map(|check| mark(check.state).len()).max().unwrap_or(0);
    let names = page.checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
    let mut text = format!("namespace {} on {}\n", page.namespace, page.redis);
    for check in &page.checks {
        let line = format!("{:marks$}  {:names$}  {}", mark(check.state), check.check, printable(&check.value));
        text.push_str(&format!("{}\n", line.trim_end()));
        let indent = marks + names + 4;
        if !check.message.is_empty() {
            text.push_str(&format!("{:indent$}{}\n", "", printable(&check.message)));
        }
        for command in &check.todo {
            text.push_str(&format!("{:indent$}  {}\n", "", printable(command)));
        }
    }
    let count = |state: CheckState| page.checks.iter().filter(|check| check.state == state).count();
    let (wrong, notes, unseen) = (count(CheckState::Wrong), count(CheckState::Note), count(CheckState::Unseen));
    let mut parts = vec![if wrong == 0 { "nothing is wrong".to_owned() } else { format!("{wrong} wrong") }];
    parts.extend((notes > 0).then(|| format!("{notes} to note")));
    parts.extend((unseen > 0).then(|| format!("{unseen} could not be seen")));
    text.push_str(&format!("{}\n", parts.join(", ")));
    text
}
