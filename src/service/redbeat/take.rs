//! Taking a RedBeat over: it stops at one instant, and every entry goes on here from what it did last.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;

use crate::domain::file::ScheduleFile;
use crate::domain::id::{EntryId, Owner};
use crate::domain::import::redbeat::{Carried, Field, GoesOn, Held, Picture, carried, goes_on};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::redbeat::back::{TAKEN, WHY, taking};
use crate::service::view::{At, Changes};
use crate::service::wanted::{FilesOptions, OwnedFile};
use crate::service::{RedBeatSource, Request, Service};
use crate::store::{TakeAnswer, TakeCall, Taken};

/// How often it is read again because an app saved an entry meanwhile.
const ROUNDS: usize = 10;
/// How far the clock that RedBeat's entries were written by may be ahead of upbeat's.
const AHEAD_MAX: Duration = Duration::from_secs(10);
/// Entries that are taken over in one step, at most: about 3 us of its server each.
const TAKEN_MAX: usize = 50_000;

/// How a schedule is taken over.
#[derive(Debug, Clone)]
pub struct TakeOverOptions {
    /// Who owns the entries here.
    pub owner: Owner,
    /// Also where entries that RedBeat fires can't be carried over: nobody fires them then.
    pub is_without_refused: bool,
    /// Also without a live node.
    pub is_without_nodes: bool,
}

/// What a take-over did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TakeOverView {
    /// `taken`, `unchanged` where it was taken before, `would_take` in a dry run.
    pub state: &'static str,
    /// When RedBeat stopped, by its server's clock.
    pub at: Option<At>,
    /// Entries that fire here now.
    pub entries: usize,
    /// Those that were disabled there and are paused here.
    pub paused: usize,
    /// Whether a beat held the lock.
    pub had_beat: bool,
    /// What became of each entry here.
    #[serde(flatten)]
    pub changes: Changes,
    /// Names of what RedBeat fired and nobody does now.
    pub left: Vec<String>,
}

/// All that is known when the switch is due.
struct Ready {
    picture: Picture,
    carried: Carried,
}

impl Service {
    /// Takes the schedule over, or goes on where an earlier call was cut off.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where entries would be lost; [`Error::Conflict`] where somebody else has it, ids are taken by other
    /// entries, or no node is live. Nothing is changed then.
    pub async fn take_over(
        &self,
        source: &RedBeatSource,
        request: &Request,
        options: &TakeOverOptions,
    ) -> Result<(TakeOverView, Carried)> {
        request.check()?;
        if let Some(taken) = source.redbeat.taken().await? {
            self.is_ours(&taken)?;
            return match taken.phase.as_str() {
                "taking" => self.go_on(source, request, options, &taken).await,
                "open" => Err(Error::Conflict(
                    Problem::new("redbeat", "it is being handed back").hint("finish that first: --hand-back"),
                )),
                _ => Ok((TakeOverView { state: "unchanged", ..view(&taken, Changes::default()) }, Carried::default())),
            };
        }
        for _ in 0..ROUNDS {
            let ready = self.ready(source, request, options).await?;
            if request.is_dry_run {
                let changes = self.would_write(request, options, &ready.carried).await?;
                let (entries, paused) = counts(&ready.carried);
                let left = ready.carried.lost().into_iter().map(str::to_owned).collect();
                let had_beat = ready.picture.lock.is_some();
                let view = TakeOverView { state: "would_take", at: None, entries, paused, had_beat, changes, left };
                return Ok((view, ready.carried));
            }
            self.make_room(request, &ready.carried).await?;
            if let Some(taken) = self.switch(source, request, &ready).await? {
                return self.go_on(source, request, options, &taken).await;
            }
        }
        let why = "somebody saves entries all the time: it was never twice the same";
        Err(Error::Conflict(Problem::new("redbeat", why).hint("let the app rest for a moment, and ask again")))
    }

    pub(super) fn is_ours(&self, taken: &Taken) -> Result<()> {
        let namespace = taken.about.get("namespace").map(String::as_str).unwrap_or_default();
        if namespace == self.store.namespace().as_str() {
            return Ok(());
        }
        let why = format!("namespace {namespace} took it over at {}", taken.at.to_rfc3339());
        Err(Error::Conflict(Problem::new("redbeat", why).hint(format!("upbeat -n {namespace} import redbeat ..."))))
    }

