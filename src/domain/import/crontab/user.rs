//! The user column of system crontabs: nodes run commands as themselves, cron as anybody.

use serde_json::{Map, Value, json};

use crate::domain::id::plain_name;
use crate::domain::nearest::not_one_of;
use crate::error::Result;

/// How a job of another user is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunAs {
    /// By `runuser`, which only a node that runs as root can use; on any other the run fails and says so.
    #[default]
    Runuser,
    /// By `sudo -n`, as far as the node's user may.
    Sudo,
    /// As the node's user, in a queue that has the name of the user.
    Queue,
    /// As the node's user, whoever stands in the column.
    Node,
}

impl RunAs {
    /// As they are written.
    pub const WORDS: [&str; 4] = ["runuser", "sudo", "queue", "node"];

    /// Reads one of [`Self::WORDS`].
    ///
    /// # Errors
    ///
    /// Invalid about `field`.
    pub fn parse(field: &str, word: &str) -> Result<Self> {
        match word {
            "runuser" => Ok(Self::Runuser),
            "sudo" => Ok(Self::Sudo),
            "queue" => Ok(Self::Queue),
            "node" => Ok(Self::Node),
            _ => Err(not_one_of(field, word, &Self::WORDS)),
        }
    }

    /// What people have to know about it, once.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::Runuser => {
                "the user column became runuser: a node runs these entries only as root, elsewhere they fail \
                 (--run-as sudo, queue or node: other ways); label user names the user"
            }
            Self::Sudo => {
                "the user column became sudo -n: the node's user needs the right to it in sudoers; label user names the user"
            }
            Self::Queue => {
                "the user column became the queue: for each user start a node as that user, upbeat node --queues USER \
                 --allow exec,shell, and give every other node its --queues, because one without serves all"
            }
            Self::Node => "the user column became a label: all commands run as the user of the node, whatever it says",
        }
    }

    /// Writes the action and what belongs to it. `shell` is one other than `sh`; `env` are the variables of the crontab.
    pub(super) fn write(
        self,
        fields: &mut Map<String, Value>,
        user: Option<&str>,
        shell: Option<&str>,
        command: &str,
        env: &Map<String, Value>,
    ) {
        let plain = match shell {
            Some(shell) => ("exec", json!([shell, "-c", command])),
            None => ("shell", Value::from(command)),
        };
        let shell = shell.unwrap_or("/bin/sh");
        // A PATH of the crontab is for its commands: it need not name the folder of these two.
        let program = |name: &'static str| match (env.contains_key("PATH"), name) {
            (true, "runuser") => "/sbin/runuser",
            (true, "sudo") => "/usr/bin/sudo",
            _ => name,
        };
        let (kind, action) = match (self, user) {
            (_, None) | (Self::Queue | Self::Node, _) => plain,
            (Self::Runuser, Some(user)) => {
                // It sets HOME, USER, LOGNAME and SHELL as cron does, and -m keeps a HOME that the crontab sets.
                let keeps = env.contains_key("HOME").then_some("-m");
                let words = [program("runuser")].into_iter().chain(keeps).chain(["-s", shell, "-c", command, user]);
                ("exec", words.collect())
            }
            (Self::Sudo, Some(user)) => {
                // It drops the environment, so the variables of the crontab stand in the command.
                let mut words: Vec<String> =
                    [program("sudo"), "-n", "-H", "-u", user, "--"].into_iter().map(str::to_owned).collect();
                if !env.is_empty() {
                    words.push("env".to_owned());
                    words.extend(
                        env.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())),
                    );
                }
                words.extend([shell, "-c", command].map(str::to_owned));
                ("exec", json!(words))
            }
        };
        fields.insert(kind.to_owned(), action);
        if let Some(user) = user {
            if self == Self::Queue {
                fields.insert("queue".to_owned(), Value::from(plain_name(user)));
            }
            fields.insert("labels".to_owned(), json!({ "user": user }));
        }
    }
}
