-- zones_done: note that all plans of the shard are made with a release of the zone data.
--
-- Refused where another release is the greatest of the live nodes by now.
--
-- KEYS[1] clock hash the shard's clock and counters
-- ARGV[1] release
-- Returns 'noted' | 'other'
local clock_key = KEYS[1]
local release = ARGV[1]
-- use words clock
if redis.call('HGET', clock_key, 'zone') ~= release then return 'other' end
keep_clock()
redis.call('HSET', clock_key, 'zone_done', release)
return 'noted'
