//! Which release of the zone database this process uses: the newer of the system's and the bundled one, or what
//! `UPBEAT_ZONEINFO` names; read whole before the first zone is asked for, so that an update of the system changes nothing here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::domain::zone::{Bundled, ZoneData, choose};
use crate::error::{Error, Result};

/// `bundled`, or a folder of compiled zones.
const VARIABLE: &str = "UPBEAT_ZONEINFO";
/// Where systems keep theirs; `TZDIR` comes first.
const FOLDERS: [&str; 4] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
/// No zone file is larger.
const FILE_MAX_BYTES: u64 = 1 << 18;
/// `America/Argentina/Buenos_Aires` is the deepest.
const DEPTH_MAX: usize = 3;
/// What every compiled zone begins with.
const MAGIC: &[u8] = b"TZif";

/// A release in a folder of compiled zones.
struct Folder {
    version: String,
    zones: HashMap<String, Vec<u8>>,
    /// Names that are only listed as another name of a zone.
    links: HashMap<String, String>,
}

impl ZoneData for Folder {
    fn version(&self) -> &str {
        &self.version
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.zones.keys().chain(self.links.keys()).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    fn tzif(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let file = self.zones.get(name).or_else(|| self.zones.get(self.links.get(name)?));
        file.map(|bytes| Cow::Borrowed(bytes.as_slice()))
    }
}

/// Chooses the zone data of this process. Returns what an operator should know about data that is not used.
///
/// # Errors
///
/// [`Error::Invalid`] where `UPBEAT_ZONEINFO` names a folder that holds no release.
pub fn choose_zones() -> Result<Option<String>> {
    match std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        Some(named) if named == "bundled" => {
            choose(Box::new(Bundled));
            Ok(None)
        }
        Some(named) => {
            choose(Box::new(named_folder(&named)?));
            Ok(None)
        }
        None => {
            let (data, remark) = newer_of(system_folders().into_iter().find(|folder| folder.is_dir()));
            choose(data);
            Ok(remark)
        }
    }
}

fn named_folder(named: &OsString) -> Result<Folder> {
    let folder = Path::new(named);
    let refuse = |why: &str| {
        let error = Error::invalid(VARIABLE, format!("{}: {why}", folder.display()));
        error.hint("name a folder like /usr/share/zoneinfo with its tzdata.zi, or say bundled")
    };
    let version = version_of(folder).ok_or_else(|| refuse("no release of zone data is named in it"))?;
    let folder = read(folder, version);
    if folder.zones.is_empty() { Err(refuse("holds no compiled zones")) } else { Ok(folder) }
}

fn system_folders() -> Vec<PathBuf> {
    let named = std::env::var_os("TZDIR").filter(|named| !named.is_empty()).map(PathBuf::from);
    named.into_iter().chain(FOLDERS.map(PathBuf::from)).collect()
}

/// The system's release where it is newer than the bundled one and whole.
fn newer_of(folder: Option<PathBuf>) -> (Box<dyn ZoneData>, Option<String>) {
    let bundled = Box::new(Bundled);
    let Some((folder, version)) = folder.and_then(|folder| version_of(&folder).map(|version| (folder, version))) else {
        return (bundled, None);
    };
    if version.as_str() <= bundled.version() {
        return (bundled, None);
    }
    let system = read(&folder, version);
    // A node that lacks a zone could not read entries that others write.
    match bundled.names().into_iter().find(|name| system.tzif(name).is_none()) {
        None => (Box::new(system), None),
        Some(missing) => {
            let (path, used) = (folder.display(), bundled.version());
            let remark = format!("zone data {} in {path} lacks {missing}: {used} is used", system.version);
            (bundled, Some(remark))
        }
    }
}

