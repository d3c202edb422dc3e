-- redbeat_give: give a schedule back to RedBeat, each entry with what it did last.
--
-- One step: a beat sees all of it or nothing.
--
-- KEYS[1] schedule zset  entry -> when it is due, s
-- KEYS[2] taken    hash  who took it over, and how far that is
-- KEYS[3] waker    hash  the disabled entry that a beat looks at meanwhile
-- KEYS[4] kept     zset  the schedule as it was
-- KEYS[5] metas    hash  entry -> meta as it was
-- KEYS[6] ids      hash  entry -> id here
-- KEYS[7..] entries
-- ARGV[1] token
-- ARGV[2] entries
-- ARGV[3..] for each entry its meta, its score
-- Returns 'given' | 'gone' (somebody else has it, or it was given back) | 'shut' (it is not open)
local schedule_key, taken_key, waker_key = KEYS[1], KEYS[2], KEYS[3]
local kept_key, metas_key, ids_key = KEYS[4], KEYS[5], KEYS[6]
local token, count = ARGV[1], tonumber(ARGV[2])
local entries, metas, scores = {}, {}, {}
for at = 1, count do
  entries[at], metas[at], scores[at] = KEYS[6 + at], ARGV[2 + 2 * at - 1], ARGV[2 + 2 * at]
end
local call = redis.call
if call('HGET', taken_key, 'token') ~= token then return 'gone' end
if call('HGET', taken_key, 'phase') ~= 'open' or call('TYPE', schedule_key).ok ~= 'zset' then return 'shut' end
local are_hashes = {}
for at = 1, count do are_hashes[at] = call('TYPE', entries[at]).ok == 'hash' end
for at = 1, count do
  -- An entry that was deleted meanwhile stays so.
  if are_hashes[at] then
    if metas[at] == '' then
      call('HDEL', entries[at], 'meta')
    else
      call('HSET', entries[at], 'meta', metas[at])
    end
    call('ZADD', schedule_key, scores[at], entries[at])
  end
end
call('ZREM', schedule_key, waker_key)
call('DEL', waker_key, kept_key, metas_key, ids_key, taken_key)
return 'given'
