//! The house rules that a machine can check: who may import whom, who may see Redis and the clock, what a file looks like.
//!
//! The rules work on the text of `src/`: comments and strings are taken out, what is left is read as words.

#![allow(clippy::unwrap_used)]

#[path = "architecture/lua.rs"]
mod lua;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/times.rs"]
mod times;

use source::{Source, read_all};

/// The floors of `src/`. A module may name modules on lower floors, never one above, never a neighbour.
const FLOORS: &[(u8, &[&str])] = &[
    (6, &["cli", "http"]),
    (5, &["bench"]),
    (4, &["service", "node"]),
    (3, &["store"]),
    (2, &["lua"]),
    (1, &["domain"]),
    (0, &["error", "config", "shutdown"]),
];

/// On the ground floor neighbours may name each other: every one of them is small, and all need `error`.
const GROUND: u8 = 0;

/// External crates and the only places that may name them; a place is a file or a folder of `src/`.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("fred", &["store"]),
    ("clap", &["cli", "main.rs"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("anstream", &["cli"]),
    ("anstyle", &["cli"]),
    ("indicatif", &["cli"]),
    ("comfy_table", &["cli"]),
    ("terminal_size", &["cli"]),
    ("rrule", &["domain/rrule"]),
    ("reqwest", &["node/action/http.rs", "node/action/address.rs"]),
];

/// What the pure part must not know.
const NOT_IN_DOMAIN: &[&str] = &["tokio", "fred", "tracing", "reqwest", "nix", "libc"];

/// The only places that may read the system's clock: Redis says what time it is. `Instant` measures durations and is free.
const CLOCK: &[&str] = &["cli/clock.rs", "node/clock.rs", "store/sabotage.rs"];

/// Ways to read it.
const NOW: &[&str] = &["SystemTime::now", "Utc::now", "Local::now", "Zoned::now", "chrono::Local", "Timestamp::now"];

const LONGEST_FILE: usize = 400;

/// The offences as one message; no offence is success.
#[track_caller]
fn none(offences: Vec<String>) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

fn is_in(source: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| source.path == *place || source.path.starts_with(&format!("{place}/")))
}

/// What `source` names that it must not see.
fn upward_imports(source: &Source) -> Vec<String> {
    let module = source.top_module();
    if module == "lib" || module == "main" {
        return Vec::new();
    }
    let Some(floor) = floor_of(module) else {
        return vec![format!("src/{}: `{module}` is on no floor; add it to FLOORS", source.path)];
    };
    let mut offences = Vec::new();
    for named in source.own_modules_named() {
        let Some(other) = floor_of(&named) else { continue };
        let is_neighbour = other == floor && named != module && floor != GROUND;
        if other > floor || is_neighbour {
            offences.push(format!("src/{}: {module} must not name {named}", source.path));
        }
        if named == "lua" && module != "store" && module != "lua" {
            offences.push(format!("src/{}: only store names lua", source.path));
        }
    }
    offences
}

fn foreign_crates(source: &Source) -> Vec<String> {
    let mut offences = Vec::new();
    for (name, places) in ONLY_IN {
        if source.names_crate(name) && !is_in(source, places) {
            offences.push(format!("src/{}: {name} belongs to {}", source.path, places.join(", ")));
        }
    }
    for name in NOT_IN_DOMAIN {
        if source.top_module() == "domain" && source.names_crate(name) {
            offences.push(format!("src/{}: domain is pure and must not name {name}", source.path));
        }
    }
    offences
}

fn clock_reads(source: &Source) -> Vec<String> {
    let read = |way: &&&str| source.has_path(way) && !is_in(source, CLOCK);
    NOW.iter().filter(read).map(|way| format!("src/{}: {way}: the clock is Redis TIME", source.path)).collect()
}

#[test]
fn imports_go_down_only() {
    none(read_all().iter().flat_map(upward_imports).collect());
}

#[test]
fn external_crates_stay_where_they_belong() {
    none(read_all().iter().flat_map(foreign_crates).collect());
}

#[test]
fn nothing_reads_the_system_clock() {
    none(read_all().iter().flat_map(clock_reads).collect());
}

#[test]
fn every_file_says_what_part_it_plays() {
    let silent = |source: &&Source| !source.text.starts_with("//!");
    none(read_all().iter().filter(silent).map(|source| format!("src/{}: opens without //!", source.path)).collect());
}

#[test]
fn no_file_is_too_long() {
    let offence = |source: &Source| {
        let lines = source.text.lines().count();
        (lines > LONGEST_FILE).then(|| format!("src/{}: {lines} lines; a concept is missing a name", source.path))
    };
    none(read_all().iter().filter_map(offence).collect());
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    let offence = |source: &Source| {
        let count = source.unwraps_outside_tests();
        (count > 0).then(|| format!("src/{}: {count} unwrap(); return an error, or expect() why not", source.path))
    };
    none(read_all().iter().filter_map(offence).collect());
}

