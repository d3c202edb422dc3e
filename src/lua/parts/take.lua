-- The claim's own steps. Needs every part before it and the locals of `claim`.
local RUNS_MAX, BYTES_MAX = 500, 1048576
local RECOVER_MS = 60000
local NO_BACK_LOG = {}
local broken_ids, broken_writes, events, unknown_lists = {}, {}, {}, {}

local function set_aside(id, why)
  broken_ids[#broken_ids + 1] = id
  append(broken_writes, now, id)
  events[#events + 1] = { 'type', 'broken', 'entry', id, 'message', why }
end

-- Entries due, with plans; passes over those that a newer program must read. Returns ids, cursors of `due`, plans, whether there may be more.
local function due_entries(limit)
  local ids, scores, plans = {}, {}, {}
  for page = 0, 3 do
    local found = redis.call('ZRANGEBYSCORE', due_key, '-inf', now, 'WITHSCORES', 'LIMIT', page * limit, limit)
    if #found == 0 then return ids, scores, plans, false end
    local names = {}
    for i = 1, #found, 2 do names[#names + 1] = found[i] end
    local texts = redis.call('HMGET', plans_key, unpack(names))
    for i = 1, #names do
      local p, why = read_plan(texts[i])
      if p then
        ids[#ids + 1], scores[#scores + 1], plans[#plans + 1] = names[i], tonumber(found[i * 2]), p
      elseif why == 'damaged' then
        set_aside(names[i], texts[i] and 'its plan is damaged' or 'its plan is missing')
      end
    end
    if #names < limit then return ids, scores, plans, false end
    if #ids > 0 then return ids, scores, plans, true end
  end
  return ids, scores, plans, false
end

-- Settles up to `limit` due entries. Returns their ids and whether more may be due.
local function take(limit)
  local ids, scores, plans, is_full = due_entries(limit)
  local with_marks, with_message, rings, unknown = {}, {}, {}, {}
  for i = 1, #ids do
    if plans[i][P_NEEDS_MARKS] then with_marks[#with_marks + 1] = ids[i] end
    if plans[i][P_IS_DIRECT] then
      with_message[#with_message + 1] = ids[i]
      rings[#rings + 1] = 's:' .. ids[i]
    end
  end
  load_lists()
  load_cursors(ids)
  skipping.load(ids)
  load_ledgers(ids)
  load_marks(with_marks)
  load_messages(with_message)
  load_tails(rings)
  for i = 1, #ids do
    local id, p = ids[i], plans[i]
    if runs_made >= RUNS_MAX or bytes_made >= BYTES_MAX then return ids, true end
    if p[P_IS_DIRECT] and not templates[id] then
      set_aside(id, 'its message is missing or damaged')
    elseif not p[P_IS_DIRECT] and not lists[p[P_LIST]] then
      if not unknown[p[P_LIST]] then unknown_lists[#unknown_lists + 1] = p[P_LIST] end
      unknown[p[P_LIST]] = true
    else
      local t, left
      local place_of = cursors[id]
      if not place_of and not skipping.of[id] then t, left = settle_usual(id, p, scores[i]) end
      if left then
        put_in_place(id, p, t, left, NO_BACK_LOG, 0, NEVER, true)
      else
        place_of = place_of or { cursor = scores[i], pace_at = 0, back = {} }
        t, left = settle(id, p, place_of.cursor, place_of.back)
        local look, pace_at = NEVER, place_of.pace_at
        -- While the plan is dry the newest late times are not known: the back-log waits for the next plan.
        if left ~= 'dry' then look, pace_at = pace(id, p, place_of.back, place_of.pace_at) end
        put_in_place(id, p, t, left, place_of.back, pace_at, look, true)
      end
    end
  end
  return ids, is_full
end

-- Reads of every key that is only written below: a key of another type raises here, before the first write.
local function guard_keys()
  guard_history()
  redis.call('HLEN', active_key)
  redis.call('XLEN', events_key)
  redis.call('HLEN', queues_key)
  redis.call('SCARD', holds_key)
  redis.call('HLEN', nodes_key)
  for _, key in ipairs({ finished_key, paused_key, parked_key, broken_key, start_by_key, leases_key, seen_key }) do redis.call('ZCARD', key) end
  redis.call('HLEN', entries_key)
  redis.call('HLEN', lanes_key)
  for _, key in pairs(hints) do redis.call('LLEN', key) end
end

-- Returns for how long no node has claimed, if that is worth an event.
local function note_claim(last, is_full)
  redis.call('HSET', clock_key, 'claimed', now)
  if is_full then redis.call('HSET', clock_key, 'drain_until', now + 10, 'drain_by', holder) end
  if not last or now - last <= 5000 then return 0 end
  events[#events + 1] = { 'type', 'outage', 'from', last, 'until', now }
  return now - last
end

-- Conservation, once a minute, in O(1): entries and runs are each in exactly one place. Returns whether they are not.
local function check_balance(checked)
  if now - checked < RECOVER_MS then return false end
  redis.call('HSET', clock_key, 'checked', now)
  local placed = 0
  for _, key in ipairs({ due_key, parked_key, paused_key, broken_key, finished_key }) do placed = placed + redis.call('ZCARD', key) end
  local in_lists, dead = 0, 0
  for name, key in pairs(lists) do
    in_lists = in_lists + redis.call('LLEN', key)
    dead = dead + (tonumber(redis.call('HGET', queues_key, name)) or 0)
  end
  local counts = redis.call('HMGET', clock_key, 'held', 'waiting')
  local runs = in_lists - dead + (tonumber(counts[1]) or 0) + (tonumber(counts[2]) or 0)
  local has_all_lists = redis.call('HLEN', queues_key) == list_count
  return placed ~= redis.call('HLEN', entries_key) or (has_all_lists and runs ~= redis.call('HLEN', live_key))
end

-- Entries that wait for a plan go out to one node at a time.
local function hand_out(key)
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, 20)
  for i = 1, #ids do
    redis.call('ZADD', key, now + (key == broken_key and RECOVER_MS or HAND_OUT_MS), ids[i])
    to_plan[#to_plan + 1] = ids[i]
  end
end

local function note_beat()
  if beat == '' then return end
  redis.call('HSET', nodes_key, holder, beat)
  redis.call('ZADD', seen_key, now, holder)
  local old = redis.call('ZRANGEBYSCORE', seen_key, '-inf', now - 3600000, 'LIMIT', 0, 100)
  for i = 1, #old do
    redis.call('ZREM', seen_key, old[i])
    redis.call('HDEL', nodes_key, old[i])
    redis.call('HDEL', lanes_key, old[i] .. ':claim', old[i] .. ':work')
  end
end

local function find_waiting()
  waiting_lists = {}
  for name, key in pairs(lists) do
    if redis.call('LLEN', key) > 0 then waiting_lists[#waiting_lists + 1] = name end
  end
end

-- The next due time, and the next time to look for anything else; -1 where there is none.
local function next_times(is_full)
  local found = redis.call('ZRANGEBYSCORE', due_key, is_full and '-inf' or '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local look = NEVER
  for _, key in ipairs({ parked_key, broken_key, paused_key, backfilling_key, start_by_key, leases_key }) do
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if first[2] then look = math.min(look, math.max(tonumber(first[2]), key == leases_key and hold or 0)) end
  end
  if redis.call('ZCARD', leases_key) > 0 and shortest then look = math.min(look, now + math.floor(shortest / 3)) end
  return found[2] and tonumber(found[2]) or -1, look < NEVER and look or -1
end
