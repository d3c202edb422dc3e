-- The claim's own steps. Needs every part before it and the locals of `claim`.
local RUNS_MAX, BYTES_MAX = 500, 1048576
local RECOVER_MS, LOST_MS = 60000, 10000
local AGE_EACH_MS, AGE_TAKES_MS = 3600000, 600000
local broken_ids, broken_writes, unknown_lists = {}, {}, {}
-- For how long the oldest of what is due has been so.
local late_ms = 0
-- Whether the lists were looked at; what the guard found: how many are registered, live nodes, whether anything may wait in one.
local known = {}

-- A page of what is due: ids, and their one score or a list of scores. Of a burst only the first score is read: to print 250
-- of them costs Redis as much as the rest of the page.
local function due_page(offset, limit)
  local head = redis.call('ZRANGEBYSCORE', due_key, '-inf', now, 'WITHSCORES', 'LIMIT', offset, 1)
  if #head == 0 then return head, 0 end
  late_ms = math.max(late_ms, now - head[2])
  if redis.call('ZCOUNT', due_key, '-inf', head[2]) >= offset + limit then
    return redis.call('ZRANGEBYSCORE', due_key, head[2], head[2], 'LIMIT', offset - redis.call('ZCOUNT', due_key, '-inf', '(' .. head[2]), limit), tonumber(head[2])
  end
  local found = redis.call('ZRANGEBYSCORE', due_key, '-inf', now, 'WITHSCORES', 'LIMIT', offset, limit)
  local ids, scores_of = {}, {}
  for i = 1, #found, 2 do
    local n = (i + 1) / 2
    ids[n], scores_of[n] = found[i], tonumber(found[i + 1])
  end
  return ids, scores_of
end

-- Entries due, with their plans as text. Returns ids, their cursors in `due` (a list, or the one of all), plans, whether there may
-- be more.
local function due_entries(limit)
  for page = 0, 3 do
    local ids, cursors_of = due_page(page * limit, limit)
    local count = #ids
    if count == 0 then return ids, cursors_of, ids, false end
    local plans, is_clean = redis.call('HMGET', plans_key, unpack(ids)), true
    for i = 1, count do
      local text = plans[i]
      if not text or #text < PLAN_MIN or byte(text) ~= VERSION then is_clean = false end
    end
    if not is_clean then ids, cursors_of, plans = readable(ids, cursors_of, plans) end
    if count < limit or #ids > 0 then return ids, cursors_of, plans, count == limit end
  end
  return {}, {}, {}, false
end

-- The entry that could not be settled, and why: nothing that was gathered is written then, it alone is set aside.
local poison

