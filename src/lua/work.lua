-- work: record how attempts ended and fetch new ones for the free slots, in one step.
--
-- One call, numbered: its reply can be lost, never a run. Only the holder of the current attempt is listened to.
--
-- KEYS[1] clock     hash    the shard's clock and counters
-- KEYS[2] live      hash    run id -> live record
-- KEYS[3] lanes     hash    incarnation and lane -> number, answer
-- KEYS[4] leases    zset    incarnation -> end of its lease
-- KEYS[5] holds     set     run ids that the caller executes
-- KEYS[6] history   hash    rings of records
-- KEYS[7] ended     stream  runs that ended
-- KEYS[8] events    stream
-- KEYS[9] queues    hash    list -> ids in it whose run has ended
-- KEYS[10] start_by zset    run id -> its last moment to start
-- KEYS[11] due      zset    entry id -> when to look at it, ms
-- KEYS[12] cursors  hash    entry id -> cursor, pace, back-log
-- KEYS[13] cancels  hash    run id -> who asked to cancel it and why
-- KEYS[14] active   hash    entry id -> run ids
-- KEYS[15] waits    hash    entry id -> how many may be active, run ids that wait
-- KEYS[16] delayed  zset    run id -> when it goes into its list
-- KEYS[17] dead     zset    run id -> when it failed for good
-- KEYS[18] letters  hash    run id -> dead letter
-- KEYS[19] moves    stream  runs that were fired and started
-- KEYS[20] queue_rules hash queue -> limits and pause
-- KEYS[21] occupied zset   queue and run id of what executes, of queues with a limit
-- KEYS[22] starts   hash    queue -> when runs started, of queues with a rate
-- KEYS[23..] lists, then as many hints (hints only in shard 0)
-- ARGV[1] incarnation
-- ARGV[2] node name
-- ARGV[3] number in the lane `work`
-- ARGV[4] lease, ms
-- ARGV[5] attempts to fetch, at most
-- ARGV[6] number of attempts that ended
-- ARGV[7] number of lists
-- ARGV[8] those attempts, packed one behind the other (ATTEMPT_TOLD): run id, fence, number of the outcome, reason, exit code + 1,
--   ms until the next attempt + 1 (0: none), ms that the whole run has (0: no limit), message
-- ARGV[9..] names of the lists, those to fetch from first (each begins with 1, the others with 0)
-- Returns { 'stale' } | { 'done', now, a word for each, behind a blank but for the first, { run id, record, ... }, { lists with work }, 1 where work waits behind a
--   limit that the caller may free, ms until somebody should look at it again (0: nothing to look at) }; a word is 'finished' |
--   'requeued' | 'retrying' | 'lost' (another attempt holds the run, nobody does, or it can't go back to a list not named here)
local clock_key, live_key, lanes_key, leases_key, holds_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local history_key, ended_key, events_key, queues_key = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local start_by_key, due_key, cursors_key, cancels_key, active_key, waits_key = KEYS[10], KEYS[11], KEYS[12], KEYS[13], KEYS[14], KEYS[15]
local delayed_key, dead_key, letters_key, moves_key = KEYS[16], KEYS[17], KEYS[18], KEYS[19]
local rules_key, occupied_key, starts_key = KEYS[20], KEYS[21], KEYS[22]
local holder, node_name, number, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local wanted, ended_count, list_count = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local told = ARGV[8]
local lists, hints, served = {}, {}, {}
for i = 1, list_count do
  local name = string.sub(ARGV[8 + i], 2)
  lists[name], hints[name] = KEYS[22 + i], KEYS[22 + list_count + i]
  if string.sub(ARGV[8 + i], 1, 1) == '1' then served[#served + 1] = name end
end
-- use words clock lease live log history lanes waits finish gates fetch
local kept, answer, last = read_lane(':work')
if kept == number then
  local words, run_ids = string.match(answer, '^([^\n]*)\n(.*)$')
  return { 'done', now, words or '', held_of(run_ids or '', last), {}, 1, 0 }
end
if kept > number then return { 'stale' } end
local attempts, is_plain = read_attempts(told, ended_count)
-- What most installations do not have most of the time: a key that is not there is read by nobody, and of no wrong type.
local has_rare = redis.call('EXISTS', rules_key, waits_key, cancels_key, cursors_key, start_by_key, delayed_key) > 0
if has_rare then gates.load() end
if gates.is_any then has_rare = redis.call('EXISTS', waits_key, cancels_key, cursors_key, start_by_key, delayed_key) > 0 end
is_plain = is_plain and not has_rare
if not is_plain then
  guard_history()
  for _, key in ipairs({ cursors_key, cancels_key, active_key, waits_key }) do redis.call('HLEN', key) end
  for _, key in ipairs({ start_by_key, due_key, delayed_key }) do redis.call('ZCARD', key) end
  redis.call('XLEN', events_key)
end
redis.call('XLEN', ended_key)
redis.call('ZCARD', leases_key)
holding = redis.call('SCARD', holds_key)
-- Where nothing goes into lists, as they are now is how they are below.
local has_work = read_lengths(not is_plain or gates.is_any)
if has_work then
  -- The last two were read for the attempts, if there are any.
  for _, key in ipairs(#attempts > 0 and { queues_key } or { queues_key, live_key, history_key }) do redis.call('HLEN', key) end
  redis.call('XLEN', moves_key)
end

-- As many fences as it may fetch are given out with it.
keep_clock('fence', math.max(fence, micros) + (is_plain and waiting_in(served, wanted) or wanted))
local words = finish(attempts, has_rare)
if gates.is_any then gates.free_attempts(attempts, words) end
words = table.concat(words, ' ')
if not is_plain then read_lengths(true) end
local fetched = fetch(wanted, served)
if held_more ~= 0 then redis.pcall('HINCRBY', clock_key, 'held', held_more) end
if gates.is_any then gates.flush() end
flush_history()
flush_moves()
if holding == 0 then drop_lease(holder) else extend_lease(holder, lease_ms) end
keep_lane(':work', words .. '\n' .. table.concat(fetched, ' '))
-- What ended or came too late may have let others in.
if not is_plain or #fetched.late > 0 then read_lengths(true) end
local left, is_held = what_is_left(has_work and served or {})
if gates.is_any then gates.hint_others(served) end
return { 'done', now, words, fetched.given, left, is_held, gates.look < NEVER and math.max(gates.look - now, 1) or 0 }
