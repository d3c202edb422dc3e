//! What HTTP targets get, and how their answers are judged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use upbeat::domain::action::Http;
use upbeat::domain::run::{Reason, State};
use upbeat::domain::span::Span;
use upbeat::node::action::{Ending, Executor, ExecutorConfig, Stop};

use super::vocabulary::*;

/// A server that answers what `answer` says to the text of each request, and keeps those texts.
struct Server {
    address: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (keep, answer) = (Arc::clone(&heard), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&keep), Arc::clone(&answer)));
            }
        });
        Self { address, heard }
    }

    async fn fixed(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::start(move |_| answer.clone()).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, keep: Arc<Mutex<Vec<String>>>, answer: Arc<impl Fn(&str) -> String>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&request) {
        match stream.read(&mut buffer).await {
            Ok(length @ 1..) => request.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let answer = answer(&request);
    keep.lock().unwrap().push(request);
    if answer.is_empty() {
        // Never answers; the connection stays open until the other side leaves.
        let _ = stream.read(&mut buffer).await;
    }
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.to_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn redirect(status: &str, to: &str) -> String {
    format!("HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn post(url: &str, headers: &[(&str, &str)]) -> Http {
    let headers: BTreeMap<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Http { method: "POST".into(), headers, ..get(url) }
}

#[tokio::test]
async fn a_target_gets_body_headers_and_facts() {
    let server = Server::fixed(&answer("200 OK", "fine")).await;
    let mut attempt = http(post(&server.url("/done?x=1"), &[("X-Team", "growth")]));
    attempt.payload = Some(b"{\"a\":1}".to_vec());
    attempt.context.last_state = Some(State::Succeeded);
    attempt.context.last_result = Some("two\nlines".into());
    let run_id = attempt.context.run_id.clone();
    let outcome = run(attempt).await;
    assert_eq!((outcome.ending, text(&outcome), outcome.message.as_deref()), (Ending::Succeeded, "fine", None));
    let heard = server.heard().remove(0);
    assert!(heard.starts_with("POST /done?x=1 HTTP/1.1\r\n"), "{heard}");
    assert!(heard.ends_with("\r\n\r\n{\"a\":1}"), "{heard}");
    for header in [
        "x-team: growth",
        "content-type: application/json",
        &format!("idempotency-key: {run_id}"),
        &format!("upbeat-run-id: {run_id}"),
        "upbeat-entry-id: daily-report",
        "upbeat-namespace: prod",
        "upbeat-fire-at: 2026-11-21T02:00:00.000Z",
        "upbeat-due-at: 2026-11-21T02:00:07.500Z",
        "upbeat-attempt: 2",
        "upbeat-fence: 1795226400000001",
        "upbeat-trigger: scheduled",
        "upbeat-node: node-a",
        "upbeat-last-state: succeeded",
    ] {
        assert!(heard.contains(&format!("\r\n{header}\r\n")), "no {header:?} in {heard}");
    }
    assert!(!heard.contains("upbeat-last-result"), "line breaks are no header: {heard}");
}

#[tokio::test]
async fn an_entrys_own_content_type_wins_and_text_has_none() {
    let server = Server::fixed(&answer("204 No Content", "")).await;
    let mut attempt = http(post(&server.url("/"), &[("Content-Type", "application/ld+json")]));
    attempt.payload = Some(b"[1]".to_vec());
    run(attempt).await;
    let mut attempt = http(post(&server.url("/"), &[]));
    attempt.payload = Some(b"plain".to_vec());
    run(attempt).await;
    let heard = server.heard();
    assert!(
        heard[0].contains("content-type: application/ld+json\r\n") && !heard[0].contains("application/json"),
        "{}",
        heard[0]
    );
    assert!(!heard[1].contains("content-type"), "{}", heard[1]);
}

#[tokio::test]
async fn a_status_counts_as_the_entry_says() {
    let server = Server::fixed(&answer("503 Service Unavailable", "later")).await;
    let outcome = run(http(get(&server.url("/")))).await;
    assert_eq!((outcome.ending, outcome.exit_code), (Ending::Failed(Reason::HttpStatus), None));
    assert_eq!((outcome.message.as_deref(), text(&outcome)), (Some("503 Service Unavailable"), "later"));
    let accepted = Http { ok: vec![(200, 200), (500, 503)], ..get(&server.url("/")) };
    assert_eq!(run(http(accepted)).await.ending, Ending::Succeeded);
}

#[tokio::test]
async fn a_target_that_is_not_there_is_named_with_its_cause() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = run(http(get(&format!("http://{free}/")))).await;
    assert_eq!(outcome.ending, Ending::Failed(Reason::Connect));
    let message = outcome.message.unwrap();
    assert!(message.starts_with("127.0.0.1:") && message.ends_with(": connection refused"), "{message}");
}

#[tokio::test]
async fn a_silent_target_runs_into_the_timeout() {
    let server = Server::fixed("").await;
    let mut attempt = http(get(&server.url("/")));
    attempt.timeout = Some(Span(100));
    let outcome = run(attempt).await;
    assert_eq!(
        (outcome.ending, outcome.message.as_deref()),
        (Ending::Failed(Reason::Timeout), Some("took longer than 100ms"))
    );
}

#[tokio::test]
async fn a_request_is_dropped_when_the_node_asks() {
    for (stop, ending) in
        [(Stop::Cancel, Ending::Cancelled), (Stop::Lost, Ending::Lost), (Stop::Drain, Ending::HandBack)]
    {
        let server = Server::fixed("").await;
        let outcome = stopped_when(executor(), http(get(&server.url("/"))), stop, || !server.heard().is_empty()).await;
        assert_eq!(outcome.ending, ending);
    }
}

#[tokio::test]
async fn metadata_addresses_are_refused_at_first_and_after_a_redirect() {
    let server = Server::fixed(&redirect("302 Found", "http://169.254.169.254/latest/")).await;
    for url in [
        "http://169.254.169.254/".to_owned(),
        "http://2852039166/".to_owned(),
        "http://[::ffff:169.254.169.254]/".to_owned(),
        server.url("/"),
    ] {
        let outcome = run(http(get(&url))).await;
        assert_eq!(outcome.ending, Ending::Failed(Reason::Refused), "{url}");
        assert!(outcome.message.as_ref().unwrap().contains("is refused: a metadata service"), "{:?}", outcome.message);
    }
}

#[tokio::test]
async fn other_schemes_are_refused_at_first_and_after_a_redirect() {
    let server = Server::fixed(&redirect("307 Temporary Redirect", "file:///etc/passwd")).await;
    for url in ["file:///etc/passwd".to_owned(), "ftp://example.org/".to_owned(), server.url("/")] {
        assert_eq!(run(http(get(&url))).await.ending, Ending::Failed(Reason::Refused), "{url}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_none_of_the_entrys_headers() {
    let other = Server::fixed(&answer("200 OK", "here")).await;
    let target = other.url("/there");
    let server = Server::start(move |request| match request.starts_with("POST /first") {
        true => redirect("307 Temporary Redirect", "/second"),
        false => redirect("307 Temporary Redirect", &target),
    })
    .await;
    let mut attempt = http(post(&server.url("/first"), &[("Authorization", "Bearer hunter22"), ("X-Api-Key", "k")]));
    attempt.payload = Some(b"[1]".to_vec());
    assert_eq!(run(attempt).await.ending, Ending::Succeeded);
    assert!(server.heard().iter().all(|request| request.contains("Bearer hunter22")));
    let heard = other.heard().remove(0);
    assert!(heard.starts_with("POST /there ") && heard.ends_with("[1]") && heard.contains("upbeat-run-id"), "{heard}");
    assert!(!heard.contains("hunter22") && !heard.contains("x-api-key"), "{heard}");
}

#[tokio::test]
async fn see_other_becomes_a_get_and_a_circle_ends() {
    let server = Server::start(|request| match request.split(' ').next() {
        Some("POST") => redirect("303 See Other", "/result"),
        _ => redirect("302 Found", "/result"),
    })
    .await;
    let mut attempt = http(post(&server.url("/"), &[]));
    attempt.payload = Some(b"[1]".to_vec());
    let outcome = run(attempt).await;
    assert_eq!(outcome.ending, Ending::Failed(Reason::HttpStatus));
    assert_eq!(outcome.message.unwrap(), "redirected more than 10 times");
    let heard = server.heard();
    assert_eq!(heard.len(), 11);
    assert!(heard[1].starts_with("GET /result ") && heard[1].ends_with("\r\n\r\n"), "{}", heard[1]);
}

#[tokio::test]
async fn an_accepted_redirect_is_not_followed() {
    let server = Server::fixed(&redirect("302 Found", "http://169.254.169.254/")).await;
    let accepted = Http { ok: vec![(200, 399)], ..get(&server.url("/")) };
    assert_eq!(run(http(accepted)).await.ending, Ending::Succeeded);
}

#[tokio::test]
async fn of_a_huge_answer_a_bounded_part_is_read_and_its_end_kept() {
    let server = Server::fixed(&answer("200 OK", &"x".repeat(20_000_000))).await;
    let outcome = run(http(get(&server.url("/")))).await;
    assert_eq!((outcome.ending, outcome.output.len()), (Ending::Succeeded, 64 * 1024));
}

#[tokio::test]
async fn secret_urls_and_headers_are_sent_and_cut_out_of_answer_and_message() {
    let server = Server::start(|request| answer("200 OK", request)).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("HOOK"), server.url("/services/T0/B1")).unwrap();
    std::fs::write(folder.path().join("GONE"), "http://no-such-host.invalid/services/T0/B1").unwrap();
    std::fs::write(folder.path().join("TOKEN"), "Bearer hunter22").unwrap();
    let executor = Executor::new(ExecutorConfig { secrets_dir: Some(folder.path().into()), ..config() }).unwrap();
    let outcome = run_by(&executor, http(post("secret:HOOK", &[("Authorization", "secret:TOKEN")]))).await;
    assert_eq!(outcome.ending, Ending::Succeeded);
    assert!(text(&outcome).starts_with("POST *** HTTP/1.1"), "{}", text(&outcome));
    assert!(text(&outcome).contains("authorization: ***\r\n"), "{}", text(&outcome));
    assert!(server.heard()[0].contains("authorization: Bearer hunter22\r\n"));
    let outcome = run_by(&executor, http(post("secret:GONE", &[]))).await;
    assert_eq!(outcome.ending, Ending::Failed(Reason::Connect));
    assert!(!outcome.message.as_ref().unwrap().contains("T0"), "{:?}", outcome.message);
    let outcome = run_by(&executor, http(get("secret:NO_SUCH"))).await;
    assert_eq!(outcome.ending, Ending::Failed(Reason::Refused));
}

/// A TLS server on a port of its own that answers each request with 200, and its certificate as PEM.
fn tls_server() -> (String, String) {
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let settings = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key.into())
        .unwrap();
    let settings = Arc::new(settings);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = rustls::ServerConnection::new(Arc::clone(&settings)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream.unwrap());
            // A client that does not trust us leaves here.
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = std::io::Write::write_all(&mut stream, answer("200 OK", "secure").as_bytes());
        }
    });
    (format!("https://localhost:{port}/"), identity.cert.pem())
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_no_connection() {
    let (url, _) = tls_server();
    let outcome = run(http(get(&url))).await;
    assert_eq!(outcome.ending, Ending::Failed(Reason::Connect));
    assert!(outcome.message.as_ref().unwrap().contains("certificate"), "{:?}", outcome.message);
}

