//! `upbeat logs`: what a run has written, and what it writes.

use serde_json::{Value, json};

use crate::cli::App;
use crate::cli::output::{Ended, Format, print_bytes};
use crate::cli::run_args::LogsArgs;
use crate::cli::run_words::{Words, grouped, name, outcome};
use crate::cli::show_run::attempt_outcome;
use crate::cli::times::Wall;
use crate::cli::waiting::{INTERRUPTED, unless_interrupted};
use crate::domain::run::State;
use crate::error::{Error, Problem, Result};
use crate::service::{At, FollowOutput, Piece, RunRef, RunView, Service};

/// `upbeat logs RUN [--attempt N] [-f]`.
pub async fn print(app: &App, args: LogsArgs) -> Ended {
    let wanted = RunRef::parse(&args.run)?;
    if args.follow && app.printer.format == Format::Json {
        return Err(Error::invalid("output", "json is one document, and -f prints piece by piece")
            .hint("-o jsonl")
            .into());
    }
    let service = app.service().await?;
    let run = chosen(&service, &wanted, args.follow).await?;
    let words = Words::of(&service, std::slice::from_ref(&run), false).await?;
    let wall = words.wall(&run);
    if !args.follow || run.finished_at.is_some() {
        return kept(app, &service, &run, &wall, &args).await;
    }
    app.printer.note(format!("{} · {}", name(&run), outcome(&run, &wall)));
    let following = Following { app, wall, run_id: &run.run_id, text: Text::default(), has_told_loss: false };
    match unless_interrupted(following.until_the_end(service.follow_output(&run, args.attempt)?)).await {
        None => Ok(INTERRUPTED),
        Some(ended) => {
            ended?;
            Ok(0)
        }
    }
}

/// The run that is meant. What was skipped or missed has no output: by the id of its entry the latest that did something is
/// meant, and by who follows one that still does.
async fn chosen(service: &Service, wanted: &RunRef, is_followed: bool) -> Result<RunView> {
    let RunRef::Latest(id) = wanted else { return service.run(wanted).await };
    let runs = service.runs_of(id).await?;
    let active: Vec<&RunView> = runs.iter().filter(|run| is_followed && run.finished_at.is_none()).collect();
    let followed = active.iter().find(|run| run.state == State::Running.word()).or(active.last()).copied();
    let latest = followed.or_else(|| runs.iter().find(|run| run.attempt > 0)).or(runs.first());
    // It may have run: with keep_runs = 0 no record stays.
    let none = || Problem::new("run", format!("no run of {id} is on record")).hint(format!("upbeat why {id}"));
    latest.cloned().ok_or_else(|| Error::NotFound(none()))
}

/// Prints what is kept of one attempt.
async fn kept(app: &App, service: &Service, run: &RunView, wall: &Wall, args: &LogsArgs) -> Ended {
    let found = match args.attempt {
        Some(attempt) => service.output(run, attempt).await?.map(|output| (attempt, output)),
        None => service.last_output(run).await?,
    };
    let attempt = found.as_ref().map_or(args.attempt.unwrap_or(run.attempt), |(attempt, _)| *attempt);
    let text = found.as_ref().map(|(_, output)| String::from_utf8_lossy(&output.tail).into_owned());
    if app.printer.is_json() {
        let mut document = match args.follow {
            // A line as those of a run that has not ended.
            true => line(&run.run_id, attempt, Value::Null, 0, text.as_deref().unwrap_or_default()),
            false => serde_json::to_value(run).map_err(|why| Error::internal(why.to_string()))?,
        };
        if !args.follow {
            document["attempt"] = attempt.into();
            document["output"] = text.into();
            document["output_cut"] = found.is_some_and(|(_, output)| output.is_cut()).into();
        }
        app.printer.one(&document, |_| String::new(), String::new);
        return Ok(0);
    }
    let of = match run.attempt {
        0 => String::new(),
        last if last == attempt => format!(" · attempt {attempt}"),
        last => format!(" · attempt {attempt} of {last}"),
    };
    // Of an earlier attempt not how the run ended, but what became of it.
    let earlier = run.attempt_log().into_iter().find(|one| one.attempt == attempt && attempt != run.attempt);
    let came_to = earlier.map_or_else(|| outcome(run, wall), |one| attempt_outcome(&one));
    app.printer.note(format!("{}{of} · {came_to}", name(run)));
    match found {
        Some((_, output)) => {
            print_bytes(&output.tail);
            if output.is_cut() {
                let all = grouped(usize::try_from(output.written).unwrap_or(usize::MAX));
                app.printer.note(format!("only the last {} of {all} bytes are kept", grouped(output.tail.len())));
            }
        }
        None if run.finished_at.is_none() => app.printer.note("its output is there once it has ended (-f follows it)"),
        None if args.attempt.is_some() => app.printer.note(format!("no output is kept of attempt {attempt}")),
        None => app.printer.note("no output is kept of it"),
    }
    Ok(0)
}

