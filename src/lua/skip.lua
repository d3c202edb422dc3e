-- skip: note that fire times to come shall end `skipped`, or take that back; nothing else about the entry changes.
--
-- KEYS[1] clock     hash  the shard's clock and counters
-- KEYS[2] entries   hash  entry id -> definition
-- KEYS[3] skips     hash  entry id -> fire times to skip
-- KEYS[4] requests  hash  request id -> answer
-- KEYS[5] requested zset  request id -> when
-- KEYS[6] events    stream what happened
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3] entry id
-- ARGV[4] birth that it was decided on
-- ARGV[5] revision that it was decided on
-- ARGV[6] verb: skip, undo
-- ARGV[7] who and why, for people
-- ARGV[8] next fire time before, for the answer, or -1
-- ARGV[9] next fire time afterwards, for the answer, or -1
-- ARGV[10] fire times an entry may have here, at most
-- ARGV[11] number of fire times
-- ARGV[12..] fire times, ms
-- Returns { 'other' } | { 'gone' } | { 'changed' } (another revision) | { 'passed', fire time } | { 'full' }
--   | { 'done' | 'unchanged', first fire time, next before, next after, revision }
local clock_key, entries_key, skips_key, requests_key, requested_key, events_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local request, digest, id, birth, revision = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local verb, words, next_before, next_after = ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local most, count, times = tonumber(ARGV[10]), tonumber(ARGV[11]), {}
for i = 1, count do times[i] = tonumber(ARGV[11 + i]) end
-- use words clock log requests definition skips
local before = answered(request, digest)
if before == 'other' then return { 'other' } end
if before then return before end
local definition = redis.call('HGET', entries_key, id)
if not definition then return { 'gone' } end
local stands_birth, stands_revision = definitions.identity(definition)
if stands_birth ~= birth or stands_revision ~= revision then return { 'changed' } end
local list = skipping.read(redis.call('HGET', skips_key, id))
local changed = false
for i = 1, #times do
  if times[i] <= now then return { 'passed', times[i] } end
  local at
  for k = 1, #list do
    if list[k][1] == times[i] then at = k end
  end
  if verb == 'undo' and at then
    table.remove(list, at)
    changed = true
  elseif verb == 'skip' and not at then
    list[#list + 1] = { times[i], words }
    changed = true
  end
end
if #list > most then return { 'full' } end
table.sort(list, function(a, b) return a[1] < b[1] end)
redis.call('HLEN', requests_key)
redis.call('XLEN', events_key)

keep_clock()
if #list == 0 then redis.call('HDEL', skips_key, id) else redis.call('HSET', skips_key, id, skipping.pack(list)) end
if changed then
  for i = 1, #times do log_event('type', verb == 'undo' and 'skip_undone' or 'skip_asked', 'entry', id, 'from', times[i], 'words', words) end
end
local answer = { changed and 'done' or 'unchanged', times[1], next_before, next_after, tonumber(revision) }
keep_answer(request, digest, answer)
return answer
