-- open_namespace: fix the number of shards when a namespace is first used.
--
-- KEYS[1] settings hash  of the namespace
-- ARGV[1] shards, if it is new
-- Returns { number of shards, layout version }
local settings_key = KEYS[1]
local shards = ARGV[1]
redis.call('HSETNX', settings_key, 'shards', shards)
redis.call('HSETNX', settings_key, 'layout', '1')
return redis.call('HMGET', settings_key, 'shards', 'layout')
