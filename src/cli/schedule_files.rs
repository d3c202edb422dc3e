//! Schedule files on disk: one file, a folder of them, or standard input, with the calendars that they name.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::cli::output::{Ended, Failure, complain, printable};
use crate::cli::palette::warning;
use crate::domain::calendar::Calendar;
use crate::domain::file::{CalendarSource, FILE_MAX_BYTES, PackedEntry, PlacesOf, ScheduleFile};
use crate::domain::id::{Namespace, Owner};
use crate::error::{Error, Problem, Result};
use crate::service::{OwnedFile, Progress};

/// One text of schedules, as far as it can be read.
pub struct Source {
    /// As complaints call it.
    pub name: String,
    /// What could be read.
    pub file: ScheduleFile<PackedEntry>,
    /// What is wrong with it, each with its line.
    pub errors: Vec<Error>,
    /// Where its fields stand.
    pub places: Rc<PlacesOf>,
}

impl Source {
    /// `error` with its line in this source.
    pub fn placed(&self, error: Error) -> Error {
        self.places.placed(error)
    }
}

/// All files that a command names, each with who applies it; all are read before anything is done.
///
/// # Errors
///
/// All complaints about all of them.
pub fn owned_files(paths: &[String]) -> Ended<Vec<OwnedFile<PackedEntry>>> {
    placed_files(paths, &Progress::default()).map(|(files, _)| files)
}

/// The same files, and where their entries stand, for what is found wrong with them later.
///
/// # Errors
///
/// All complaints about all of them.
pub fn placed_files(paths: &[String], progress: &Progress) -> Ended<(Vec<OwnedFile<PackedEntry>>, Ids)> {
    let (mut files, mut errors, mut ids) = (Vec::new(), Vec::new(), Ids::of(paths));
    for path in paths {
        match sources(path, progress) {
            Ok(mut sources) => {
                errors.extend(complaints(&mut sources, &mut ids));
                files.push(OwnedFile { file: joined(sources), owner: owner_of_path(path) });
            }
            Err(why) => errors.push(why),
        }
    }
    if errors.is_empty() { Ok((files, ids)) } else { Err(Failure(errors)) }
}

/// Who applies what stands there, where it does not say so itself.
fn owner_of_path(path: &str) -> Owner {
    let at = Path::new(path);
    match path {
        "-" => ScheduleFile::owner_from_name("cli"),
        _ if at.is_dir() => owner_of(&at.canonicalize().unwrap_or_else(|_| at.to_owned())),
        _ => owner_of(at),
    }
}

/// The texts behind a path: one file, those of a folder, or standard input for `-`.
///
/// # Errors
///
/// Invalid, where one of them can't be read at all; what is wrong with its text stands in [`Source::errors`].
pub fn sources(path: &str, progress: &Progress) -> Result<Vec<Source>> {
    let at = Path::new(path);
    match path {
        "-" => Ok(vec![source("standard input", path, Path::new("."), progress)?]),
        _ if at.is_dir() => schedule_files(at)?.iter().map(|name| source(name, name, at, progress)).collect(),
        _ => Ok(vec![source(path, path, at.parent().unwrap_or(Path::new(".")), progress)?]),
    }
}

/// `folder` is where files of calendars are looked for.
fn source(name: &str, path: &str, folder: &Path, progress: &Progress) -> Result<Source> {
    let (mut file, mut errors, places) = match text_of(path) {
        Ok(text) => {
            progress.begin(text.len(), "bytes read");
            let read = ScheduleFile::read(name, text, |bytes| progress.advance(bytes));
            progress.begin(0, "");
            read
        }
        // It could be read and is no text.
        Err(why) if why.problem().place.is_some() => {
            let (file, _, places) = ScheduleFile::read(name, String::new(), |_| ());
            (file, vec![why], places)
        }
        Err(why) => return Err(why),
    };
    errors.extend(read_calendars(&mut file, folder));
    let errors = errors.into_iter().map(|error| places.placed(error)).collect();
    Ok(Source { name: name.to_owned(), file, errors, places: Rc::new(places) })
}

