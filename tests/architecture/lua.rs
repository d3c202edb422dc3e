//! The rules for scripts: the header is a contract, and the body keeps it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::source::files_below;

const LONGEST_SCRIPT: usize = 120;

/// A script, or a part that is joined into scripts.
pub struct Script {
    /// Below `src/lua/`.
    pub path: String,
    pub text: String,
}

/// All Lua files of `src/lua/`.
pub fn read_all() -> Vec<Script> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/lua");
    let mut files = files_below(&root, "lua");
    files.sort();
    let read = |file: PathBuf| Script {
        path: file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/"),
        text: std::fs::read_to_string(&file).unwrap(),
    };
    files.into_iter().map(read).collect()
}

/// Which elements of `KEYS` or `ARGV` are meant: `[3]`, `[5..7]`, `[8..]`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    One(usize),
    /// The last one is `None` where the range is open.
    Range(usize, Option<usize>),
    /// By an expression, or the table as a whole: only in bodies.
    Computed,
}

/// What is wrong with a script.
pub fn offences(script: &Script) -> Vec<String> {
    let at = |what: String| format!("src/lua/{}: {what}", script.path);
    if script.path.starts_with("parts/") {
        let is_silent = !script.text.starts_with("--");
        return is_silent.then(|| at("opens without a comment".to_owned())).into_iter().collect();
    }
    let mut found = Vec::new();
    let name = script.path.strip_suffix(".lua").unwrap_or(&script.path);
    if !script.text.starts_with(&format!("-- {name}: ")) {
        found.push(at(format!("the first line must be `-- {name}: what it does`")));
    }
    let lines = script.text.lines().count();
    if lines > LONGEST_SCRIPT {
        found.push(at(format!("{lines} lines, {LONGEST_SCRIPT} are the limit")));
    }
    let (header, body) = split(&script.text);
    if !header.iter().any(|line| line.starts_with("-- Returns")) {
        found.push(at("the header has no `-- Returns` line".to_owned()));
    }
    for table in ["KEYS", "ARGV"] {
        found.extend(disagreements(table, &header, &body).into_iter().map(at));
    }
    found.extend(late_bindings(&body).into_iter().map(at));
    found
}

/// The comment lines on top, and the code without its comments.
fn split(text: &str) -> (Vec<&str>, Vec<String>) {
    let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("--")).collect();
    let body = text.lines().skip(header.len()).map(without_comment).collect();
    (header, body)
}

/// A line up to its comment; `--` within quotes is text.
fn without_comment(line: &str) -> String {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match quote {
            None if line[at..].starts_with("--") => return line[..at].to_owned(),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
    }
    line.to_owned()
}

/// Where header and body differ over one table.
fn disagreements(table: &str, header: &[&str], body: &[String]) -> Vec<String> {
    let opening = format!("-- {table}[");
    let declared = header.iter().filter(|line| line.starts_with(&opening));
    // The first mention is what the line declares, a later one is prose.
    let declared: BTreeSet<Slot> = declared.filter_map(|line| slots(table, line).into_iter().next()).collect();
    let used: Vec<Slot> = body.iter().flat_map(|line| slots(table, line)).collect();

    let covers = |slot: &Slot, n: usize| match slot {
        Slot::One(one) => *one == n,
        Slot::Range(first, last) => *first <= n && last.is_none_or(|last| n <= last),
        Slot::Computed => false,
    };
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for slot in &used {
        match slot {
            Slot::One(n) if !declared.iter().any(|slot| covers(slot, *n)) => {
                found.push(format!("{table}[{n}] is used, the header does not list it"));
            }
            Slot::One(n) if !seen.insert(*n) => {
                found.push(format!("{table}[{n}] appears twice; bind it to a name"));
            }
            Slot::Computed if !declared.iter().any(|slot| matches!(slot, Slot::Range(..))) => {
                found.push(format!("{table} is used by index, the header lists no range of it"));
            }
            _ => {}
        }
    }
    for slot in &declared {
        match slot {
            Slot::One(n) if !used.contains(&Slot::One(*n)) => {
                found.push(format!("{table}[{n}] is listed, the body does not use it"));
            }
            Slot::Range(first, _) => {
                let used = used.iter().any(|used| match used {
                    Slot::Computed => true,
                    Slot::One(n) => covers(slot, *n),
                    Slot::Range(..) => false,
                });
                if !used {
                    found.push(format!("{table}[{first}..] is listed, the body does not use it"));
                }
            }
            _ => {}
        }
    }
    found
}

