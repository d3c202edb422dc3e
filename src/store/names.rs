//! What is alike in all calls of a node's lanes while the waiting lists of a shard stay: some 60 names a call, made once.

use std::sync::{Arc, PoisonError};

use fred::types::Value;

use crate::store::Store;
use crate::store::claim::{self, LATER_KEYS};
use crate::store::keys::Key;
use crate::store::work::{self, MORE_KEYS};

/// Names of one shard for one incarnation, as Redis takes them.
pub(super) struct Names {
    incarnation: String,
    /// The waiting lists that they were made for.
    pub lists: Arc<Vec<String>>,
    /// The keys of a claim, those of the lists included.
    pub claim: Vec<Value>,
    /// The keys of a work call, without those of the lists.
    pub work: Vec<Value>,
    /// One of each waiting list, in their order.
    pub each: Vec<ListNames>,
}

/// A waiting list.
pub(super) struct ListNames {
    /// Its name.
    pub name: Value,
    /// Its name with a mark that says whether the caller serves it: no, yes.
    pub marked: [Value; 2],
    /// Its key.
    pub key: Value,
    /// That of its hint, in shard 0.
    pub hint: Option<Value>,
}

impl Store {
    /// The names for this incarnation.
    pub(super) fn names(&self, shard: u16, incarnation: &str) -> Arc<Names> {
        let lists = self.lists(shard);
        let mut kept = self.shard(shard).names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = kept.as_ref()
            && Arc::ptr_eq(&names.lists, &lists)
            && names.incarnation == incarnation
        {
            return names.clone();
        }
        let names = Arc::new(self.make_names(shard, incarnation, lists));
        *kept = Some(names.clone());
        names
    }

    fn make_names(&self, shard: u16, incarnation: &str, lists: Arc<Vec<String>>) -> Names {
        let keys = self.keys(shard);
        let values = |of: &[Key]| keys.all(of).into_iter().map(Value::from).collect::<Vec<_>>();
        let with_holds = |first: &[Key], later: &[Key]| {
            let mut all = values(first);
            all.push(keys.holds(incarnation).into());
            all.extend(values(later));
            all
        };
        let mut claim = with_holds(claim::KEYS, LATER_KEYS);
        claim.extend(self.list_keys(shard, &lists).into_iter().map(Value::from));
        let each = lists.iter().map(|list| ListNames {
            name: list.as_str().into(),
            marked: [format!("0{list}").into(), format!("1{list}").into()],
            key: keys.list(list).into(),
            hint: (shard == 0).then(|| keys.hint(list).into()),
        });
        let each = each.collect();
        let work = with_holds(work::KEYS, MORE_KEYS);
        Names { incarnation: incarnation.to_owned(), lists, claim, work, each }
    }
}
