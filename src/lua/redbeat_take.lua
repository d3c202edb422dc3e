-- redbeat_take: take a RedBeat schedule from its beats, and keep what each entry did last, in one step.
--
-- A beat writes entry and schedule in one transaction before it sends. The schedule is a text from here on, so that this
-- transaction fails: a beat in the middle of a tick, however long it was frozen, sends nothing any more. What it wrote before is sent.
--
-- KEYS[1] lock     string  the token of the beat that may run; may be any key where there is no lock
-- KEYS[2] schedule zset    entry -> when it is due, s
-- KEYS[3] kept     zset    the schedule as it was
-- KEYS[4] metas    hash    entry -> meta as it was
-- KEYS[5] ids      hash    entry -> id here
-- KEYS[6] taken    hash    who took it over, and how far that is
-- KEYS[7..] entries        definition, meta
-- ARGV[1] token
-- ARGV[2] 'lock' | 'none'
-- ARGV[3] what stands in place of the schedule, for people
-- ARGV[4] members of the schedule
-- ARGV[5] entries
-- ARGV[6] number of words about who took it
-- ARGV[7..] these words, names and values in turn, then for each entry SHA-1 of its definition, id here or ''
-- Returns { 'taken', now in ms, the lock's token or '', meta of each entry or '' } | { 'held' } (it is taken) | { 'changed' }
local lock_key, schedule_key, kept_key, metas_key, ids_key, taken_key =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local token, has_lock, notice, members = ARGV[1], ARGV[2] == 'lock', ARGV[3], tonumber(ARGV[4])
local count, words = tonumber(ARGV[5]), tonumber(ARGV[6])
local about, entries, shas, ids = {}, {}, {}, {}
for at = 1, words do about[at] = ARGV[6 + at] end
for at = 1, count do
  entries[at], shas[at], ids[at] = KEYS[6 + at], ARGV[6 + words + 2 * at - 1], ARGV[6 + words + 2 * at]
end
local call = redis.call
if call('EXISTS', taken_key) == 1 then return { 'held' } end
if call('EXISTS', kept_key, metas_key, ids_key) > 0 then return { 'changed' } end
if call('TYPE', schedule_key).ok ~= 'zset' or call('ZCARD', schedule_key) ~= members then return { 'changed' } end
local held = has_lock and call('TYPE', lock_key).ok or 'none'
if held ~= 'none' and held ~= 'string' then return { 'changed' } end
local holder = held == 'string' and call('GET', lock_key) or ''
local time = call('TIME')
local answer = { 'taken', time[1] * 1000 + math.floor(time[2] / 1000), holder }
local metas, names = {}, {}
for at = 1, count do
  local entry = entries[at]
  if call('TYPE', entry).ok ~= 'hash' then return { 'changed' } end
  local definition = call('HGET', entry, 'definition')
  if not definition or redis.sha1hex(definition) ~= shas[at] then return { 'changed' } end
  if not call('ZSCORE', schedule_key, entry) then return { 'changed' } end
  local meta = call('HGET', entry, 'meta') or ''
  answer[3 + at] = meta
  metas[at], names[at] = meta, ids[at]
end
call('RENAME', schedule_key, kept_key)
call('SET', schedule_key, notice)
if has_lock then call('SET', lock_key, token) end
for at = 1, count do
  call('HSET', metas_key, entries[at], metas[at])
  if names[at] ~= '' then call('HSET', ids_key, entries[at], names[at]) end
end
call('HSET', taken_key, 'token', token, 'phase', 'taking', 'at', answer[2])
for at = 1, words, 2 do call('HSET', taken_key, about[at], about[at + 1]) end
return answer
