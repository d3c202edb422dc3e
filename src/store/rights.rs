//! What each role may do in Redis: one table, from which `upbeat acl` makes users and `upbeat doctor` tells what one lacks.
//!
//! Rights to a script are the right to run it and to every command in it: what a script calls is read from its text, so a
//! script that learns a command brings the right along. A right that is missing would stop a script half way.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use crate::domain::id::Namespace;
use crate::error::Result;
use crate::store::Store;
use crate::store::keys::{self, Key, ShardKeys};
use crate::store::ready::words;
use crate::store::reply::{Reply, number};
use crate::store::scripts::{Script, Scripts};

/// Who does what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A node: fires, executes, takes over, plans.
    Node,
    /// Changes entries, runs, queues, calendars, and reads everything.
    Operator,
    /// Reads.
    Viewer,
}

use Role::{Node, Operator, Viewer};

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Node, Operator, Viewer];

    /// As users write it.
    pub fn word(self) -> &'static str {
        match self {
            Node => "node",
            Operator => "operator",
            Viewer => "viewer",
        }
    }
}

/// Commands that are sent as they are, and who sends them.
const SENT: &[(&str, &[Role])] = &[
    // fred asks for it with each connection.
    ("client|id", &[Node, Operator, Viewer]),
    ("evalsha_ro", &[Node, Operator, Viewer]),
    ("eval_ro", &[Node, Operator, Viewer]),
    ("evalsha", &[Node, Operator]),
    ("script|load", &[Node, Operator]),
    ("info", &[Node, Operator, Viewer]),
    ("hget", &[Node, Operator, Viewer]),
    ("hgetall", &[Node, Operator, Viewer]),
    ("hkeys", &[Node, Operator, Viewer]),
    ("hlen", &[Node, Operator, Viewer]),
    ("hmget", &[Node, Operator, Viewer]),
    ("hscan", &[Node, Operator, Viewer]),
    ("llen", &[Node, Operator, Viewer]),
    ("lrange", &[Node]),
    // What executes, where a queue's limit is new.
    ("smembers", &[Node, Operator]),
    ("zlexcount", &[Node, Operator, Viewer]),
    ("zmscore", &[Node, Operator, Viewer]),
    ("zrange", &[Node, Operator, Viewer]),
    ("zscan", &[Node]),
    ("zscore", &[Node, Operator, Viewer]),
    ("xrange", &[Operator, Viewer]),
    ("xrevrange", &[Operator, Viewer]),
    ("blpop", &[Node]),
    ("subscribe", &[Node]),
    ("del", &[Node]),
    ("hdel", &[Node]),
    ("hset", &[Node]),
    ("hincrby", &[Operator]),
    // The mark of a message to Celery.
    ("pexpire", &[Node]),
    ("zrem", &[Node]),
];

/// What scripts that change nothing call; they share parts with others that call more.
const LOOKED: &[&str] = &["hget", "hlen", "hmget", "llen", "time", "zcard", "zcount", "zmscore", "zrange"];

/// Commands that a target of a direct action takes.
const TO_TARGETS: &[&str] = &["llen", "lpush", "publish", "rpush", "xadd", "xlen"];

/// What a node also asks of them: results of Celery's tasks.
const TO_RESULTS: &[&str] = &["get", "mget", "subscribe", "unsubscribe"];

/// Words in quotes in scripts that look like commands and are options of one.
const OPTIONS: &[&str] =
    &["COUNT", "LIMIT", "MATCH", "MAXLEN", "MINID", "NX", "RANK", "WITHSCORES", "WITHVALUES", "XX"];

/// Which scripts a role runs that change something.
fn scripts_of(scripts: &Scripts, role: Role) -> Vec<&Script> {
    // Each script is named, so that a new one is given to somebody.
    let Scripts {
        accept_clock,
        add,
        aged,
        age_runs,
        backfill,
        beginning,
        cancel,
        claim,
        compact_ledger,
        count_queue,
        counts: _,
        forget_removed,
        forget_revisions,
        hint,
        keep_output,
        leave,
        may: _,
        now: _,
        once,
        open_namespace,
        put,
        put_calendar,
        put_queue,
        rebuild_entries,
        rebuild_runs,
        recount,
        // Run on the Redis of a RedBeat, as the user that its URL names.
        redbeat_give: _,
        redbeat_mark: _,
        redbeat_open: _,
        redbeat_take: _,
        purge,
        renew,
        replan,
        rescue,
        retry,
        send_celery,
        skip,
        snapshot: _,
        trigger,
        watch,
        work,
        zones_done,
    } = scripts;
    match role {
        Node => vec![
            // A schedule file is put back after a flush.
            add,
            aged,
            age_runs,
            beginning,
            claim,
            compact_ledger,
            count_queue,
            forget_removed,
            forget_revisions,
            hint,
            keep_output,
            leave,
            open_namespace,
            put,
            put_calendar,
            put_queue,
            rebuild_entries,
            rebuild_runs,
            recount,
            renew,
            replan,
            rescue,
            send_celery,
            work,
            zones_done,
        ],
        Operator => vec![
            accept_clock,
            add,
            backfill,
            cancel,
            compact_ledger,
            count_queue,
            once,
            open_namespace,
            put,
            put_calendar,
            put_queue,
            purge,
            rebuild_entries,
            replan,
            retry,
            skip,
            trigger,
            watch,
        ],
        Viewer => Vec::new(),
    }
}

