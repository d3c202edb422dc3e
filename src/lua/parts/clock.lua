-- The shard's clock: time never goes back, and silence is not death. Needs `clock_key`; every script that changes something begins with it.
local clock = redis.call('HMGET', clock_key, 't', 'last', 'hold', 'fence', 'shortest', 'longest')
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local read_ms = math.floor(micros / 1000)
local now = math.max(read_ms, tonumber(clock[1]) or 0)
-- Redis' clock stands this far behind what the shard has seen.
local behind_ms = now - read_ms
-- Until then no lease ends: nobody could renew while no script ran.
local hold = tonumber(clock[3]) or 0
local fence = tonumber(clock[4]) or 0
local shortest, longest = tonumber(clock[5]), tonumber(clock[6])
if shortest and now - (tonumber(clock[2]) or 0) > shortest / 2 then hold = now + longest end

local function next_fence()
  fence = math.max(fence + 1, micros)
  return fence
end

-- The first write of every script, with other fields of the clock: a clock of another type has raised above, before anything was
-- written.
local function keep_clock(...)
  redis.call('HSET', clock_key, 't', now, 'last', now, 'hold', hold, 'fence', fence, ...)
end
