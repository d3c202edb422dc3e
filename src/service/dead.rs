//! Dead letters: runs that failed for good stay listed until somebody retries or purges them.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::domain::id::EntryId;
use crate::domain::letter::Letter;
use crate::domain::run::State;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::request::content;
use crate::service::view::{At, RunView};
use crate::service::{Request, RunList, RunRef, Service};
use crate::store::{Asked, LetterWord, LettersAnswer, PURGE_MAX, RETRY_MAX};

/// How often a retry is asked again while lists are read afresh.
const ROUNDS: usize = 10;

/// Which dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Letters {
    /// Those of runs, and all of entries that are named alone.
    Of(Vec<RunRef>),
    /// All.
    All,
}

/// What is done with dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterVerb {
    /// Reopen the run.
    Retry,
    /// Forget the letter; the record of the run stays.
    Purge,
}

/// What became of a dead letter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LetterChange {
    /// Its run.
    pub run_id: String,
    /// The run's entry; null where a repeated request is answered and the letter is gone.
    pub entry_id: Option<String>,
    /// The run's nominal instant; null likewise.
    pub fire_at: Option<At>,
    /// `queued`, `waiting` (for other runs of its entry), `delivered`, `failed` (its target refused it again), `full` (no more
    /// runs may wait for its entry; it stays), `purged`, or `gone` (somebody was faster).
    pub change: &'static str,
}

impl LetterVerb {
    fn word(self) -> &'static str {
        match self {
            Self::Retry => "dead retry",
            Self::Purge => "dead purge",
        }
    }

    fn batch(self) -> usize {
        match self {
            Self::Retry => RETRY_MAX,
            Self::Purge => PURGE_MAX,
        }
    }

    /// What a dry run says.
    fn intent(self, letter: &Letter) -> LetterWord {
        match self {
            Self::Retry if letter.is_direct => LetterWord::Delivered,
            Self::Retry => LetterWord::Queued,
            Self::Purge => LetterWord::Purged,
        }
    }
}

impl Letters {
    fn words(&self) -> Vec<String> {
        match self {
            Self::Of(runs) => runs.iter().map(RunRef::to_string).collect(),
            Self::All => vec!["--all".to_owned()],
        }
    }

    fn names(&self, letter: &Letter) -> bool {
        match self {
            Self::All => true,
            Self::Of(runs) => runs.iter().any(|run| match run {
                RunRef::Id(id) => *id == letter.live.run_id,
                RunRef::At(id, at) => id.as_str() == letter.live.entry_id && *at == letter.live.fire_at,
                RunRef::Latest(id) => id.as_str() == letter.live.entry_id,
            }),
        }
    }
}

impl Service {
    /// Dead letters as runs, those that failed last first.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where an entry that is named has none and does not exist.
    pub async fn dead(&self, wanted: &Letters, limit: Option<usize>) -> Result<RunList> {
        let letters = self.letters(wanted, None).await?;
        let mut runs: Vec<RunView> = letters.into_iter().map(|(_, letter)| RunView::from(letter.ended)).collect();
        runs.sort_by_key(|run| std::cmp::Reverse((run.finished_at, run.run_id.clone())));
        let found = runs.len();
        runs.truncate(limit.unwrap_or(usize::MAX));
        Ok(RunList { runs, found, is_all: true })
    }

    /// One dead letter as a run.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none.
    pub async fn dead_letter(&self, run: &RunRef) -> Result<RunView> {
        let found = self.dead(&Letters::Of(vec![run.clone()]), Some(1)).await?;
        found.runs.into_iter().next().ok_or_else(|| no_letter(run))
    }

