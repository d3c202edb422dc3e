-- rebuild_runs: put live runs that stand nowhere back: queued ones into their list, running ones under
-- their holder's lease, those that wait for their time into `delayed`.
--
-- KEYS[1] clock  hash  the shard's clock and counters
-- KEYS[2] live   hash  run id -> live record
-- KEYS[3] leases zset  incarnation -> end of its lease
-- KEYS[4] holds  set   run ids of the holder named
-- KEYS[5] waits  hash  entry id -> how many may be active, run ids that wait
-- KEYS[6] plans  hash  entry id -> plan
-- KEYS[7] delayed zset run id -> when it goes into its list
-- KEYS[8] events stream what happened
-- KEYS[9..] lists
-- ARGV[1] holder whose runs are put back, or empty
-- ARGV[2] number of lists
-- ARGV[3..] names of the lists, then run ids that were seen nowhere, oldest first
-- Returns the number of runs put back
local clock_key, live_key, leases_key, holds_key, waits_key, plans_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local delayed_key, events_key = KEYS[7], KEYS[8]
local owner, list_count = ARGV[1], tonumber(ARGV[2])
local lists, ids = {}, {}
for i = 1, list_count do lists[ARGV[2 + i]] = KEYS[8 + i] end
for i = 3 + list_count, #ARGV do ids[#ids + 1] = ARGV[i] end
-- use words clock log plan live
local texts = #ids > 0 and redis.call('HMGET', live_key, unpack(ids)) or {}
local put_back = 0
redis.call('SCARD', holds_key)
redis.call('HLEN', waits_key)
redis.call('HLEN', plans_key)
redis.call('ZCARD', delayed_key)
redis.call('XLEN', events_key)
keep_clock()
for i = 1, #ids do
  local run = read_live(texts[i])
  if run and run.state == QUEUED and lists[run.list] and not redis.call('LPOS', lists[run.list], ids[i]) then
    redis.call('LPUSH', lists[run.list], ids[i])
    put_back = put_back + 1
  elseif run and (run.state == RETRYING or run.flags % (UNTIL * 2) >= UNTIL) then
    put_back = put_back + redis.call('ZADD', delayed_key, 'NX', run.state == RETRYING and run.enqueued_at or run.due_at, ids[i])
  elseif run and run.state == WAITING then
    local p = read_plan(redis.call('HGET', plans_key, run.id))
    local text = redis.call('HGET', waits_key, run.id) or struct.pack('>I2', p and active_limit(p) or 1)
    if not string.find(text, ids[i], 3, true) then
      redis.call('HSET', waits_key, run.id, text .. ids[i])
      put_back = put_back + 1
    end
  elseif run and run.state == RUNNING and run.holder == owner then
    put_back = put_back + redis.call('SADD', holds_key, ids[i])
    -- Its lease has ended as far as anybody knows; its holder renews it, or another node takes over.
    redis.call('ZADD', leases_key, 'NX', now - 1, owner)
  end
end
if put_back > 0 then
  redis.call('HINCRBY', clock_key, 'rebuilt', put_back)
  log_event('type', 'rebuilt', 'count', put_back, 'message', 'runs')
end
return put_back
