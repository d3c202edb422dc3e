-- aged: note that the records of the shard have been looked at, and what is too old dropped.
--
-- KEYS[1] clock hash the shard's clock and counters
-- Returns 'noted'
local clock_key = KEYS[1]
-- use clock
keep_clock()
redis.call('HSET', clock_key, 'aged', now)
return 'noted'
