//! The text of a script as Redis gets it.
//!
//! A Lua function has room for 200 locals, and each call of a script makes its functions anew; that costs the more, the more
//! variables they share. So what stands in the files as names of numbers and keys, and as local functions, is brought into a form
//! that takes less room and time. What a script does stays the same.

use std::collections::HashMap;

/// The joined text as Redis gets it: names that stand for numbers and keys replaced, functions in tables.
pub fn ready(joined: &str) -> String {
    let mut meanings = Meanings::new();
    for (name, number) in joined.lines().flat_map(numbers) {
        meanings.entry(name).or_insert(number);
    }
    let mut text = String::with_capacity(joined.len());
    for line in joined.lines().filter(|line| numbers_of(line).is_none()) {
        text.push_str(&in_numbers(line, &meanings));
        text.push('\n');
    }
    in_tables(&text)
}

/// The names and numbers of a line that gives numbers to names in capitals, `local A, B = 1, 2`, or names to keys,
/// `local due_key, live_key = KEYS[1], KEYS[2]`.
fn numbers_of(line: &str) -> Option<(&str, &str)> {
    let (names, numbers) = line.strip_prefix("local ")?.split_once(" = ")?;
    let numbers = numbers.split("--").next()?.trim();
    let is_name = |c: char| c.is_ascii_uppercase() || matches!(c, '_' | ',' | ' ');
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, ',' | ' ');
    let are_numbers = names.chars().all(is_name) && !numbers.is_empty() && numbers.chars().all(is_number);
    let is_key = |(name, value): (&str, &str)| {
        let number = value.strip_prefix("KEYS[").and_then(|rest| rest.strip_suffix(']'));
        name.ends_with("_key") && number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let same_count = names.split(", ").count() == numbers.split(", ").count();
    let are_keys = same_count && names.split(", ").zip(numbers.split(", ")).all(is_key);
    (are_numbers || are_keys).then_some((names, numbers))
}

/// Each name of such a line with its number. They are put in place of the names: a Lua function has room for 200 locals.
fn numbers(line: &str) -> Vec<(&str, &str)> {
    let Some((names, numbers)) = numbers_of(line) else { return Vec::new() };
    names.split(", ").zip(numbers.split(", ")).collect()
}

/// What stands for a name.
type Meanings<'a> = HashMap<&'a str, &'a str>;

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The words of a text: what stands before each, the word, what stands behind it.
pub fn words(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while !is_word(*bytes.get(at)?) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        Some((&text[..start], &text[start..at], &text[at..]))
    })
}

/// The line with every name replaced by its number, but for what stands in quotes: `'PUBLISH'` is a command.
fn in_numbers(line: &str, meanings: &Meanings) -> String {
    let parts = line.split('\'').enumerate();
    let parts = parts.map(|(at, part)| if at % 2 == 0 { code_in_numbers(part, meanings) } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("'")
}

fn code_in_numbers(text: &str, meanings: &Meanings) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut copied = 0;
    for (before, word, _) in words(text) {
        let is_field = before.ends_with([':', '.']) && !before.ends_with("..");
        if let Some(meaning) = meanings.get(word).filter(|_| !is_field) {
            out.push_str(&text[copied..before.len()]);
            out.push_str(meaning);
            copied = before.len() + word.len();
        }
    }
    out.push_str(&text[copied..]);
    out
}

/// From here on the functions of a part are seldom needed; the name of their table follows.
const SELDOM: &str = "-- seldom: ";
/// Behind each part.
pub const ALWAYS: &str = "-- always";
/// A function at the left margin.
#[derive(Debug)]
struct Function<'a> {
    /// `take`, or `waits.load` where it is a field.
    name: &'a str,
    is_local: bool,
    /// From its first to its last one.
    lines: &'a [&'a str],
}

