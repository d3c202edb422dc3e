//! Checks of what this user may do, and of the namespace that it asks about.

use crate::error::Result;
use crate::service::Service;
use crate::service::doctor::{Check, counted};
use crate::store::{Role, Seen};

impl Service {
    /// Complete for one role is enough: nobody need be everything.
    pub(super) async fn check_rights(&self) -> Result<Check> {
        let user = self.store.user().to_owned();
        let mut able = Vec::new();
        let mut least: Option<(Role, Vec<String>)> = None;
        for role in Role::ALL {
            let lacks = self.store.lacks(role).await?;
            if lacks.is_empty() {
                able.push(role.word());
            } else if least.as_ref().is_none_or(|(_, known)| lacks.len() < known.len()) {
                least = Some((role, lacks));
            }
        }
        if !able.is_empty() {
            return Ok(Check::ok("rights", format!("user {user} may be {}", able.join(", "))));
        }
        let (role, lacks) = least.unwrap_or((Role::Viewer, Vec::new()));
        let grants: Vec<String> = lacks.iter().map(|command| format!("+{command}")).collect();
        Ok(Check::wrong(
            "rights",
            format!("user {user} lacks {} of a {}", counted(lacks.len(), "right", "rights"), role.word()),
        )
        .message(format!("on keys of this namespace: {}", lacks.join(", ")))
        .todo(format!("upbeat acl --user {}={user}", role.word()))
        .todo(format!("ACL SETUSER {user} {}", grants.join(" "))))
    }

    pub(super) async fn check_namespaces(&self) -> Result<Check> {
        let name = self.store.namespace();
        let found = Seen::of(self.store.namespaces(100_000).await)?;
        if !self.store.is_used() {
            return Ok(match self.meant().await? {
                Some(meant) => Check::wrong("namespaces", format!("{name} is unused"))
                    .message(format!("no node and no entry ever used it; did you mean {meant}?"))
                    .todo(format!("upbeat doctor -n {meant}")),
                None => Check::note("namespaces", format!("{name} is unused"))
                    .message("no node and no entry ever used it")
                    .todo("upbeat namespaces")
                    .todo("upbeat node"),
            });
        }
        let found = match found {
            Seen::Yes(found) => found,
            Seen::No(why) => {
                return Ok(Check::unseen("namespaces", why)
                    .message("whether there are others of nearly this name")
                    .todo(format!("ACL SETUSER {} +scan", self.store.user())));
            }
        };
        let others: Vec<&str> = found.names.iter().filter(|other| *other != name).map(|other| other.as_str()).collect();
        let first: Vec<&str> = others.iter().take(5).copied().collect();
        Ok(Check::ok(
            "namespaces",
            match (others.len(), found.is_all) {
                (0, true) => format!("{name}, no other in this Redis"),
                (0, false) => format!("{name}; the first {} keys hold no other", found.looked_at),
                (count, _) if count > first.len() => format!("{name}; beside it {} and more", first.join(", ")),
                _ => format!("{name}; beside it {}", first.join(", ")),
            },
        ))
    }
}
