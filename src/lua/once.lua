-- once: make one run without an entry, now or at an instant; the run carries its definition.
--
-- KEYS[1] clock     hash    the shard's clock and counters
-- KEYS[2] live      hash    run id -> live record
-- KEYS[3] history   hash    rings of records
-- KEYS[4] ended     stream  runs that ended
-- KEYS[5] start_by  zset    run id -> its last moment to start
-- KEYS[6] requests  hash    request id -> answer
-- KEYS[7] requested zset    request id -> when
-- KEYS[8] queues    hash    list -> ids in it whose run has ended
-- KEYS[9] delayed   zset    run id -> when it goes into its list
-- KEYS[10] dead     zset    run id -> when it failed for good
-- KEYS[11] letters  hash    run id -> dead letter
-- KEYS[12] uniques  hash    key of a request -> run id, fire time
-- KEYS[13] unique_until zset key of a request -> until when it is taken
-- KEYS[14] events  stream  what happened
-- KEYS[15..] lists, then as many hints (hints only in shard 0)
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3] channel of nudges
-- ARGV[4] name of the work, in the place of an entry id
-- ARGV[5] run id
-- ARGV[6] fire time, ms
-- ARGV[7] plan: policies only
-- ARGV[8] extras: definition, who and why, JSON
-- ARGV[9] message of a direct action, or empty
-- ARGV[10] key of the request, or empty
-- ARGV[11] for how long the key is taken, ms
-- ARGV[12] who asks
-- ARGV[13] why, or empty
-- ARGV[14] number of lists
-- ARGV[15..] names of the lists
-- Returns { 'other' } | { 'unknown', list } | { 'crowded' } (too many keys are taken)
--   | { 'queued' | 'waiting' | 'delivered' | 'failed' | 'taken', run id, fire time, Redis' words }; asked again, the same
local clock_key, live_key, history_key, ended_key, start_by_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local requests_key, requested_key, queues_key = KEYS[6], KEYS[7], KEYS[8]
local delayed_key, dead_key, letters_key, uniques_key, unique_until_key, events_key = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13], KEYS[14]
-- One that has no entry has no marks, no ledger and waits for no other run.
local active_key, waits_key, cancels_key, ledger_key, holds_key, leases_key, messages_key = '', '', '', '', '', '', ''
local request, digest, channel, id, run_id, fire_at = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local plan, extras, message, unique, unique_ms = ARGV[7], ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11])
local actor, reason, list_count = ARGV[12], ARGV[13], tonumber(ARGV[14])
local slots, holder, node_name, lease_ms = 0, '', '', 0
local lists, serves, hints = {}, {}, {}
for i = 1, list_count do
  lists[ARGV[14 + i]], hints[ARGV[14 + i]] = KEYS[14 + i], KEYS[14 + list_count + i]
end
-- use words clock lease plan live log history ledger waits overlap fire instant celery deliver flush requests uniques nudge
local before = answered(request, digest)
if before == 'other' then return { 'other' } end
if before then return before end
local p = read_plan(plan)
if not p[P_IS_DIRECT] and not lists[p[P_LIST]] then
  -- Nothing was ever sent there.
  redis.call('HSETNX', queues_key, p[P_LIST], 0)
  return { 'unknown', p[P_LIST] }
end
local refused = uniques.refusal(unique)
if refused then return refused end
load_lists()
if p[P_IS_DIRECT] then templates[id] = message end
guard_history()
for _, key in ipairs({ live_key, requests_key, queues_key, uniques_key }) do redis.call('HLEN', key) end
for _, key in ipairs({ start_by_key, requested_key, delayed_key, unique_until_key }) do redis.call('ZCARD', key) end
redis.call('XLEN', events_key)
for _, key in pairs(hints) do redis.call('LLEN', key) end

keep_clock()
log_event('type', 'triggered', 'entry', id, 'run', run_id, 'actor', actor, 'reason', reason)
local answer
if fire_at > now then
  -- A message waits with the run; it is no JSON, and a byte in front says so.
  local text = struct.pack(LIVE, 1, WAITING, ONE_OFF, UNTIL, 0, 0, 0, fire_at, fire_at, 0, 0, 0, NOBODY) .. p[P_TAIL]
    .. string.char(#id) .. id .. (p[P_IS_DIRECT] and '\2' .. message or extras)
  redis.call('HSET', live_key, run_id, text)
  redis.call('ZADD', delayed_key, fire_at, run_id)
  if p[P_START_WITHIN] > 0 then redis.call('ZADD', start_by_key, fire_at + p[P_START_WITHIN], run_id) end
  nudge(channel, 'due')
  answer = { 'waiting', run_id, fire_at, '' }
elseif p[P_IS_DIRECT] then
  directs[1] = { id, plan, run_id, fire_at, ONE_OFF }
  local why = deliver_all()
  answer = { why and 'failed' or 'delivered', run_id, fire_at, why and why[2] or '' }
else
  place(id, p, run_id, fire_at, ONE_OFF, extras, false)
  flush_runs()
  answer = { 'queued', run_id, fire_at, '' }
end
uniques.take(unique, run_id, fire_at, unique_ms)
flush_history()
keep_answer(request, digest, answer)
leave_hints()
nudge(channel, 'work')
return answer
