//! Which entries a command is about, and whether somebody has to agree first.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};

use crate::cli::args::{Changing, Selecting};
use crate::cli::progress;
use crate::domain::id::{EntryId, IdList, Owner, QueueName};
use crate::error::{Error, Problem, Result};
use crate::service::{Select, Service};

/// The one selection that ids and flags describe; `None` without any.
///
/// # Errors
///
/// [`Error::Invalid`] about a flag, or where two kinds of selection are given.
pub fn read(ids: &[String], flags: &Selecting) -> Result<Option<Select>> {
    let mut found: Vec<(&str, Select)> = Vec::new();
    if !ids.is_empty() {
        let ids = ids.iter().map(|id| EntryId::parse("entry", id)).collect::<Result<_>>()?;
        found.push(("ids", Select::Ids(ids)));
    }
    if !flags.label.is_empty() {
        let labels = flags.label.iter().flat_map(|text| text.split(',')).map(|text| match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(Error::invalid("-l", format!("{text:?} is not KEY=VALUE")).value(text)),
        });
        found.push(("-l", Select::Labels(labels.collect::<Result<_>>()?)));
    }
    if let Some(queue) = &flags.queue {
        found.push(("--queue", Select::Queue(QueueName::parse("queue", queue)?)));
    }
    if let Some(owner) = &flags.owner {
        found.push(("--owner", Select::Owner(Owner::parse("owner", owner)?)));
    }
    if flags.all {
        found.push(("--all", Select::All));
    }
    match (found.pop(), found.pop()) {
        (Some((second, _)), Some((first, _))) => {
            Err(Error::invalid(second, format!("{first} is given too; select in one way")))
        }
        (found, _) => Ok(found.map(|(_, select)| select)),
    }
}

/// The selection of a command that changes entries; `verb` is what it does to them.
///
/// # Errors
///
/// [`Error::Invalid`] where nothing is named.
pub fn to_change(verb: &str, ids: &[String], flags: &Selecting) -> Result<Select> {
    read(ids, flags)?.ok_or_else(|| {
        let problem = Problem::bare(format!("nothing is named to {verb}"));
        Error::Invalid(problem.hint("name entries, or -l KEY=VALUE, --queue Q, --owner O or --all"))
    })
}

/// The selected entries, once somebody has agreed where several are selected at once.
///
/// # Errors
///
/// [`Error::Invalid`] where nobody agreed.
pub async fn agreed(service: &Service, verb: &str, select: &Select, changing: &Changing) -> Result<IdList> {
    if let Select::Ids(ids) = select {
        // Whether they exist is for the change to say: a repeated request is answered although it removed them.
        let ids: BTreeSet<EntryId> = ids.iter().cloned().collect();
        return Ok(ids.into_iter().collect());
    }
    let found = service.selected(select).await?;
    if found.len() > 1 && !changing.yes && !changing.dry_run {
        agree(&format!("{verb} {} entries", found.len()))?;
    }
    Ok(found)
}

/// Asks on a terminal; elsewhere `-y` is needed.
pub fn agree(what: &str) -> Result<()> {
    let refused = |why: String| Error::invalid("-y", why);
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(refused(format!("this would {what}")).hint("add -y to do it, --dry-run to see it"));
    }
    progress::clear();
    let mut err = std::io::stderr();
    let mut answer = String::new();
    let asked = write!(err, "{what}? [y/N] ").and_then(|()| err.flush());
    let read = asked.and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    match read {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(refused("nobody agreed; nothing was changed".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_to_select_is_enough() {
        let flags = Selecting { label: vec!["a=1,b=2".to_owned()], ..Selecting::default() };
        assert!(matches!(read(&[], &flags), Ok(Some(Select::Labels(labels))) if labels.len() == 2));
        assert!(matches!(read(&[], &Selecting::default()), Ok(None)));
        let error = read(&["a".to_owned()], &Selecting { all: true, ..Selecting::default() }).unwrap_err();
        assert_eq!(error.to_string(), "--all: ids is given too; select in one way");
    }
}
