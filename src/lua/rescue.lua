-- rescue: take over what a node executed whose lease has ended; at most 500 runs a call.
--
-- Each goes back to the front of its list as its next attempt, or ends `failed`, `lost` when it was lost too often (a job that
-- kills its node must not kill the fleet) or may be tried once only.
--
-- KEYS[1] clock    hash    the shard's clock and counters
-- KEYS[2] live     hash    run id -> live record
-- KEYS[3] leases   zset    incarnation -> end of its lease
-- KEYS[4] holds    set     run ids that the lost node executed
-- KEYS[5] history  hash    rings of records
-- KEYS[6] ended    stream  runs that ended
-- KEYS[7] events   stream
-- KEYS[8] start_by zset    run id -> its last moment to start
-- KEYS[9] due      zset    entry id -> when to look at it, ms
-- KEYS[10] cursors hash    entry id -> cursor, pace, back-log
-- KEYS[11] cancels hash    run id -> who asked to cancel it and why
-- KEYS[12] queues  hash    list -> ids in it whose run has ended
-- KEYS[13] active  hash    entry id -> run ids
-- KEYS[14] waits   hash    entry id -> how many may be active, run ids that wait
-- KEYS[15] dead    zset    run id -> when it failed for good
-- KEYS[16] letters hash    run id -> dead letter
-- KEYS[17] queue_rules hash queue -> limits and pause
-- KEYS[18] occupied zset  queue and run id of what executes, of queues with a limit
-- KEYS[19] starts   hash   queue -> when runs started, of queues with a rate
-- KEYS[20..] lists, then as many hints (hints only in shard 0)
-- ARGV[1] incarnation of the lost node
-- ARGV[2] its name
-- ARGV[3] take-overs of one run, at most
-- ARGV[4] number of lists
-- ARGV[5..] names of the lists
-- Returns { 'alive' } | { 'rescued', runs put back, runs ended, runs left }
local clock_key, live_key, leases_key, holds_key, history_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ended_key, events_key, start_by_key = KEYS[6], KEYS[7], KEYS[8]
local due_key, cursors_key, cancels_key, queues_key, active_key, waits_key = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13], KEYS[14]
local dead_key, letters_key = KEYS[15], KEYS[16]
local rules_key, occupied_key, starts_key = KEYS[17], KEYS[18], KEYS[19]
local holder, node_name, take_overs, list_count = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local lists, hints = {}, {}
for i = 1, list_count do
  lists[ARGV[4 + i]], hints[ARGV[4 + i]] = KEYS[19 + i], KEYS[19 + list_count + i]
end
-- use words clock lease live log history waits finish gates
local lease_end = tonumber(redis.call('ZSCORE', leases_key, holder) or now)
if lease_end >= now or now <= hold then return { 'alive' } end
local ids = redis.call('SRANDMEMBER', holds_key, 500)
local texts = #ids > 0 and redis.call('HMGET', live_key, unpack(ids)) or {}
gates.load()
guard_history()
redis.call('XLEN', events_key)
for _, key in ipairs({ cancels_key, cursors_key, queues_key, active_key, waits_key }) do redis.call('HLEN', key) end
for _, key in ipairs({ start_by_key, due_key }) do redis.call('ZCARD', key) end
for _, key in pairs(lists) do redis.call('LLEN', key) end
for _, key in pairs(hints) do redis.call('LLEN', key) end

keep_clock()
local back, done, released, entries = 0, 0, {}, {}
for i = 1, #ids do
  local run = read_live(texts[i])
  if not run or run.state ~= RUNNING or run.holder ~= holder then
    released[#released + 1] = ids[i]
  elseif run.flags % 2 == CANCEL_ASKED then
    local reason, words = cancel_words(ids[i])
    remember_run(ids[i], run, CANCELLED, reason, node_name, 0, words or '')
    gates.free(run.list, ids[i])
    redis.call('HDEL', live_key, ids[i])
    released[#released + 1], done, entries[#entries + 1] = ids[i], done + 1, run.id
  elseif run.lost >= take_overs or run.entry_flags % (FLAG_ONCE * 2) >= FLAG_ONCE then
    run.lost = run.lost + 1
    local is_often = run.lost > take_overs
    gates.free(run.list, ids[i])
    remember_run(ids[i], run, FAILED, LOST, node_name, 0, is_often and 'lost with its node ' .. run.lost .. ' times' or 'lost with its node; its delivery is at_most_once')
    redis.call('HDEL', live_key, ids[i])
    released[#released + 1], done, entries[#entries + 1] = ids[i], done + 1, run.id
  elseif lists[run.list] then
    run.lost = run.lost + 1
    log_attempt(run, LOST, node_name, 0, '')
    requeue(ids[i], run)
    gates.free(run.list, ids[i])
    released[#released + 1], back = ids[i], back + 1
  else
    -- The registry may have lost the list; whoever reads it again takes the run over.
    redis.call('HSETNX', queues_key, run.list, 0)
  end
end
if #released > 0 then
  redis.call('SREM', holds_key, unpack(released))
  redis.call('HINCRBY', clock_key, 'held', -#released)
  log_event('type', 'rescued', 'node', node_name, 'incarnation', holder, 'count', #released)
end
gates.flush_ended()
flush_history()
wake_back_logs(entries)
waits.admit(entries)
local left = redis.call('SCARD', holds_key)
if left == 0 then drop_lease(holder) end
return { 'rescued', back, done, left }
