//! Checks of the server: does it keep what it is given, has it room, is anybody behind it.

use crate::error::Result;
use crate::service::Service;
use crate::service::doctor::Check;
use crate::store::{Seen, ServerInfo};

/// A replica that is further behind is told of, s and bytes.
const LAG_S: i64 = 10;
const LAG_BYTES: i64 = 16 * 1024 * 1024;
/// A script call should hold Redis for no longer, us.
const SLOW_US: i64 = 5_000;
/// Memory in use, in hundredths of what may be: worth a look, about to refuse writes.
const FULL: (i64, i64) = (75, 90);

impl Service {
    pub(super) async fn check_server(&self) -> Result<Vec<Check>> {
        let mut checks = vec![self.check_version().await?, self.check_persistence().await?];
        checks.extend(self.check_memory().await?);
        checks.push(self.check_replicas().await?);
        checks.push(self.check_slow_scripts().await?);
        Ok(checks)
    }

    /// Gives this user the right to ask.
    fn allow(&self, command: &str) -> String {
        format!("ACL SETUSER {} +{command}", self.store.user())
    }

    async fn check_version(&self) -> Result<Check> {
        let info = match self.store.server_info("server").await? {
            Seen::Yes(info) => info,
            Seen::No(why) => return Ok(Check::unseen("redis", why).todo(self.allow("info"))),
        };
        let valkey = info.get("valkey_version").map(|version| format!("valkey {version}"));
        let redis = || format!("redis {}", info.get("redis_version").unwrap_or("of unknown version"));
        Ok(Check::ok("redis", valkey.unwrap_or_else(redis)))
    }

    async fn check_persistence(&self) -> Result<Check> {
        let info = match self.store.server_info("persistence").await? {
            Seen::Yes(info) => info,
            Seen::No(why) => return Ok(Check::unseen("persistence", why).todo(self.allow("info"))),
        };
        let failed = |field: &str| info.get(field).is_some_and(|status| status != "ok");
        let lost = "what is written now would not survive a restart; its log says why";
        if failed("aof_last_write_status") {
            return Ok(Check::wrong("persistence", "the last write to the AOF failed")
                .message(lost)
                .todo("BGREWRITEAOF"));
        }
        if failed("aof_last_bgrewrite_status") {
            return Ok(Check::wrong("persistence", "the last rewrite of the AOF failed")
                .message(lost)
                .todo("BGREWRITEAOF"));
        }
        if failed("rdb_last_bgsave_status") {
            return Ok(Check::wrong("persistence", "the last snapshot failed").message(lost).todo("BGSAVE"));
        }
        let saves = self.store.server_setting("save").await?;
        if info.get("aof_enabled") != Some("1") {
            let (value, message) = match saves {
                Seen::Yes(points) if points.is_empty() => ("nothing on disk", "a restart of Redis loses all schedules"),
                Seen::Yes(_) => ("snapshots only", "a crash loses what was written since the last one"),
                Seen::No(_) => ("no AOF", "a crash loses what was written since the last snapshot, if there are any"),
            };
            return Ok(Check::note("persistence", value).message(message).todo("CONFIG SET appendonly yes"));
        }
        Ok(match self.store.server_setting("appendfsync").await? {
            Seen::Yes(policy) if policy == "no" => Check::note("persistence", "AOF, fsync when the system likes")
                .message("a crash of the machine takes back up to about 30 s")
                .todo("CONFIG SET appendfsync everysec"),
            Seen::Yes(policy) if policy == "always" => Check::ok("persistence", "AOF, fsync always"),
            Seen::Yes(policy) => Check::ok("persistence", format!("AOF, fsync {policy}: a crash takes back up to 1 s")),
            Seen::No(_) => Check::ok("persistence", "AOF"),
        })
    }

    async fn check_memory(&self) -> Result<Vec<Check>> {
        let info = match self.store.server_info("memory").await? {
            Seen::Yes(info) => info,
            Seen::No(why) => {
                let unseen = |name| Check::unseen(name, why.clone()).todo(self.allow("info"));
                return Ok(vec![unseen("eviction"), unseen("memory")]);
            }
        };
        let policy = match info.get("maxmemory_policy") {
            Some(policy) => Seen::Yes(policy.to_owned()),
            None => self.store.server_setting("maxmemory-policy").await?,
        };
        let evicted = match self.store.server_info("stats").await? {
            Seen::Yes(stats) => stats.number("evicted_keys").unwrap_or(0),
            Seen::No(_) => 0,
        };
        let eviction = match policy {
            Seen::No(why) => Check::unseen("eviction", why).todo(self.allow("config|get")),
            Seen::Yes(policy) if policy != "noeviction" => {
                Check::wrong("eviction", format!("maxmemory-policy {policy}"))
                    .message("Redis throws schedules away when its memory is full")
                    .todo("CONFIG SET maxmemory-policy noeviction")
            }
            Seen::Yes(_) if evicted > 0 => {
                Check::note("eviction", format!("noeviction; {evicted} keys were evicted before"))
                    .message("nodes rebuild what can be rebuilt; audit tells what fired")
                    .todo("upbeat audit --since -1d")
                    .todo("CONFIG RESETSTAT")
            }
            Seen::Yes(policy) => Check::ok("eviction", policy),
        };
        Ok(vec![eviction, room(&info)])
    }

