//! What the nodes of these tests do: requests to a web server that remembers them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use upbeat::domain::node::Serves;
use upbeat::domain::span::Span;
use upbeat::node::NodeConfig;

/// What a web server saw: run id and attempt of each request.
pub type Requests = Arc<Mutex<Vec<(String, u32)>>>;

/// A web server that says yes to everybody, after a while.
pub async fn serve(takes: Duration) -> (u16, Requests) {
    serve_until(move || tokio::time::sleep(takes)).await
}

/// A web server that says yes to everybody once what it waits for has come.
pub async fn serve_until<W: Future<Output = ()> + Send>(
    wait: impl Fn() -> W + Clone + Send + 'static,
) -> (u16, Requests) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Requests::default();
    let seen = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (seen, wait) = (seen.clone(), wait.clone());
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
                    if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let header = |name: &str| {
                    text.lines().find_map(|line| {
                        let (key, value) = line.split_once(": ")?;
                        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
                    })
                };
                let attempt = header("Upbeat-Attempt").unwrap().parse().unwrap();
                seen.lock().unwrap().push((header("Idempotency-Key").unwrap(), attempt));
                wait().await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            });
        }
    });
    (port, requests)
}

/// A node that may run `http`.
pub fn config(name: &str, lease_ms: u64) -> NodeConfig {
    NodeConfig {
        name: name.to_owned(),
        concurrency: 8,
        serves: Serves { queues: None, kinds: vec!["http".to_owned()] },
        lease: Span(lease_ms),
        drain_timeout: Span(8_000),
        pass_env: Vec::new(),
        secrets: None,
        secrets_dir: None,
    }
}

/// Fire times as far apart as they should be, none missing, none twice.
#[track_caller]
pub fn no_gap(times: &[upbeat::domain::timestamp::Timestamp], period: i64) {
    let gaps: Vec<_> = times.windows(2).filter(|pair| pair[1].0 - pair[0].0 != period).collect();
    assert!(gaps.is_empty(), "{gaps:?}");
}