/// Prints a run piece by piece.
struct Following<'a> {
    app: &'a App,
    wall: Wall,
    run_id: &'a str,
    text: Text,
    has_told_loss: bool,
}

impl Following<'_> {
    async fn until_the_end(mut self, mut follow: FollowOutput) -> Result<()> {
        loop {
            match follow.next().await? {
                Piece::Text { attempt, at, lost_bytes, text } => {
                    self.tell_loss(lost_bytes);
                    if self.app.printer.is_json() {
                        let text = self.text.whole(&text);
                        let at = serde_json::to_value(At(at)).unwrap_or_default();
                        self.line(attempt, at, lost_bytes, &text);
                    } else {
                        print_bytes(&text);
                    }
                }
                Piece::Waits(run) => {
                    let why = run.message.as_deref().map(|message| self.wall.localised(message));
                    self.app.printer.note(why.unwrap_or_else(|| "waits for its next attempt".to_owned()));
                }
                Piece::Next { attempt, node } => {
                    self.flush(attempt - 1);
                    let node = node.map(|node| format!(" on {node}")).unwrap_or_default();
                    self.app.printer.note(format!("attempt {attempt}{node}"));
                }
                Piece::Over(run) => {
                    self.flush(follow.attempt());
                    match run {
                        Some(run) => self.app.printer.note(format!("{} · {}", name(&run), outcome(&run, &self.wall))),
                        None => self.app.printer.note("it has ended; no record of it is kept"),
                    }
                    return Ok(());
                }
            }
        }
    }

    fn line(&self, attempt: u32, at: Value, lost_bytes: u64, text: &str) {
        self.app.printer.one(&line(self.run_id, attempt, at, lost_bytes, text), |_| String::new(), String::new);
    }

    /// Prints the front of a character that has no end.
    fn flush(&mut self, attempt: u32) {
        let rest = std::mem::take(&mut self.text).begun;
        if !rest.is_empty() {
            self.line(attempt, Value::Null, 0, &String::from_utf8_lossy(&rest));
        }
    }

    fn tell_loss(&mut self, bytes: u64) {
        if bytes > 0 && !std::mem::replace(&mut self.has_told_loss, true) {
            self.app.printer.note(format!("{bytes} bytes are left out: it writes more than 64 KiB between two looks"));
        }
    }
}

fn line(run_id: &str, attempt: u32, at: Value, lost_bytes: u64, text: &str) -> Value {
    json!({ "run_id": run_id, "attempt": attempt, "at": at, "text": text, "lost_bytes": lost_bytes })
}

/// Makes text of pieces that end inside of characters.
#[derive(Default)]
struct Text {
    begun: Vec<u8>,
}

impl Text {
    /// The text up to the last character that is whole; what is no text at all is replaced.
    fn whole(&mut self, piece: &[u8]) -> String {
        self.begun.extend_from_slice(piece);
        let rest = match self.begun.utf8_chunks().last() {
            // At most three bytes can begin a character without ending it.
            Some(chunk) if is_begun(chunk.invalid()) => chunk.invalid().len(),
            _ => 0,
        };
        let rest = self.begun.split_off(self.begun.len() - rest);
        let whole = std::mem::replace(&mut self.begun, rest);
        String::from_utf8_lossy(&whole).into_owned()
    }
}

/// Whether these bytes at an end may become a character.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|why| why.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_in_two_pieces_is_printed_whole() {
        let mut text = Text::default();
        let pieces: [&[u8]; 5] = [b"a\xe6\x97", b"\xa5b", b"\xff\xc3", b"\xa9", b"\xf0\x9f"];
        assert_eq!(pieces.map(|piece| text.whole(piece)), ["a", "日b", "\u{fffd}", "é", ""]);
    }
}