    async fn check_replicas(&self) -> Result<Check> {
        let info = match self.store.server_info("replication").await? {
            Seen::Yes(info) => info,
            Seen::No(why) => return Ok(Check::unseen("replicas", why).todo(self.allow("info"))),
        };
        let replicas = info.replicas();
        let least = self.store.server_setting("min-replicas-to-write").await?;
        let least = match &least {
            Seen::Yes(text) => text.parse::<i64>().ok(),
            Seen::No(_) => None,
        };
        let good = info.number("min_slaves_good_slaves");
        if let (Some(least), Some(good)) = (least.filter(|least| *least > 0), good)
            && good < least
        {
            return Ok(Check::wrong("replicas", format!("{good} of {least} that must be there"))
                .message("Redis refuses all writes until they are: nothing fires")
                .todo(format!("CONFIG SET min-replicas-to-write {good}")));
        }
        if replicas.is_empty() {
            return Ok(Check::ok("replicas", "none"));
        }
        let master = info.number("master_repl_offset").unwrap_or(0);
        let field = |replica: &[(&str, &str)], name: &str| {
            replica.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()).unwrap_or_default()
        };
        for replica in &replicas {
            let name = format!("{}:{}", field(replica, "ip"), field(replica, "port"));
            let number = |of: &str| field(replica, of).parse::<i64>().unwrap_or(0);
            let (lag, behind) = (number("lag"), (master - number("offset")).max(0));
            if field(replica, "state") != "online" || lag > LAG_S || behind > LAG_BYTES {
                return Ok(Check::wrong("replicas", format!("{name} is {lag} s and {behind} bytes behind"))
                    .message("a failover to it loses that: fire times fire again, acknowledged changes are gone")
                    .todo(format!(
                        "redis-cli -h {} -p {} INFO replication",
                        field(replica, "ip"),
                        field(replica, "port")
                    )));
            }
        }
        let value = match replicas.len() {
            1 => "1, up to date".to_owned(),
            count => format!("{count}, up to date"),
        };
        Ok(match least {
            Some(0) => Check::note("replicas", format!("{value}; writes wait for none"))
                .message("a master that is cut off goes on taking writes, which a failover then loses")
                .todo("CONFIG SET min-replicas-to-write 1"),
            Some(least) => Check::ok("replicas", format!("{value}; {least} must be there")),
            None => Check::ok("replicas", value),
        })
    }

    async fn check_slow_scripts(&self) -> Result<Check> {
        Ok(match self.store.slow_scripts(SLOW_US).await? {
            Seen::No(why) => Check::unseen("slow_scripts", why).todo(self.allow("slowlog|get")),
            Seen::Yes((0, _)) => Check::ok("slow_scripts", "none over 5 ms on record"),
            Seen::Yes((count, slowest)) => {
                Check::note("slow_scripts", format!("{count} over 5 ms on record, the slowest {} ms", slowest / 1000))
                    .message("others of this Redis feel it; a machine that is too busy is the usual cause")
                    .todo("SLOWLOG GET 10")
                    .todo("SLOWLOG RESET")
            }
        })
    }
}

fn room(info: &ServerInfo) -> Check {
    let used = info.number("used_memory").unwrap_or(0);
    let mib = |bytes: i64| format!("{} MiB", bytes.unsigned_abs().div_ceil(1024 * 1024));
    let Some(most) = info.number("maxmemory").filter(|most| *most > 0) else {
        return Check::ok("memory", format!("{} in use, no limit", mib(used)));
    };
    let value = format!("{} of {} in use", mib(used), mib(most));
    let more = format!("CONFIG SET maxmemory {}", most.max(used).saturating_mul(2));
    match used.saturating_mul(100) / most {
        share if share >= FULL.1 => {
            Check::wrong("memory", value).message("when it is full nothing fires any more").todo(more)
        }
        share if share >= FULL.0 => {
            Check::note("memory", value).message("when it is full nothing fires any more").todo(more)
        }
        _ => Check::ok("memory", value),
    }
}
