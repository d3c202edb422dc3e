//! `config.toml`: what somebody wants of every command, unless a flag or a variable says otherwise.

use std::path::PathBuf;
use std::sync::OnceLock;

use clap::ValueEnum;

use crate::cli::actor::variable;
use crate::cli::output::Format;
use crate::cli::palette::Colors;
use crate::domain::id::Namespace;
use crate::domain::nearest::{nearest, not_one_of};
use crate::error::{Error, Result};

/// What the file says; nothing where there is none.
#[derive(Debug, Clone, Default)]
pub struct ConfigFile {
    /// `--redis`.
    pub redis: Option<String>,
    /// `--redis-ca`.
    pub redis_ca: Option<PathBuf>,
    /// `UPBEAT_REDIS_PASSWORD_FILE`.
    pub redis_password_file: Option<String>,
    /// `--namespace`.
    pub namespace: Option<String>,
    /// `--output`.
    pub output: Option<Format>,
    /// `--color`.
    pub color: Option<Colors>,
    /// `--actor`.
    pub actor: Option<String>,
}

const KEYS: &[&str] = &["redis", "redis_ca", "redis_password_file", "namespace", "output", "color", "actor"];

/// The file of whoever runs this process, read once.
///
/// # Errors
///
/// [`Error::Invalid`] with file, line and key.
pub fn read() -> Result<&'static ConfigFile> {
    static READ: OnceLock<Result<ConfigFile>> = OnceLock::new();
    READ.get_or_init(ConfigFile::read).as_ref().map_err(Clone::clone)
}

/// How answers look, before the words of the command line are understood.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// For whom is printed.
    pub format: Format,
    /// Whether with colours.
    pub colors: Colors,
}

/// What a flag says, else its variable, else the file; and what is wrong with the latter two.
pub fn looks(words: &[String]) -> (Looks, Result<()>) {
    let file = read();
    let in_file = file.as_ref().ok();
    let output = chosen(words, &["-o", "--output"], "UPBEAT_OUTPUT", in_file.and_then(|file| file.output));
    let color = chosen(words, &["--color"], "UPBEAT_COLOR", in_file.and_then(|file| file.color));
    let looks = Looks {
        format: output.as_ref().ok().copied().flatten().unwrap_or_default(),
        colors: color.as_ref().ok().copied().flatten().unwrap_or_default(),
    };
    (looks, file.map(drop).and(output.map(drop)).and(color.map(drop)))
}

fn chosen<T: ValueEnum>(words: &[String], flags: &[&str], name: &str, in_file: Option<T>) -> Result<Option<T>> {
    if let Some(named) = last_of(words, flags) {
        // A word that is none is for clap to refuse.
        return Ok(T::from_str(&named, true).ok());
    }
    match variable(name) {
        Some(word) => known(name, &word).map(Some),
        None => Ok(in_file),
    }
}

/// The value of a flag, as far as it is understood without the others: `-o json`, `-ojson`, `--output=json`.
fn last_of(words: &[String], flags: &[&str]) -> Option<String> {
    let mut words = words.iter().take_while(|word| *word != "--");
    let mut found = None;
    while let Some(word) = words.next() {
        for flag in flags {
            let value = match word.strip_prefix(flag) {
                Some("") => words.next().map(String::as_str),
                Some(rest) if !flag.starts_with("--") || rest.starts_with('=') => Some(rest.trim_start_matches('=')),
                _ => continue,
            };
            found = value.map(str::to_owned).or(found);
            break;
        }
    }
    found
}

fn known<T: ValueEnum>(field: &str, word: &str) -> Result<T> {
    T::from_str(word, true).map_err(|_| {
        let values: Vec<_> = T::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
        let names: Vec<&str> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
        not_one_of(field, word, &names)
    })
}

