//! Requests that change something: who asks, under which id, and again with the same id when no answer came.

use std::time::{Duration, Instant};

use crate::cli::actor;
use crate::cli::args::Changing;
use crate::cli::output::complain;
use crate::error::{Error, Problem, Result};
use crate::service::Request;

/// How long a request is repeated.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest request id, bytes.
const REQUEST_ID_MAX_BYTES: usize = 200;

/// The request that the flags describe.
///
/// # Errors
///
/// [`Error::Invalid`] about a request id that can't be one.
pub fn request(changing: &Changing) -> Result<Request> {
    let id = match &changing.request_id {
        Some(id) if id.is_empty() || id.len() > REQUEST_ID_MAX_BYTES || id.chars().any(char::is_control) => {
            let why = format!("{id:?} is not 1 to {REQUEST_ID_MAX_BYTES} bytes of visible text");
            return Err(Error::invalid("request-id", why));
        }
        Some(id) => id.clone(),
        None => uuid::Uuid::new_v4().to_string(),
    };
    Ok(Request {
        id,
        actor: actor::name(changing.actor.as_deref()),
        reason: changing.reason.clone(),
        is_dry_run: changing.dry_run,
    })
}

/// Asks until an answer comes, for 10 s; the same request gets the same answer, so nothing is done twice.
///
/// # Errors
///
/// What `ask` answers; [`Error::Unavailable`] where the outcome stays unknown.
pub async fn until_answered<T>(request: &Request, ask: impl AsyncFn() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let mut has_told = false;
    loop {
        match ask().await {
            Err(Error::Unavailable(problem)) if is_unanswered(&problem) => {
                if start.elapsed() >= PATIENCE {
                    return Err(unknown(request, &problem));
                }
                if !has_told {
                    complain(&format!("{}; asking again with the same request id", problem.message));
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

    fn request() -> Request {
        Request { id: "r-1".to_owned(), actor: "ana".to_owned(), reason: None, is_dry_run: false }
    }

    #[tokio::test]
    async fn what_was_refused_is_not_asked_again() {
        let asked = std::cell::Cell::new(0);
        let refused = until_answered(&request(), async || -> Result<()> {
            asked.set(asked.get() + 1);
            Err(Error::Unavailable(Problem::new("redis", "it is a read-only replica")))
        });
        assert!(refused.await.is_err());
        assert_eq!(asked.get(), 1);
    }

    #[tokio::test]
    async fn what_was_cut_is_asked_again_until_it_is_answered() {
        let asked = std::cell::Cell::new(0);
        let answer = until_answered(&request(), async || {
            asked.set(asked.get() + 1);
            match asked.get() {
                1 => Err(Error::Unavailable(Problem::new("redis", "unix:///r: no answer in time"))),
                count => Ok(count),
            }
        });
        assert_eq!(answer.await, Ok(2));
    }
}
