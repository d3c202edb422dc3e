-- purge: forget dead letters; the records of their runs stay. At most 1,000 a call.
--
-- KEYS[1] clock     hash  the shard's clock and counters
-- KEYS[2] dead      zset  run id -> when it failed for good
-- KEYS[3] letters   hash  run id -> dead letter
-- KEYS[4] requests  hash  request id -> answer
-- KEYS[5] requested zset  request id -> when
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3..] run ids
-- Returns { 'other' } | { 'done', { run id, 'purged' | 'gone', ... } }
local clock_key, dead_key, letters_key, requests_key, requested_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local request, digest, run_ids = ARGV[1], ARGV[2], { unpack(ARGV, 3) }
-- use clock requests
local before = answered(request, digest)
if before == 'other' then return { 'other' } end
if before then return { 'done', before } end
local known = redis.call('ZMSCORE', dead_key, unpack(run_ids))
redis.call('HLEN', letters_key)
redis.call('HLEN', requests_key)
redis.call('ZCARD', requested_key)

keep_clock()
local results = {}
for i = 1, #run_ids do
  results[#results + 1] = run_ids[i]
  results[#results + 1] = known[i] and 'purged' or 'gone'
end
redis.call('ZREM', dead_key, unpack(run_ids))
redis.call('HDEL', letters_key, unpack(run_ids))
keep_answer(request, digest, results)
return { 'done', results }
