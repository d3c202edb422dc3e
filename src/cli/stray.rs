//! Words that stand where none belongs: an expression that the shell took apart, a schedule without its flag, a command without `--`.

use crate::domain::entry::FIELDS;
use crate::domain::span::Span;
use crate::error::Error;

/// What a shell makes of `--cron */2 * * * *`: the first word is the expression, the others look like the id's neighbours.
/// `files` are the names in the folder, which `*` became.
pub fn unquoted(command: &str, id: &str, cron: &str, stray: &[String], files: &[String], exec: &[String]) -> Error {
    let mut words: Vec<&str> = cron.split_whitespace().collect();
    let mut rest = stray;
    while let [first, tail @ ..] = rest {
        let starred = rest.get(..files.len()).filter(|_| !files.is_empty());
        let is_star = starred.is_some_and(|front| {
            let mut front = front.to_vec();
            front.sort();
            front == files
        });
        words.push(if is_star { "*" } else { first });
        rest = if is_star { &rest[files.len()..] } else { tail };
    }
    let count = cron.split_whitespace().count();
    let fields = if count == 1 { "field" } else { "fields" };
    let expression = if matches!(words.len(), 5 | 6) { words.join(" ") } else { "*/2 * * * *".to_owned() };
    let what = match exec {
        [] => String::new(),
        exec => format!(" -- {}", exec.join(" ")),
    };
    Error::invalid("cron", format!("{cron:?} has {count} {fields}, 5 or 6 are needed")).value(cron).hint(format!(
        "the shell split the expression and turned * into file names; quote it:\nupbeat {command} {id} --cron '{expression}'{what}"
    ))
}

/// Words of `add` and `set` that stand where none belongs, put where they belong; `None` where that can't be told.
pub fn sorted_out(command: &str, id: &str, has_schedule: bool, stray: &[String], exec: &[String]) -> Option<String> {
    // A text that was set well has a dash for two.
    if let Some(flag) = stray.first().and_then(|word| word.strip_prefix(['\u{2013}', '\u{2014}'])) {
        return Some(format!("write --{flag}, with two plain hyphens"));
    }
    let (mut id, mut rest) = (id, stray);
    let mut flags = String::new();
    if looks_like_cron(id) {
        flags = format!(" --cron {}", quoted(id));
        id = "ID";
    } else if let [first, tail @ ..] = rest {
        if looks_like_cron(first) {
            flags = format!(" --cron {}", quoted(first));
            rest = tail;
        } else if let ("every" | "at" | "cron", [value, tail @ ..]) = (first.as_str(), tail) {
            flags = format!(" --{first} {}", quoted(value));
            rest = tail;
        } else if !has_schedule && Span::parse("every", first).is_ok() {
            flags = format!(" --every {first}");
            rest = tail;
        } else if let Some((key, value)) =
            first.split_once('=').filter(|(key, _)| FIELDS.contains(&key.replace('-', "_").as_str()))
        {
            flags = format!(" --{} {}", key.replace('_', "-"), quoted(value));
            rest = tail;
        }
    }
    let what = match (rest, exec) {
        ([], []) => String::new(),
        ([_, ..], [_, ..]) => return None,
        ([], words) | (words, []) => {
            format!(" -- {}", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
        }
    };
    let given = if has_schedule { " ..." } else { "" };
    (!flags.is_empty() || has_schedule).then(|| format!("upbeat {command} {id}{given}{flags}{what}"))
}

/// Five or six words of what expressions are made of, or `@daily`.
pub fn looks_like_cron(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_word = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '*' | 'H' | '?' | 'L')) || word.len() >= 3
    };
    let begins =
        |word: &str| word.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '/' | '-' | ',' | 'H' | '?'));
    matches!(words.len(), 5 | 6) && words.iter().all(is_word) && words.iter().take(2).all(|word| begins(word))
        || (words.len() == 1 && text.starts_with('@'))
}

/// The word as it has to be typed.
pub fn quoted(word: &str) -> String {
    let is_plain =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '+' | '/' | '=' | ',' | '@' | '%');
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn an_unquoted_expression_is_put_together_again() {
        let (files, exec) = (words("Cargo.toml src"), words("df -h ."));
        let stray = words("Cargo.toml src Cargo.toml src Cargo.toml src Cargo.toml src");
        let error = unquoted("add", "disk", "*/2", &stray, &files, &exec);
        assert_eq!(error.to_string(), "cron: \"*/2\" has 1 field, 5 or 6 are needed");
        let hint = error.problem().hint.clone().unwrap();
        assert_eq!(hint.lines().last(), Some("upbeat add disk --cron '*/2 * * * *' -- df -h ."));
    }

    #[test]
    fn a_schedule_and_a_command_without_their_flags_are_given_them() {
        let sorted = |id: &str, has_schedule: bool, stray: &[&str]| {
            sorted_out("add", id, has_schedule, &stray.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(), &[])
        };
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(sorted("*/5 * * * *", false, &["cmd"]), said("upbeat add ID --cron '*/5 * * * *' -- cmd"));
        assert_eq!(
            sorted("a", false, &["0 2 * * *", "./b.sh", "x y"]),
            said("upbeat add a --cron '0 2 * * *' -- ./b.sh 'x y'")
        );
        assert_eq!(sorted("a", false, &["every", "5m", "b"]), said("upbeat add a --every 5m -- b"));
        assert_eq!(sorted("a", false, &["5m", "b"]), said("upbeat add a --every 5m -- b"));
        assert_eq!(sorted("a", false, &["@daily", "b"]), said("upbeat add a --cron @daily -- b"));
        assert_eq!(sorted("a", true, &["./b.sh"]), said("upbeat add a ... -- ./b.sh"));
        assert_eq!(sorted("a", false, &["timeout=5m"]), said("upbeat add a --timeout 5m"));
        assert_eq!(sorted("a", false, &["b"]), None);
        assert_eq!(sorted("a", false, &["—every", "5m"]), said("write --every, with two plain hyphens"));
        let behind = sorted_out("add", "a", false, &words("every 5m"), &words("true"));
        assert_eq!(behind, said("upbeat add a --every 5m -- true"));
    }
}