    /// Reads it, and refuses what would lose a fire.
    async fn ready(&self, source: &RedBeatSource, request: &Request, options: &TakeOverOptions) -> Result<Ready> {
        let (picture, carried) = source.read().await?;
        let place = source.redbeat.place();
        if let Some((key, kind)) = picture.odd.iter().find(|(key, _)| *key == place.schedule()) {
            let why = format!("{key} is a {kind}: no beat runs on it, and there is nothing to take over");
            return Err(Error::Conflict(Problem::new("redbeat", why)));
        }
        if carried.entries.is_empty() {
            let why = format!("{} has no entries", place.schedule());
            let hint = "is it this database, and this prefix? --prefix is the app's redbeat_key_prefix";
            return Err(Error::invalid("redbeat", why).hint(hint));
        }
        if carried.entries.len() > TAKEN_MAX {
            let why =
                format!("{} entries are more than can be taken over in one step, {TAKEN_MAX}", carried.entries.len());
            return Err(Error::Invalid(Problem::new("redbeat", why)));
        }
        let lost = carried.lost();
        if !lost.is_empty() && !options.is_without_refused {
            let reasons = carried.import.refused.iter().map(|one| {
                let hint = one.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("{}: {}{hint}", one.place, one.reason)
            });
            let mut lines: Vec<String> = reasons.take(20).collect();
            lines.push("--without-refused takes over the others; then nobody fires these".to_owned());
            let why = format!("{} of the entries that it fires can't be carried over", lost.len());
            return Err(Error::Invalid(Problem::new("take-over", why).hint(lines.join("\n"))));
        }
        if !options.is_without_nodes {
            self.has_nodes(&carried).await?;
        }
        let changes = self.would_write(request, options, &carried).await?;
        let in_the_way = changes.changes.iter().filter(|change| change.change != "added");
        let standing = self.stand_paused(&carried).await?;
        if let Some(change) = in_the_way.into_iter().find(|change| !standing.iter().any(|id| id.as_str() == change.id))
        {
            let message = change.message.clone().unwrap_or_else(|| format!("{} exists here, and fires", change.id));
            return Err(Error::Conflict(
                Problem::new("take-over", message)
                    .value(&change.id)
                    .hint(format!("upbeat rm {}, or --take where it is another owner's", change.id)),
            ));
        }
        Ok(Ready { picture, carried })
    }

    /// Refuses where nobody would fire, or send what a node has to send.
    async fn has_nodes(&self, carried: &Carried) -> Result<()> {
        if self.fleet().await?.live_names().is_empty() {
            let why = format!("no node of namespace {} is live: nobody would fire", self.store.namespace());
            return Err(Error::Conflict(Problem::new("take-over", why).hint("start one: upbeat node")));
        }
        let entries = carried.import.file.entries.iter().map(|one| &one.entry);
        match self.unserved(entries).await?.into_iter().next() {
            Some(warning) => {
                let (why, hint) = warning.split_once('\n').unwrap_or((&warning, "start a node with --allow celery"));
                Err(Error::Conflict(Problem::new("take-over", why).hint(hint.trim())))
            }
            None => Ok(()),
        }
    }

    async fn would_write(&self, request: &Request, options: &TakeOverOptions, carried: &Carried) -> Result<Changes> {
        let request = Request { is_dry_run: true, id: format!("{}-dry", request.id), ..request.clone() };
        self.apply_files(&request, vec![owned(carried, options)], &FilesOptions::default()).await
    }

    /// Entries that an earlier hand-back left here, paused.
    async fn stand_paused(&self, carried: &Carried) -> Result<Vec<EntryId>> {
        let ids: Vec<EntryId> = carried.import.file.entries.iter().map(|entry| entry.id.clone()).collect();
        let stored = self.store.entries(&ids).await?.into_iter().flatten();
        let is_left = |reason: Option<&str>| reason.is_some_and(|why| why.starts_with(WHY) || why.starts_with(TAKEN));
        let left = stored.filter(|stored| {
            let definition = stored.definition.as_ref().ok();
            definition.and_then(|one| one.paused.as_ref()).is_some_and(|paused| is_left(paused.reason.as_deref()))
        });
        Ok(left.map(|stored| stored.id).collect())
    }

