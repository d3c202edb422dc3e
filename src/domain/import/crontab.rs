//! Imports crontabs, of users and of the system: every line becomes an entry that behaves as under cron, or is refused
//! with a reason.

mod dialect;
mod line;
mod stem;
mod user;

use serde_json::{Map, Value, json};

pub use dialect::Dialect;
use dialect::When;
pub use line::looks_like_system;
use line::{Job, Line};
use stem::id_stem;
pub use user::RunAs;

use crate::domain::entry::{Entry, is_env_name};
use crate::domain::file::FileEntry;
use crate::domain::id::EntryId;
use crate::domain::import::{Ids, Import, Refused};
use crate::domain::secret::secret_name;
use crate::error::Result;

/// Variables that tell cron where mail goes and how.
const MAIL: &[&str] = &["MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"];
/// Shells that `shell` is anyway.
const PLAIN_SHELLS: &[&str] = &["sh", "/bin/sh", "/usr/bin/sh"];
/// Characters of a line that are shown.
const SHOWN_MAX_CHARS: usize = 200;

/// One text.
#[derive(Debug, Clone, Copy)]
pub struct Crontab<'t> {
    /// As places call it, where there are several.
    pub name: Option<&'t str>,
    /// What stands in it.
    pub text: &'t str,
    /// Whether each line has a user before its command, as in /etc/crontab and /etc/cron.d.
    pub is_system: bool,
    /// What the ids of its entries begin with.
    pub prefix: Option<&'t str>,
}

/// How crontabs are read.
#[derive(Debug, Clone, Default)]
pub struct CrontabRules {
    /// The zone of the machine that they come from; UTC where none is given.
    pub tz: Option<String>,
    /// The program that they were written for; else as [`Dialect::Debian`], with `CRON_TZ` read as cronie does.
    pub dialect: Option<Dialect>,
    /// How jobs of system crontabs are run as their users.
    pub run_as: RunAs,
    /// The folder in which commands start, where `HOME` is not set.
    pub home: Option<String>,
}

