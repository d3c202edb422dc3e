-- put: write entries: added, changed, paused, resumed or removed; each settles first what is overdue.
--
-- One step per batch; an entry that changed meanwhile is refused and the rest written. Where a plan does not reach to now,
-- no entry is written and the answer names those that need Rust first; what is overdue may be settled as far as plans reach.
--
-- KEYS[1] clock     hash    the shard's clock and counters
-- KEYS[2] due       zset    entry id -> when to look at it, ms
-- KEYS[3] plans     hash    entry id -> plan
-- KEYS[4] live      hash    run id -> live record
-- KEYS[5] active    hash    entry id -> run ids
-- KEYS[6] ledger    hash    entry id -> stretches
-- KEYS[7] history   hash    rings of records
-- KEYS[8] ended     stream  runs that ended
-- KEYS[9] queues    hash    list -> ids in it whose run has ended
-- KEYS[10] cursors  hash    entry id -> cursor, pace, back-log
-- KEYS[11] parked   zset    entry id -> when to hand it out for planning again
-- KEYS[12] broken   zset    entry id -> the same
-- KEYS[13] finished zset    entry id -> since when
-- KEYS[14] paused   zset    entry id -> until when
-- KEYS[15] entries  hash    entry id -> definition
-- KEYS[16] messages hash    entry id -> message of a direct action
-- KEYS[17] start_by zset    run id -> its last moment to start
-- KEYS[18] revisions hash   entry id, revision -> definition as it was, or its removal
-- KEYS[19] removed  hash    entry id -> who removed it, when
-- KEYS[20] requests hash    request id -> answer
-- KEYS[21] requested zset   request id -> when
-- KEYS[22] leases   zset    incarnation -> end of its lease
-- KEYS[23] stale    zset    entry id -> when to hand it out for planning with newer zone data
-- KEYS[24] skips    hash    entry id -> fire times to skip
-- KEYS[25] backfills hash   entry id -> batches of past fire times to run
-- KEYS[26] backfilling zset entry id -> when the next of them has its turn
-- KEYS[27] waits    hash    entry id -> how many may be active, run ids that wait
-- KEYS[28] cancels  hash    run id -> who asked to cancel it and why
-- KEYS[29] fires    hash    entry id -> fire times so far, of entries with `max_fires`
-- KEYS[30] delayed  zset    run id -> when it goes into its list
-- KEYS[31] dead     zset    run id -> when it failed for good
-- KEYS[32] letters  hash    run id -> dead letter
-- KEYS[33] events   stream  what happened
-- KEYS[34] moves    stream  runs that were fired and started
-- KEYS[35..] lists, then as many hints (hints only in shard 0)
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3] channel of nudges
-- ARGV[4] 1 to say what would happen, and write nothing
-- ARGV[5] release of the caller's zone data
-- ARGV[6] who asks
-- ARGV[7] why, or empty
-- ARGV[8] number of lists
-- ARGV[9..] names of the lists; then per entry: id, verb (put, pause, resume, remove, discard: remove what nobody can plan), birth
--   and revision expected (0 where it must not exist), definition, plan, message, list, status (active, paused), fields that differ,
--   until when it is paused (0: no end), from when it counts (0: after now)
-- Returns { 'other' } | { 'again', { id, 'overdue' | 'short' | 'busy' | 'woken' | 'from' (settled as far already) | list name, ... } }
--   | { 'done', now, { { id, word, next before, next after, revision, fields that differ }, ... } };
--   a word is 'added' | 'changed' | 'removed' | 'conflict' | 'exists' | 'gone'
local clock_key, due_key, plans_key, live_key, active_key, ledger_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local history_key, ended_key, queues_key, cursors_key, parked_key = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local broken_key, finished_key, paused_key, entries_key, messages_key = KEYS[12], KEYS[13], KEYS[14], KEYS[15], KEYS[16]
local start_by_key, revisions_key, removed_key, requests_key = KEYS[17], KEYS[18], KEYS[19], KEYS[20]
local requested_key, leases_key, stale_key, skips_key, backfills_key, backfilling_key = KEYS[21], KEYS[22], KEYS[23], KEYS[24], KEYS[25], KEYS[26]
local waits_key, cancels_key, fires_key = KEYS[27], KEYS[28], KEYS[29]
local delayed_key, dead_key, letters_key, events_key, moves_key = KEYS[30], KEYS[31], KEYS[32], KEYS[33], KEYS[34]
local request, digest, channel, is_dry_run = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local release, actor, reason, list_count = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
-- Nobody's free slots: what falls due here goes to its list.
local slots, holder, node_name, lease_ms, holds_key = 0, '', '', 0, ''
local lists, serves, hints = {}, {}, {}
for i = 1, list_count do
  lists[ARGV[8 + i]], hints[ARGV[8 + i]] = KEYS[34 + i], KEYS[34 + list_count + i]
end
local first = 9 + list_count
-- use words clock lease plan definition live log history ledger limits waits overlap fire cursor skips settle instant celery deliver flush requests nudge zones pauses backfills change
local before = answered(request, digest)
if before == 'other' then return { 'other' } end
if before then return { 'done', now, before } end
local items = items_asked(first)
-- Without any the request is used up, so that nothing else is written by its id.
if #items == 0 then
  if not is_dry_run then keep_answer(request, digest, {}) end
  return { 'done', now, {} }
end
zones.read(redis.call('HMGET', clock_key, 'zone', 'zone_at', 'zone_done'))
local again, results = read_items(items), {}
if #again == 0 then
  for i = 1, #items do results[i] = change(items[i]) end
elseif not pausing.wake_items(items) and not settle_far_behind(items) then
  -- The registry may have lost a list; whoever reads it again finds it.
  for i = 2, #again, 2 do
    if string.find(again[i], ':', 1, true) then redis.call('HSETNX', queues_key, again[i], 0) end
  end
  return { 'again', again }
end
if is_dry_run then return { 'done', now, results } end

guard_put()
keep_clock()
if #again == 0 then log_changes(items, results) end
flush_events()
flush_runs()
flush_moves()
overlap.flush()
flush_ledgers()
limits.flush()
flush_changes()
pausing.flush()
skipping.flush()
flush_cursors()
deliver_all()
flush_history()
if #again == 0 then keep_answer(request, digest, results) end
local moved = waits.set_limits()
leave_hints()
if #overlap.asked > 0 then nudge(channel, 'cancel') end
if #due_writes > 0 or #writes.paused > 0 then nudge(channel, 'due') end
if moved > 0 then nudge(channel, 'work') end
if #again > 0 then return { 'again', again } end
return { 'done', now, results }