    /// Removes them, so that the entries begin anew from where RedBeat is now.
    async fn make_room(&self, request: &Request, carried: &Carried) -> Result<()> {
        let left = self.stand_paused(carried).await?;
        if left.is_empty() {
            return Ok(());
        }
        let request = Request { id: format!("{}-room", request.id), ..request.clone() };
        self.remove(&request, &left).await.map(drop)
    }

    /// Stops RedBeat, in one step; `None` where it was not as it was read.
    async fn switch(&self, source: &RedBeatSource, request: &Request, ready: &Ready) -> Result<Option<Taken>> {
        let token = format!("upbeat-{}", request.id);
        let schedule = source.redbeat.place().schedule();
        let namespace = self.store.namespace();
        let notice = format!(
            "taken over by upbeat, namespace {namespace}, {}. No beat may run on it. Back: upbeat -n {namespace} import redbeat URL --hand-back",
            request.words()
        );
        let about = [
            ("v", "1".to_owned()),
            ("namespace", namespace.to_string()),
            ("upbeat", self.store.shown().to_owned()),
            ("actor", request.actor.clone()),
            ("schedule", schedule),
            ("beat", ready.picture.lock.as_ref().map(|lock| lock.token.clone()).unwrap_or_default()),
        ];
        let id_of = |id: &Option<EntryId>| id.as_ref().map(ToString::to_string);
        let entries: Vec<(String, String, Option<String>)> =
            ready.carried.entries.iter().map(|one| (one.key.clone(), one.definition.clone(), id_of(&one.id))).collect();
        let members = ready.picture.stored.iter().filter(|stored| stored.score.is_some()).count();
        let call = TakeCall { token: &token, notice: &notice, members, entries: &entries, about: &about };
        match source.redbeat.take(&call).await? {
            TakeAnswer::Taken { .. } => source.redbeat.taken().await,
            TakeAnswer::Changed => Ok(None),
            TakeAnswer::Held => {
                Err(Error::Conflict(Problem::new("redbeat", "somebody else took it over just now").hint("ask again")))
            }
        }
    }

    /// Writes the entries here as RedBeat left them; again where that was cut off.
    async fn go_on(
        &self,
        source: &RedBeatSource,
        request: &Request,
        options: &TakeOverOptions,
        taken: &Taken,
    ) -> Result<(TakeOverView, Carried)> {
        let (picture, ids) = kept_picture(source).await?;
        let defaults = source.defaults_for(&picture).await?;
        let carried = carried(&picture, source.redbeat.place(), &defaults);
        let here = carried.entries.iter().filter_map(|one| Some((one.key.as_str(), one.id.as_ref()?.as_str())));
        let here: BTreeMap<&str, &str> = here.collect();
        if let Some((key, _)) = ids.iter().find(|(key, id)| here.get(key.as_str()) != Some(&id.as_str())) {
            let refused = carried.import.refused.iter().find(|one| one.place == *key);
            let why = refused.map_or_else(|| "is another one now".to_owned(), |one| one.reason.clone());
            let why = format!("{key}, which was taken over at {}: {why}", taken.at.to_rfc3339());
            let hint = "give the same options as the first time, as --tz and --broker; or give it back: --hand-back";
            return Err(Error::Conflict(Problem::new("take-over", why).hint(hint)));
        }
        let mut file = OwnedFile { file: carried.import.file.clone(), ..owned(&carried, options) };
        let mut from_each = HashMap::new();
        for one in &carried.entries {
            let Some(id) = &one.id else { continue };
            let Some(entry) = file.file.entries.iter_mut().find(|entry| entry.id == *id) else { continue };
            let GoesOn { entry: begins, from } = goes_on(&entry.entry, one.beat.last_run_at, taken.at)?;
            entry.entry = begins;
            if !entry.is_paused {
                from_each.insert(id.clone(), from);
            }
        }
        self.wait_until(from_each.values().copied().max().unwrap_or_default()).await?;
        let options = FilesOptions { from_each, ..FilesOptions::default() };
        let reason = request.reason.as_ref().map_or_else(|| TAKEN.to_owned(), |reason| format!("{TAKEN}: {reason}"));
        let request = Request { actor: request.actor.clone(), reason: Some(reason), ..taking(taken) };
        let changes = match self.apply_files(&request, vec![file], &options).await {
            Err(Error::Conflict(_)) if !self.is_taking(source, taken).await? => return Err(given_back()),
            changes => changes?,
        };
        if let Some(refused) = changes.changes.iter().find(|change| change.change == "refused") {
            let why = refused.message.clone().unwrap_or_else(|| "it changed meanwhile".to_owned());
            let hint = "RedBeat has stopped; ask again, or give it back: --hand-back";
            return Err(Error::Conflict(Problem::new(format!("entries.{}", refused.id), why).hint(hint)));
        }
        if !source.redbeat.mark(&taken.token, "taken").await? {
            return Err(given_back());
        }
        let (entries, paused) = counts(&carried);
        let left = carried.lost().into_iter().map(str::to_owned).collect();
        let view = TakeOverView { entries, paused, left, ..view(taken, changes) };
        Ok((view, carried))
    }