/// Reads crontabs into one file.
pub fn import_crontabs(crontabs: &[Crontab<'_>], rules: &CrontabRules) -> Import {
    let (mut import, mut ids) = (Import::default(), Ids::default());
    let mut has_entry_without_zone = false;
    for crontab in crontabs {
        let mut importer = Importer::new(crontab, rules, &mut import, &mut ids);
        importer.read();
        has_entry_without_zone |= importer.has_entry_without_zone;
    }
    if has_entry_without_zone {
        import.note("no zone is given: times are read as UTC (--tz ZONE, the zone of the machine it comes from)");
    }
    import
}

struct Importer<'t, 'i> {
    import: &'i mut Import,
    ids: &'i mut Ids,
    rules: &'t CrontabRules,
    crontab: &'t Crontab<'t>,
    dialect: Dialect,
    line: usize,
    text: &'t str,
    env: Map<String, Value>,
    tz: Option<String>,
    /// A shell other than `sh`.
    shell: Option<String>,
    /// The first line for which this cron ignores the whole file.
    unread: Option<usize>,
    has_entry_without_zone: bool,
}

impl<'t, 'i> Importer<'t, 'i> {
    fn new(crontab: &'t Crontab<'t>, rules: &'t CrontabRules, import: &'i mut Import, ids: &'i mut Ids) -> Self {
        let home = rules.home.iter().map(|home| ("HOME".to_owned(), Value::from(home.as_str())));
        Self {
            import,
            ids,
            rules,
            crontab,
            dialect: rules.dialect.unwrap_or_default(),
            line: 0,
            text: "",
            env: home.collect(),
            tz: rules.tz.clone(),
            shell: None,
            unread: None,
            has_entry_without_zone: false,
        }
    }

    fn read(&mut self) {
        let text = self.crontab.text;
        for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
            self.line = index + 1;
            self.text = line;
            match line::parse(line, self.dialect, self.crontab.is_system) {
                Line::Blank => {}
                _ if line.contains(['\0', char::REPLACEMENT_CHARACTER]) => {
                    self.refuse("is not text in UTF-8".to_owned(), None);
                }
                Line::Variable { name, value } => self.variable(name, value),
                Line::Job(job) => self.job(&job),
                Line::Odd(odd) => self.refuse(odd.reason, odd.hint),
            }
        }
        let which = self.crontab.name.unwrap_or("this file");
        if let Some(line) = self.unread {
            self.note(format!(
                "{} reads nothing of {which} because of line {line}: what stands here did not run there",
                self.dialect.name()
            ));
        } else if self.dialect.is_strict() && !text.is_empty() && !text.ends_with('\n') {
            self.note(format!(
                "{which} does not end with a newline: {} reads nothing of it, here its last line counts",
                self.dialect.name()
            ));
        }
    }

    fn place(&self) -> String {
        match self.crontab.name {
            Some(name) => format!("{name}: line {}", self.line),
            None => format!("line {}", self.line),
        }
    }

    fn refuse(&mut self, reason: String, hint: Option<String>) {
        let text = self.text.chars().take(SHOWN_MAX_CHARS).collect();
        self.import.refused.push(Refused { place: self.place(), text, reason, hint });
    }

    fn note(&mut self, note: impl Into<String>) {
        self.import.note(note);
    }

    fn note_here(&mut self, note: impl std::fmt::Display) {
        let place = self.place();
        self.note(format!("{place}: {note}"));
    }

    /// A variable counts for the lines below it.
    fn variable(&mut self, name: &str, value: &str) {
        match name {
            "MAILTO" if value.is_empty() => {}
            _ if MAIL.contains(&name) => {
                self.note_here(format!("{name} is left out: no mail is sent, output is kept (upbeat logs ID)"));
            }
            "SHELL" if PLAIN_SHELLS.contains(&value) => self.shell = None,
            "SHELL" if value.starts_with('/') => {
                self.note_here(format!("SHELL={value}: the lines below it become exec = [{value:?}, \"-c\", ...]"));
                self.shell = Some(value.to_owned());
            }
            "SHELL" => self.refuse("SHELL is not the path of a shell".to_owned(), None),
            "CRON_TZ" => self.zone(value),
            "LOGNAME" | "USER" => {
                self.note_here(format!("{name} is left out: commands run as the node's user"));
            }
            "RANDOM_DELAY" => {
                let hint = format!("on the entries below it: spread = \"{value}m\"");
                self.refuse(format!("RANDOM_DELAY={value}: runs were to start up to {value} minutes late"), Some(hint));
            }
            "START_HOURS_RANGE" => {
                let hint = "write the hours into cron, with catch_up = \"latest\"";
                self.refuse("START_HOURS_RANGE belongs to an anacrontab".to_owned(), Some(hint.to_owned()));
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
                    self.note_here(format!(
                        "TZ={value} is what the commands below it see; as in cron it does not move their times (--tz does)"
                    ));
                }
                self.env.insert(name.to_owned(), Value::from(value));
            }
        }
    }

    /// `CRON_TZ` moves times in cronie, and nowhere else.
    fn zone(&mut self, value: &str) {
        match self.rules.dialect {
            Some(Dialect::Cronie) => self.note_here(format!("CRON_TZ={value} is the tz of the lines below it")),
            None => self.note_here(format!(
                "CRON_TZ={value} is the tz of the lines below it, as cronie has it; Debian's cron ignores it (--dialect debian)"
            )),
            Some(other) => {
                self.note_here(format!("CRON_TZ={value} is only a variable to {}: it moves no time", other.name()));
                self.env.insert("CRON_TZ".to_owned(), Value::from(value));
                return;
            }
        }
        self.tz = Some(value.to_owned());
    }

    fn job(&mut self, job: &Job<'_>) {
        let when = match dialect::read(self.dialect, job.when, self.text) {
            Ok(when) => when,
            Err(refused) => {
                if refused.is_unread && self.dialect.is_strict() {
                    self.unread.get_or_insert(self.line);
                }
                return self.refuse(refused.odd.reason, refused.odd.hint);
            }
        };
        match self.entry(job, &when).and_then(|entry| Ok((self.id(&job.command)?, entry))) {
            Ok((id, entry)) => {
                self.has_entry_without_zone |= self.tz.is_none();
                self.ids.take(&id);
                self.import.file.entries.push(FileEntry { id, entry, is_paused: false });
                if job.user.is_some() {
                    self.note(self.rules.run_as.note());
                }
                if job.when.contains('~') {
                    self.note_here("a random range: one value of it, drawn from the line, the same at each import");
                }
                if let When::After(_) = when {
                    self.note_here("it ran so long after the run before; here the time is counted from start to start");
                }
            }
            Err(error) => {
                let hint = error.problem().hint.clone();
                self.refuse(error.to_string(), hint);
            }
        }
    }

    /// Cron's own rules: runs may overlap, and what was missed stays missed.
    fn entry(&self, job: &Job<'_>, when: &When) -> Result<Entry> {
        let mut fields = Map::new();
        let mut may_overlap = !job.is_single;
        match when {
            When::Cron(words) => {
                fields.insert("cron".to_owned(), Value::from(words.as_str()));
            }
            When::After(seconds) => {
                may_overlap = false;
                fields.insert("every".to_owned(), Value::from(format!("{seconds}s")));
            }
        }
        if let Some(tz) = &self.tz {
            fields.insert("tz".to_owned(), Value::from(tz.as_str()));
        }
        let mut env = self.env.clone();
        self.rules.run_as.write(&mut fields, job.user, self.shell.as_deref(), &job.command, &env);
        if let Some(shell) = &self.shell {
            env.insert("SHELL".to_owned(), Value::from(shell.as_str()));
        }
        // Cron starts commands in the user's home.
        if let Some(home) = env.get("HOME").filter(|home| home.as_str().is_some_and(|home| home.starts_with('/'))) {
            fields.insert("cwd".to_owned(), home.clone());
        }
        if !env.is_empty() {
            env.sort_keys();
            fields.insert("env".to_owned(), Value::Object(env));
        }
        if let Some(input) = &job.input {
            fields.insert("payload".to_owned(), Value::from(input.as_str()));
        }
        fields.insert("overlap".to_owned(), Value::from(if may_overlap { "allow" } else { "skip" }));
        fields.insert("catch_up".to_owned(), json!("none"));
        Entry::parse(fields)
    }

    fn id(&self, command: &str) -> Result<EntryId> {
        let stem = id_stem(command).unwrap_or_else(|| format!("line-{}", self.line));
        match self.crontab.prefix {
            Some(prefix) => self.ids.free(&format!("{prefix}.{stem}")),
            None => self.ids.free(&stem),
        }
    }
}
