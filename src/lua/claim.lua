-- claim: take what is due, advance it and enqueue its runs, in one step.
--
-- One node finds the entries due, the others nothing. It reads and decides everything first; after its first write nothing can
-- raise. Deliveries of direct actions come last, each may be refused by its target.
--
-- KEYS[1] clock     hash    the shard's clock and counters
-- KEYS[2] due       zset    entry id -> when to look at it, ms
-- KEYS[3] plans     hash    entry id -> plan
-- KEYS[4] live      hash    run id -> live record
-- KEYS[5] active    hash    entry id -> run ids
-- KEYS[6] ledger    hash    entry id -> stretches
-- KEYS[7] history   hash    rings of records
-- KEYS[8] ended     stream  runs that ended
-- KEYS[9] events    stream
-- KEYS[10] cursors  hash    entry id -> cursor, pace, back-log
-- KEYS[11] parked   zset    entry id -> when to hand it out for planning again
-- KEYS[12] broken   zset    entry id -> the same
-- KEYS[13] finished zset    entry id -> since when
-- KEYS[14] paused   zset    entry id -> until when
-- KEYS[15] entries  hash    entry id -> definition
-- KEYS[16] messages hash    entry id -> message of a direct action
-- KEYS[17] start_by zset    run id -> its last moment to start
-- KEYS[18] leases   zset    incarnation -> end of its lease
-- KEYS[19] holds    set     run ids that the caller executes
-- KEYS[20] lanes    hash    incarnation and lane -> number, answer
-- KEYS[21] nodes    hash    incarnation -> what the node says of itself
-- KEYS[22] seen     zset    incarnation -> when its last beat came
-- KEYS[23] queues   hash    list -> ids in it whose run has ended
-- KEYS[24] stale    zset    entry id -> when to hand it out for planning with newer zone data
-- KEYS[25] skips    hash    entry id -> fire times to skip
-- KEYS[26] backfills hash   entry id -> batches of past fire times to run
-- KEYS[27] backfilling zset  entry id -> when the next of them has its turn
-- KEYS[28] waits    hash    entry id -> how many may be active, run ids that wait
-- KEYS[29] cancels  hash    run id -> who asked to cancel it and why
-- KEYS[30] fires    hash    entry id -> fire times so far, of entries with `max_fires`
-- KEYS[31] delayed  zset    run id -> when it goes into its list
-- KEYS[32] dead     zset    run id -> when it failed for good
-- KEYS[33] letters  hash    run id -> dead letter
-- KEYS[34] moves    stream  runs that were fired and started
-- KEYS[35] queue_rules hash queue -> limits and pause
-- KEYS[36] occupied zset   queue and run id of what executes, of queues with a limit
-- KEYS[37] starts   hash    queue -> when runs started, of queues with a rate
-- KEYS[38] results  hash    entry id -> what its last run left
-- KEYS[39..] lists, then as many hints (hints only in shard 0)
-- ARGV[1] incarnation
-- ARGV[2] node name
-- ARGV[3] number in the lane `claim`; 0 where nothing may be started directly
-- ARGV[4] lease, ms
-- ARGV[5] free slots to start runs in directly
-- ARGV[6] entries to look at, at most
-- ARGV[7] beat: what the node says of itself, or empty
-- ARGV[8] number of lists
-- ARGV[9] one character a list: 1 if the caller serves it
-- ARGV[10] release of the node's zone data
-- ARGV[11] channel of nudges
-- ARGV[12..] names of the lists
-- Returns { 'behind', now, ms } | { 'later', now, until } | { 'stale' } | { 'repeated', now, { run id, record, ... } }
--   | { 'claimed', now, next due, next look, live nodes, { claimed, settled, full, unbalanced, outage ms, us beyond now, zones to walk, records to age, ms that the oldest was late },
--       { run id, record, ... }, { entries to plan }, { unknown lists }, { lists with work }, { ended incarnations }, { long ledgers },
--       { entries to plan anew }, { queues to count }, { definition, both rings, result of each run's entry, ... } or nothing }
local clock_key, due_key, plans_key, live_key, active_key, ledger_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local history_key, ended_key, events_key, cursors_key, parked_key, broken_key = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local finished_key, paused_key, entries_key, messages_key, start_by_key = KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17]
local leases_key, holds_key, lanes_key, nodes_key, seen_key, queues_key = KEYS[18], KEYS[19], KEYS[20], KEYS[21], KEYS[22], KEYS[23]
local stale_key, skips_key, backfills_key, backfilling_key, waits_key, cancels_key = KEYS[24], KEYS[25], KEYS[26], KEYS[27], KEYS[28], KEYS[29]
local fires_key, delayed_key, dead_key, letters_key, moves_key = KEYS[30], KEYS[31], KEYS[32], KEYS[33], KEYS[34]
local rules_key, occupied_key, starts_key, results_key = KEYS[35], KEYS[36], KEYS[37], KEYS[38]
local holder, node_name, number, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local slots, batch, beat, list_count, release, channel = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8]), ARGV[10], ARGV[11]
local lists, serves, hints = {}, {}, {}
for i = 1, list_count do
  local name = ARGV[11 + i]
  lists[name], hints[name] = KEYS[38 + i], KEYS[38 + list_count + i]
  serves[name] = string.sub(ARGV[9], i, i) == '1'