/// What a script calls, in lower case.
fn called(script: &str) -> BTreeSet<String> {
    let code = reachable(script);
    let words = code.lines().flat_map(|code| code.split('\'').skip(1).step_by(2));
    let is_command =
        |word: &&str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase()) && !OPTIONS.contains(word);
    words.filter(is_command).map(str::to_lowercase).collect()
}

/// The code of a script without comments, and without those functions of the parts joined into it that it never names.
fn reachable(text: &str) -> String {
    let (mut code, mut functions) = (String::new(), HashMap::new());
    let lines = text.lines().map(|line| line.split("--").next().unwrap_or_default().trim_end());
    // Functions that are made late stand in one that makes them (`store/ready.rs`): it calls nothing itself.
    let makes = |line: &&str| line.starts_with("function M.") || (line.starts_with("L.") && line.ends_with(" = G"));
    let mut lines = lines.filter(|line| !makes(line));
    while let Some(line) = lines.next() {
        let head = line.strip_prefix("local ").unwrap_or(line).strip_prefix("function ");
        let Some(name) = head.and_then(|head| head.split('(').next()) else {
            code.extend([line, "\n"]);
            continue;
        };
        let mut body = format!("{line}\n");
        if !line.ends_with(" end") {
            // Whoever is not indented ends it.
            lines.by_ref().take_while(|line| *line != "end").for_each(|line| body.extend([line, "\n"]));
        }
        functions.entry(name.rsplit('.').next().unwrap_or(name)).or_insert_with(Vec::new).push(body);
    }
    let mut seen = 0;
    while seen < code.len() {
        let named = words(&code[seen..]).filter(|(before, _, _)| !before.ends_with("L."));
        let named: Vec<String> = named.filter_map(|(_, word, _)| functions.remove(word)).flatten().collect();
        seen = code.len();
        code.extend(named);
    }
    code
}

/// The commands that a role needs, sorted.
pub fn commands(role: Role) -> &'static BTreeSet<String> {
    static COMMANDS: [OnceLock<BTreeSet<String>>; Role::ALL.len()] = [const { OnceLock::new() }; Role::ALL.len()];
    COMMANDS[role as usize].get_or_init(|| {
        let scripts = Scripts::new(|_, text| text);
        let scripts = scripts_of(&scripts, role).into_iter();
        let mut commands: BTreeSet<String> = scripts.flat_map(|script| called(script.text())).collect();
        commands.extend(LOOKED.iter().map(|command| (*command).to_owned()));
        let sent = SENT.iter().filter(|(_, roles)| roles.contains(&role));
        commands.extend(sent.map(|(command, _)| (*command).to_owned()));
        commands
    })
}

/// Whose rights: a role in a namespace.
#[derive(Debug, Clone)]
pub struct AclOf<'a> {
    /// The role.
    pub role: Role,
    /// The namespace.
    pub namespace: &'a Namespace,
    /// Patterns of keys and channels that direct actions write to.
    pub targets: &'a [String],
    /// Whether a database other than 0 is chosen.
    pub has_database: bool,
}

impl AclOf<'_> {
    /// The rules of `ACL SETUSER`, in order, without password: a user that may do this and nothing else.
    pub fn rules(&self) -> Vec<String> {
        let reading = if self.role == Viewer { "%R~" } else { "~" };
        let mut rules = vec!["reset".to_owned(), "on".to_owned()];
        rules.extend(keys::patterns(self.namespace).map(|pattern| format!("{reading}{pattern}")));
        if self.role != Viewer {
            rules.push(format!("&{}", keys::nudges(self.namespace)));
        }
        rules.extend(commands(self.role).iter().map(|command| format!("+{command}")));
        if self.has_database {
            rules.push("+select".to_owned());
        }
        if self.role != Viewer && !self.targets.is_empty() {
            let patterns = self.targets.iter().flat_map(|target| [format!("~{target}"), format!("&{target}")]);
            let results: &[&str] = if self.role == Node { TO_RESULTS } else { &[] };
            let commands = TO_TARGETS.iter().chain(results).map(|command| format!("+{command}"));
            rules.push(format!("({})", patterns.chain(commands).collect::<Vec<_>>().join(" ")));
        }
        rules
    }
}

