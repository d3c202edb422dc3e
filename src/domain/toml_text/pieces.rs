//! Long schedule files in TOML, cut into pieces that can be read by themselves.
//!
//! A file is cut where a plain `[entries.NAME]` opens a line. Each piece but the last must end where it may end, outside of any text or
//! list: what opens there and is not closed makes it invalid. So where every piece is valid, each of them holds whole tables, and
//! whoever reads them has left to ask whether two say something about the same key. Where one is invalid the file is read whole.

const SECTION: &str = "entries";

/// Pieces of about that many bytes; `None` where the text is too short for two, or `entries` is written in a way that one
/// piece can't see of another.
pub(crate) fn pieces(text: &str, piece_bytes: usize) -> Option<Vec<&str>> {
    if text.lines().any(is_header_of_all) {
        return None;
    }
    let count = text.len() / piece_bytes;
    let mut pieces = Vec::with_capacity(count);
    let mut rest = text;
    for left in (2..=count).rev() {
        let Some(at) = next_header(rest, rest.len() / left) else { break };
        let (piece, more) = rest.split_at(at);
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    // Only the first one has keys outside of any table.
    let is_whole = pieces.len() < 2 || pieces[0].lines().any(is_key_of_all);
    (!is_whole).then_some(pieces)
}

/// Whether `entries` itself may be opened there; of a text of several lines a line may look like that, too.
fn is_header_of_all(line: &str) -> bool {
    let Some(name) = line.trim_start().strip_prefix('[') else { return false };
    let name = name.trim_start().trim_start_matches('[').trim_start();
    if name.starts_with('"') && name.contains('\\') {
        return true;
    }
    let name = name.trim_start_matches(['"', '\'']);
    name.strip_prefix(SECTION)
        .is_some_and(|rest| !rest.trim_start_matches(['"', '\'']).trim_start().starts_with('.') && !is_bare(rest))
}

/// Whether `entries` may be a key there, or the first part of one.
fn is_key_of_all(line: &str) -> bool {
    let key = line.trim_start();
    if key.starts_with('"') && key.contains('\\') {
        return true;
    }
    key.trim_start_matches(['"', '\'']).strip_prefix(SECTION).is_some_and(|rest| !is_bare(rest))
}

/// Whether a name goes on.
fn is_bare(rest: &str) -> bool {
    rest.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c))
}

/// Where the first plain header of an entry behind `from` begins.
fn next_header(text: &str, from: usize) -> Option<usize> {
    let mut at = (from..text.len()).find(|at| text.is_char_boundary(*at))?;
    loop {
        at += text[at..].find("\n[")? + 1;
        if is_plain(text[at..].lines().next()?) {
            return Some(at);
        }
    }
}

/// `[entries.a]` or `[entries."a.b"]`.
fn is_plain(line: &str) -> bool {
    let name = line.trim_end().strip_prefix("[entries.").and_then(|name| name.strip_suffix(']'));
    let quoted = name.and_then(|name| name.strip_prefix('"')?.strip_suffix('"'));
    let is_bare = |name: &str| name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
    let is_id = |name: &str| name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-.:+".contains(&c));
    name.is_some_and(|name| !name.is_empty() && quoted.map_or_else(|| is_bare(name), is_id))
}
