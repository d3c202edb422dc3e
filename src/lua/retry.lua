-- retry: reopen runs that failed for good, or send messages again that their targets refused; at most 100 runs a call.
--
-- Each goes on as the same run: its next attempt, with what its dead letter holds, and later another ending. It obeys overlap:
-- while other runs of its entry are active it waits. Its attempts so far count for nothing.
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
-- KEYS[12] waits    hash    entry id -> how many may be active, run ids that wait
-- KEYS[13] cancels  hash    run id -> who asked to cancel it and why
-- KEYS[14] queues   hash    list -> ids in it whose run has ended
-- KEYS[15] delayed  zset    run id -> when it goes into its list
-- KEYS[16] dead     zset    run id -> when it failed for good
-- KEYS[17] letters  hash    run id -> dead letter
-- KEYS[18] events   stream  what happened
-- KEYS[19..] lists, then as many hints (hints only in shard 0)
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3] channel of nudges
-- ARGV[4] who and why, for people
-- ARGV[5] number of lists
-- ARGV[6..] names of the lists, then run ids
-- Returns { 'other' } | { 'unknown', list } | { 'done', { run id, word, ... } }; a word is 'queued' | 'waiting' | 'delivered' | 'failed'
--   (its target refused it again) | 'full' (too many wait for their entry already) | 'gone' (there is no letter that can be read)
local clock_key, plans_key, live_key, active_key, history_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ended_key, start_by_key, requests_key, requested_key = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local leases_key, messages_key, waits_key, cancels_key, queues_key = KEYS[10], KEYS[11], KEYS[12], KEYS[13], KEYS[14]
local delayed_key, dead_key, letters_key, events_key = KEYS[15], KEYS[16], KEYS[17], KEYS[18]
local ledger_key, holds_key = '', ''
local request, digest, channel, words, list_count = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local slots, holder, node_name, lease_ms = 0, '', '', 0
local lists, serves, hints, runs = {}, {}, {}, {}
for i = 1, list_count do
  lists[ARGV[5 + i]], hints[ARGV[5 + i]] = KEYS[18 + i], KEYS[18 + list_count + i]
end
for i = 6 + list_count, #ARGV do runs[#runs + 1] = { run_id = ARGV[i] } end
-- use words clock lease plan live log history ledger waits overlap fire instant celery deliver flush requests nudge letters
local before = answered(request, digest)
if before == 'other' then return { 'other' } end
if before then return { 'done', before } end

local ids, asked = {}, {}
for i = 1, #runs do asked[i] = runs[i].run_id end
local texts = redis.call('HMGET', letters_key, unpack(asked))
local lives = redis.call('HMGET', live_key, unpack(asked))
for i = 1, #runs do
  if not lives[i] then runs[i].run, runs[i].message = open_letter(texts[i]) end
  local run = runs[i].run
  if run and runs[i].message == '' then
    if not lists[run.list] then
      redis.call('HSETNX', queues_key, run.list, 0)
      return { 'unknown', run.list }
    end
    ids[#ids + 1] = run.id
  end
end
load_lists()
load_marks(ids)
waits.load(ids)
local plan_texts = #ids > 0 and redis.call('HMGET', plans_key, unpack(ids)) or {}
for i = 1, #ids do reopening.plans[ids[i]] = read_plan(plan_texts[i]) end
guard_history()
for _, key in ipairs({ live_key, active_key, requests_key, waits_key, cancels_key, queues_key }) do redis.call('HLEN', key) end
for _, key in ipairs({ start_by_key, requested_key, delayed_key }) do redis.call('ZCARD', key) end
redis.call('XLEN', events_key)
for _, key in pairs(hints) do redis.call('LLEN', key) end

keep_clock()
local results, gone, reopened = {}, {}, {}
for i = 1, #runs do
  local run_id, run, message = runs[i].run_id, runs[i].run, runs[i].message
  runs[i].word = run and message == '' and reopen(run_id, run) or 'gone'
  if runs[i].word == 'queued' or runs[i].word == 'waiting' then gone[#gone + 1] = run_id end
end
if #gone > 0 then
  redis.call('HDEL', letters_key, unpack(gone))
  redis.call('ZREM', dead_key, unpack(gone))
end
flush_runs()
for i = 1, #runs do
  if runs[i].run and runs[i].message ~= '' then runs[i].word = send_again(runs[i].run_id, runs[i].run, runs[i].message) end
  append(results, runs[i].run_id, runs[i].word)
  if runs[i].word ~= 'gone' and runs[i].word ~= 'full' then
    append(reopened, runs[i].run.id, runs[i].run_id)
    reopened[#reopened + 1] = runs[i].word
  end
end
if #reopened > 0 then
  log_line(events_key, 'events', EVENTS_MAX, #reopened / 3, 'type', 'retry_asked', 'words', words, 'runs', table.concat(reopened, '\n'))
end
flush_history()
keep_answer(request, digest, results)
leave_hints()
nudge(channel, 'work')
return { 'done', results }
