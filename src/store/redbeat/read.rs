//! Reading a RedBeat namespace: a page at a time, sizes and types before values, and nothing written.

use std::collections::{BTreeMap, BTreeSet};

use fred::types::Value;

use crate::domain::import::redbeat::{
    DEFINITION_MAX_BYTES, ENTRIES_MAX, Field, Held, Holder, META_MAX_BYTES, Picture, Stored, printable,
};
use crate::error::{Error, Problem, Result};
use crate::store::redbeat::{RedBeat, key_of};
use crate::store::reply::{Reply, bytes, maybe_bytes, number, text};

/// Members, or keys, asked for at a time.
const PAGE: usize = 500;
/// Keys looked through for entries that the schedule does not name, at most.
const LOOKED_AT_MAX: u64 = 1_000_000;
/// Keys looked at in one call.
const SCAN_PAGE: i64 = 1_000;
/// Queues that are read of one exchange, at most.
const BINDINGS_MAX: i64 = 10_000;
/// Longest token of a lock that is read, bytes.
const TOKEN_MAX_BYTES: i64 = 1024;

impl RedBeat {
    /// All that its keys hold; what is too long to be one of RedBeat's stays where it is.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where there are too many entries.
    pub async fn picture(&self) -> Result<Picture> {
        let mut picture = Picture::default();
        let mut scores = self.scores(&mut picture).await?;
        self.others(&mut picture, &mut scores).await?;
        let keys: Vec<(Vec<u8>, Option<f64>)> = scores.into_iter().collect();
        for page in keys.chunks(PAGE) {
            picture.stored.extend(self.stored(page).await?);
        }
        self.read_statics(&mut picture).await?;
        picture.lock = self.holder(&mut picture.odd).await?;
        Ok(picture)
    }

    /// The entries that stand under these keys now.
    pub async fn stored_at(&self, keys: &[(Vec<u8>, Option<f64>)]) -> Result<Vec<Stored>> {
        let mut stored = Vec::with_capacity(keys.len());
        for page in keys.chunks(PAGE) {
            stored.extend(self.stored(page).await?);
        }
        Ok(stored)
    }

    /// The members of the schedule, by key.
    async fn scores(&self, picture: &mut Picture) -> Result<BTreeMap<Vec<u8>, Option<f64>>> {
        let key = self.place.schedule();
        if !self.is_type(&key, "zset", &mut picture.odd).await? {
            return Ok(BTreeMap::new());
        }
        self.scores_of(&key).await
    }

    /// The members of a zset and their scores; one that moves meanwhile is seen once.
    pub(super) async fn scores_of(&self, key: &str) -> Result<BTreeMap<Vec<u8>, Option<f64>>> {
        let mut found = BTreeMap::new();
        let mut cursor = "0".to_owned();
        loop {
            let args = vec![key.into(), cursor.into(), "COUNT".into(), (PAGE as i64).into()];
            let mut reply = Reply::list(self.client.command("ZSCAN", args).await?)?;
            cursor = reply.text()?;
            let mut members = Reply::list(reply.next()?)?.rest().into_iter();
            while let (Some(member), Some(score)) = (members.next(), members.next()) {
                found.insert(bytes(member)?, text(score)?.parse().ok());
                if found.len() > ENTRIES_MAX {
                    let why = format!("{key} has more than {ENTRIES_MAX} entries");
                    return Err(Error::Invalid(Problem::new("redbeat", why)));
                }
            }
            if cursor == "0" {
                return Ok(found);
            }
        }
    }

    /// Hashes under the prefix that the schedule does not name: RedBeat never looks at them.
    async fn others(&self, picture: &mut Picture, found: &mut BTreeMap<Vec<u8>, Option<f64>>) -> Result<()> {
        let pattern = format!("{}*", escaped(&self.place.prefix));
        let mut cursor = "0".to_owned();
        loop {
            let args: [Value; 7] = [
                cursor.into(),
                "MATCH".into(),
                pattern.as_str().into(),
                "COUNT".into(),
                SCAN_PAGE.into(),
                "TYPE".into(),
                "hash".into(),
            ];
            let reply = match self.client.command("SCAN", args.to_vec()).await {
                // Who may read these keys need not be let look through all of them.
                Err(why) if crate::store::is_refused(&why) => return Ok(()),
                reply => reply?,
            };
            let mut reply = Reply::list(reply)?;
            cursor = reply.text()?;
            for key in Reply::list(reply.next()?)?.rest() {
                let key = bytes(key)?;
                if !self.place.is_own(&key) && found.len() < ENTRIES_MAX {
                    found.entry(key).or_insert(None);
                }
            }
            picture.looked_at += SCAN_PAGE.unsigned_abs();
            picture.is_all = cursor == "0";
            if picture.is_all || picture.looked_at >= LOOKED_AT_MAX {
                return Ok(());
            }
        }
    }