#[tokio::test]
async fn a_certificate_that_the_system_trusts_is_accepted() {
    let (url, certificate) = tls_server();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certificate).unwrap();
    let variables = [("TEST_URL", url.as_str()), ("SSL_CERT_FILE", file.to_str().unwrap())];
    passes_in_a_process_of_its_own("actions::requests::request_process", &variables);
}

#[tokio::test]
#[ignore = "reads the system's certificates, which another test chooses by a variable"]
async fn request_process() {
    let outcome = run(http(get(&std::env::var("TEST_URL").unwrap()))).await;
    assert_eq!((outcome.ending, text(&outcome)), (Ending::Succeeded, "secure"), "{:?}", outcome.message);
}

#[tokio::test]
async fn an_answer_that_is_not_accepted_says_its_status_and_when_to_ask_again() {
    let later =
        |headers: &str| format!("HTTP/1.1 503 Unavailable\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (headers, asked) in [
        ("Retry-After: 120\r\n".to_owned(), Some(Span(120_000))),
        // By the target's own clock: this one is decades ahead.
        (format!("{date}Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n"), Some(Span(30_000))),
        ("Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n".to_owned(), None),
        (String::new(), None),
    ] {
        let server = Server::fixed(&later(&headers)).await;
        let outcome = run(http(get(&server.url("/")))).await;
        assert_eq!(outcome.ending, Ending::Failed(Reason::HttpStatus));
        assert_eq!((outcome.http_status, outcome.retry_after), (Some(503), asked), "{headers}");
    }
    let server = Server::fixed(&later("Retry-After: 120\r\n")).await;
    let accepted = Http { ok: vec![(503, 503)], ..get(&server.url("/")) };
    let outcome = run(http(accepted)).await;
    assert_eq!((outcome.ending, outcome.http_status, outcome.retry_after), (Ending::Succeeded, Some(503), None));
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_hide_the_status() {
    let server = Server::fixed("HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nhalf").await;
    let outcome = run(http(get(&server.url("/")))).await;
    assert_eq!((outcome.ending, outcome.http_status), (Ending::Failed(Reason::HttpStatus), Some(404)));
    assert_eq!((outcome.message.as_deref(), text(&outcome)), (Some("404 Not Found"), "half"));
}