end
-- use words clock lease plan live log ledger calm rare definition history limits waits overlap fire cursor skips settle instant celery deliver flush lanes delayed expire zones pauses usual gates take backfills claimed nudge
if behind_ms > 5000 then return { 'behind', now, behind_ms } end
if tonumber(marks_of_clock[1] or 0) > now and marks_of_clock[2] ~= holder then return { 'later', now, tonumber(marks_of_clock[1]) } end
if number > 0 then
  local kept, answer, last = read_lane(':claim')
  if kept == number then return { 'repeated', now, held_of(answer, last) } end
  if kept > number then return { 'stale' } end
end
zones.read({ unpack(marks_of_clock, 5, 8) })
gates.load()
if gates.is_any then gates.keep_out(serves) end
local ids, is_full = take(batch)
if poison then return set_poison_aside() end
if rare.entries then
  pausing.wake_due(batch)
  backfilling.take_turns(batch)
end
local checked = tonumber(marks_of_clock[4]) or 0
local is_check_due = now - checked >= RECOVER_MS
guard_keys(is_check_due)

keep_clock('claimed', now)
flush_claim()
if rare.runs then move_runs() end
if gates.is_any then gates.heal() end
local outage_ms = note_claim(tonumber(marks_of_clock[3]), is_full)
is_full = is_full or #pausing.removes > 0 -- what a pause that ended owes is due at once
local is_unbalanced = is_check_due and check_balance()
if rare.entries or #broken_ids > 0 then hand_out_all(is_check_due) end
if beat ~= '' then note_beat(outage_ms > 0) end
zones.note()
if #directs > 0 then deliver_all() end
flush_history()
if #logged.events > 0 then flush_events() end
find_waiting()
leave_hints()
if #overlap.asked > 0 then nudge(channel, 'cancel') end

local next_due, look, lease_end = next_times(is_full)
local gone = lease_end and lease_end < now and now > hold and redis.call('ZRANGEBYSCORE', leases_key, '-inf', '(' .. now, 'LIMIT', 0, 10) or {}
return { 'claimed', now, next_due, look, known.live_nodes, { claimed, #ids, is_full and 1 or 0, is_unbalanced and 1 or 0, outage_ms,
    behind_ms == 0 and micros % 1000 or 0, zones.ask() and 1 or 0, ask_to_age(marks_of_clock[10], marks_of_clock[11]), late_ms },
  given_out(), zones.share(to_plan), unknown_lists, waiting_lists, gone, long_ledgers,
  zones.hand_out(), gates.is_any and gates.to_count() or {}, {} }
