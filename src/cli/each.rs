//! Commands that do the same with each of many entries: rm, pause, resume.

use crate::cli::App;
use crate::cli::args::SelectedChange;
use crate::cli::output::Ended;
use crate::cli::request::{request, until_answered};
use crate::cli::{entry_words, moments, selection};
use crate::domain::moment::Direction;
use crate::error::Error;
use crate::service::{Each, Said, Select};

/// What `rm`, `pause` and `resume` do.
#[derive(Debug, Clone)]
pub enum Verb {
    /// `rm`.
    Remove,
    /// `pause`, until then.
    Pause(Option<String>),
    /// `resume`, from then on.
    Resume(Option<String>),
}

impl Verb {
    fn word(&self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
        }
    }

    fn past(&self) -> &'static str {
        match self {
            Self::Remove => "removed",
            Self::Pause(_) => "paused",
            Self::Resume(_) => "resumed",
        }
    }

    /// What is done with each; `said` is its instant.
    fn each<'a>(&self, said: Option<&'a Said>) -> Each<'a> {
        match self {
            Self::Remove => Each::Remove,
            Self::Pause(_) => Each::Pause(said),
            Self::Resume(_) => Each::Resume(said),
        }
    }

    /// The instant that it names, and what for.
    fn moment(&self) -> Option<(&'static str, &str, Direction)> {
        match self {
            Self::Pause(Some(text)) => Some(("until", text, Direction::Next)),
            Self::Resume(Some(text)) => Some(("from", text, Direction::Past)),
            _ => None,
        }
    }
}

/// `upbeat rm|pause|resume SELECT`.
pub async fn change(app: &App, verb: Verb, args: SelectedChange) -> Ended {
    let word = verb.word();
    let SelectedChange { ids, select, if_revision, changing } = args;
    // What is wrong with the words is said before Redis is asked.
    let select = selection::to_change(word, &ids, &select)?;
    if if_revision.is_some() && ids.len() != 1 {
        let error = Error::invalid("if-revision", "goes with one entry, named by its id");
        return Err(error.hint(format!("upbeat {word} ID --if-revision N")).into());
    }
    let request = request(&changing);
    let service = app.service().await?.if_revision(if_revision);
    let ids = selection::agreed(&service, word, &select, &changing).await?;
    let said = match verb.moment() {
        Some((field, text, direction)) => Some(moments::about(app, &service, field, text, &ids, direction).await?),
        None => None,
    };
    let each = verb.each(said.as_ref());
    if !matches!(select, Select::Ids(_)) {
        let ask = async || service.each_selected(&request, each, &select, &ids).await;
        let changes = until_answered(app.printer, &request, ask).await?;
        return Ok(entry_words::many_changes(app, &service, &changes, verb.past(), request.is_dry_run).await?);
    }
    let ids = ids.page(0, ids.len());
    let changes = until_answered(app.printer, &request, async || service.each(&request, each, &ids).await).await?;
    Ok(entry_words::changes(app, &service, &changes, Some(verb.past()), request.is_dry_run).await?)
}
