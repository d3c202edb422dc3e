//! Requests that change something: who asks, under which id, and again with the same id when no answer came.

use std::time::{Duration, Instant};

use crate::cli::actor;
use crate::cli::args::Changing;
use crate::cli::output::Printer;
use crate::error::{Error, Problem, Result};
use crate::service::Request;

/// How long a request is repeated; one that worked for as long before it was cut off got somewhere, and has all of it again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// The request that the flags describe.
pub fn request(changing: &Changing) -> Request {
    let id = changing.request_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    Request {
        id,
        actor: actor::name(changing.actor.as_deref()),
        reason: changing.reason.clone(),
        is_dry_run: changing.dry_run,
    }
}

/// Who asks where nothing is changed.
pub fn asking() -> Request {
    Request { id: uuid::Uuid::new_v4().to_string(), actor: actor::name(None), reason: None, is_dry_run: true }
}

/// Asks until an answer comes, for 10 s; the same request gets the same answer, so nothing is done twice.
///
/// # Errors
///
/// What `ask` answers; [`Error::Unavailable`] where the outcome stays unknown.
pub async fn until_answered<T>(printer: Printer, request: &Request, ask: impl AsyncFn() -> Result<T>) -> Result<T> {
    let mut since = Instant::now();
    let mut has_told = false;
    loop {
        let asked = Instant::now();
        match ask().await {
            Err(Error::Unavailable(problem)) if is_unanswered(&problem) => {
                if asked.elapsed() >= PATIENCE {
                    since = Instant::now();
                }
                if since.elapsed() >= PATIENCE {
                    return Err(unknown(request, &problem));
                }
                if !has_told {
                    printer.note(format!("{}; asking again with the same request id", problem.message));
                    has_told = true;
                }
                tokio::time::sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

/// Whether the call may have been carried out: the connection stood, and then no answer came.
fn is_unanswered(problem: &Problem) -> bool {
    problem.message.contains("no answer") || problem.message.contains("can't be reached")
}

fn unknown(request: &Request, last: &Problem) -> Error {
    let mut problem = last.clone();
    problem.message = format!("no answer for 10 s, the outcome is unknown: {}", last.message);
    let again = "the same command with";
    Error::Unavailable(problem.hint(format!("to be sure, repeat it: {again} --request-id {}", request.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Printer = Printer { format: crate::cli::output::Format::Table, is_quiet: true };

    fn request() -> Request {
        Request { id: "r-1".to_owned(), actor: "ana".to_owned(), reason: None, is_dry_run: false }
    }

    #[tokio::test]
    async fn what_was_refused_is_not_asked_again() {
        let (request, asked) = (request(), std::cell::Cell::new(0));
        let refused = until_answered(SILENT, &request, async || -> Result<()> {
            asked.set(asked.get() + 1);
            Err(Error::Unavailable(Problem::new("redis", "it is a read-only replica")))
        });
        assert!(refused.await.is_err());
        assert_eq!(asked.get(), 1);
    }

    #[tokio::test]
    async fn what_was_cut_is_asked_again_until_it_is_answered() {
        let (request, asked) = (request(), std::cell::Cell::new(0));
        let answer = until_answered(SILENT, &request, async || {
            asked.set(asked.get() + 1);
            match asked.get() {
                1 => Err(Error::Unavailable(Problem::new("redis", "unix:///r: no answer in time"))),
                count => Ok(count),
            }
        });
        assert_eq!(answer.await, Ok(2));
    }
}
