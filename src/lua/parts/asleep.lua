-- A look-in that finds nothing to do ends here, before the rest of the script is made: to make its functions costs Redis more
-- than to look. It answers what the whole claim would, and leaves to it whatever is due, asked for once in a while, limited,
-- waiting or not as usual. Needs `clock` and the locals of `claim`.
local marks_of_clock = redis.call('HMGET', clock_key, 'drain_until', 'drain_by', 'claimed', 'checked', 'zone', 'zone_at', 'zone_done', 'zone_walk', 'waits_seen', 'aged', 'age_walk')

-- When anything but a fire time wants to be looked at.
local function first_look(look)
  for _, key in ipairs({ parked_key, broken_key, paused_key, backfilling_key, start_by_key, delayed_key, leases_key }) do
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if first[2] then look = math.min(look, math.max(tonumber(first[2]), key == leases_key and hold or 0)) end
  end
  if redis.call('ZCARD', leases_key) > 0 and shortest then look = math.min(look, now + math.floor(shortest / 3)) end
  return look
end

-- The answer, or nil where there may be something to do.
local function answer_asleep()
  if beat ~= '' or batch == 0 or behind_ms > 5000 then return nil end
  local marks = marks_of_clock
  local function is_within(mark, ms) return now - (tonumber(marks[mark]) or 0) < ms end
  -- The drain mark, an outage, the balance, old records; zone data in the order of `clock`.
  if tonumber(marks[1] or 0) > now or not is_within(3, 3000) or not is_within(4, 60000) then return nil end
  if not is_within(10, 3600000) and not is_within(11, 600000) then return nil end
  if marks[5] ~= release or marks[7] ~= release or not is_within(6, 3000) then return nil end
  local first = redis.call('ZRANGE', due_key, 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) <= now then return nil end
  if redis.call('HLEN', rules_key) + redis.call('HLEN', waits_key) + redis.call('ZCARD', stale_key) > 0 then return nil end
  if redis.call('HLEN', queues_key) > list_count then return nil end
  for _, key in pairs(lists) do
    if redis.call('LLEN', key) > 0 then return nil end
  end
  local look = first_look(NEVER)
  if look <= now then return nil end
  local kept = number > 0 and redis.call('HGET', lanes_key, holder .. ':claim')
  if kept and (tonumber(string.match(kept, '^%d+')) or 0) >= number then return nil end
  local live_nodes = redis.call('ZCOUNT', seen_key, now - 10000, '+inf')
  redis.call('HSET', clock_key, 't', now, 'last', now, 'hold', hold, 'fence', fence, 'claimed', now)
  -- As `keep_lane` does it: an older call that comes late must find that it is.
  if number > 0 then redis.call('HSET', lanes_key, holder .. ':claim', string.format('%.0f %.0f', number, fence) .. '\n') end
  return { 'claimed', now, first[2] and tonumber(first[2]) or -1, look < NEVER and look or -1, live_nodes,
    { 0, 0, 0, 0, 0, behind_ms == 0 and micros % 1000 or 0, 0, 0, 0 }, {}, {}, {}, {}, {}, {}, {}, {} }
end
local asleep = answer_asleep()
if asleep then return asleep end
