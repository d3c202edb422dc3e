//! One line of a user's crontab, as cron itself takes it apart.

/// What a line is.
#[derive(Debug, PartialEq)]
pub(crate) enum Line<'t> {
    /// Nothing, or a comment.
    Blank,
    /// `NAME = value` for the lines below it.
    Variable { name: &'t str, value: &'t str },
    /// A schedule and a command.
    Job(Job<'t>),
    /// Not a line that can be carried over.
    Odd(Odd),
}

/// A schedule and a command.
#[derive(Debug, PartialEq)]
pub(crate) struct Job<'t> {
    /// Five words, or a nickname.
    pub when: &'t str,
    /// For the shell, `\%` already turned into `%`.
    pub command: String,
    /// What follows the first `%`, as standard input.
    pub input: Option<String>,
}

/// Why a line can't be carried over, and the way out.
#[derive(Debug, PartialEq)]
pub(crate) struct Odd {
    pub reason: String,
    pub hint: Option<String>,
}

impl Odd {
    fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: Some(hint.into()) }
    }
}

/// Users that stand in the sixth column of system crontabs and are no commands.
const SYSTEM_USERS: &[&str] =
    &["root", "www-data", "nobody", "daemon", "ubuntu", "debian", "admin", "nginx", "apache", "ec2-user"];

/// Takes a line apart; blanks around it do not count.
pub(crate) fn parse(line: &str) -> Line<'_> {
    let line = line.trim_matches(is_blank);
    if line.is_empty() || line.starts_with('#') {
        return Line::Blank;
    }
    if let Some((name, value)) = variable(line) {
        return Line::Variable { name, value };
    }
    match job(line) {
        Ok(job) => Line::Job(job),
        Err(odd) => Line::Odd(odd),
    }
}

/// What cron skips: blanks and tabs, and the `\r` of files that came from elsewhere.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

/// `NAME=value`, both perhaps in quotes, blanks around `=` allowed.
fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = match line.chars().next()? {
        quote @ ('"' | '\'') => line[1..].split_once(quote)?,
        _ => line.split_at(line.find(|c: char| is_blank(c) || c == '=')?),
    };
    let value = rest.trim_start_matches(is_blank).strip_prefix('=')?;
    Some((name, unquoted(value.trim_matches(is_blank))))
}

fn unquoted(text: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text)
}

fn job(line: &str) -> Result<Job<'_>, Odd> {
    if line.starts_with('-') {
        return Err(Odd::new("a \"-\" before the time belongs to one vendor's cron", "take the \"-\" away"));
    }
    let words = if line.starts_with('@') { 1 } else { 5 };
    let nickname = line.split(is_blank).next().unwrap_or_default();
    if nickname.eq_ignore_ascii_case("@reboot") {
        return Err(Odd::new("@reboot: a fleet has no boot", "for \"once now\": upbeat add ID --at +1m -- CMD"));
    }
    let Some((when, command)) = split_after(line, words) else {
        let found = line.split(is_blank).filter(|word| !word.is_empty()).count();
        let reason = match (words, found) {
            (1, _) => format!("{line} has no command"),
            (_, 5) => "five words for the time, but no command".to_owned(),
            (_, 1) => "1 word, but five for the time and a command are needed".to_owned(),
            (_, found) => format!("{found} words, but five for the time and a command are needed"),
        };
        return Err(Odd { reason, hint: None });
    };
    let mut first_words = command.split(is_blank).filter(|word| !word.is_empty());
    let (first, second) = (first_words.next().unwrap_or_default(), first_words.next());
    if SYSTEM_USERS.contains(&first) && second.is_some() {
        return Err(Odd::new(
            format!("the sixth word is the user {first}, as in a system crontab"),
            format!("system crontabs are not in this version yet: take {first} away"),
        ));
    }
    let is_time = |c: char| c.is_ascii_digit() || "*/,-?".contains(c);
    if first.contains(['*', '?']) && first.chars().all(is_time) {
        return Err(Odd::new(
            format!("the command begins with {first:?}: a crontab has five words for the time"),
            "an entry takes six, with leading seconds: upbeat add ID --cron '...' -- CMD",
        ));
    }
    let (command, input) = split_input(command);
    if command.trim().is_empty() {
        return Err(Odd { reason: "the command is empty".to_owned(), hint: None });
    }
    Ok(Job { when, command, input })
}