impl ConfigFile {
    /// `upbeat/config.toml` under `XDG_CONFIG_HOME`, else `~/.config`; an absent file says nothing.
    fn read() -> Result<Self> {
        let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from);
        let Some(folder) = folder.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config"))) else {
            return Ok(Self::default());
        };
        let path = folder.join("upbeat/config.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(_) if !path.exists() => return Ok(Self::default()),
            Err(why) => return Err(Error::invalid(path.display().to_string(), format!("can't be read: {why}"))),
        };
        Self::parse(&path.display().to_string(), &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let line_at = |byte: usize| Some(1 + text[..byte].matches('\n').count());
        let table: toml::Table = text.parse().map_err(|why: toml::de::Error| {
            let line = why.span().and_then(|span| line_at(span.start.min(text.len())));
            Error::invalid("config", format!("not TOML: {}", why.message())).at(name, line)
        })?;
        let mut config = Self::default();
        for (key, value) in table {
            config.take(&key, &value).map_err(|error| error.at(name, line_of(text, &key)))?;
        }
        Ok(config)
    }

    fn take(&mut self, key: &str, value: &toml::Value) -> Result<()> {
        if !KEYS.contains(&key) {
            let error = Error::invalid(key, "unknown key").value(key);
            return Err(match nearest(key, KEYS.iter().copied()) {
                Some(meant) => error.hint(format!("did you mean {meant}?")),
                None => error.hint(format!("known are {}", KEYS.join(", "))),
            });
        }
        let text = value.as_str().filter(|text| !text.is_empty());
        let Some(text) = text.map(str::to_owned) else {
            let error = Error::invalid(key, format!("{value} is not a text")).value(value.to_string());
            return Err(error.hint(format!("write {key} = \"...\"")));
        };
        match key {
            "redis" => self.redis = Some(text),
            "redis_ca" => self.redis_ca = Some(text.into()),
            "redis_password_file" => self.redis_password_file = Some(text),
            "namespace" => self.namespace = Some(Namespace::parse(key, &text)?.to_string()),
            "output" => self.output = Some(known("output", &text)?),
            "color" => self.color = Some(known("color", &text)?),
            _ => self.actor = Some(text),
        }
        Ok(())
    }
}

fn line_of(text: &str, key: &str) -> Option<usize> {
    let is_it = |line: &str| {
        let first = line.split(['=', '.', ']']).next().unwrap_or_default();
        first.trim().trim_matches(['"', '\'', '[', ' ']) == key
    };
    text.lines().position(is_it).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_common_flag_has_a_key() {
        let text = "redis = 'redis://h'\nredis_ca = 'ca.pem'\nredis_password_file = 'pw'\nnamespace = 'prod'\n\
                    output = 'json'\ncolor = 'never'\nactor = 'ana'\n";
        let config = ConfigFile::parse("config.toml", text).unwrap();
        assert_eq!((config.redis.as_deref(), config.namespace.as_deref()), (Some("redis://h"), Some("prod")));
        assert_eq!((config.output, config.color), (Some(Format::Json), Some(Colors::Never)));
        assert_eq!((config.actor.as_deref(), config.redis_password_file.as_deref()), (Some("ana"), Some("pw")));
    }

    #[test]
    fn what_is_wrong_is_said_with_file_line_and_key() {
        for (text, said) in [
            ("redis = 'redis://h'\nnamspace = 'prod'", "config.toml:2: namspace: unknown key"),
            ("\nredis = 5", "config.toml:2: redis: 5 is not a text"),
            ("actor = ''", "config.toml:1: actor: \"\" is not a text"),
            ("[redis]\nurl = 'x'", "config.toml:1: redis: { url = \"x\" } is not a text"),
            ("redis = 'a'\nnamespace = 'My team'", "config.toml:2: namespace: \"My team\" may not contain "),
            ("redis = 'a'\nredis = 'b'", "config.toml:2: config: not TOML: duplicate key"),
        ] {
            let error = ConfigFile::parse("config.toml", text).unwrap_err();
            assert!(error.to_string().starts_with(said), "{error}");
        }
        let error = ConfigFile::parse("config.toml", "namspace = 'prod'").unwrap_err();
        assert_eq!(error.problem().hint.as_deref(), Some("did you mean namespace?"));
        let error = ConfigFile::parse("config.toml", "# looks\noutput = 'yaml'").unwrap_err();
        assert!(error.to_string().starts_with("config.toml:2: output: "), "{error}");
    }

    #[test]
    fn the_format_is_known_before_the_rest_is_understood() {
        let last = |line: &str| last_of(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), &["-o", "--output"]);
        assert_eq!(last("ls -o json").as_deref(), Some("json"));
        assert_eq!(last("-ojsonl lss").as_deref(), Some("jsonl"));
        assert_eq!(last("-o=id lss").as_deref(), Some("id"));
        assert_eq!(last("--output=id ls").as_deref(), Some("id"));
        assert_eq!(last("add a -- cmd -o json"), None);
        assert_eq!(last("--outputs json"), None);
    }
}