-- Settles up to `limit` due entries. Returns their ids and whether more may be due.
local function take(limit)
  local ids, cursors_of, plans, is_full = due_entries(limit)
  local count, one = #ids, type(cursors_of) == 'number' and cursors_of
  if count == 0 then return ids, is_full end
  local with_marks, with_message, flags_of = {}, {}, {}
  for i = 1, count do
    local text = plans[i]
    local flags = byte(text) == VERSION and byte(text, 3) % OVERLAPS or byte(text, 82) or 0
    flags_of[i] = flags
    if flags % FLAG_SPECIAL >= FLAG_MARKS then with_marks[#with_marks + 1] = ids[i] end
    if flags % 2 == 1 then with_message[#with_message + 1] = ids[i] end
  end
  load_lists()
  known.lists = true
  if rare.entries then
    load_cursors(ids)
    skipping.load(ids)
  end
  local has_special = next(cursors) or next(skipping.of)
  local ledgers_of, marks_of = redis.call('HMGET', ledger_key, unpack(ids)), #with_marks > 0 and live_marks(with_marks)
  local messages_of = #with_message > 0 and redis.call('HMGET', messages_key, unpack(with_message))
  local rings_of = #with_message > 0 and redis.call('HMGET', history_key, unpack(with_message))
  local marks_seen, messages_seen, others = 0, 0, {}
  for i = 1, count do
    if runs_made >= RUNS_MAX or bytes_made >= BYTES_MAX then
      is_full = true
      break
    end
    local id, flags, way, tail, ring = ids[i], flags_of[i], nil, nil, nil
    local needs_mark, is_usual = flags == FLAG_MARKS, flags < FLAG_SPECIAL and not (has_special and (cursors[id] or skipping.of[id]))
    if flags % FLAG_SPECIAL >= FLAG_MARKS then
      marks_seen = marks_seen + 1
      if marks_of[marks_seen] then is_usual = false end
    elseif flags % 2 == 1 then
      messages_seen = messages_seen + 1
      way, tail = read_message(messages_of[messages_seen])
      if rings_of[messages_seen] then tails[id] = rings_of[messages_seen] else ring = id end
      if not way then is_usual = false end
    end
    if not (is_usual and take_usual(id, plans[i], one or cursors_of[i], ledgers_of[i], needs_mark, way, tail, ring)) then
      others[#others + 1] = i
      ledgers[id] = ledgers_of[i] or ''
      if flags % 2 == 1 then templates[id] = messages_of[messages_seen] end
    end
  end
  return ids, #others > 0 and take_others(ids, cursors_of, plans, flags_of, others, one) or is_full
end

-- Reads of every key that is only written, or read again, below: a key of another type raises here, before the first write. What is
-- not there needs no look, nor what this call does not touch.
local function guard_keys(is_check_due)
  if rare.runs or #directs + #ended + #overlap.ended > 0 then guard_history() end
  if rare.runs or #mark_writes + #marked > 0 then redis.call('HLEN', active_key) end
  if rare.runs then
    for _, key in ipairs({ waits_key, cancels_key, fires_key }) do redis.call('HLEN', key) end
    for _, key in ipairs({ start_by_key, delayed_key }) do redis.call('ZCARD', key) end
  end
  if rare.entries then
    for _, key in ipairs({ parked_key, broken_key, paused_key, backfilling_key }) do redis.call('ZCARD', key) end
    for _, key in ipairs({ cursors_key, skips_key, backfills_key }) do redis.call('HLEN', key) end
    zones.stale = redis.call('ZCARD', stale_key)
  end
  if is_check_due or #finished_writes > 0 then redis.call('ZCARD', finished_key) end
  if is_check_due then redis.call('HLEN', entries_key) end
  if beat ~= '' then
    redis.call('HLEN', nodes_key)
    redis.call('HLEN', lanes_key)
  end
  if #started > 0 then redis.call('SCARD', holds_key) end
  redis.call('HLEN', live_key)
  redis.call('ZCARD', leases_key)
  redis.call('XLEN', events_key)
  redis.call('XLEN', moves_key)
  known.queues = redis.call('HLEN', queues_key)
  known.live_nodes = redis.call('ZCOUNT', seen_key, now - 10000, '+inf')
  if not known.lists then load_lists() end
  -- What is due of `delayed` or waits goes into lists, also where no entry is due.
  known.has_work = rare.runs or next(queued) ~= nil
  for name in pairs(lists) do known.has_work = known.has_work or not empty[name] end
  if known.has_work then
    for _, key in pairs(hints) do redis.call('LLEN', key) end
  end
end

-- Returns for how long no node has claimed, if that is worth an event.
local function note_claim(last, is_full)
  if is_full then redis.call('HSET', clock_key, 'drain_until', now + 10, 'drain_by', holder) end
  if not last or now - last <= 5000 then return 0 end
  logged.events[#logged.events + 1] = { 'type', 'outage', 'from', last, 'until', now }
  return now - last
end

-- Whether the caller is asked to drop records that are too old: once an hour; another one if it was not heard of again.
local function ask_to_age(aged, asked)
  if now - (tonumber(aged) or 0) < AGE_EACH_MS or now - (tonumber(asked) or 0) < AGE_TAKES_MS then return 0 end
  redis.call('HSET', clock_key, 'age_walk', now)
  return 1
end

local DRAINING, NODE = '"state":"draining"', '"node":"([^"]*)"'

-- The next due time, and the next time to look for anything else, -1 where there is none; the end of the first lease.
local function next_times(is_full)
  local found = redis.call('ZRANGEBYSCORE', due_key, is_full and '-inf' or '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local look, lease_end = first_look(gates.look, true)
  -- Runs that wait are looked after, should the step that ends a run not have seen them.
  if (rare.runs or waits.added > 0) and redis.call('HLEN', waits_key) > 0 then look = math.min(look, now + 5000) end
  return found[2] and tonumber(found[2]) or -1, look < NEVER and look or -1, lease_end
end

-- seldom: take
local function set_aside(id, why)
  broken_ids[#broken_ids + 1] = id
  append(broken_writes, now, id)
  logged.events[#logged.events + 1] = { 'type', 'broken', 'entry', id, 'message', why }
end

-- Without the entries whose plan is missing or too short, which are set aside, and those that a newer program must read; plans of the
-- version before as they are packed now.
local function readable(names, scores_of, texts)
  local ids, cursors_of, plans, one = {}, {}, {}, type(scores_of) == 'number' and scores_of
  for i = 1, #names do
    local text = texts[i]
    if text and #text >= PLAN_MIN and byte(text) == VERSION_BEFORE then text = renewed(text) end
    if not text or #text < PLAN_MIN then
      set_aside(names[i], text and 'its plan is damaged' or 'its plan is missing')
    elseif byte(text) <= VERSION then
      local n = #ids + 1
      ids[n], cursors_of[n], plans[n] = names[i], one or scores_of[i], text
    end
  end
  return ids, cursors_of, plans
end

-- Settles an entry whatever is the matter with it.
local function take_any(id, text, cursor, unknown)
  local p = read_plan(text)
  if not p then return set_aside(id, 'its plan is damaged') end
  if p[P_IS_DIRECT] and not read_message(templates[id]) then return set_aside(id, 'its message is missing or damaged') end
  if not p[P_IS_DIRECT] and not lists[p[P_LIST]] then
    if not unknown[p[P_LIST]] then unknown_lists[#unknown_lists + 1] = p[P_LIST] end
    unknown[p[P_LIST]] = true
    return
  end
  limits.load(id, p)
  local place_of = cursors[id] or { cursor = cursor - p[P_DELAY], pace_at = 0, back = {} }
  local t, left = settle(id, p, place_of.cursor, place_of.back)
  local look, pace_at = NEVER, place_of.pace_at
  -- While the plan is dry the newest late times are not known: the back-log waits for the next plan.
  if left ~= 'dry' then look, pace_at = pace(id, p, place_of.back, place_of.pace_at) end
  put_in_place(id, p, t, left, place_of.back, pace_at, look, true)
end

-- Settles those of the entries that are not the usual case. Returns whether some must wait for the next call: also when one raised,
-- which is `poison`.
local function take_others(ids, cursors_of, plans, flags_of, others, one)
  local with_marks, unknown = {}, {}
  local function one_of(...) take_any(...) end
  for i = 1, #others do
    if flags_of[others[i]] % FLAG_SPECIAL >= FLAG_MARKS then with_marks[#with_marks + 1] = ids[others[i]] end
  end
  load_marks(with_marks)
  waits.load(with_marks)
  for i = 1, #others do
    if runs_made >= RUNS_MAX or bytes_made >= BYTES_MAX then return true end
    local id = ids[others[i]]
    local is_fine, why = pcall(one_of, id, plans[others[i]], one or cursors_of[others[i]], unknown)
    if not is_fine then
      poison = { id, type(why) == 'table' and why.err or tostring(why) }
      return true
    end
  end
  return false
end

-- Whether these entries have a mark that counts, per place. Most have none: their last run has ended.
local function live_marks(ids)
  local texts = redis.call('HMGET', active_key, unpack(ids))
  local runs, places = {}, {}
  for i = 1, #ids do
    for at = 1, #(texts[i] or ''), 36 do
      runs[#runs + 1], places[#places + 1] = string.sub(texts[i], at, at + 35), i
    end
    texts[i] = false
  end
  for from = 1, #runs, 1000 do
    local lives = redis.call('HMGET', live_key, unpack(runs, from, math.min(from + 999, #runs)))
    for i = 1, #lives do
      if lives[i] then texts[places[from + i - 1]] = true end
    end
  end
  return texts
end

-- Conservation, once a minute, in O(1): entries and runs are each in exactly one place. Returns whether they are not.
local function check_balance()
  redis.call('HSET', clock_key, 'checked', now)
  local placed = 0
  for _, key in ipairs({ due_key, parked_key, paused_key, broken_key, finished_key }) do placed = placed + redis.call('ZCARD', key) end
  local in_lists, dead = 0, 0
  for name, key in pairs(lists) do
    in_lists = in_lists + redis.call('LLEN', key)
    dead = dead + (tonumber(redis.call('HGET', queues_key, name)) or 0)
  end
  local counts = redis.call('HMGET', clock_key, 'held', 'waiting')
  local runs = in_lists - dead + (tonumber(counts[1]) or 0) + (tonumber(counts[2]) or 0) + redis.call('ZCARD', delayed_key)
  local has_all_lists = redis.call('HLEN', queues_key) == list_count
  if (tonumber(counts[2]) or 0) > 0 and redis.call('HLEN', waits_key) == 0 then return true end
  return placed ~= redis.call('HLEN', entries_key) or (has_all_lists and runs ~= redis.call('HLEN', live_key))
end

-- Entries that wait for a plan go out to one node at a time.
local function hand_out(key)
  if zones.is_older then return end
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, 20)
  for i = 1, #ids do
    redis.call('ZADD', key, now + (key == broken_key and RECOVER_MS or HAND_OUT_MS), ids[i])
    to_plan[#to_plan + 1] = ids[i]
  end
end

-- Nodes that have not been heard of for as long as makes them lost, each told once. `is_back` after an outage: nobody could be heard.
local function note_lost(is_back)
  local bound, told = now - LOST_MS, redis.call('HGET', clock_key, 'lost_told') or 0
  if is_back or tonumber(told) >= bound then return end
  local lost = redis.call('ZRANGEBYSCORE', seen_key, '(' .. told, bound, 'LIMIT', 0, 1000)
  for i = 1, #lost do
    local said = redis.call('HGET', nodes_key, lost[i]) or ''
    log_event('type', 'node_lost', 'node', string.match(said, NODE) or lost[i], 'incarnation', lost[i])
  end
  redis.call('HSET', clock_key, 'lost_told', bound)
end

local function note_beat(is_back)
  if string.find(beat, DRAINING, 1, true) then
    local old = redis.call('HGET', nodes_key, holder)
    if old and not string.find(old, DRAINING, 1, true) then log_event('type', 'node_draining', 'node', node_name, 'incarnation', holder) end
  end
  if redis.call('HSET', nodes_key, holder, beat) == 1 then log_event('type', 'node_joined', 'node', node_name, 'incarnation', holder) end
  redis.call('ZADD', seen_key, now, holder)
  known.live_nodes = redis.call('ZCOUNT', seen_key, now - 10000, '+inf')
  note_lost(is_back)
  local old = redis.call('ZRANGEBYSCORE', seen_key, '-inf', now - 3600000, 'LIMIT', 0, 100)
  for i = 1, #old do
    redis.call('ZREM', seen_key, old[i])
    redis.call('HDEL', nodes_key, old[i])
    redis.call('HDEL', lanes_key, old[i] .. ':claim', old[i] .. ':work')
  end
end
