//! Imports a user's crontab: every line becomes an entry that behaves as under cron, or is refused with a reason.

mod line;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use line::{Job, Line};

use crate::domain::entry::{Entry, is_env_name};
use crate::domain::file::FileEntry;
use crate::domain::id::{EntryId, plain_id};
use crate::domain::import::{Ids, Import, Refused};
use crate::domain::secret::secret_name;
use crate::error::Result;

/// Longest id made from a command, characters.
const ID_MAX_CHARS: usize = 60;
/// Variables that tell cron where mail goes and how.
const MAIL: &[&str] = &["MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"];
/// Shells that `shell` is anyway.
const PLAIN_SHELLS: &[&str] = &["sh", "/bin/sh", "/usr/bin/sh"];

/// Reads the crontab of a user (five words for the time and a command). `tz` is the zone of the machine that it comes
/// from; UTC where none is given.
pub fn import_user_crontab(text: &str, tz: Option<&str>) -> Import {
    let mut importer = Importer { tz: tz.map(str::to_owned), ..Importer::default() };
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        importer.line = index + 1;
        importer.text = line;
        match line::parse(line) {
            Line::Blank => {}
            Line::Variable { name, value } => importer.variable(name, value),
            Line::Job(job) => importer.job(job),
            Line::Odd(odd) => importer.refuse(odd.reason, odd.hint),
        }
    }
    if importer.has_entry_without_zone {
        importer.note("no zone is given: times are read as UTC (--tz ZONE, the zone of the machine it comes from)");
    }
    importer.import
}

#[derive(Default)]
struct Importer<'t> {
    import: Import,
    ids: Ids,
    line: usize,
    text: &'t str,
    env: BTreeMap<String, String>,
    tz: Option<String>,
    /// A shell other than `sh`.
    shell: Option<String>,
    has_entry_without_zone: bool,
}

impl Importer<'_> {
    fn refuse(&mut self, reason: String, hint: Option<String>) {
        let place = format!("line {}", self.line);
        self.import.refused.push(Refused { place, text: self.text.to_owned(), reason, hint });
    }

    fn note(&mut self, note: impl Into<String>) {
        self.import.note(note);
    }

    /// A variable counts for the lines below it.
    fn variable(&mut self, name: &str, value: &str) {
        let line = self.line;
        match name {
            _ if MAIL.contains(&name) => {
                self.note(format!("line {line}: {name} is left out: no mail is sent, output is kept (upbeat logs ID)"));
            }
            "SHELL" if PLAIN_SHELLS.contains(&value) => self.shell = None,
            "SHELL" if value.starts_with('/') => {
                self.note(format!(
                    "line {line}: SHELL={value}: the lines below it become exec = [{value:?}, \"-c\", ...]"
                ));
                self.shell = Some(value.to_owned());
            }
            "SHELL" => self.refuse("SHELL is not the path of a shell".to_owned(), None),
            "CRON_TZ" => {
                self.note(format!("line {line}: CRON_TZ={value} is the tz of the lines below it"));
                self.tz = Some(value.to_owned());
            }
            "LOGNAME" | "USER" => {
                self.note(format!("line {line}: {name} is left out: commands run as the node's user"));
            }
            "RANDOM_DELAY" | "START_HOURS_RANGE" => {
                self.refuse(format!("{name}: not in this version yet"), None);
            }
            _ if !is_env_name(name) => self.refuse(format!("{name:?} is not the name of a variable"), None),
            _ if name.to_ascii_uppercase().starts_with("UPBEAT_") => {
                self.refuse(format!("{name}: UPBEAT_* is set by the node"), None);
            }
            _ if secret_name(value).is_some() => {
                self.refuse(format!("{name}: a value that begins with secret: has a meaning here"), None);
            }
            _ => {
                if name == "TZ" {
                    self.note(format!(
                        "line {line}: TZ={value} is what the commands below it see; as in cron it does not move their times (--tz does)"
                    ));
                }
                self.env.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn job(&mut self, job: Job<'_>) {
        match self.entry(&job).and_then(|entry| Ok((self.id(&job.command)?, entry))) {
            Ok((id, entry)) => {
                self.has_entry_without_zone |= self.tz.is_none();
                self.ids.take(&id);
                self.import.file.entries.push(FileEntry { id, entry, is_paused: false });
            }
            Err(error) => {
                let hint = error.problem().hint.clone();
                self.refuse(error.to_string(), hint);
            }
        }
    }

    /// Cron's own rules: runs may overlap, and what was missed stays missed.
    fn entry(&self, job: &Job<'_>) -> Result<Entry> {
        let mut fields = Map::new();
        let when: Vec<&str> = job.when.split_ascii_whitespace().collect();
        fields.insert("cron".to_owned(), Value::from(when.join(" ")));
        if let Some(tz) = &self.tz {
            fields.insert("tz".to_owned(), Value::from(tz.as_str()));
        }
        let mut env = self.env.clone();
        match &self.shell {
            Some(shell) => {
                fields.insert("exec".to_owned(), json!([shell, "-c", job.command]));
                env.insert("SHELL".to_owned(), shell.clone());
            }
            None => {
                fields.insert("shell".to_owned(), Value::from(job.command.as_str()));
            }
        }
        // Cron starts commands in the user's home.
        if let Some(home) = env.get("HOME").filter(|home| home.starts_with('/')) {
            fields.insert("cwd".to_owned(), Value::from(home.as_str()));
        }
        if !env.is_empty() {
            fields.insert("env".to_owned(), json!(env));
        }
        if let Some(input) = &job.input {
            fields.insert("payload".to_owned(), Value::from(input.as_str()));
        }
        fields.insert("overlap".to_owned(), Value::from("allow"));
        fields.insert("catch_up".to_owned(), Value::from("none"));
        Entry::parse(fields)
    }

    fn id(&self, command: &str) -> Result<EntryId> {
        let stem = id_stem(command).unwrap_or_else(|| format!("line-{}", self.line));
        self.ids.free(&stem)
    }
}

/// The words that say what a command does: without folders, variables and everything behind the first operator.
fn id_stem(command: &str) -> Option<String> {
    let mut command = command.trim();
    while let Some((_, rest)) = command.strip_prefix("cd ").and_then(|c| c.split_once("&&").or(c.split_once(';'))) {
        command = rest.trim_start();
    }
    let mut stem = String::new();
    for word in command.split_whitespace() {
        if word.contains(['|', '>', '<', '&', ';', '(', ')', '{', '}', '`']) && !stem.is_empty() {
            break;
        }
        if stem.is_empty() && word.split_once('=').is_some_and(|(name, _)| is_env_name(name)) {
            continue;
        }
        let name = word.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_lowercase();
        let Some(name) = plain_id(name.trim_start_matches(|c: char| !c.is_alphanumeric())) else { continue };
        if stem.chars().count() + name.chars().count() >= ID_MAX_CHARS {
            if stem.is_empty() {
                stem = name.chars().take(ID_MAX_CHARS).collect();
            }
            break;
        }
        if !stem.is_empty() {
            stem.push('-');
        }
        stem.push_str(&name);
    }
    plain_id(&stem)
}