/// A call of a command that Redis can judge by its rules; nobody sends it.
fn sample(command: &str, namespace: &Namespace) -> Vec<String> {
    let key = ShardKeys::new(namespace, 0).key(Key::Clock);
    let words: &[&str] = match command {
        "client|id" => return vec!["CLIENT".to_owned(), "ID".to_owned()],
        "info" | "time" => &[],
        "script|load" => return vec!["SCRIPT".to_owned(), "LOAD".to_owned(), "return".to_owned()],
        "publish" => return vec![command.to_owned(), keys::nudges(namespace), "due".to_owned()],
        "subscribe" => return vec![command.to_owned(), keys::nudges(namespace)],
        "evalsha" | "eval" | "evalsha_ro" | "eval_ro" => &["return", "1", &key],
        "unlink" | "del" | "exists" => &[&key],
        "blpop" => &[&key, "0"],
        _ => &[&key, "0", "0"],
    };
    std::iter::once(command).chain(words.iter().copied()).map(str::to_owned).collect()
}

impl Store {
    /// The commands of a role that the user of this connection may not run on the keys of this namespace.
    ///
    /// # Errors
    ///
    /// Where the user may not even run a script that reads.
    pub async fn lacks(&self, role: Role) -> Result<Vec<String>> {
        let commands: Vec<&String> = commands(role).iter().collect();
        let mut args = vec![(commands.len() as i64).into()];
        for command in &commands {
            let words = sample(command, self.namespace());
            args.push((words.len() as i64).into());
            args.extend(words.into_iter().map(fred::types::Value::from));
        }
        let reply = self.look(&self.scripts().may, &[self.key(0, Key::Clock)], args).await?;
        let refused = Reply::list(reply)?.rest().into_iter().map(number).collect::<Result<Vec<_>>>()?;
        let at = |number: i64| {
            usize::try_from(number - 1).ok().and_then(|at| commands.get(at).map(|command| (*command).clone()))
        };
        Ok(refused.into_iter().filter_map(at).collect())
    }

    /// The user of this connection, as Redis calls it.
    pub fn user(&self) -> &str {
        self.inner.connection.username.as_deref().unwrap_or("default")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_calls_is_read_from_its_text() {
        let text = "-- a: 'FLUSHALL'\nlocal function never()\n  redis.call('KEYS')\nend\n\
                    local function one(k) return redis.call('HGET', k) end\n\
                    function F.two(k)\n  if k then\n    redis.call('LLEN', one(k))\n  end\nend\n\
                    function F.late()\n  redis.call('DEL')\nend\n\
                    function M.late()\nlocal G = {}\nL.late = G\nfunction G.never()\n  redis.call('SREM')\nend\n\
                    function G.late_three()\n  redis.call('SADD')\nend\nreturn G\nend\n\
                    redis.call('HSET', k, 'x', F.two(k)) -- 'DEL'\nwrite_all('ZADD', k, { 'WITHSCORES' })\nL.late.late_three()\n";
        assert_eq!(called(text).into_iter().collect::<Vec<_>>(), ["hget", "hset", "llen", "sadd", "zadd"]);
    }

    #[test]
    fn who_may_only_read_may_run_every_script_that_changes_nothing() {
        let scripts = Scripts::new(|_, text| text);
        let viewer = commands(Role::Viewer);
        for script in [&scripts.now, &scripts.snapshot, &scripts.counts, &scripts.may] {
            let called = called(script.text());
            assert!(called.is_subset(viewer), "{}: {called:?}", script.name);
        }
    }

    #[test]
    fn who_may_only_read_has_no_command_that_writes() {
        let viewer = commands(Role::Viewer);
        let writing = ["evalsha", "script|load", "hset", "hdel", "zadd", "xadd", "publish", "blpop", "unlink"];
        assert!(writing.iter().all(|command| !viewer.contains(*command)), "{viewer:?}");
        assert!(viewer.contains("hscan") && viewer.is_subset(commands(Role::Operator)));
    }

    #[test]
    fn nobody_gets_a_category_or_a_command_that_is_not_named() {
        for role in Role::ALL {
            let namespace = Namespace::default();
            let acl = AclOf { role, namespace: &namespace, targets: &[], has_database: false };
            let rules = acl.rules();
            assert!(rules.iter().all(|rule| !rule.contains('@') && rule != "~*" && rule != "&*"), "{rules:?}");
            assert!(!rules.iter().any(|rule| ["+config", "+keys", "+flushall", "+scan"].contains(&rule.as_str())));
        }
    }
}
