-- `max_fires`: fire times in all since the entry was created, however they ended. `fires` keeps the number; where it is not kept
-- (the limit is new, or the key was lost) the ledger says it. Needs `fires_key`, `entries_key`, the ledger of the entry.

-- seldom: limits
-- Fire times of an entry on record, of its present birth.
function limits.on_record(id, definition)
  local since = definitions.counts_since(definition or '')
  local text, count = ledgers[id] or '', 0
  for at = 2, #text - STRETCH_LEN + 1, STRETCH_LEN do
    local first, _, fires = struct.unpack(STRETCH, text, at)
    if first >= since then count = count + fires end
  end
  return count
end

-- From here on what is entered into the ledger counts.
function limits.load(id, p)
  if p[P_MAX_FIRES] == 0 or limits.plans[id] then return end
  local count = tonumber(redis.call('HGET', fires_key, id) or nil) or limits.on_record(id, redis.call('HGET', entries_key, id))
  p[P_LEFT] = p[P_MAX_FIRES] - count
  limits.plans[id], limits.counts[id] = p, count
end

function limits.flush()
  for id, count in pairs(limits.counts) do redis.call('HSET', fires_key, id, string.format('%.0f', count)) end
end
