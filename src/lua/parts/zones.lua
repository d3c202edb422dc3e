-- Zone data: plans are made with the greatest release that a live node has. Needs `clock_key`, `stale_key`, and `release`, the
-- caller's; a table, because a Lua function has room for 200 locals only.
local ZONES_LIVE_MS, ZONES_NOTE_MS, ZONES_WALK_MS, ZONES_HAND_OUT_MS = 10000, 3000, 60000, 10000
local zones = { stale = 0 }

-- `kept` from `clock`: the greatest release of the nodes, when one with it was seen last, the release that all plans are made with,
-- when somebody was asked to see to that.
function zones.read(kept)
  zones.greatest, zones.seen, zones.done, zones.asked = kept[1] or '', tonumber(kept[2]) or 0, kept[3] or '', tonumber(kept[4]) or 0
  zones.is_older = release < zones.greatest and now - zones.seen <= ZONES_LIVE_MS
end

-- Notes the release of a node that looks in, every few seconds. A smaller one takes over where no node with the greater lives; what it plans is to be
-- looked at again when the greater comes back.
function zones.note()
  if zones.is_older then return end
  if release == zones.greatest then
    if now - zones.seen >= ZONES_NOTE_MS then redis.call('HSET', clock_key, 'zone_at', now) end
    return
  end
  zones.asked = 0
  if zones.greatest ~= '' then log_event('type', 'zone_data', 'node', node_name, 'message', release) end
  redis.call('HSET', clock_key, 'zone', release, 'zone_at', now, 'zone_walk', 0)
  if release < zones.done then
    zones.done = release
    redis.call('HSET', clock_key, 'zone_done', release)
  end
end

-- Whether the caller is asked to plan all entries anew whose zone has other rules now.
function zones.ask()
  if zones.is_older or release == zones.done or now - zones.asked < ZONES_WALK_MS then return false end
  redis.call('HSET', clock_key, 'zone_walk', now)
  return true
end

-- What the caller is asked to plan of `ids`: nothing where a live node has newer data.
function zones.share(ids)
  if not zones.is_older then return ids end
  zones.leave_to_newer(ids)
  return {}
end

-- Entries that the caller is asked to plan anew, to one node at a time.
function zones.hand_out()
  if zones.is_older or zones.stale == 0 then return {} end
  local ids = redis.call('ZRANGEBYSCORE', stale_key, '-inf', now, 'LIMIT', 0, 20)
  for i = 1, #ids do redis.call('ZADD', stale_key, now + ZONES_HAND_OUT_MS, ids[i]) end
  return ids
end

-- seldom: zones
-- Plans that were or are to be made with older data than some node has: such a node makes them anew.
function zones.leave_to_newer(ids)
  for i = 1, #ids do redis.call('ZADD', stale_key, now, ids[i]) end
end

-- Entries that were written, as pairs of id and definition: plans of them are not the last word where a node has had newer data.
function zones.leave_behind(written)
  if zones.greatest == '' then redis.call('HSET', clock_key, 'zone', release, 'zone_at', 0, 'zone_done', release) end
  local ids = {}
  for i = 1, #written, 2 do ids[#ids + 1] = written[i] end
  if release < zones.greatest then
    zones.leave_to_newer(ids)
  else
    write_all('ZREM', stale_key, ids)
  end
end
