-- redbeat_mark: note how far a take-over is; one that is being given back stays so, whoever comes late.
--
-- KEYS[1] taken hash  who took it over, and how far that is
-- ARGV[1] token
-- ARGV[2] phase
-- Returns 'done' | 'gone' (somebody else has it, or gives it back)
local taken_key = KEYS[1]
local token, phase = ARGV[1], ARGV[2]
local noted = redis.call('HMGET', taken_key, 'token', 'phase')
if noted[1] ~= token or noted[2] == 'open' then return 'gone' end
redis.call('HSET', taken_key, 'phase', phase)
return 'done'
