-- cancel: end a run that waits, or ask the node that executes it to end it.
--
-- KEYS[1] clock    hash    the shard's clock and counters
-- KEYS[2] live     hash    run id -> live record
-- KEYS[3] history  hash    rings of records
-- KEYS[4] ended    stream  runs that ended
-- KEYS[5] events   stream
-- KEYS[6] queues   hash    list -> ids in it whose run has ended
-- KEYS[7] start_by zset    run id -> its last moment to start
-- KEYS[8] due      zset    entry id -> when to look at it, ms
-- KEYS[9] cursors  hash    entry id -> cursor, pace, back-log
-- KEYS[10] cancels hash    run id -> who asked to cancel it and why
-- KEYS[11] requests hash   request id -> answer
-- KEYS[12] requested zset  request id -> when
-- KEYS[13] active  hash    entry id -> run ids
-- KEYS[14] waits   hash    entry id -> how many may be active, run ids that wait
-- KEYS[15] delayed zset    run id -> when it goes into its list
-- KEYS[16] dead    zset    run id -> when it failed for good
-- KEYS[17] letters hash    run id -> dead letter
-- KEYS[18..] lists, then as many hints (hints only in shard 0)
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3] channel of nudges
-- ARGV[4] run id
-- ARGV[5] who and why, for people
-- ARGV[6] number of lists
-- ARGV[7..] names of the lists
-- Returns { 'other' } | { 'cancelled', run id } | { 'asked', run id, incarnation } | { 'ended' } (it is not active)
local clock_key, live_key, history_key, ended_key, events_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local queues_key, start_by_key, due_key = KEYS[6], KEYS[7], KEYS[8]
local cursors_key, cancels_key, requests_key, requested_key = KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local active_key, waits_key = KEYS[13], KEYS[14]
local delayed_key, dead_key, letters_key = KEYS[15], KEYS[16], KEYS[17]
local request, digest, channel, run_id, words = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local holder, node_name, holds_key, lists, hints, list_count = '', '', '', {}, {}, tonumber(ARGV[6])
for i = 1, list_count do
  lists[ARGV[6 + i]], hints[ARGV[6 + i]] = KEYS[17 + i], KEYS[17 + list_count + i]
end
-- use words clock live log history requests nudge waits delayed finish
local before = answered(request, digest)
if before == 'other' then return { 'other' } end
if before then return before end
local run = read_live(redis.call('HGET', live_key, run_id))
if not run then return { 'ended' } end
guard_history()
for _, key in ipairs({ queues_key, cursors_key, cancels_key, active_key, waits_key }) do redis.call('HLEN', key) end
for _, key in pairs(lists) do redis.call('LLEN', key) end
for _, key in pairs(hints) do redis.call('LLEN', key) end
for _, key in ipairs({ start_by_key, due_key, delayed_key }) do redis.call('ZCARD', key) end
redis.call('XLEN', events_key)

keep_clock()
log_event('type', 'cancel_asked', 'entry', run.id, 'run', run_id, 'words', words)
local answer
if run.state == RUNNING then
  if run.flags % 2 ~= CANCEL_ASKED then run.flags = run.flags + CANCEL_ASKED end
  redis.call('HSET', live_key, run_id, pack_live(run))
  redis.call('HSET', cancels_key, run_id, words)
  answer = { 'asked', run_id, run.holder }
  nudge(channel, 'cancel')
else
  redis.call('HDEL', live_key, run_id)
  redis.call('ZREM', start_by_key, run_id)
  if delayed.has(run) then
    redis.call('ZREM', delayed_key, run_id)
  elseif run.state == WAITING then
    waits.drop(run.id, run_id)
  else
    redis.call('HINCRBY', queues_key, run.list, 1)
  end
  remember_run(run_id, run, CANCELLED, BY_USER, '', 0, words)
  flush_history()
  wake_back_logs({ run.id })
  if waits.admit({ run.id }) > 0 then nudge(channel, 'work') end
  answer = { 'cancelled', run_id }
end
keep_answer(request, digest, answer)
return answer
