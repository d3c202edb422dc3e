-- trigger: make one run that somebody asked for; its entry's next fire time stays as it is.
--
-- KEYS[1] clock     hash    the shard's clock and counters
-- KEYS[2] plans     hash    entry id -> plan
-- KEYS[3] live      hash    run id -> live record
-- KEYS[4] active    hash    entry id -> run ids
-- KEYS[5] history   hash    rings of records
-- KEYS[6] ended     stream  runs that ended
-- KEYS[7] start_by  zset    run id -> its last moment to start
-- KEYS[8] requests  hash    request id -> answer
-- KEYS[9] requested zset    request id -> when
-- KEYS[10] leases   zset    incarnation -> end of its lease
-- KEYS[11] messages hash    entry id -> message of a direct action
-- KEYS[12] waits   hash    entry id -> how many may be active, run ids that wait
-- KEYS[13] cancels hash    run id -> who asked to cancel it and why
-- KEYS[14] queues  hash    list -> ids in it whose run has ended
-- KEYS[15] delayed zset    run id -> when it goes into its list
-- KEYS[16] dead    zset    run id -> when it failed for good
-- KEYS[17] letters hash    run id -> dead letter
-- KEYS[18] uniques hash    key of a request -> run id, fire time
-- KEYS[19] unique_until zset key of a request -> until when it is taken
-- KEYS[20] events  stream  what happened
-- KEYS[21..] lists, then as many hints (hints only in shard 0)
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3] channel of nudges
-- ARGV[4] entry id
-- ARGV[5] run id
-- ARGV[6] fire time: the instant asked for, ms
-- ARGV[7] overlap: its number, or empty for the entry's own
-- ARGV[8] extras: what differs from the entry, JSON
-- ARGV[9] message of a direct action with another payload, or empty
-- ARGV[10] birth
-- ARGV[11] key of the request, or empty
-- ARGV[12] for how long the key is taken, ms
-- ARGV[13] who asks
-- ARGV[14] why, or empty
-- ARGV[15] number of lists
-- ARGV[16..] names of the lists
-- Returns { 'other' } | { 'gone' } | { 'broken' } | { 'unknown', list } | { 'busy' } (too many runs are active to look through)
--   | { 'crowded' } (too many keys are taken)
--   | { 'queued' | 'delivered' | 'skipped' | 'failed' | 'taken' (the key, by that run), run id, fire time, run id in the way or Redis' words }; asked again, the same
local clock_key, plans_key, live_key, active_key, history_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ended_key, start_by_key, requests_key, requested_key = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local leases_key, messages_key, waits_key, cancels_key, queues_key = KEYS[10], KEYS[11], KEYS[12], KEYS[13], KEYS[14]
local delayed_key, dead_key, letters_key, uniques_key, unique_until_key, events_key = KEYS[15], KEYS[16], KEYS[17], KEYS[18], KEYS[19], KEYS[20]
local request, digest, channel, id, run_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local fire_at, rule, extras, message = tonumber(ARGV[6]), ARGV[7], ARGV[8], ARGV[9]
local birth, unique, unique_ms, actor, reason, list_count = tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12]), ARGV[13], ARGV[14], tonumber(ARGV[15])
local ledger_key, holds_key, slots, holder, node_name, lease_ms = '', '', 0, '', '', 0
local RUNS_SCANNED = 1500
local lists, serves, hints = {}, {}, {}
for i = 1, list_count do
  lists[ARGV[15 + i]], hints[ARGV[15 + i]] = KEYS[20 + i], KEYS[20 + list_count + i]
end
-- use words clock lease plan live log history ledger waits overlap fire instant celery deliver flush requests uniques nudge
local before = answered(request, digest)
if before then return before == 'other' and { 'other' } or before end
local refused = uniques.refusal(unique)
if refused then return refused end
local text = redis.call('HGET', plans_key, id)
if not text then return { 'gone' } end
local p = read_plan(text)
if not p or p[P_BIRTH] ~= birth then return { p and 'gone' or 'broken' } end
if not p[P_IS_DIRECT] and not lists[p[P_LIST]] then
  -- The registry may have lost it; whoever reads it again finds it.
  redis.call('HSETNX', queues_key, p[P_LIST], 0)
  return { 'unknown', p[P_LIST] }
end
load_lists()
load_marks({ id })
load_messages({ id })
if message ~= '' then templates[id] = message end
if p[P_IS_DIRECT] and not read_message(templates[id]) then return { 'broken' } end
waits.load({ id })
if rule ~= '' then p[P_OWN_LIMIT], p[P_OVERLAP] = active_limit(p), tonumber(rule) end
if p[P_OVERLAP] > ALLOW and not p[P_NEEDS_MARKS] then
  -- Runs of an entry that allows overlap are not marked.
  if redis.call('HLEN', live_key) > RUNS_SCANNED then return { 'busy' } end
  -- Some may be, from a time when it did not.
  marks[id] = ''
  local all = redis.call('HGETALL', live_key)
  for i = 1, #all, 2 do
    local run = read_live(all[i + 1])
    if run and run.id == id and run.birth == birth then marks[id] = marks[id] .. all[i] end
  end
  p[P_NEEDS_MARKS] = true
end
guard_history()
for _, key in ipairs({ live_key, active_key, requests_key, waits_key, cancels_key, queues_key, uniques_key }) do redis.call('HLEN', key) end
for _, key in ipairs({ start_by_key, requested_key, delayed_key, unique_until_key }) do redis.call('ZCARD', key) end
redis.call('XLEN', events_key)
for _, key in pairs(hints) do redis.call('LLEN', key) end
local answer, other = nil, string.sub(marks[id], 1, 36)
local verdict = p[P_NEEDS_MARKS] and overlap.decide(id, p) or not p[P_NEEDS_MARKS] and 'run'

keep_clock()
log_event('type', 'triggered', 'entry', id, 'run', run_id, 'actor', actor, 'reason', reason)
if not verdict then
  remember({ id = id, run_id = run_id, keep = p[P_KEEP], state = SKIPPED, reason = OVERLAP, trigger = MANUAL, attempt = 0, lost = 0,
    flags = REQUESTED, fire_at = fire_at, due_at = fire_at, enqueued_at = 0, started_at = 0, finished_at = now, birth = p[P_BIRTH],
    revision = p[P_REVISION], exit = 0, fires = 1, last_fire_at = fire_at, node = '', message = other })
  answer = { 'skipped', run_id, fire_at, other }
elseif p[P_IS_DIRECT] then
  directs[1] = { id, text, run_id, fire_at, MANUAL }
  local why = deliver_all()
  answer = { why and 'failed' or 'delivered', run_id, fire_at, why and why[2] or '' }
else
  place(id, p, run_id, fire_at, MANUAL, extras, verdict == 'wait')
  flush_runs()
  overlap.flush()
  if #overlap.asked > 0 then nudge(channel, 'cancel') end
  answer = { 'queued', run_id, fire_at, '' }
end
if verdict then uniques.take(unique, run_id, fire_at, unique_ms) end
flush_history()
keep_answer(request, digest, answer)
leave_hints()
nudge(channel, 'work')
return answer
