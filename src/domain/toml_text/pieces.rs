//! Long schedule files in TOML, cut into pieces that can be read by themselves.
//!
//! A file is cut where a plain `[entries.NAME]` opens a line. Each piece but the last must end where it may end, outside of any text or
//! list: what opens there and is not closed makes it invalid. Whoever reads a file in pieces reads it whole where a piece is
//! invalid, or two say something about the same key.

/// What a parser makes of a piece takes twenty times as much memory; bytes.
const PIECE_BYTES: usize = 512 * 1024;
const SECTION: &str = "entries";

/// The pieces of a long text; `None` where it has to be read whole.
pub(crate) fn pieces(text: &str) -> Option<Vec<&str>> {
    cut(text, text.len() / PIECE_BYTES).filter(|pieces| pieces.len() > 1)
}

/// So many of about the same length; `None` where `entries` is written in a way that one piece can't see of another.
pub(crate) fn cut(text: &str, count: usize) -> Option<Vec<&str>> {
    // What stands before the first header, without comments.
    let mut root = text.lines().take_while(|line| !line.trim_start().starts_with('['));
    let names_it = |line: &str| !line.trim_start().starts_with('#') && (line.contains(SECTION) || line.contains("\\u"));
    let is_header_of_all = |line: &str| {
        let name = line.trim_start().strip_prefix('[')?.trim_start().trim_start_matches(['"', '\'', '[']);
        Some(!name.strip_prefix(SECTION)?.trim_start_matches(['"', '\'']).trim_start().starts_with('.'))
    };
    if root.any(names_it) || text.lines().any(|line| is_header_of_all(line) == Some(true)) {
        return None;
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    for left in (2..=count).rev() {
        let Some(at) = next_header(rest, rest.len() / left) else { break };
        let (piece, more) = rest.split_at(at);
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    Some(pieces)
}

/// Where the first plain header of an entry behind `from` begins.
fn next_header(text: &str, from: usize) -> Option<usize> {
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at))?;
    let is_plain = |line: &str| {
        let name = line.trim_end().strip_prefix("[entries.").and_then(|name| name.strip_suffix(']'));
        let quoted = name.and_then(|name| name.strip_prefix('"')?.strip_suffix('"'));
        let is_bare = |name: &str| name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
        let is_id = |name: &str| name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-.:+".contains(&c));
        name.is_some_and(|name| !name.is_empty() && quoted.map_or_else(|| is_bare(name), is_id))
    };
    let mut at = from;
    loop {
        at += text[at..].find("\n[")? + 1;
        if is_plain(text[at..].lines().next()?) {
            return Some(at);
        }
    }
}
