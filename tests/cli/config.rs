//! `config.toml`, and who wins: flag, variable, file, playground, default.

use serde_json::json;

use crate::refused;
use crate::support::cli::Upbeat;
use crate::support::redis::RedisServer;
use crate::user_of;

/// A user who says nothing by variables, with this file.
fn configured(text: &str) -> Upbeat {
    let user = Upbeat::at("").namespace("");
    std::fs::create_dir(user.dir().join("upbeat")).unwrap();
    user.file("upbeat/config.toml", text);
    user
}

/// A server with one entry in the namespace `test`.
fn server_with(id: &str) -> RedisServer {
    let server = RedisServer::fresh();
    user_of(&server).ok(&["add", id, "--every", "1h", "--publish", "c"]);
    server
}

#[test]
fn each_source_of_a_setting_wins_over_the_next() {
    let (by_flag, by_variable, by_file) = (server_with("flag"), server_with("variable"), server_with("file"));
    let user = configured(&format!("redis = \"{}\"\nnamespace = \"test\"\n", by_file.url()));
    assert_eq!(user.ok(&["ls", "-o", "id"]), "file\n");
    let user = user.env("UPBEAT_REDIS", &by_variable.url());
    assert_eq!(user.ok(&["ls", "-o", "id"]), "variable\n");
    assert_eq!(user.ok(&["--redis", &by_flag.url(), "ls", "-o", "id"]), "flag\n");
    let user = user.env("UPBEAT_NAMESPACE", "empty");
    assert_eq!(user.ok(&["ls", "-o", "id"]), "");
    assert_eq!(user.ok(&["ls", "-o", "id", "-n", "test"]), "variable\n");
}

#[test]
fn a_file_wins_over_a_playground_and_that_over_the_default() {
    let (by_file, played) = (server_with("file"), server_with("played"));
    let playground = |user: &Upbeat| {
        std::fs::create_dir(user.dir().join(".upbeat")).unwrap();
        user.file(".upbeat/connection", &format!("{}\n", played.url()));
    };
    let user = configured(&format!("redis = \"{}\"\nnamespace = \"test\"\n", by_file.url()));
    playground(&user);
    let told = user.run(&["ls", "-o", "id"]).expect_code(0);
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("file\n", ""));
    let user = configured("namespace = \"test\"\n");
    playground(&user);
    let told = user.run(&["ls", "-o", "id"]).expect_code(0);
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("played\n", "using the playground in .upbeat\n"));
    let told = user.run(&["-q", "ls", "-o", "id"]).expect_code(0);
    assert_eq!(told.stderr, "");
}

#[test]
fn how_answers_look_and_who_asks_is_a_setting_too() {
    let server = server_with("a");
    let file = format!("redis = \"{}\"\nnamespace = \"test\"\noutput = \"json\"\nactor = \"ana\"\n", server.url());
    let user = configured(&file);
    let listed: serde_json::Value = serde_json::from_str(&user.ok(&["ls"])).unwrap();
    assert_eq!(listed[0]["id"], "a");
    assert_eq!(user.ok(&["ls", "-o", "id"]), "a\n");
    user.ok(&["set", "a", "--note", "1m"]);
    assert_eq!(user.json(&["show", "a"])["stats"]["actor"], "ana");
    user.ok(&["set", "a", "--note", "2m", "--actor", "eva"]);
    assert_eq!(user.json(&["show", "a"])["stats"]["actor"], "eva");
    // An error is told as the answer would have been.
    let outcome = user.run(&["show", "nobody"]).expect_code(3);
    assert!(outcome.stdout.is_empty() && outcome.stderr.starts_with("{\"error\":"), "{}", outcome.stderr);
    let user = user.env("UPBEAT_OUTPUT", "id").env("UPBEAT_ACTOR", "bob");
    assert_eq!(user.ok(&["ls"]), "a\n");
    user.ok(&["set", "a", "--note", "3m"]);
    assert_eq!(user.json(&["show", "a"])["stats"]["actor"], "bob");
    let colored = configured(&format!("redis = \"{}\"\nnamespace = \"test\"\ncolor = \"always\"\n", server.url()));
    assert!(colored.ok(&["ls"]).contains('\u{1b}'));
    assert!(!colored.ok(&["ls", "--color", "auto"]).contains('\u{1b}'));
    let never = colored.env("UPBEAT_COLOR", "never");
    assert!(!never.ok(&["ls"]).contains('\u{1b}'));
}

#[test]
fn a_password_and_an_authority_come_from_the_file_too() {
    let options = crate::support::redis::Options { requirepass: Some("right".to_owned()), ..Default::default() };
    let server = RedisServer::start(options);
    let user = configured("");
    user.file("password", "right\n");
    let file = user.dir().join("password");
    let config = format!("redis = \"{}\"\nredis_password_file = \"{}\"\n", server.url(), file.display());
    user.file("upbeat/config.toml", &config);
    assert_eq!(user.json(&["ls"]), json!([]));
    std::fs::remove_file(&file).unwrap();
    let (line, hint) = refused(&user, 2, &["ls"]);
    assert!(line.starts_with("error: redis_password_file: ") && !hint.is_empty(), "{line}");
}

#[test]
fn what_is_wrong_in_the_file_is_said_with_file_line_and_key() {
    for (text, place, hint) in [
        ("redis = \"redis://h\"\nnamspace = \"x\"\n", ":2: namspace: unknown key", "did you mean namespace?"),
        ("# mine\noutput = \"yaml\"\n", ":2: output: ", "json"),
        ("redis = 5\n", ":1: redis: 5 is not a text", "write redis ="),
        ("redis = \n", ":1: config: not TOML: ", ""),
    ] {
        let user = configured(text);
        let file = user.dir().join("upbeat/config.toml");
        let (line, told) = refused(&user, 2, &["ls"]);
        assert!(line.starts_with(&format!("error: {}{place}", file.display())), "{line}");
        assert!(told.contains(hint), "{told}");
        let error = user.error(2, &["ls"]);
        assert_eq!(error["line"], place[1..2].parse::<u32>().unwrap(), "{error}");
        user.ok(&["help"]);
    }
    let user = Upbeat::at("redis://127.0.0.1:1").env("UPBEAT_OUTPUT", "xml");
    let (line, _) = refused(&user, 2, &["ls"]);
    assert!(line.starts_with("error: UPBEAT_OUTPUT: "), "{line}");
}