/// The first `words` words as they stand, and what follows them.
fn split_after(line: &str, words: usize) -> Option<(&str, &str)> {
    let mut at = 0;
    for word in 0..words {
        let rest = &line[at..];
        let start = if word == 0 { 0 } else { rest.find(|c| !is_blank(c))? };
        at += start + rest[start..].find(is_blank)?;
    }
    let command = line[at..].trim_matches(is_blank);
    (!command.is_empty()).then_some((&line[..at], command))
}

/// The rules of `%`: the first plain one ends the command, further ones are newlines of its standard input, `\%` is
/// the character itself. Cron ends the input with a newline.
fn split_input(text: &str) -> (String, Option<String>) {
    let mut command = String::new();
    let mut input: Option<String> = None;
    let mut is_escaped = false;
    for c in text.chars() {
        let part = input.as_mut().unwrap_or(&mut command);
        match c {
            '%' if is_escaped => {
                part.pop();
                part.push('%');
            }
            '%' => match &mut input {
                Some(input) => input.push('\n'),
                None => input = Some(String::new()),
            },
            c => part.push(c),
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    if let Some(input) = &mut input
        && !input.is_empty()
        && !input.ends_with('\n')
    {
        input.push('\n');
    }
    (command, input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(line: &str) -> Job<'_> {
        match parse(line) {
            Line::Job(job) => job,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn odd(line: &str) -> Odd {
        match parse(line) {
            Line::Odd(odd) => odd,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn blanks_and_comments_are_nothing() {
        for line in ["", "  \t", "# m h dom mon dow command", "   #x", "\r"] {
            assert_eq!(parse(line), Line::Blank, "{line:?}");
        }
    }

    #[test]
    fn variables_may_be_quoted_and_spaced() {
        for line in ["A=b c", "A = b c", "\"A\" = \"b c\"", "  A='b c'  \r", "'A'=b c"] {
            assert_eq!(parse(line), Line::Variable { name: "A", value: "b c" }, "{line:?}");
        }
        assert_eq!(parse("A="), Line::Variable { name: "A", value: "" });
        assert_eq!(job("* * * * * A=b cmd").command, "A=b cmd");
    }

    #[test]
    fn the_time_is_five_words_and_the_rest_is_the_command() {
        let line = "0 9\t* *   mon-fri  echo  'a   b'  ";
        assert_eq!(job(line).when, "0 9\t* *   mon-fri");
        assert_eq!(job(line).command, "echo  'a   b'");
        assert_eq!(job("@daily x").when, "@daily");
    }

    #[test]
    fn percent_signs_make_standard_input() {
        assert_eq!(job("* * * * * date +\\%F").command, "date +%F");
        let mail = job("* * * * * mail -s hi%Hello,%%50\\% off");
        assert_eq!((mail.command.as_str(), mail.input.as_deref()), ("mail -s hi", Some("Hello,\n\n50% off\n")));
        assert_eq!(job("* * * * * cat%").input.as_deref(), Some(""));
        assert_eq!(job(r"* * * * * a\\%b").command, r"a\\");
    }

    #[test]
    fn what_cron_does_not_take_is_refused_with_the_way_out() {
        assert!(odd("@reboot /x").hint.unwrap().contains("upbeat add ID --at"));
        assert!(odd("17 * * * * root cd / && run-parts /etc/cron.hourly").reason.contains("root"));
        assert!(odd("@daily root /x").reason.contains("root"));
        assert!(odd("* * * * *").reason.contains("no command"));
        assert!(odd("@daily").reason.contains("no command"));
        assert!(odd("0 0 * * * * cmd").reason.contains("five words"));
        assert!(odd("-*/5 * * * * cmd").reason.contains('-'));
        assert!(odd("hello").reason.contains("1 word"));
        assert!(odd("* * * * * %x").reason.contains("empty"));
        assert_eq!(job("0 5 * * * root").command, "root");
    }
}
