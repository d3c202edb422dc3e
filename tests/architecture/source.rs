//! A Rust file as words: comments and strings out, paths and names in. Enough for the house rules, no more.

use std::path::{Path, PathBuf};

/// One file of `src/` or `tests/`.
pub struct Source {
    /// Below that folder, with `/`.
    pub path: String,
    pub text: String,
    /// Identifiers, `::`, and every other character by itself.
    words: Vec<String>,
}

/// All Rust files of `src/`.
pub fn read_all() -> Vec<Source> {
    read_below(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// All Rust files below a folder; there must be some.
pub fn read_below(root: &Path) -> Vec<Source> {
    let mut files = files_below(root, "rs");
    files.sort();
    assert!(!files.is_empty(), "no source under {}", root.display());
    let read = |file: PathBuf| {
        let path = file.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        Source::new(&path, &std::fs::read_to_string(&file).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// All files below `dir` with this extension; none where there is no such directory.
pub fn files_below(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|its| its == extension) {
            found.push(path);
        }
    }
    found
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), words: words(&without_comments_and_strings(text)) }
    }

    /// The module right below the crate that this file belongs to.
    pub fn top_module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many modules this file is below the crate: 1 for `error.rs` and `store/mod.rs`, 2 for `store/claim.rs`.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count();
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    /// What follows `crate::`, or as many `super::` as lead to the crate: the first name, or those of a `{...}`.
    pub fn own_modules_named(&self) -> Vec<String> {
        let mut named = Vec::new();
        for at in 0..self.words.len() {
            let after = match self.word(at) {
                "crate" => at + 1,
                "super" if !self.continues_path(at) => {
                    let supers = (0..).take_while(|n| self.is_super(at + 2 * n)).count();
                    if supers < self.depth() {
                        continue;
                    }
                    at + 2 * supers - 1
                }
                _ => continue,
            };
            if self.word(after) == "::" {
                named.extend(self.first_names(after + 1));
            }
        }
        named
    }

    /// Whether an external crate of this name is used: `name::` at the start of a path, or `use name`.
    pub fn names_crate(&self, name: &str) -> bool {
        (0..self.words.len()).any(|at| {
            let starts_path = !self.continues_path(at) && self.word(at.wrapping_sub(1)) != ".";
            let is_used = self.word(at + 1) == "::" || self.word(at.wrapping_sub(1)) == "use";
            self.word(at) == name && starts_path && is_used
        })
    }

    /// Whether these names, joined by `::`, stand in the file, whatever is before or behind them.
    pub fn has_path(&self, path: &str) -> bool {
        let wanted = words(path);
        self.words.windows(wanted.len()).any(|found| found == wanted)
    }

    /// Calls of `unwrap()` outside `#[cfg(test)]` and test files.
    pub fn unwraps_outside_tests(&self) -> usize {
        if self.is_test() {
            return 0;
        }
        let (mut at, mut count) = (0, 0);
        while at < self.words.len() {
            if self.is_at(at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
                at = self.end_of_item(at + 7);
                continue;
            }
            count += usize::from(self.is_at(at, &[".", "unwrap", "(", ")"]));
            at += 1;
        }
        count
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// What of a file of `src/` is compiled for its tests alone.
    pub fn only_tests(&self) -> Self {
        let (mut at, mut words) = (0, if self.is_test() { self.words.clone() } else { Vec::new() });
        while !self.is_test() && at < self.words.len() {
            let is_test = self.is_at(at, &["#", "[", "cfg", "(", "test", ")", "]"]);
            let end = if is_test { self.end_of_item(at + 7) } else { at + 1 };
            words.extend(self.words[at..end].iter().filter(|_| is_test).cloned());
            at = end;
        }
        Self { path: self.path.clone(), text: String::new(), words }
    }

    fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    fn is_at(&self, at: usize, wanted: &[&str]) -> bool {
        wanted.iter().enumerate().all(|(n, word)| self.word(at + n) == *word)
    }

    fn is_super(&self, at: usize) -> bool {
        self.is_at(at, &["super", "::"])
    }

    fn continues_path(&self, at: usize) -> bool {
        at > 0 && self.word(at - 1) == "::"
    }

    /// The first name of a path, or the first name of every path in a group.
    fn first_names(&self, at: usize) -> Vec<String> {
        if self.word(at) != "{" {
            return vec![self.word(at).to_owned()];
        }
        let (mut names, mut depth) = (Vec::new(), 0);
        for n in at..self.words.len() {
            match self.word(n) {
                "{" => depth += 1,
                "}" => depth -= 1,
                word if depth == 1 && matches!(self.word(n - 1), "{" | ",") => names.push(word.to_owned()),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        names
    }

    /// The index behind an item: behind its `;`, or behind its outermost braces.
    fn end_of_item(&self, start: usize) -> usize {
        let mut depth = 0;
        for at in start..self.words.len() {
            match self.word(at) {
                "{" => depth += 1,
                "}" if depth == 1 => return at + 1,
                "}" => depth -= 1,
                ";" if depth == 0 => return at + 1,
                _ => {}
            }
        }
        self.words.len()
    }
}

/// Replaces comments, strings and characters by blanks.
fn without_comments_and_strings(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    while at < chars.len() {
        let skipped = skip_at(&chars, at);
        if skipped > 0 {
            out.push(' ');
            at += skipped;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// The length of the comment, string or character that begins at `at`, else 0.
fn skip_at(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let until = |found: Option<usize>| found.unwrap_or(rest.len());
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => until(rest.iter().position(|&c| c == '\n')),
        ['/', '*', ..] => until(rest.windows(2).position(|pair| pair == ['*', '/']).map(|n| n + 2)),
        ['r', '"' | '#', ..] if !in_word => raw_string(rest),
        ['b', 'r', '"' | '#', ..] if !in_word => 1 + raw_string(&rest[1..]),
        ['"', ..] => quoted(rest, '"'),
        ['\'', '\\', ..] => quoted(rest, '\''),
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `r"..."`, `r#"..."#`; 0 for a raw identifier as `r#type`.
fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = 2 + hashes;
    let found = rest[body..].windows(end.len()).position(|part| part == end);
    found.map_or(rest.len(), |n| body + n + end.len())
}

fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut words, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let is_name = |c: &char| c.is_alphanumeric() || *c == '_';
        let name = chars[at..].iter().take_while(|c| is_name(c)).count();
        let length = match &chars[at..] {
            [':', ':', ..] => 2,
            _ => name.max(1),
        };
        if !chars[at].is_whitespace() {
            words.push(chars[at..at + length].iter().collect());
        }
        at += length;
    }
    words
}
