//! `upbeat why`: one sentence, what it is told from, and what can be done.

use clap::Args;

use crate::cli::App;
use crate::cli::output::{Ended, printable};
use crate::domain::id::EntryId;
use crate::domain::zone::Zone;
use crate::service::WhyView;

#[derive(Debug, Args)]
pub struct WhyArgs {
    pub id: String,
    /// This fire time instead of the one in question: an instant, 02:00 (the nearest past), a date for its fire times, -8h
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub at: Option<String>,
}

pub const WHY_EXAMPLES: &str = "\
Examples:
  upbeat why report                        the latest fire time that did not succeed, else the latest
  upbeat why report --at 02:00             in the entry's zone
  upbeat why report --at 2026-11-20        the fire times of that day
Exit 0 when answered, 3 when nothing of that id is on record.";

/// `upbeat why ID [--at T]`.
pub async fn why(app: &App, args: WhyArgs) -> Ended {
    let id = EntryId::parse("id", &args.id)?;
    let service = app.service().await?;
    let mut why = service.why(&id, args.at.as_deref(), here().as_ref()).await?;
    if let Some(namespace) = &app.common.namespace {
        // Pasted as it stands a command must mean the same entry.
        for command in &mut why.todo {
            *command = command.replacen("upbeat ", &format!("upbeat -n {namespace} "), 1);
        }
    }
    app.printer.one(&why, |why| why.entry_id.clone(), || table(&why));
    Ok(0)
}

/// The sentence, then facts and commands in one column; a label that repeats is said once.
fn table(why: &WhyView) -> String {
    let facts = why.facts.iter().map(|fact| (fact.label.as_str(), fact.text.as_str()));
    let lines: Vec<(&str, &str)> = facts.chain(why.todo.iter().map(|command| ("do", command.as_str()))).collect();
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let mut text = format!("{}\n", printable(&why.sentence));
    let mut last = "";
    for (label, line) in lines {
        let shown = if label == last { "" } else { label };
        text.push_str(&format!("  {shown:width$}   {}\n", printable(line)));
        last = label;
    }
    text
}

/// The zone of this machine, or of whoever set `TZ`; `None` where it can't be told.
pub fn here() -> Option<Zone> {
    let named = std::env::var("TZ").ok().filter(|name| !name.is_empty());
    let linked = || {
        let target = std::fs::read_link("/etc/localtime").ok()?;
        let (_, name) = target.to_str()?.split_once("zoneinfo/")?;
        Some(name.to_owned())
    };
    let name = named.or_else(linked)?;
    let name = name.trim_start_matches(':');
    let name = name.split_once("zoneinfo/").map_or(name, |(_, name)| name);
    Zone::parse("tz", name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{Answer, Fact};

    #[test]
    fn labels_stand_once_and_texts_in_one_column() {
        let fact = |label: &str, text: &str| Fact { label: label.to_owned(), text: text.to_owned() };
        let why = WhyView {
            entry_id: "a".to_owned(),
            fire_at: None,
            run_id: None,
            answer: Answer::Skipped,
            reason: Some("overlap"),
            sentence: "a did not run".to_owned(),
            facts: vec![fact("in the way", "b\u{1b}[2J"), fact("rule", "overlap = skip")],
            todo: vec!["upbeat logs a".to_owned(), "upbeat cancel a".to_owned()],
        };
        let lines = [
            "a did not run",
            "  in the way   b\\u{1b}[2J",
            "  rule         overlap = skip",
            "  do           upbeat logs a",
            "               upbeat cancel a",
        ];
        assert_eq!(table(&why).lines().collect::<Vec<_>>(), lines);
    }
}
