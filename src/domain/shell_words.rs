//! Words as a POSIX shell reads them, for commands that people see and copy.

/// The words as one line that a shell reads back as the same words.
pub(crate) fn quoted_line<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if word.chars().any(char::is_control) {
        return format!("$'{}'", escaped(word));
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The text on one line: what can't be seen is escaped as in `$'...'`.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            c if c.is_control() => escaped.push_str(&format!("\\x{:02x}", c as u32)),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_reads_it() {
        assert_eq!(quoted_line(["sh", "-c", "df -h | tail -1"]), "sh -c 'df -h | tail -1'");
        assert_eq!(quoted_line(["echo", "", "it's"]), r"echo '' 'it'\''s'");
        assert_eq!(quoted_line(["printf", "a\nb"]), r"printf $'a\nb'");
    }
}