/// `2026e`, as `tzdata.zi` or `+VERSION` name it.
fn version_of(folder: &Path) -> Option<String> {
    let zi = std::fs::read_to_string(folder.join("tzdata.zi")).ok();
    let zi = zi.as_deref().and_then(|text| text.lines().next()?.strip_prefix("# version "));
    let plain = std::fs::read_to_string(folder.join("+VERSION")).ok();
    let named = zi.or(plain.as_deref())?.trim();
    let (year, letter) = named.split_at_checked(4)?;
    let is_release = year.bytes().all(|byte| byte.is_ascii_digit())
        && !letter.is_empty()
        && letter.bytes().all(|byte| byte.is_ascii_lowercase());
    is_release.then(|| named.to_owned())
}

fn read(folder: &Path, version: String) -> Folder {
    let mut zones = HashMap::new();
    read_below(folder, "", 0, &mut zones);
    let zi = std::fs::read_to_string(folder.join("tzdata.zi")).unwrap_or_default();
    let links = zi.lines().filter_map(|line| {
        let (target, name) = line.strip_prefix("L ")?.split_once(' ')?;
        Some((name.to_owned(), target.to_owned()))
    });
    Folder { version, links: links.filter(|(name, _)| !zones.contains_key(name)).collect(), zones }
}

fn read_below(folder: &Path, prefix: &str, depth: usize, zones: &mut HashMap<String, Vec<u8>>) {
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (file.path(), format!("{prefix}{}", file.file_name().to_string_lossy()));
        // Copies in another form, and the machine's own zone, which is no name of one.
        if depth == 0 && ["posix", "right", "posixrules", "localtime"].contains(&name.as_str()) {
            continue;
        }
        let Ok(about) = std::fs::metadata(&path) else { continue };
        if about.is_dir() && depth + 1 < DEPTH_MAX {
            read_below(&path, &format!("{name}/"), depth + 1, zones);
        } else if about.is_file() && about.len() <= FILE_MAX_BYTES {
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes.starts_with(MAGIC) {
                zones.insert(name, bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the bundled zones under another version.
    fn folder(version: &str, without: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in Bundled.names().iter().filter(|name| !without.contains(&name.as_str())) {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, Bundled.tzif(name).unwrap()).unwrap();
        }
        std::fs::write(dir.path().join("tzdata.zi"), format!("# version {version}\nL Asia/Kolkata Asia/Calcutta\n"))
            .unwrap();
        dir
    }

    #[test]
    fn the_newer_release_is_taken_whole() {
        let newer = folder("2999a", &["Asia/Calcutta"]);
        let (data, remark) = newer_of(Some(newer.path().to_owned()));
        assert_eq!((data.version(), remark), ("2999a", None));
        assert_eq!(data.tzif("Asia/Calcutta"), data.tzif("Asia/Kolkata"), "a name that is only listed");
        assert!(data.tzif("Europe/Berlin").is_some() && data.tzif("europe/berlin").is_none());
        assert!(data.names().len() >= Bundled.names().len() && !data.names().contains(&"tzdata.zi".to_owned()));
        let older = folder("2020a", &[]);
        assert_eq!(newer_of(Some(older.path().to_owned())).0.version(), Bundled.version());
        assert_eq!(newer_of(None).0.version(), Bundled.version());
    }

    #[test]
    fn a_release_that_lacks_zones_is_not_taken_and_that_is_said() {
        let newer = folder("2999a", &["Europe/Berlin"]);
        let (data, remark) = newer_of(Some(newer.path().to_owned()));
        assert_eq!(data.version(), Bundled.version());
        assert!(remark.unwrap().contains("lacks Europe/Berlin"));
    }

    #[test]
    fn a_release_is_told_by_either_file() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(version_of(dir.path()), None);
        std::fs::write(dir.path().join("+VERSION"), "2031b\n").unwrap();
        assert_eq!(version_of(dir.path()).as_deref(), Some("2031b"));
        std::fs::write(dir.path().join("+VERSION"), "unknown").unwrap();
        assert_eq!(version_of(dir.path()), None);
    }
}
