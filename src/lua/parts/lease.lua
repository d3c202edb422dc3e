-- A node's one lease for all that it executes. Needs `clock_key`, `leases_key`, `now`, `shortest`, `longest`.
local function extend_lease(incarnation, lease_ms)
  redis.call('ZADD', leases_key, now + lease_ms, incarnation)
  if not shortest or not longest or lease_ms < shortest or lease_ms > longest then
    redis.call('HSET', clock_key, 'shortest', math.min(shortest or lease_ms, lease_ms), 'longest', math.max(longest or lease_ms, lease_ms))
  end
end

local function drop_lease(incarnation)
  redis.call('ZREM', leases_key, incarnation)
  if redis.call('ZCARD', leases_key) == 0 then redis.call('HDEL', clock_key, 'shortest', 'longest') end
end
