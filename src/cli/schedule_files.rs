//! Schedule files on disk: one file, a folder of them, or standard input, with the calendars that they name.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use crate::cli::output::{Ended, Failure};
use crate::domain::calendar::Calendar;
use crate::domain::file::{CalendarSource, FILE_MAX_BYTES, Places, ScheduleFile};
use crate::domain::id::Owner;
use crate::error::{Error, Problem, Result};

/// One text of schedules, as far as it can be read.
pub struct Source {
    /// As complaints call it.
    pub name: String,
    /// What could be read.
    pub file: ScheduleFile,
    /// What is wrong with it, each with its line.
    pub errors: Vec<Error>,
    /// Where its fields stand.
    pub places: Places,
}

impl Source {
    /// `error` with its line in this source.
    pub fn placed(&self, error: Error) -> Error {
        let Problem { place, field, value, .. } = error.problem();
        let line = field.as_deref().and_then(|field| self.places.line(field, value.as_deref()));
        if place.is_some() { error } else { error.at(&self.name, line) }
    }
}

/// The entries of a file or a folder, and who applies them where it does not say so itself.
pub fn schedule_file(path: &str) -> Ended<(ScheduleFile, Owner)> {
    let sources = sources(path)?;
    let owner = owner_of_path(path);
    let (file, errors) = joined(sources, &mut Ids::default());
    if !errors.is_empty() {
        return Err(Failure(errors));
    }
    let owner = file.owner.clone().unwrap_or(owner);
    Ok((file, owner))
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
pub fn sources(path: &str) -> Result<Vec<Source>> {
    let at = Path::new(path);
    match path {
        "-" => Ok(vec![source("standard input", path, Path::new("."))?]),
        _ if at.is_dir() => schedule_files(at)?.iter().map(|name| source(name, name, at)).collect(),
        _ => Ok(vec![source(path, path, at.parent().unwrap_or(Path::new(".")))?]),
    }
}

/// `folder` is where files of calendars are looked for.
fn source(name: &str, path: &str, folder: &Path) -> Result<Source> {
    let mut source =
        Source { name: name.to_owned(), file: ScheduleFile::default(), errors: Vec::new(), places: Places::default() };
    let text = match text_of(path) {
        Ok(text) => text,
        // It could be read and is no text.
        Err(why) if why.problem().place.is_some() => {
            source.errors.push(why);
            return Ok(source);
        }
        Err(why) => return Err(why),
    };
    let (file, mut errors) = ScheduleFile::parse_most(name, &text);
    source.file = file;
    source.places = Places::of(name, &text);
    errors.extend(read_calendars(&mut source.file, folder));
    source.errors = errors.into_iter().map(|error| source.placed(error)).collect();
    Ok(source)
}

/// Where each id and calendar was met first.
#[derive(Default)]
pub struct Ids(HashMap<String, Error>);

impl Ids {
    /// The complaint about `field`, where it was met before: with both places.
    fn twice(&mut self, field: String, source: &Source) -> Option<Error> {
        let here = source.placed(Error::invalid(&field, ""));
        let Some(first) = self.0.get(&field) else {
            self.0.insert(field, here);
            return None;
        };
        let place = first.problem().place.as_deref();
        let first = place.map(|place| place.to_string()).unwrap_or_default();
        let why = format!("stands in {first} too");
        let hint = "an id belongs to one file: rename one of them, or take it out";
        Some(source.placed(Error::invalid(field, why).hint(hint)))
    }
}

/// All sources of a path as one file, with all complaints. `ids` are those of paths before it.
pub fn joined(sources: Vec<Source>, ids: &mut Ids) -> (ScheduleFile, Vec<Error>) {
    let mut whole = ScheduleFile::default();
    let mut errors = Vec::new();
    for mut source in sources {
        errors.append(&mut source.errors);
        let twice = source.file.calendars.iter().map(|one| format!("calendars.{}", one.name));
        let twice = twice.chain(source.file.queues.iter().map(|one| format!("queues.{}", one.name)));
        let twice = twice.chain(source.file.entries.iter().map(|one| format!("entries.{}", one.id)));
        let twice: Vec<Error> = twice.filter_map(|field| ids.twice(field, &source)).collect();
        errors.extend(twice);
        let file = std::mem::take(&mut source.file);
        if let (Some(one), Some(other)) = (&whole.owner, &file.owner)
            && one != other
        {
            let why = format!("another file of the folder names another owner, {one}");
            errors.push(source.placed(Error::invalid("owner", why).value(other.as_str())));
        }
        if let (Some(one), Some(other)) = (&whole.namespace, &file.namespace)
            && one != other
        {
            let why = format!("another file of the folder names another one, {one}");
            errors.push(source.placed(Error::invalid("namespace", why).value(other.as_str())));
        }
        whole.owner = whole.owner.or(file.owner);
        whole.namespace = whole.namespace.or(file.namespace);
        whole.calendars.extend(file.calendars);
        whole.queues.extend(file.queues);
        whole.entries.extend(file.entries);
    }
    (whole, errors)
}

/// The `.toml` and `.json` files of a folder, by name.
fn schedule_files(folder: &Path) -> Result<Vec<String>> {
    let refuse = |why: String| Error::invalid("file", format!("{}: {why}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|why| refuse(why.to_string()))? {
        let path = entry.map_err(|why| refuse(why.to_string()))?.path();
        let is_schedule = path.extension().is_some_and(|ending| ending == "toml" || ending == "json");
        if is_schedule && path.is_file() {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(refuse("no .toml or .json file in it".to_owned())),
        false => Ok(files),
    }
}

/// Reads the files that calendars name, relative to `folder`; what is wrong with them.
fn read_calendars(file: &mut ScheduleFile, folder: &Path) -> Vec<Error> {
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

/// The text of a file, or of standard input for `-`.
pub fn text_of(path: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let limit = FILE_MAX_BYTES as u64 + 1;
    let read = match path {
        "-" => std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(|why| Error::invalid("file", format!("{path} can't be read: {why}")).value(path))?;
    String::from_utf8(bytes).map_err(|why| {
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
        let Err(Failure(errors)) = schedule_file(path) else { panic!("it is accepted") };
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().starts_with(&format!("{path}:6: entries.b.cron: ")), "{}", errors[0]);
    }

    #[test]
    fn the_owner_is_the_name_of_the_file() {
        assert_eq!(owner_of(Path::new("jobs/My Team.toml")).as_str(), "my-team");
    }
}