#[test]
fn no_test_depends_on_absolute_time() {
    let tests = times::read_all();
    let of_tests = tests.iter().flat_map(|source| times::offences(source, false));
    let of_units = read_all().into_iter().flat_map(|source| times::offences(&source.only_tests(), true));
    none(of_tests.chain(of_units).chain(times::idle(&tests)).collect());
}

#[test]
fn lua_headers_match_their_bodies() {
    none(lua::read_all().iter().flat_map(lua::offences).collect());
}

mod the_rules_bite {
    use super::*;

    fn at(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    #[test]
    fn on_imports_upward_and_sideways() {
        let bad = [
            ("store/claim.rs", "use crate::service::Service;"),
            ("store/claim.rs", "use crate::{domain::Run, node::Node};"),
            ("store/claim.rs", "fn f() { crate::cli::main() }"),
            ("store/claim.rs", "use super::super::node::Node;"),
            ("service/mod.rs", "use crate::{\n    domain::{Entry, Run},\n    node,\n};"),
            ("node/mod.rs", "use crate::lua::CLAIM;"),
            ("domain/run.rs", "use crate::store;"),
            ("attic.rs", ""),
        ];
        for (path, text) in bad {
            assert_eq!(upward_imports(&at(path, text)).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn and_let_downward_imports_pass() {
        let good = [
            ("cli/node.rs", "use crate::{node, service, store, domain::{cli, http}};"),
            ("store/claim.rs", "use crate::lua; use super::service;"),
            ("store/claim.rs", "// use crate::service;\n/* crate::node */ const S: &str = \"crate::node::x\";"),
            ("config.rs", "use crate::error::Result;"),
            ("main.rs", "use upbeat::cli;"),
        ];
        for (path, text) in good {
            assert_eq!(upward_imports(&at(path, text)), Vec::<String>::new(), "{path}: {text}");
        }
    }

    #[test]
    fn on_crates_out_of_place() {
        assert_eq!(foreign_crates(&at("node/mod.rs", "use fred::prelude::*;")).len(), 1);
        assert_eq!(foreign_crates(&at("domain/run.rs", "fn f() { tokio::spawn(g()) }")).len(), 1);
        assert_eq!(foreign_crates(&at("service/mod.rs", "#[derive(clap::Args)] struct S;")).len(), 1);
        assert_eq!(foreign_crates(&at("node/action/http.rs", "use reqwest::Client;")).len(), 0);
        assert_eq!(foreign_crates(&at("node/action/exec.rs", "use reqwest;")).len(), 1);
        assert_eq!(foreign_crates(&at("store/mod.rs", "use fred::prelude::*; // clap::")).len(), 0);
        assert_eq!(foreign_crates(&at("domain/run.rs", "let tracing = 1; self.clap::<u8>();")).len(), 0);
    }

    #[test]
    fn on_clocks() {
        assert_eq!(clock_reads(&at("store/mod.rs", "let t = std::time::SystemTime::now();")).len(), 1);
        assert_eq!(clock_reads(&at("store/mod.rs", "let t = Utc :: now();")).len(), 1);
        assert_eq!(clock_reads(&at("store/mod.rs", "let t = Instant::now(); chrono::LocalResult::None")).len(), 0);
    }

    #[test]
    fn on_tests_that_wait_for_luck_or_measure() {
        let bad = [
            "fn f() { std::thread::sleep(SHORT); }",
            "use tokio::time::sleep;",
            "assert!(start.elapsed() < SHORT);",
            "let start = Instant::now();",
            "let at = Utc::now();",
            "wait_for(\"it comes\", Duration::from_secs(5), || true);",
        ];
        for text in bad {
            assert_eq!(times::offences(&at("race/kills.rs", text), false).len(), 1, "{text}");
            let unit = format!("fn f() {{ g(Instant::now().elapsed()) }}\n#[cfg(test)]\nmod tests {{ {text} }}");
            let offences = times::offences(&at("node/timer.rs", &unit).only_tests(), true);
            assert_eq!(offences.len(), usize::from(!text.contains("Duration") && !text.contains("Instant")), "{text}");
        }
        let good = "command(\"sleep 0.1\"); wait_for(\"it comes\", DEADLINE, || true); // sleep(1)";
        assert_eq!(times::offences(&at("race/kills.rs", good), false), Vec::<String>::new());
    }

    #[test]
    fn on_unwraps() {
        let tested = "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { { x.unwrap(); } } }\nfn h() { y.unwrap_or(1); }";
        assert_eq!(at("a.rs", tested).unwraps_outside_tests(), 0);
        assert_eq!(at("a.rs", &format!("{tested} fn i() {{ z.unwrap() }}")).unwraps_outside_tests(), 1);
        assert_eq!(at("domain/cron/tests.rs", "x.unwrap()").unwraps_outside_tests(), 0);
        assert_eq!(at("a.rs", "'\"'; b'\\''; r#\"x.unwrap()\"#; '{'; fn f<'a>() {}").unwraps_outside_tests(), 0);
    }
}
