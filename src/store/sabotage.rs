//! Laws broken on purpose, so that tests can show that they would notice. A release build has none of it.

#[cfg(not(debug_assertions))]
pub fn apply(_name: &'static str, text: String) -> String {
    text
}

#[cfg(not(debug_assertions))]
pub fn with_clock(args: Vec<fred::types::Value>) -> Vec<fred::types::Value> {
    args
}

#[cfg(not(debug_assertions))]
pub fn command_attempts() -> u32 {
    1
}

#[cfg(debug_assertions)]
pub use switches::{apply, command_attempts, with_clock};

/// `UPBEAT_SABOTAGE` names a law to break. The clock of a shard can be moved by its field `test_shift`, ms; it stands where its
/// field `test_now` says what time it is, ms, but for a microsecond a script: no two happen at the same one.
#[cfg(debug_assertions)]
mod switches {
    use fred::types::Value;

    fn is_on(law: &str) -> bool {
        std::env::var("UPBEAT_SABOTAGE").is_ok_and(|named| named == law)
    }

    fn swap(text: &str, from: &str, to: &str) -> String {
        assert!(text.contains(from), "sabotage finds nothing to break: {from}");
        text.replace(from, to)
    }

    pub fn apply(name: &'static str, text: String) -> String {
        let text = match (name, is_on("advance-without-enqueue"), is_on("no-fencing"), is_on("node-clock")) {
            ("claim", true, _, _) => {
                let enqueue = "redis.call('RPUSH', lists[name], unpack(run_ids, from, math.min(from + 999, #run_ids)))";
                swap(&text, enqueue, "")
            }
            ("work", _, true, _) => {
                swap(&text, "and run.state == RUNNING and run.holder == holder and run.fence == a[A_FENCE]", "")
            }
            ("claim", _, _, true) => {
                let text = swap(
                    &text,
                    "redis.call('TIME')",
                    "{ math.floor(ARGV[#ARGV] / 1000), (ARGV[#ARGV] % 1000) * 1000 }",
                );
                return swap(&text, "tonumber(clock[1]) or 0", "0");
            }
            _ => text,
        };
        let text = match is_on("poison") && name == "claim" {
            true => swap(
                &text,
                "  limits.load(id, p)\n",
                "  if id == 'poison' then error('poisoned') end\n  limits.load(id, p)\n",
            ),
            false => text,
        };
        let numbered = "return tonumber(kept) or 0, answer or ''";
        let text =
            if is_on("replays") && text.contains(numbered) { swap(&text, numbered, "return 0, ''") } else { text };
        if !text.contains("local micros = ") {
            return text;
        }
        let read = "local micros = time[1] * 1000000 + time[2]";
        let real = read.trim_start_matches("local micros = ");
        let shifted = format!("{real} + (tonumber(redis.call('HGET', clock_key, 'test_shift') or 0)) * 1000");
        let still = "local micros = tonumber(redis.call('HGET', clock_key, 'test_now') or '')";
        let passed = "(tonumber(redis.call('HGET', clock_key, 'test_passed')) or 0)";
        let text = swap(&text, read, &format!("{still}\nmicros = micros and micros * 1000 + {passed} or {shifted}"));
        let keep = "local function keep_clock(...)\n";
        let pass =
            "if redis.call('HGET', clock_key, 'test_now') then redis.call('HINCRBY', clock_key, 'test_passed', 1) end";
        swap(&text, keep, &format!("{keep}{pass}\n"))
    }

    /// How often fred may send a command whose reply was lost.
    pub fn command_attempts() -> u32 {
        if is_on("replays") { 3 } else { 1 }
    }

    /// Behind the arguments of every call: the node's own clock, for the law that says it must not count.
    pub fn with_clock(mut args: Vec<Value>) -> Vec<Value> {
        if is_on("node-clock") {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            args.push(i64::try_from(now.as_millis()).unwrap_or(0).into());
        }
        args
    }
}