    async fn stored(&self, page: &[(Vec<u8>, Option<f64>)]) -> Result<Vec<Stored>> {
        let types = page.iter().map(|(key, _)| ("TYPE", vec![key_of(key)])).collect();
        let types = self.client.each(types).await?.into_iter().map(|kind| kind.and_then(text));
        let types: Vec<String> = types.collect::<Result<_>>()?;
        let sizes = page
            .iter()
            .flat_map(|(key, _)| ["definition", "meta"].map(|field| ("HSTRLEN", vec![key_of(key), field.into()])));
        let sizes = self.client.each(sizes.collect()).await?;
        // Of another type: whoever put it there in the meantime is told by its type the next time.
        let sizes: Vec<u64> =
            sizes.into_iter().map(|size| size.and_then(number).unwrap_or_default().unsigned_abs()).collect();
        let limits = [DEFINITION_MAX_BYTES, META_MAX_BYTES];
        let wanted = page.iter().enumerate().flat_map(|(at, (key, _))| {
            let fields = ["definition", "meta"].into_iter().enumerate();
            let sizes = &sizes;
            fields.filter_map(move |(which, field)| {
                let fits = sizes[2 * at + which] <= limits[which];
                fits.then(|| ("HGET", vec![key_of(key), field.into()]))
            })
        });
        let mut texts = self.client.each(wanted.collect()).await?.into_iter();
        let mut stored = Vec::with_capacity(page.len());
        for (at, (key, score)) in page.iter().enumerate() {
            let mut field = |which: usize| -> Field {
                let size = sizes[2 * at + which];
                if size > limits[which] {
                    return Field::TooLong(size);
                }
                let read = texts.next().and_then(|read| read.and_then(maybe_bytes).ok()).flatten();
                read.map_or(Field::Missing, Field::Text)
            };
            let (definition, meta) = (field(0), field(1));
            let held = match types[at].as_str() {
                "hash" => Held::Entry { definition, meta },
                "none" => Held::Nothing,
                other => Held::Other(other.to_owned()),
            };
            stored.push(Stored { key: key.clone(), score: *score, held });
        }
        Ok(stored)
    }

    async fn read_statics(&self, picture: &mut Picture) -> Result<()> {
        let key = self.place.statics();
        if !self.is_type(&key, "set", &mut picture.odd).await? {
            return Ok(());
        }
        let mut names = BTreeSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let args = vec![key.as_str().into(), cursor.into(), "COUNT".into(), (PAGE as i64).into()];
            let mut reply = Reply::list(self.client.command("SSCAN", args).await?)?;
            cursor = reply.text()?;
            for name in Reply::list(reply.next()?)?.rest() {
                names.insert(bytes(name)?);
            }
            if cursor == "0" || names.len() > ENTRIES_MAX {
                picture.statics = names;
                return Ok(());
            }
        }
    }

    async fn holder(&self, odd: &mut Vec<(String, String)>) -> Result<Option<Holder>> {
        let Some(key) = &self.place.lock else { return Ok(None) };
        if !self.is_type(key, "string", odd).await? {
            return Ok(None);
        }
        let length = number(self.client.command("STRLEN", vec![key.as_str().into()]).await?)?;
        if length > TOKEN_MAX_BYTES {
            odd.push((key.clone(), format!("string of {length} bytes")));
            return Ok(None);
        }
        let token = maybe_bytes(self.client.command("GET", vec![key.as_str().into()]).await?)?;
        let ttl = number(self.client.command("PTTL", vec![key.as_str().into()]).await?)?;
        Ok(token.map(|token| Holder { token: printable(&token), ttl_ms: (ttl >= 0).then_some(ttl) }))
    }

    /// Whether a key is of this type; notes where it is of another.
    async fn is_type(&self, key: &str, kind: &str, odd: &mut Vec<(String, String)>) -> Result<bool> {
        let held = self.type_of(key).await?;
        if held != kind && held != "none" {
            odd.push((key.to_owned(), held.clone()));
        }
        Ok(held == kind)
    }

    /// What a broker's exchange leads to, `ROUTING KEY \x06\x16 PATTERN \x06\x16 QUEUE` each, as kombu keeps it.
    pub async fn bindings(&self, exchange: &str, global_prefix: &str) -> Result<Vec<String>> {
        let key = format!("{global_prefix}_kombu.binding.{exchange}");
        let mut odd = Vec::new();
        if !self.is_type(&key, "set", &mut odd).await?
            || number(self.client.command("SCARD", vec![key.as_str().into()]).await?)? > BINDINGS_MAX
        {
            return Ok(Vec::new());
        }
        let members = Reply::list(self.client.command("SMEMBERS", vec![key.into()]).await?)?.rest();
        members.into_iter().map(text).collect()
    }
}

/// A text without any meaning in a pattern of Redis.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| matches!(c, '*' | '?' | '[' | ']' | '\\').then_some('\\').into_iter().chain([c]))
        .collect()
}