    /// Retries or purges dead letters. Those that failed after the request came are none of its business: a request that is
    /// repeated gets the same answers again, and does what it had not come to.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] about a run or an entry that is named and has no dead letter; then nothing is done.
    pub async fn change_dead(
        &self,
        request: &Request,
        verb: LetterVerb,
        wanted: &Letters,
    ) -> Result<Vec<LetterChange>> {
        request.check()?;
        let words = wanted.words();
        let content = content(verb.word(), words.iter().map(String::as_str));
        let mut changes = Vec::new();
        let mut before = Vec::new();
        for shard in self.store.shards() {
            before.push(self.changed_before(request, shard, &content, &mut changes).await?);
        }
        let is_first = before.iter().all(|(steps, _)| *steps == 0);
        if is_first {
            self.require(wanted).await?;
        }
        // A shard in which nothing was to be done then has no answer of its own.
        let came_at = before.iter().filter_map(|(_, at)| *at).min();
        let answered: BTreeSet<String> = changes.iter().map(|change| change.run_id.clone()).collect();
        for shard in self.store.shards() {
            let (mut step, at) = before[usize::from(shard)];
            let mut letters = self.letters_of(shard, wanted, at.or(came_at)).await?;
            // A message that its target refused again is a letter again since that very instant.
            letters.retain(|(_, letter)| !answered.contains(&letter.live.run_id));
            if request.is_dry_run {
                changes.extend(letters.iter().map(|(_, letter)| change(Some(letter), verb.intent(letter))));
                continue;
            }
            self.progress.begin(letters.len(), "dead letters");
            for page in letters.chunks(verb.batch()) {
                let ids: Vec<String> = page.iter().map(|(_, letter)| letter.live.run_id.clone()).collect();
                let name = request.step(shard, step);
                let asked = Asked { request: &name, content: &content };
                let done = self.change_page(request, verb, shard, asked, &ids).await?;
                for (run_id, word) in done {
                    let letter = page.iter().map(|(_, letter)| letter).find(|letter| letter.live.run_id == run_id);
                    changes.push(LetterChange { run_id, ..change(letter, word) });
                }
                step += 1;
                self.progress.advance(page.len());
            }
        }
        Ok(changes)
    }

    /// Reopens one run that failed for good: its next attempt, whatever `retry` of its entry says.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Conflict`] where it did not fail, is active, or its dead letter is gone.
    pub async fn retry(&self, request: &Request, wanted: &RunRef) -> Result<RunView> {
        request.check()?;
        let word = wanted.to_string();
        let content = content("retry", [word.as_str()]);
        for shard in self.store.shards() {
            let step = request.step(shard, 0);
            let asked = Asked { request: &step, content: &content };
            match self.store.letters_before(shard, asked).await? {
                Some((LettersAnswer::Done(done), _)) => match done.into_iter().next() {
                    Some((run_id, word)) => return self.retried(run_id, word).await,
                    None => continue,
                },
                Some(_) => return Err(request.used_before()),
                None => {}
            }
        }
        let run = self.run(wanted).await?;
        check(&run)?;
        let shard = self.store.shard_of(&EntryId::parse("entry", &run.entry_id)?);
        let ids = [run.run_id.clone()];
        if self.store.letters(shard, &ids).await?.iter().all(Option::is_none) {
            let problem = Problem::new("run", format!("{} failed, and its dead letter is gone", run.run_id));
            let hint = format!("upbeat trigger {} runs the entry again", run.entry_id);
            return Err(Error::Conflict(problem.value(&run.run_id).hint(hint)));
        }
        if request.is_dry_run {
            return Ok(run);
        }
        let step = request.step(shard, 0);
        let asked = Asked { request: &step, content: &content };
        let done = self.change_page(request, LetterVerb::Retry, shard, asked, &ids).await?;
        let word = done.first().map_or(LetterWord::Gone, |(_, word)| *word);
        self.retried(run.run_id, word).await
    }

    /// What a retry of one run is answered.
    async fn retried(&self, run_id: String, word: LetterWord) -> Result<RunView> {
        let run = self.run(&RunRef::Id(run_id)).await?;
        match word {
            LetterWord::Gone => {
                let problem = Problem::new("run", format!("{} was retried or purged meanwhile", run.run_id));
                Err(Error::Conflict(problem.value(&run.run_id)))
            }
            LetterWord::Full => {
                let problem = Problem::new("run", format!("too many runs of {} wait already", run.entry_id));
                Err(Error::Conflict(problem.value(&run.run_id).hint("ask again when some have ended")))
            }
            _ => Ok(run),
        }
    }

    async fn change_page(
        &self,
        request: &Request,
        verb: LetterVerb,
        shard: u16,
        asked: Asked<'_>,
        ids: &[String],
    ) -> Result<Vec<(String, LetterWord)>> {
        for _ in 0..ROUNDS {
            let answer = match verb {
                LetterVerb::Retry => self.store.retry(shard, asked, ids, &request.words()).await?,
                LetterVerb::Purge => self.store.purge(shard, asked, ids, &request.words()).await?,
            };
            match answer {
                LettersAnswer::Done(done) => return Ok(done),
                LettersAnswer::OtherRequest => return Err(request.used_before()),
                LettersAnswer::UnknownList => self.store.refresh_lists(shard).await?,
            }
        }
        Err(Error::Conflict(Problem::new("run", "its waiting list can't be found").hint("ask again")))
    }