/// Where each entry, calendar, queue and namespace was met first. Of a text that is alone entries are not noted: it can't hold one
/// twice, and there may be millions of them.
#[derive(Default)]
pub struct Ids {
    /// By field as complaints name it, the place among the texts.
    known: HashMap<String, u32>,
    texts: Vec<Rc<PlacesOf>>,
    is_one_path: bool,
}

impl Ids {
    /// Of these paths, none of which was looked at.
    pub fn of(paths: &[String]) -> Self {
        Self { is_one_path: paths.len() == 1, ..Self::default() }
    }

    /// `error`, which names a field of an entry or the namespace, with the file and line of it.
    pub fn placed(&self, error: Error) -> Error {
        let Some(field) = error.problem().field.clone() else { return error };
        if field == "namespace" {
            let known = error.problem().value.as_deref().and_then(|other| self.text(&format!("namespace {other}")));
            return match known {
                Some(places) => places.placed(error),
                None => error,
            };
        }
        let is_of = |known: &&String| {
            field.strip_prefix(known.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if let ([places], true) = (&self.texts[..], self.is_one_path)
            && places.entry(&field).is_some()
        {
            return places.placed(error);
        }
        // An id may have dots, and another one may begin with it.
        match self.known.keys().filter(is_of).max_by_key(|known| known.len()).and_then(|known| self.text(known)) {
            Some(places) => places.placed(error),
            None => error,
        }
    }

    fn text(&self, field: &str) -> Option<&Rc<PlacesOf>> {
        self.texts.get(*self.known.get(field)? as usize)
    }

    /// From here on what is noted stands there.
    fn begin(&mut self, source: &Source) {
        self.texts.push(source.places.clone());
    }

    fn note(&mut self, field: String) {
        let at = self.texts.len().saturating_sub(1) as u32;
        self.known.entry(field).or_insert(at);
    }

    /// The complaint about `field`, where it was met before: with both places.
    fn twice(&mut self, field: String, source: &Source) -> Option<Error> {
        let Some(places) = self.text(&field) else {
            self.note(field);
            return None;
        };
        let first = places.placed(Error::invalid(&field, ""));
        let first = first.problem().place.as_deref().map(|place| place.to_string()).unwrap_or_default();
        let why = format!("stands in {first} too");
        let what = if field.starts_with("entries.") { "an id" } else { "a name" };
        let hint = format!("{what} belongs to one file: rename one of them, or take it out");
        Some(source.placed(Error::invalid(field, why).hint(hint)))
    }
}

/// All that is wrong with the sources of one path, by themselves and together. `ids` are those of paths before it.
pub fn complaints(sources: &mut [Source], ids: &mut Ids) -> Vec<Error> {
    let mut errors = Vec::new();
    let (mut owner, mut namespace) = (None::<Owner>, None::<Namespace>);
    let is_alone = ids.is_one_path && sources.len() == 1;
    for source in sources {
        errors.append(&mut source.errors);
        let file = &source.file;
        ids.begin(source);
        if let Some(namespace) = &file.namespace {
            ids.note(format!("namespace {namespace}"));
        }
        let twice = file.calendars.iter().map(|one| format!("calendars.{}", one.name));
        let twice = twice.chain(file.queues.iter().map(|one| format!("queues.{}", one.name)));
        let entries = if is_alone { &[] } else { &file.entries[..] };
        let twice = twice.chain(entries.iter().map(|one| format!("entries.{}", one.id())));
        errors.extend(twice.filter_map(|field| ids.twice(field, source)));
        let mut differs = |field: &str, one: String, other: String| {
            if one != other {
                let why = format!("another file of the folder names another {field}, {one}");
                errors.push(source.placed(Error::invalid(field, why).value(other)));
            }
        };
        if let (Some(one), Some(other)) = (&owner, &file.owner) {
            differs("owner", one.to_string(), other.to_string());
        }
        if let (Some(one), Some(other)) = (&namespace, &file.namespace) {
            differs("namespace", one.to_string(), other.to_string());
        }
        owner = owner.or(file.owner.clone());
        namespace = namespace.or(file.namespace.clone());
    }
    errors
}

/// The sources of one path as one file.
fn joined(sources: Vec<Source>) -> ScheduleFile<PackedEntry> {
    let mut whole = ScheduleFile::default();
    for file in sources.into_iter().map(|source| source.file) {
        whole.owner = whole.owner.or(file.owner);
        whole.namespace = whole.namespace.or(file.namespace);
        whole.calendars.extend(file.calendars);
        whole.queues.extend(file.queues);
        match whole.entries.is_empty() {
            true => whole.entries = file.entries,
            false => whole.entries.extend(file.entries),
        }
    }
    whole
}

/// The `.toml` and `.json` files of a folder, by name; not those whose name begins with a dot, which editors and mounts leave there.
/// One that can't be read is among them: leaving it out would have its entries pruned. What stands deeper is named, and not read.
fn schedule_files(folder: &Path) -> Result<Vec<String>> {
    let refuse = |why: String| Error::invalid("file", format!("{}: {why}", folder.display()));
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(|why| refuse(why.to_string()))? {
        let entry = entry.map_err(|why| refuse(why.to_string()))?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if is_schedule(&path) {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    files.sort();
    folders.sort();
    let has_schedules = |folder: &&PathBuf| {
        std::fs::read_dir(folder)
            .is_ok_and(|mut inside| inside.any(|one| one.is_ok_and(|one| is_schedule(&one.path()))))
    };
    for inner in folders.iter().filter(has_schedules) {
        let inner = printable(&inner.to_string_lossy());
        complain(&format!(
            "{} {inner} is not read: a folder stands for the files right in it; -f {inner} reads it",
            warning()
        ));
    }
    match files.is_empty() {
        true => Err(refuse("no .toml or .json file in it".to_owned())),
        false => Ok(files),
    }
}

fn is_schedule(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "toml" || ending == "json")
}

/// Reads the files that calendars name, relative to `folder`; what is wrong with them.
fn read_calendars(file: &mut ScheduleFile<PackedEntry>, folder: &Path) -> Vec<Error> {
    let mut complaints = Vec::new();
    for calendar in &mut file.calendars {
        let CalendarSource::File(path) = &calendar.source else { continue };
        let path = folder.join(path).to_string_lossy().into_owned();
        match text_of(&path).and_then(|text| Calendar::read(&path, &text)) {
            Ok(dates) => calendar.source = CalendarSource::Dates(dates),
            Err(why) => complaints.push(why.under(&format!("calendars.{}", calendar.name))),
        }
    }
    complaints
}

fn owner_of(path: &Path) -> Owner {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    ScheduleFile::owner_from_name(&stem.unwrap_or_default())
}

/// What stands in a file, or on standard input for `-`; it need not be text. Of what is too large, one byte more than may be.
pub fn bytes_of(path: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = FILE_MAX_BYTES as u64 + 1;
    let read = match path {
        "-" => std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|file| {
            // A buffer that grows is half empty in the end.
            let length = file.metadata().map_or(0, |about| about.len()).min(limit);
            bytes.reserve_exact(length as usize + 1);
            file.take(limit).read_to_end(&mut bytes)
        }),
    };
    read.map_err(|why| Error::invalid("file", format!("{path} can't be read: {why}")).value(path))?;
    Ok(bytes)
}

/// The text of a file, or of standard input for `-`.
pub fn text_of(path: &str) -> Result<String> {
    String::from_utf8(bytes_of(path)?).map_err(|why| {
        let line = 1 + why.as_bytes()[..why.utf8_error().valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        Error::Invalid(Problem::bare("is not UTF-8 text").at(path, Some(line)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_complaint_about_a_file_says_its_line() {
        let text = "[entries.a]\nevery = '5m'\nshell = 'a'\n\n[entries.b]\ncron = '61 * * * *'\nshell = 'b'\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let Err(Failure(errors)) = owned_files(&[path.to_owned()]) else { panic!("it is accepted") };
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().starts_with(&format!("{path}:6: entries.b.cron: ")), "{}", errors[0]);
    }

    #[test]
    fn the_owner_is_the_name_of_the_file() {
        assert_eq!(owner_of(Path::new("jobs/My Team.toml")).as_str(), "my-team");
    }
}
