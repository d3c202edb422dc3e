//! `upbeat acl`: users of Redis for nodes, operators and viewers of a namespace, each with what it needs and nothing else.

use clap::Args;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::cli::App;
use crate::cli::connect::target;
use crate::cli::output::{Ended, Format};
use crate::domain::id::{Namespace, is_upbeat_key};
use crate::domain::nearest::not_one_of;
use crate::error::{Error, Result};
use crate::store::{AclOf, Role};

#[derive(Debug, Args)]
pub struct AclArgs {
    /// Only this role: node, operator or viewer; ROLE=NAME names its user [default: upbeat-NAMESPACE-ROLE]
    #[arg(long = "user", value_name = "ROLE[=NAME]")]
    users: Vec<String>,
    /// Keys and channels that stream, list and publish actions write to, as app:*; may be repeated
    #[arg(long, value_name = "PATTERN")]
    targets: Vec<String>,
    /// A file with the password of these users; its hash is printed, never itself [default: the word PASSWORD, to be replaced]
    #[arg(long, value_name = "FILE")]
    password_file: Option<String>,
    /// Print lines for a file of users (aclfile) instead of ACL SETUSER
    #[arg(long)]
    acl_file: bool,
}

pub const ACL_EXAMPLES: &str = "\
Examples:
  upbeat acl -n prod                                       for all three roles; nothing is sent to Redis
  upbeat acl -n prod --targets 'app:*' | redis-cli         with direct actions into keys app:...
  upbeat acl -n prod --user node=worker --password-file worker.secret
  upbeat acl -n prod --acl-file >> users.acl
Nodes execute and plan; operators change entries, runs and queues, and read; viewers read. A viewer can write nothing: it runs
scripts by EVAL_RO only. `logs -f` shows a viewer what an attempt wrote once it has ended, or while others follow it.
No role may look through all keys of Redis: `namespaces` needs another user.";

/// A user as `acl` prints it.
#[derive(Debug, Serialize)]
struct AclUser {
    role: &'static str,
    name: String,
    line: String,
    rules: Vec<String>,
}

#[derive(Debug, Serialize)]
struct AclUsers {
    namespace: String,
    users: Vec<AclUser>,
}

/// `upbeat acl [--user ROLE[=NAME]]... [--targets PATTERN]...`.
pub async fn acl(app: &App, args: AclArgs) -> Ended {
    let (connection, namespace) = target(&app.common, app.printer)?;
    for pattern in &args.targets {
        check_target(pattern)?;
    }
    let password = password(args.password_file.as_deref())?;
    let mut users = Vec::new();
    for (role, name) in wanted(&args.users, &namespace)? {
        let of = AclOf { role, namespace: &namespace, targets: &args.targets, has_database: connection.database > 0 };
        let mut rules = of.rules();
        // Behind `reset` and `on`.
        rules.insert(2, password.clone());
        let verb = if args.acl_file { "user" } else { "ACL SETUSER" };
        let line = format!("{verb} {name} {}", rules.join(" "));
        users.push(AclUser { role: role.word(), name, line, rules });
    }
    let lines = |users: &[AclUser]| users.iter().map(|user| format!("{}\n", user.line)).collect::<String>();
    match app.printer.format {
        Format::Json => {
            let all = AclUsers { namespace: namespace.to_string(), users };
            app.printer.one(&all, |_| String::new(), String::new);
        }
        _ => app.printer.list(&users, |user| user.name.clone(), || lines(&users)),
    }
    if args.password_file.is_none() && app.printer.format == Format::Table {
        app.printer.note("replace PASSWORD in each line, or let --password-file print its hash");
    }
    Ok(0)
}

/// The roles that are asked for, each with the name of its user; all where none is.
fn wanted(words: &[String], namespace: &Namespace) -> Result<Vec<(Role, String)>> {
    let usual = |role: Role| format!("upbeat-{namespace}-{}", role.word());
    if words.is_empty() {
        return Ok(Role::ALL.map(|role| (role, usual(role))).to_vec());
    }
    let mut users: Vec<(Role, String)> = Vec::new();
    for word in words {
        let (role, name) = word.split_once('=').map_or((word.as_str(), None), |(role, name)| (role, Some(name)));
        let found = Role::ALL.into_iter().find(|one| one.word() == role);
        let known = Role::ALL.map(Role::word);
        let role = found.ok_or_else(|| not_one_of("user", role, &known))?;
        let name = name.map_or_else(|| usual(role), str::to_owned);
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Error::invalid("user", format!("{name:?} is no name of a user of Redis")).value(word));
        }
        if users.iter().any(|(_, other)| *other == name) {
            return Err(Error::invalid("user", format!("{name:?} is named twice")).value(word));
        }
        users.push((role, name));
    }
    Ok(users)
}

/// A pattern that reaches upbeat's own keys would give all rights to them; a blank would begin another rule.
fn check_target(pattern: &str) -> Result<()> {
    let refuse =
        |why: &str| Err(Error::invalid("targets", why).value(pattern).hint("a prefix of your own: --targets 'app:*'"));
    if pattern.is_empty() || pattern.chars().any(|c| c.is_whitespace() || c.is_control() || "()".contains(c)) {
        return refuse("a pattern of keys has no blanks or parentheses");
    }
    let before = pattern.split(['*', '?', '[', '\\']).next().unwrap_or_default();
    if is_upbeat_key(pattern) || "upbeat:".starts_with(before) && before.len() < pattern.len() {
        return refuse("it reaches keys of upbeat, which no action may write to");
    }
    Ok(())
}

fn password(file: Option<&str>) -> Result<String> {
    let Some(file) = file else { return Ok(">PASSWORD".to_owned()) };
    let text = std::fs::read_to_string(file)
        .map_err(|why| Error::invalid("password-file", format!("{file} can't be read: {why}")).value(file))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(Error::invalid("password-file", format!("{file} is empty")).value(file));
    }
    let hash = Sha256::digest(text.as_bytes());
    Ok(format!("#{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_reaches_upbeat_is_refused() {
        for pattern in ["*", "up*", "upbeat:*", "u?beat:*", "[u]pbeat:x", "upbeat:{a:0}:due", "a b", "(x", ""] {
            assert!(check_target(pattern).is_err(), "{pattern}");
        }
        for pattern in ["app:*", "upstream:*", "u", "orders"] {
            assert!(check_target(pattern).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn roles_are_named_once_and_a_slip_finds_the_word() {
        let namespace = Namespace::default();
        let names = |words: &[&str]| wanted(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(), &namespace);
        assert_eq!(names(&[]).unwrap()[0].1, "upbeat-default-node");
        assert_eq!(names(&["viewer=eve"]).unwrap(), [(Role::Viewer, "eve".to_owned())]);
        assert_eq!(names(&["viewr"]).unwrap_err().problem().hint.as_deref(), Some("did you mean viewer?"));
        assert!(names(&["node=a", "viewer=a"]).is_err() && names(&["node=a b"]).is_err());
    }
}
