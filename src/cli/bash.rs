//! Completions for bash, which takes words apart at colons, `=` and `@`: the line is read as a whole, and what bash
//! has already is cut off the candidates.

use std::ffi::OsString;
use std::io::{Error, Write};
use std::path::Path;

use clap_complete::env::EnvCompleter;

use crate::cli::completions::complete;

/// The line up to the cursor.
const LINE: &str = "_UPBEAT_LINE";
/// Where bash takes words apart.
const BREAKS: &str = "_UPBEAT_BREAKS";

const SCRIPT: &str = r#"_NAME_complete() {
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("$candidate")
    done < <(VAR=bash _UPBEAT_LINE="${COMP_LINE:0:COMP_POINT}" _UPBEAT_BREAKS="$COMP_WORDBREAKS" "$1" -- NAME 2>/dev/null)
    if [[ ${COMPREPLY-} == *[=/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o bashdefault -o nosort -F _NAME_complete NAME 2>/dev/null || complete -o bashdefault -F _NAME_complete NAME
"#;

/// The adapter.
pub struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == "bash"
    }

    fn write_registration(&self, var: &str, name: &str, _: &str, _: &str, out: &mut dyn Write) -> Result<(), Error> {
        out.write_all(SCRIPT.replace("NAME", name).replace("VAR", var).as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        _: Vec<OsString>,
        folder: Option<&Path>,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let line = std::env::var(LINE).unwrap_or_default();
        let breaks = std::env::var(BREAKS).unwrap_or_default();
        let typed = Typed::read(&line, &breaks);
        let words = typed.words.iter().map(OsString::from).collect();
        for candidate in complete(command, words, folder)? {
            let value = candidate.get_value().to_string_lossy();
            if let Some(rest) = value.strip_prefix(typed.has.as_str()) {
                writeln!(out, "{}", typed.escaped(rest))?;
            }
        }
        Ok(())
    }
}

/// A line that is being typed.
#[derive(Debug, PartialEq, Eq)]
struct Typed {
    /// Its words without quotes; the last is not finished.
    words: Vec<String>,
    /// The front of the last word that bash does not ask about.
    has: String,
    /// Whether the last word stands in quotes that are open.
    is_quoted: bool,
}

impl Typed {
    fn read(line: &str, breaks: &str) -> Self {
        let mut typed = Self { words: Vec::new(), has: String::new(), is_quoted: false };
        let (mut word, mut quote) = (None::<String>, None);
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match (quote, c) {
                (Some(open), c) if open == c => quote = None,
                (Some('"') | None, '\\') => word.get_or_insert_default().extend(chars.next()),
                (None, '\'' | '"') => {
                    quote = Some(c);
                    // bash asks about what stands behind the quote.
                    typed.has = word.get_or_insert_default().clone();
                }
                (None, c) if c.is_whitespace() => {
                    typed.words.extend(word.take());
                    typed.has.clear();
                }
                (_, c) => {
                    let word = word.get_or_insert_default();
                    word.push(c);
                    if quote.is_none() && breaks.contains(c) {
                        typed.has.clone_from(word);
                    }
                }
            }
        }
        typed.words.push(word.unwrap_or_default());
        typed.is_quoted = quote.is_some();
        typed
    }

    /// As it has to stand on the line.
    fn escaped(&self, text: &str) -> String {
        if self.is_quoted {
            return text.to_owned();
        }
        let is_special = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && !"./_-:+@=,%".contains(c);
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            if is_special(c) {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = " \t\n\"'@><=;|&(:";

    fn read(line: &str) -> (Vec<String>, String) {
        let typed = Typed::read(line, USUAL);
        (typed.words, typed.has)
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_line_is_read_as_a_shell_reads_it() {
        assert_eq!(read("upbeat show rep"), (words(&["upbeat", "show", "rep"]), String::new()));
        assert_eq!(read("upbeat show "), (words(&["upbeat", "show", ""]), String::new()));
        assert_eq!(read("upbeat show eu:rep"), (words(&["upbeat", "show", "eu:rep"]), "eu:".to_owned()));
        assert_eq!(read("upbeat show a:b:"), (words(&["upbeat", "show", "a:b:"]), "a:b:".to_owned()));
        assert_eq!(
            read("upbeat logs a@2026-11-20T02:"),
            (words(&["upbeat", "logs", "a@2026-11-20T02:"]), "a@2026-11-20T02:".to_owned())
        );
        assert_eq!(read("upbeat next --tz=Eu"), (words(&["upbeat", "next", "--tz=Eu"]), "--tz=".to_owned()));
        assert_eq!(read("upbeat show 'eu:rep"), (words(&["upbeat", "show", "eu:rep"]), String::new()));
        assert_eq!(read("upbeat show eu\\:rep"), (words(&["upbeat", "show", "eu:rep"]), String::new()));
        assert_eq!(read("upbeat add 'a b' \"c\" d"), (words(&["upbeat", "add", "a b", "c", "d"]), String::new()));
        assert_eq!(read("upbeat show "), read("upbeat  show  "));
        assert_eq!(read("upbeat show 朝:报"), (words(&["upbeat", "show", "朝:报"]), "朝:".to_owned()));
    }

    #[test]
    fn what_a_shell_would_take_apart_is_escaped_unless_it_is_quoted() {
        assert_eq!(Typed::read("upbeat apply -f a", USUAL).escaped("a b.toml"), "a\\ b.toml");
        assert_eq!(Typed::read("upbeat apply -f 'a", USUAL).escaped("a b.toml"), "a b.toml");
        assert_eq!(Typed::read("upbeat show ", USUAL).escaped("报.a_b-c:d+e"), "报.a_b-c:d+e");
    }
}