    /// Whether it is still this take-over, and nobody gives it back.
    async fn is_taking(&self, source: &RedBeatSource, taken: &Taken) -> Result<bool> {
        let now = source.redbeat.taken().await?;
        Ok(now.is_some_and(|now| now.token == taken.token && now.phase != "open"))
    }

    /// Waits until that instant has come here: the clock that RedBeat's entries were written by may be ahead.
    async fn wait_until(&self, at: Timestamp) -> Result<()> {
        let now = self.store.now(0).await?;
        let ahead = Duration::from_millis((at.0 - now.0).max(0).unsigned_abs());
        if ahead > AHEAD_MAX {
            let why = format!(
                "RedBeat's entries were last written at {}, and it is {} here: its clock is {} s ahead",
                at.to_rfc3339(),
                now.to_rfc3339(),
                ahead.as_secs()
            );
            return Err(Error::Conflict(Problem::new("take-over", why).hint("ask again when that instant has come")));
        }
        tokio::time::sleep(ahead).await;
        Ok(())
    }
}

fn given_back() -> Error {
    Error::Conflict(Problem::new("redbeat", "somebody gave it back meanwhile: it does not fire here"))
}

/// What was taken over, as it stood at that instant; with the ids here by key.
async fn kept_picture(source: &RedBeatSource) -> Result<(Picture, BTreeMap<String, String>)> {
    let kept = source.redbeat.kept().await?;
    let ids = kept.iter().filter_map(|(one, id)| Some((one.key.clone(), id.clone()?))).collect();
    let metas: HashMap<Vec<u8>, Vec<u8>> = kept.into_iter().map(|(one, _)| (one.key.into_bytes(), one.meta)).collect();
    let members = source.redbeat.kept_members().await?;
    let mut stored = source.redbeat.stored_at(&members).await?;
    for one in &mut stored {
        // A beat whose transaction failed has written its meta all the same.
        if let (Held::Entry { meta, .. }, Some(was)) = (&mut one.held, metas.get(&one.key)) {
            *meta = if was.is_empty() { Field::Missing } else { Field::Text(was.clone()) };
        }
    }
    Ok((Picture { stored, is_all: true, ..Picture::default() }, ids))
}

fn owned(carried: &Carried, options: &TakeOverOptions) -> OwnedFile {
    let file = ScheduleFile { owner: None, ..carried.import.file.clone() };
    OwnedFile { file, owner: options.owner.clone() }
}

/// Entries that fire, and those that are paused.
fn counts(carried: &Carried) -> (usize, usize) {
    let paused = carried.import.file.entries.iter().filter(|entry| entry.is_paused).count();
    (carried.import.file.entries.len() - paused, paused)
}

fn view(taken: &Taken, changes: Changes) -> TakeOverView {
    TakeOverView {
        state: "taken",
        at: Some(At(taken.at)),
        entries: 0,
        paused: 0,
        had_beat: taken.about.get("beat").is_some_and(|beat| !beat.is_empty()),
        changes,
        left: Vec::new(),
    }
}
