//! Traps of how: limits that contradict each other, and programs that are no program.

use super::{Distances, Note};
use crate::domain::action::Action;
use crate::domain::file::FileEntry;
use crate::domain::policy::Overlap;
use crate::domain::timestamp::Timestamp;

/// What a shell would understand.
const SHELL_WORDS: [&str; 6] = ["|", "||", "&", "&&", ">", ">>"];

/// Notes about one entry of a file.
pub(super) fn note(one: &FileEntry, now: Timestamp, distances: &mut Distances, notes: &mut Vec<Note>) {
    let (id, entry) = (&one.id, &one.entry);
    let is_command = matches!(entry.action, Action::Exec(_) | Action::Shell(_));
    if is_command && entry.overlap == Overlap::Allow && entry.timeout.is_none() && entry.max_running.is_none() {
        let why = "runs that hang pile up: overlap = \"allow\" without a timeout";
        let note = Note::new("no_limit", id, "overlap", why).value("allow");
        notes.push(note.hint("timeout = \"10m\", or max_running = 4"));
    }
    if let Some(timeout) = entry.timeout.filter(|_| entry.overlap == Overlap::Skip)
        && let Some(distance) = distances.of(one, now).filter(|distance| *distance < timeout)
    {
        let (long, short) = (timeout.human(), distance.human());
        let why = format!("a run may take {long} and the next one comes after {short}: it is skipped then");
        let note = Note::new("long_timeout", id, "timeout", why).value(timeout.to_string());
        notes.push(note.hint("a shorter timeout, or overlap = \"buffer_one\" to run it afterwards"));
    }
    if let Some(start_within) = entry.start_within
        && let Some(distance) = distances.of(one, now).filter(|distance| *distance < start_within)
    {
        let (long, short) = (start_within.human(), distance.human());
        let why = format!("a run may start {long} late and the next one comes after {short}");
        let note = Note::new("long_start_within", id, "start_within", why).value(start_within.to_string());
        notes.push(note.hint(format!("start_within = \"{distance}\" or shorter")));
    }
    if let Some(retry) = &entry.retry
        && let Some(within) = retry.within.filter(|_| retry.attempts_within() < retry.max_attempts)
    {
        let (begin, all) = (retry.attempts_within(), retry.max_attempts);
        let why = format!("{begin} of {all} attempts begin within {}, however soon each fails", within.human());
        let note = Note::new("retry_too_long", id, "retry.within", why).value(within.to_string());
        notes.push(note.hint("a longer within, or a shorter delay"));
    }
    if matches!(entry.action, Action::Celery(_))
        && entry.action.is_direct()
        && let Some(queue) = entry.fields().get("queue").and_then(serde_json::Value::as_str)
    {
        let why =
            "it says where runs of upbeat wait, and this message is sent at once; Celery's queue is named in celery";
        let note = Note::new("celery_queue", id, "queue", why).value(queue);
        notes.push(note.hint(format!("celery = {{ task = \"...\", queue = \"{queue}\" }}")));
    }
    if let Action::Exec(words) = &entry.action {
        notes.extend(exec(one, words));
    }
}

fn exec(one: &FileEntry, words: &[String]) -> Option<Note> {
    if let [only] = words
        && only.contains(' ')
        && !only.contains('/')
    {
        let list: Vec<String> = only.split_whitespace().map(|word| format!("{word:?}")).collect();
        let why = format!("{only:?} is one word, the name of a program with blanks");
        let note = Note::new("one_word", &one.id, "exec", why).value(only.as_str());
        return Some(note.hint(format!("exec = [{}], or shell = {only:?}", list.join(", "))));
    }
    let odd = words.iter().find(|word| SHELL_WORDS.contains(&word.as_str()))?;
    let why = format!("{odd:?} is an argument of {}: exec has no shell", words[0]);
    let note = Note::new("no_shell", &one.id, "exec", why).value(odd.as_str());
    Some(note.hint(format!("shell = {:?}", words.join(" "))))
}
