-- What a claim writes of what it has decided. Needs every part before it and the locals of `claim`.

local function flush_claim()
  flush_runs()
  flush_moves()
  if #overlap.asked + #overlap.ended > 0 then overlap.flush() end
  flush_ledgers()
  if next(limits.counts) then limits.flush() end
  flush_cursors()
  if rare.entries then
    pausing.flush()
    skipping.flush()
    backfilling.flush()
  end
  write_all('ZREM', due_key, broken_ids)
  write_all('ZADD', broken_key, broken_writes)
  if number > 0 then keep_lane(':claim', table.concat(started, ' ')) end
  -- The registry may have lost them; whoever reads it again finds them.
  for i = 1, #unknown_lists do redis.call('HSETNX', queues_key, unknown_lists[i], 0) end
end

-- The runs started, with their records: as they are now, where one was asked to end meanwhile.
local function given_out()
  if #overlap.asked > 0 then return held_of(table.concat(started, ' ')) end
  return given
end

local function find_waiting()
  waiting_lists = {}
  for name, key in pairs(known.has_work and lists or {}) do
    if redis.call('LLEN', key) > 0 then
      if gates.room(name) > 0 then waiting_lists[#waiting_lists + 1] = name else gates.note_shut(name) end
    end
  end
  -- A list that came since the caller read the registry: what waits there is the caller's to fetch, too.
  if #unknown_lists == 0 and (rare.runs and redis.call('HLEN', queues_key) or known.queues) > list_count then unknown_lists[1] = '' end
end

-- seldom: claimed
-- An entry that can't be settled, by a bug or by a key that nobody foresaw, must not stop the others: it goes to `broken` with
-- the reason, the rest is claimed by the next call. Returns the claim's reply.
local function set_poison_aside()
  redis.call('ZCARD', broken_key)
  redis.call('XLEN', events_key)
  local live_nodes = redis.call('ZCOUNT', seen_key, now - 10000, '+inf')
  keep_clock()
  redis.call('ZREM', due_key, poison[1])
  redis.call('ZADD', broken_key, now + RECOVER_MS, poison[1])
  log_event('type', 'broken', 'entry', poison[1], 'message', poison[2])
  return { 'claimed', now, now, -1, live_nodes, { 0, 1, 1, 0, 0, 0, 0, 0, late_ms }, {}, {}, {}, {}, {}, {}, {}, {}, {} }
end

-- Runs whose time to start is over, that have their next attempt, or that wait for others.
local function move_runs()
  expire_queued()
  delayed.move()
  waits.heal(tonumber(marks_of_clock[9]) or 0)
end

-- Entries that are looked at apart from their fire times.
local function hand_out_all(is_check_due)
  if is_check_due then backfilling.heal() end
  hand_out(parked_key)
  hand_out(broken_key)
end
