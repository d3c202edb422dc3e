-- counts: how many entries and runs stand where, all at one moment. Changes nothing.
--
-- KEYS[1] clock     hash  the shard's clock and counters
-- KEYS[2] entries   hash  entry id -> definition
-- KEYS[3] due       zset  entry id -> when to look at it, ms
-- KEYS[4] parked    zset  entry id -> when to hand it out for planning again
-- KEYS[5] paused    zset  entry id -> until when
-- KEYS[6] broken    zset  entry id -> when to hand it out for planning again
-- KEYS[7] finished  zset  entry id -> since when
-- KEYS[8] live      hash  run id -> live record
-- KEYS[9] delayed   zset  run id -> when it goes into its list
-- KEYS[10] queues   hash  list -> ids in it whose run has ended
-- KEYS[11] stale    zset  entry id -> when to hand it out for planning with newer zone data
-- KEYS[12] dead     zset  run id -> when it failed for good
-- KEYS[13] seen     zset  incarnation -> when its last beat came
-- KEYS[14..] waiting lists
-- ARGV[1] number of lists
-- ARGV[2..] their names
-- Returns { now, behind ms, hold, { entries, due, parked, paused, broken, finished }, { live, in lists, ended in lists, delayed, held, waiting },
--   whether all lists are named, stale, dead, newest of the dead, live nodes, { oldest due, its score, those over 5 s late } }
local clock_key, entries_key, due_key, parked_key, paused_key, broken_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local finished_key, live_key, delayed_key, queues_key = KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local stale_key, dead_key, seen_key = KEYS[11], KEYS[12], KEYS[13]
local list_count, names, lists = tonumber(ARGV[1]), {}, {}
for i = 1, list_count do names[i], lists[i] = ARGV[1 + i], KEYS[13 + i] end
-- use clock
local in_lists, ended = 0, 0
for i = 1, list_count do
  in_lists = in_lists + redis.call('LLEN', lists[i])
  ended = ended + (tonumber(redis.call('HGET', queues_key, names[i])) or 0)
end
local counters = redis.call('HMGET', clock_key, 'held', 'waiting')
local function size(key) return redis.call('ZCARD', key) end
local oldest = redis.call('ZRANGE', due_key, 0, 0, 'WITHSCORES')
local newest = redis.call('ZRANGE', dead_key, -1, -1, 'WITHSCORES')
return { now, behind_ms, hold,
  { redis.call('HLEN', entries_key), size(due_key), size(parked_key), size(paused_key), size(broken_key), size(finished_key) },
  { redis.call('HLEN', live_key), in_lists, ended, size(delayed_key), tonumber(counters[1]) or 0, tonumber(counters[2]) or 0 },
  redis.call('HLEN', queues_key) == list_count and 1 or 0,
  size(stale_key), size(dead_key), newest[2] or -1, redis.call('ZCOUNT', seen_key, now - 10000, '+inf'),
  { oldest[1] or '', oldest[2] or -1, redis.call('ZCOUNT', due_key, '-inf', '(' .. (now - 5000)) } }