/// The function that begins with the first of these lines.
fn function<'a>(lines: &'a [&'a str]) -> Option<Function<'a>> {
    let first = lines[0];
    let local = first.strip_prefix("local function ");
    let (name, _) = local.or_else(|| first.strip_prefix("function "))?.split_once('(')?;
    let last = if first.ends_with(" end") { 0 } else { lines.iter().position(|line| *line == "end")? };
    Some(Function { name, is_local: local.is_some(), lines: &lines[..=last] })
}

/// Where functions have gone, by their names: the table of those that are made late, if it is one of them.
type Places<'a> = HashMap<&'a str, Option<&'a str>>;

fn places<'a>(lines: &'a [&'a str]) -> Places<'a> {
    let (mut places, mut group) = (Places::new(), None);
    for at in 0..lines.len() {
        match lines[at] {
            ALWAYS => group = None,
            line if line.starts_with(SELDOM) => group = line.strip_prefix(SELDOM),
            _ => {}
        }
        if let Some(function) = function(&lines[at..]).filter(|function| function.is_local || group.is_some()) {
            places.insert(function.name, group);
        }
    }
    // A name that stands anywhere for anything but a call of its function keeps its meaning.
    for line in lines {
        let code = line.find("--").map_or(*line, |at| &line[..at]);
        for (_, name, behind) in code.split('\'').step_by(2).flat_map(names) {
            if !behind.starts_with('(') {
                places.remove(name);
            }
        }
    }
    places
}

/// The names of a text that are no fields, or are `table.field`: what stands before each, the name, what stands behind it.
fn names(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    words(text).filter(|(before, _, _)| !before.ends_with([':', '.']) || before.ends_with("..")).map(
        |(before, word, behind)| {
            let field =
                behind.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(|byte| is_word(*byte)).count());
            let length = word.len() + if field > 0 { 1 + field } else { 0 };
            (before, &text[before.len()..before.len() + length], &text[before.len() + length..])
        },
    )
}

/// A line, or a piece of one, with its calls directed to where the functions are; `within` is the table whose functions it is part of.
fn directed(line: &str, places: &Places<'_>, within: Option<&str>) -> String {
    let mut out = String::with_capacity(line.len() + 16);
    for (at, part) in line.split('\'').enumerate() {
        if at > 0 {
            out.push('\'');
        }
        let mut copied = 0;
        for (before, name, _) in names(part).filter(|_| at % 2 == 0) {
            if let Some(group) = places.get(name) {
                out.push_str(&part[copied..before.len()]);
                match group {
                    None => out.push_str("F."),
                    Some(_) if *group == within => out.push_str("G."),
                    Some(group) => out.extend(["L.", group, "."]),
                }
                out.push_str(&name.replace('.', "_"));
                copied = before.len() + name.len();
            }
        }
        out.push_str(&part[copied..]);
    }
    out
}

/// The script with its functions as fields of tables.
///
/// Lua finds a variable that a function shares by walking along all that are shared, so a function that is a local itself is one
/// more step for all others: they are fields of `F`. Those that are seldom needed are made when the first of their group is called:
/// `L` makes the table of a group, by the function in `M`, when it is first asked for it. A function that is handed on, or whose
/// name has another meaning too, stays as it is.
fn in_tables(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let places = places(&lines);
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut late: Vec<(&str, String)> = Vec::new();
    let mut has_tables = false;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        if !has_tables && !line.starts_with("--") {
            out.push_str("local F, M = {}, {}\nlocal L = setmetatable({}, { __index = function(_, name) return M[name]() end })\n");
            has_tables = true;
        }
        if line == ALWAYS {
            for (group, functions) in late.drain(..) {
                out.extend([
                    "function M.",
                    group,
                    "()\nlocal G = {}\nL.",
                    group,
                    " = G\n",
                    &functions,
                    "return G\nend\n",
                ]);
            }
        }
        let moved = function(&lines[at..]).and_then(|function| Some((places.get(function.name)?, function)));
        let (group, body) = match &moved {
            Some((group, function)) => (**group, function.lines),
            None => (None, &lines[at..=at]),
        };
        let to = match group {
            None => &mut out,
            Some(group) => {
                let known = late.iter().position(|(name, _)| *name == group);
                let known = known.unwrap_or_else(|| {
                    late.push((group, String::new()));
                    late.len() - 1
                });
                &mut late[known].1
            }
        };
        for (number, line) in body.iter().enumerate() {
            let line = if moved.is_some() && number == 0 { line.strip_prefix("local ").unwrap_or(line) } else { line };
            to.push_str(&if line.starts_with("--") { line.to_owned() } else { directed(line, &places, group) });
            to.push('\n');
        }
        at += body.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_called_like_a_number_stays_a_command() {
        let line = in_numbers("x = form == PUBLISH and call('PUBLISH', PUBLISH)", &Meanings::from([("PUBLISH", "3")]));
        assert_eq!(line, "x = form == 3 and call('PUBLISH', 3)");
    }

    #[test]
    fn functions_become_fields_and_those_seldom_needed_are_made_when_one_is_called() {
        let text = "-- a: script\nlocal now = 1\nlocal function add(a)\n  return a + now -- add(1)\nend\n-- seldom: waits\nlocal waits = {}\n\
            function waits.load(a) return add(a) .. waits.text(a) end\nfunction waits.text(a)\n  return 'add(1)' .. handed(add(a))\nend\n\
            local function handed(a) return a end\n-- always\nwaits.load(add(1))\nreturn pcall(handed, waits.of)\n";
        let made = "-- a: script\nlocal F, M = {}, {}\nlocal L = setmetatable({}, { __index = function(_, name) return M[name]() end })\nlocal now = 1\n\
            function F.add(a)\n  return a + now -- F.add(1)\nend\n-- seldom: waits\nlocal waits = {}\n\
            local function handed(a) return a end\nfunction M.waits()\nlocal G = {}\nL.waits = G\n\
            function G.waits_load(a) return F.add(a) .. G.waits_text(a) end\nfunction G.waits_text(a)\n  return 'add(1)' .. handed(F.add(a))\nend\n\
            return G\nend\n-- always\nL.waits.waits_load(F.add(1))\nreturn pcall(handed, waits.of)\n";
        assert_eq!(in_tables(text), made);
    }
}
