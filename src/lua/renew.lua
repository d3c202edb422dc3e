-- renew: extend the one lease of a node and tell it what it has lost, must end, or shall show.
--
-- An expired lease that nobody has taken is renewed like any other.
--
-- KEYS[1] clock   hash  the shard's clock and counters
-- KEYS[2] leases  zset  incarnation -> end of its lease
-- KEYS[3] holds   set   run ids that the caller executes
-- KEYS[4] cancels hash  run id -> who asked to cancel it and why
-- KEYS[5] watched hash  run id -> until when somebody watches it, ms
-- ARGV[1] incarnation
-- ARGV[2] lease, ms
-- Returns { now, { run ids held }, { run ids to cancel }, { run id, ms for which it is watched, ... } }
local clock_key, leases_key, holds_key, cancels_key, watched_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local holder, lease_ms = ARGV[1], tonumber(ARGV[2])
-- use clock lease
local held = redis.call('SMEMBERS', holds_key)
-- What stands beside the runs held in a hash that is empty nearly always.
local function each_of(key, told)
  if #held == 0 or redis.call('HLEN', key) == 0 then return end
  for from = 1, #held, 1000 do
    local till = math.min(from + 999, #held)
    local texts = redis.call('HMGET', key, unpack(held, from, till))
    for i = from, till do
      if texts[i - from + 1] then told(held[i], texts[i - from + 1]) end
    end
  end
end
local asked, watched = {}, {}
each_of(cancels_key, function(id) asked[#asked + 1] = id end)
each_of(watched_key, function(id, text)
  local left = (tonumber(text) or 0) - now
  if left > 0 then
    watched[#watched + 1] = id
    watched[#watched + 1] = left
  end
end)
redis.call('ZCARD', leases_key)
keep_clock()
if #held > 0 then extend_lease(holder, lease_ms) end
return { now, held, asked, watched }