    /// What was done for this request before: how many steps in a shard, and when the first of them was.
    async fn changed_before(
        &self,
        request: &Request,
        shard: u16,
        content: &str,
        changes: &mut Vec<LetterChange>,
    ) -> Result<(usize, Option<Timestamp>)> {
        let mut since = None;
        for step in 0.. {
            let name = request.step(shard, step);
            match self.store.letters_before(shard, Asked { request: &name, content }).await? {
                None => return Ok((step, since)),
                Some((LettersAnswer::Done(done), at)) => {
                    since = since.or(Some(at));
                    changes
                        .extend(done.into_iter().map(|(run_id, word)| LetterChange { run_id, ..change(None, word) }));
                }
                Some(_) => return Err(request.used_before()),
            }
        }
        Ok((0, None))
    }

    /// Every run and entry that is named has a dead letter.
    async fn require(&self, wanted: &Letters) -> Result<()> {
        let Letters::Of(runs) = wanted else { return Ok(()) };
        let letters = self.letters(wanted, None).await?;
        for run in runs {
            let alone = Letters::Of(vec![run.clone()]);
            if letters.iter().any(|(_, letter)| alone.names(letter)) {
                continue;
            }
            if let RunRef::Latest(id) = run {
                self.select(&crate::service::Select::Ids(vec![id.clone()])).await?;
            }
            return Err(no_letter(run));
        }
        Ok(())
    }

    async fn letters(&self, wanted: &Letters, since: Option<Timestamp>) -> Result<Vec<(Timestamp, Letter)>> {
        let mut all = Vec::new();
        for shard in self.store.shards() {
            all.extend(self.letters_of(shard, wanted, since).await?);
        }
        Ok(all)
    }

    /// Dead letters of a shard that are wanted, the newest first; only those up to `until`, if it is named.
    async fn letters_of(
        &self,
        shard: u16,
        wanted: &Letters,
        until: Option<Timestamp>,
    ) -> Result<Vec<(Timestamp, Letter)>> {
        let mut dead = self.store.dead(shard).await?;
        dead.retain(|(_, at)| until.is_none_or(|until| *at <= until));
        let named: Option<BTreeSet<&String>> = match wanted {
            Letters::Of(runs) => {
                runs.iter().map(|run| if let RunRef::Id(id) = run { Some(id) } else { None }).collect()
            }
            Letters::All => None,
        };
        dead.retain(|(run_id, _)| named.as_ref().is_none_or(|named| named.contains(run_id)));
        let ids: Vec<String> = dead.iter().map(|(run_id, _)| run_id.clone()).collect();
        let letters = self.store.letters(shard, &ids).await?;
        let pairs = dead.into_iter().zip(letters).filter_map(|((_, at), letter)| Some((at, letter?)));
        Ok(pairs.filter(|(_, letter)| wanted.names(letter)).collect())
    }
}

fn change(letter: Option<&Letter>, word: LetterWord) -> LetterChange {
    LetterChange {
        run_id: letter.map(|letter| letter.live.run_id.clone()).unwrap_or_default(),
        entry_id: letter.map(|letter| letter.live.entry_id.clone()),
        fire_at: letter.map(|letter| At(letter.live.fire_at)),
        change: word.word(),
    }
}

fn no_letter(run: &RunRef) -> Error {
    let what = match run {
        RunRef::Latest(id) => format!("no run of {id} is a dead letter"),
        run => format!("there is no dead letter of {run}"),
    };
    Error::NotFound(Problem::new("run", what).value(run.to_string()).hint("upbeat dead ls"))
}

/// Refuses what can't be retried, with what can be done instead.
fn check(run: &RunView) -> Result<()> {
    let id = &run.entry_id;
    let (why, hint) = match State::from_word(run.state) {
        Some(State::Failed) => return Ok(()),
        Some(state) if state.is_active() => {
            (format!("is {state}, not failed"), format!("upbeat runs show {}", run.run_id))
        }
        Some(State::Skipped | State::Missed) => (
            format!("did not run: it was {}", run.state),
            format!("upbeat backfill {id} --from {0} --to {0}", run.fire_at.0.to_rfc3339()),
        ),
        _ => (
            format!("{}: only a failed run is retried", run.state),
            format!("upbeat trigger {id} runs the entry again"),
        ),
    };
    let name = format!("{id}@{}", run.fire_at.0.to_rfc3339());
    Err(Error::Conflict(Problem::new("run", format!("{name} {why}")).value(&run.run_id).hint(hint)))
}
