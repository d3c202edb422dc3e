-- recount: set the counters that the conservation check compares, after a rebuild.
--
-- KEYS[1] clock  hash  the shard's clock and counters
-- KEYS[2] live   hash  run id -> live record
-- KEYS[3] queues hash  list -> ids in it whose run has ended
-- KEYS[4] delayed zset run id -> when it goes into its list
-- KEYS[5..] lists, then holds of every lease
-- ARGV[1] number of lists
-- ARGV[2..] names of the lists
-- Returns { runs held, runs in no place that is known }
local clock_key, live_key, queues_key, delayed_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local list_count = tonumber(ARGV[1])
local names, lists, holds = {}, {}, {}
for i = 1, list_count do names[i], lists[i] = ARGV[1 + i], KEYS[4 + i] end
for i = 5 + list_count, #KEYS do holds[#holds + 1] = KEYS[i] end
local in_lists, held = 0, 0
for i = 1, list_count do
  in_lists = in_lists + redis.call('LLEN', lists[i]) - (tonumber(redis.call('HGET', queues_key, names[i])) or 0)
end
for i = 1, #holds do held = held + redis.call('SCARD', holds[i]) end
local rest = redis.call('HLEN', live_key) - in_lists - held - redis.call('ZCARD', delayed_key)
redis.call('HSET', clock_key, 'held', held, 'waiting', rest)
return { held, rest }
