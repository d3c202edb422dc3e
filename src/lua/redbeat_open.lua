-- redbeat_open: let beats run again with a schedule in which nothing is due, so that one is ready when it is given back.
--
-- Every entry counts as run far in the future, also for a beat that starts and writes its own entries anew.
--
-- KEYS[1] lock     string  the token of the beat that may run; may be any key where there is no lock
-- KEYS[2] schedule string  what stands in its place
-- KEYS[3] taken    hash    who took it over, and how far that is
-- KEYS[4] waker    hash    a disabled entry: a beat looks at it every 5 s
-- KEYS[5..] entries
-- ARGV[1] token
-- ARGV[2] 'lock' | 'none'
-- ARGV[3] the waker's definition
-- ARGV[4] the waker's meta
-- ARGV[5] entries
-- ARGV[6..] for each entry its meta until then, its score
-- Returns 'open' | 'gone' (somebody else has it) | 'changed' (the schedule is not what was put there)
local lock_key, schedule_key, taken_key, waker_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token, has_lock, definition, meta, count = ARGV[1], ARGV[2] == 'lock', ARGV[3], ARGV[4], tonumber(ARGV[5])
local entries, metas, scores = {}, {}, {}
for at = 1, count do
  entries[at], metas[at], scores[at] = KEYS[4 + at], ARGV[5 + 2 * at - 1], ARGV[5 + 2 * at]
end
local call = redis.call
if call('HGET', taken_key, 'token') ~= token then return 'gone' end
local is_open = call('HGET', taken_key, 'phase') == 'open'
local stands = call('TYPE', schedule_key).ok
-- Also where somebody deleted it, as redis-cli would; what a beat wrote there since is not ours.
if stands ~= 'none' and stands ~= (is_open and 'zset' or 'string') then return 'changed' end
local waits = call('TYPE', waker_key).ok
if waits ~= 'none' and waits ~= 'hash' then return 'changed' end
local are_hashes = {}
for at = 1, count do are_hashes[at] = call('TYPE', entries[at]).ok == 'hash' end
local is_ours = has_lock and call('TYPE', lock_key).ok == 'string' and call('GET', lock_key) == token
if not is_open then call('DEL', schedule_key) end
call('HSET', waker_key, 'definition', definition, 'meta', meta)
call('ZADD', schedule_key, 0, waker_key)
for at = 1, count do
  if are_hashes[at] then
    call('HSET', entries[at], 'meta', metas[at])
    call('ZADD', schedule_key, scores[at], entries[at])
  end
end
if is_ours then call('DEL', lock_key) end
call('HSET', taken_key, 'phase', 'open')
return 'open'