/// Mentions of `table` in one line.
fn slots(table: &str, line: &str) -> Vec<Slot> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices(table) {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let rest = &line[at + table.len()..];
        if line[..at].ends_with(is_part) || rest.starts_with(is_part) {
            continue;
        }
        // `#KEYS` says how many there are and takes none.
        if line[..at].ends_with('#') {
            continue;
        }
        let index = rest.strip_prefix('[').and_then(|rest| rest.split(']').next());
        found.push(index.map_or(Slot::Computed, slot));
    }
    found
}

fn slot(index: &str) -> Slot {
    if let Ok(one) = index.parse() {
        return Slot::One(one);
    }
    let range = index.split_once("..").and_then(|(first, last)| {
        let first = first.parse().ok()?;
        if last.is_empty() {
            Some(Slot::Range(first, None))
        } else {
            Some(Slot::Range(first, Some(last.parse().ok()?)))
        }
    });
    range.unwrap_or(Slot::Computed)
}

/// `KEYS` and `ARGV` are bound before the first command; from there on only their names appear.
fn late_bindings(body: &[String]) -> Vec<String> {
    let first_command = body.iter().position(|line| line.contains("redis.")).unwrap_or(body.len());
    let mentions = |line: &&String| !slots("KEYS", line).is_empty() || !slots("ARGV", line).is_empty();
    let late = body.iter().skip(first_command).filter(mentions);
    late.map(|line| format!("`{}` binds after the first command", line.trim())).collect()
}

mod the_rules_bite {
    use super::*;

    const GOOD: &str = "\
-- finish_run: record the outcome of one attempt and free what it held.
--
-- One step, because a crash between the two would leave a lease without a run.
--
-- KEYS[1] live     hash    run_id -> live record
-- KEYS[2..] queue lists, see ARGV[3..]
-- ARGV[1] run_id
-- ARGV[2] now -- or nothing
-- ARGV[3..] names of the queue lists
-- Returns 'finished' | 'lost' (another attempt holds the run)

local live = KEYS[1] -- KEYS[9] in a comment
local run_id, now = ARGV[1], ARGV[2]
local lists = {}
for i = 2, #KEYS do
  lists[ARGV[i + 1]] = KEYS[i]
end
return redis.call('HDEL', live, run_id) and 'finished'
";

    fn check(text: &str) -> Vec<String> {
        offences(&Script { path: "finish_run.lua".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn a_good_script_passes() {
        assert_eq!(check(GOOD), Vec::<String>::new());
    }

    #[test]
    fn each_offence_is_named() {
        let changes = [
            ("-- finish_run: ", "-- finish: ", "the first line"),
            ("-- Returns", "-- Gives", "Returns"),
            ("-- ARGV[2] now -- or nothing\n", "", "ARGV[2] is used"),
            ("ARGV[1], ARGV[2]", "ARGV[1], 0", "ARGV[2] is listed"),
            ("live, run_id", "live, ARGV[1]", "ARGV[1] appears twice"),
            ("live, run_id", "live, ARGV[3]", "binds after the first command"),
            ("-- KEYS[2..] queue", "-- queue", "KEYS is used by index"),
            ("= KEYS[i]", "= true", "KEYS[2..] is listed"),
        ];
        for (old, new, complaint) in changes {
            assert!(GOOD.contains(old), "{old}");
            let found = check(&GOOD.replacen(old, new, 1));
            assert!(found.iter().any(|offence| offence.contains(complaint)), "{new}: {found:?}");
        }
        assert_eq!(check(&format!("{GOOD}{}", "\n".repeat(LONGEST_SCRIPT))).len(), 1);
    }

    #[test]
    fn a_part_needs_only_a_comment() {
        let part = |text: &str| offences(&Script { path: "parts/clock.lua".to_owned(), text: text.to_owned() });
        assert!(part("-- The shard's clock.\nlocal x = KEYS[1]").is_empty());
        assert_eq!(part("local x = 1").len(), 1);
    }
}
