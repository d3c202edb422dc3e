-- purge: forget dead letters; the records of their runs stay. At most 1,000 a call.
--
-- KEYS[1] clock     hash  the shard's clock and counters
-- KEYS[2] dead      zset  run id -> when it failed for good
-- KEYS[3] letters   hash  run id -> dead letter
-- KEYS[4] requests  hash  request id -> answer
-- KEYS[5] requested zset  request id -> when
-- KEYS[6] events    stream what happened
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3] who and why, for people
-- ARGV[4..] run ids
-- Returns { 'other' } | { 'done', { run id, 'purged' | 'gone', ... } }
local clock_key, dead_key, letters_key, requests_key, requested_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local events_key = KEYS[6]
local request, digest, words, ids = ARGV[1], ARGV[2], ARGV[3], {}
for i = 4, #ARGV do ids[i - 3] = ARGV[i] end
-- use words clock log requests
local before = answered(request, digest)
if before == 'other' then return { 'other' } end
if before then return { 'done', before } end
local known = redis.call('ZMSCORE', dead_key, unpack(ids))
redis.call('HLEN', letters_key)
redis.call('HLEN', requests_key)
redis.call('ZCARD', requested_key)
redis.call('XLEN', events_key)

keep_clock()
local results, purged = {}, 0
for i = 1, #ids do
  append(results, ids[i], known[i] and 'purged' or 'gone')
  if known[i] then purged = purged + 1 end
end
redis.call('ZREM', dead_key, unpack(ids))
redis.call('HDEL', letters_key, unpack(ids))
if purged > 0 then log_event('type', 'purged', 'run', #ids == 1 and ids[1] or '', 'count', purged, 'words', words) end
keep_answer(request, digest, results)
return { 'done', results }
