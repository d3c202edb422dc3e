-- accept_clock: take Redis' clock as it is after one that had run ahead; the way out of a shard that fires nothing.
--
-- KEYS[1] clock  hash  the shard's clock and counters
-- KEYS[2] leases zset  incarnation -> end of its lease
-- KEYS[3] events stream what happened
-- Returns { the shard's time before, Redis' time }, ms
local clock_key, leases_key, events_key = KEYS[1], KEYS[2], KEYS[3]
-- use words clock log
local holders = redis.call('ZRANGE', leases_key, 0, -1)
redis.call('XLEN', events_key)
if behind_ms > 0 then log_event('type', 'clock_accepted', 'from', now, 'until', read_ms) end
redis.call('HSET', clock_key, 't', read_ms, 'last', read_ms, 'hold', 0, 'claimed', read_ms, 'checked', read_ms, 'drain_until', 0)
-- A lease never ends later than now and its length.
for i = 1, #holders do redis.call('ZADD', leases_key, read_ms + (longest or 0), holders[i]) end
return { now, read_ms }
