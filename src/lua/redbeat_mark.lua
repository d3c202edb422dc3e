-- redbeat_mark: note how far a take-over is.
--
-- KEYS[1] taken hash  who took it over, and how far that is
-- ARGV[1] token
-- ARGV[2] phase
-- Returns 'done' | 'gone' (somebody else has it)
local taken_key = KEYS[1]
local token, phase = ARGV[1], ARGV[2]
if redis.call('HGET', taken_key, 'token') ~= token then return 'gone' end
redis.call('HSET', taken_key, 'phase', phase)
return 'done'
