-- renew: extend the one lease of a node and tell it what it has lost or must end.
--
-- An expired lease that nobody has taken is renewed like any other.
--
-- KEYS[1] clock   hash  the shard's clock and counters
-- KEYS[2] leases  zset  incarnation -> end of its lease
-- KEYS[3] holds   set   run ids that the caller executes
-- KEYS[4] cancels hash  run id -> who asked to cancel it and why
-- ARGV[1] incarnation
-- ARGV[2] lease, ms
-- Returns { now, { run ids held }, { run ids to cancel } }
local clock_key, leases_key, holds_key, cancels_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local holder, lease_ms = ARGV[1], tonumber(ARGV[2])
-- use clock lease
local held = redis.call('SMEMBERS', holds_key)
local asked = {}
if #held > 0 and redis.call('HLEN', cancels_key) > 0 then
  for from = 1, #held, 1000 do
    local till = math.min(from + 999, #held)
    local texts = redis.call('HMGET', cancels_key, unpack(held, from, till))
    for i = from, till do
      if texts[i - from + 1] then asked[#asked + 1] = held[i] end
    end
  end
end
redis.call('ZCARD', leases_key)
keep_clock()
if #held > 0 then extend_lease(holder, lease_ms) end
return { now, held, asked }
