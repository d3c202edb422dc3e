-- What a claim writes of what it has decided. Needs every part before it and the locals of `claim`.
local function flush_claim()
  flush_runs()
  flush_moves()
  overlap.flush()
  flush_ledgers()
  limits.flush()
  flush_cursors()
  pausing.flush()
  skipping.flush()
  backfilling.flush()
  write_all('ZREM', due_key, broken_ids)
  write_all('ZADD', broken_key, broken_writes)
  if number > 0 then keep_lane(':claim', table.concat(started, ' ')) end
  -- The registry may have lost them; whoever reads it again finds them.
  for i = 1, #unknown_lists do redis.call('HSETNX', queues_key, unknown_lists[i], 0) end
end

-- An entry that can't be settled, by a bug or by a key that nobody foresaw, must not stop the others: it goes to `broken` with
-- the reason, the rest is claimed by the next call. Returns the claim's reply.
local function set_poison_aside()
  redis.call('ZCARD', broken_key)
  redis.call('XLEN', events_key)
  keep_clock()
  redis.call('ZREM', due_key, poison[1])
  redis.call('ZADD', broken_key, now + RECOVER_MS, poison[1])
  log_event('type', 'broken', 'entry', poison[1], 'message', poison[2])
  local live_nodes = redis.call('ZCOUNT', seen_key, now - 10000, '+inf')
  return { 'claimed', now, now, -1, live_nodes, { 0, 1, 1, 0, 0, 0, 0, 0, late_ms }, {}, {}, {}, {}, {}, {}, {}, {} }
end

local function find_waiting()
  waiting_lists = {}
  for name, key in pairs(lists) do
    if redis.call('LLEN', key) > 0 then
      if gates.room(name) > 0 then waiting_lists[#waiting_lists + 1] = name else gates.note_shut(name) end
    end
  end
  -- A list that came since the caller read the registry: what waits there is the caller's to fetch, too.
  if #unknown_lists == 0 and redis.call('HLEN', queues_key) > list_count then unknown_lists[1] = '' end
end
