-- forget_removed: drop what is left of an id that was removed long ago.
--
-- Where the id has been added again meanwhile, only what its old removal left beside its records goes.
--
-- KEYS[1] clock     hash  the shard's clock and counters
-- KEYS[2] entries   hash  entry id -> definition
-- KEYS[3] removed   hash  entry id -> who removed it, when
-- KEYS[4] ledger    hash  entry id -> stretches
-- KEYS[5] revisions hash  entry id, revision -> definition as it was, or its removal
-- KEYS[6] results   hash  entry id -> what its last run left for the next
-- ARGV[1] entry id
-- ARGV[2] its removal, as it was seen
-- ARGV[3..] revisions that may be kept
-- Returns 'dropped' | 'added' (again) | 'changed' (removed again)
local clock_key, entries_key, removed_key, ledger_key, revisions_key, results_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local id, seen, fields = ARGV[1], ARGV[2], {}
for i = 3, #ARGV do fields[#fields + 1] = id .. '\0' .. ARGV[i] end
-- use clock
if redis.call('HGET', removed_key, id) ~= seen then return 'changed' end
local exists = redis.call('HEXISTS', entries_key, id) == 1
for _, key in ipairs({ ledger_key, revisions_key, results_key }) do redis.call('HLEN', key) end
keep_clock()
redis.call('HDEL', removed_key, id)
if exists then return 'added' end
redis.call('HDEL', ledger_key, id)
redis.call('HDEL', results_key, id)
if #fields > 0 then redis.call('HDEL', revisions_key, unpack(fields)) end
return 'dropped'
