//! Where one command or reply ends, and what a command is called. Knows no more of RESP than that.

use std::collections::HashMap;

/// The length of the first whole frame in `bytes`, of RESP 2 or 3; `None` while more must be read.
pub fn frame_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let head = end + 2;
    let number = || std::str::from_utf8(&bytes[1..end]).ok()?.parse::<i64>().ok();
    match bytes[0] {
        b'$' | b'=' | b'!' => {
            let Some(length) = number().and_then(|length| usize::try_from(length).ok()) else { return Some(head) };
            (bytes.len() >= head + length + 2).then_some(head + length + 2)
        }
        sign @ (b'*' | b'~' | b'>' | b'%' | b'|') => {
            let count = number().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
            // Attributes stand before the reply that they belong to.
            let items = match sign {
                b'%' => 2 * count,
                b'|' => 2 * count + 1,
                _ => count,
            };
            let mut length = head;
            for _ in 0..items {
                length += frame_length(&bytes[length..])?;
            }
            Some(length)
        }
        _ => Some(head),
    }
}

/// The words of a command, a whole array of bulk strings.
pub fn words(frame: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = frame;
    let skip_line = |bytes: &[u8]| bytes.windows(2).position(|pair| pair == b"\r\n").map_or(bytes.len(), |at| at + 2);
    if rest.first() != Some(&b'*') {
        // An inline command, as typed into telnet.
        return frame.trim_ascii().split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect();
    }
    rest = &rest[skip_line(rest)..];
    while !rest.is_empty() {
        let Some(length) = frame_length(rest) else { break };
        let text = &rest[skip_line(rest)..length];
        words.push(text.strip_suffix(b"\r\n").unwrap_or(text).to_vec());
        rest = &rest[length..];
    }
    words
}

/// What a rule may call this command: its verb in capitals, and the names of the script that it runs.
pub fn labels(command: &[Vec<u8>], scripts: &HashMap<String, Vec<String>>) -> Vec<String> {
    let word = |at: usize| command.get(at).map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default();
    let verb = word(0).to_uppercase();
    let names = match verb.as_str() {
        "EVALSHA" | "EVALSHA_RO" => scripts.get(&word(1).to_lowercase()).cloned().unwrap_or_default(),
        "EVAL" | "EVAL_RO" => script_names(&word(1)),
        _ => Vec::new(),
    };
    std::iter::once(verb).chain(names).collect()
}

/// The text of a `SCRIPT LOAD`.
pub fn loaded_script(command: &[Vec<u8>]) -> Option<String> {
    let [verb, sub, text] = command else { return None };
    let is_load = verb.eq_ignore_ascii_case(b"SCRIPT") && sub.eq_ignore_ascii_case(b"LOAD");
    is_load.then(|| String::from_utf8_lossy(text).into_owned())
}

/// The names in the header lines of a script, `-- name: what it does`; shared parts may stand before the script itself.
pub fn script_names(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let (name, _) = line.strip_prefix("-- ")?.split_once(": ")?;
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        is_name.then(|| name.to_owned())
    };
    text.lines().filter_map(name).collect()
}
