-- Gives runs that wait to the caller. Needs `finish`, `gates` and the locals of `work`.
-- Looks into lists in one call, at most: they may be full of ids whose run has ended.
local FETCH_LOOKS = 200
local QUEUED_FRONT, RUNNING_FRONT, NO_TIME = string.char(1, QUEUED), string.char(1, RUNNING), string.rep('\0', 6)

local lengths, hint_lengths = {}, {}

-- How many wait in each list; then, where any do or `is_any` says that some may come, whether there are hints. Returns whether that is so.
local function read_lengths(is_any)
  for name, key in pairs(lists) do
    lengths[name] = redis.call('LLEN', key)
    is_any = is_any or lengths[name] > 0
  end
  for name, key in pairs(is_any and hints or {}) do hint_lengths[name] = redis.call('LLEN', key) end
  return is_any
end

-- How many of so many wait in these lists.
local function waiting_in(served, wanted)
  local waiting = 0
  for i = 1, #served do waiting = waiting + lengths[served[i]] end
  return math.min(waiting, wanted)
end

-- Up to `wanted` runs from the lists served, in their order. Returns their ids; `given` has each with its record.
local function fetch(wanted, served)
  -- `late`: entries of runs that could not start in time.
  local fetched, looks = { late = {}, given = {} }, 0
  for i = 1, #served do
    local left, room, before = lengths[served[i]], 1, #fetched
    if left > 0 then room = gates.room(served[i]) end
    while left > 0 and #fetched < wanted and #fetched - before < room and looks < FETCH_LOOKS do
      looks = looks + 1
      local count = math.min(wanted - #fetched, left, before + room - #fetched, 500)
      take_from(served[i], count, fetched)
      left = left - count
    end
    lengths[served[i]] = left
    if gates.is_any then gates.start(served[i], fetched, before + 1) end
  end
  if #fetched > 0 then
    local added = 0
    for from = 1, #fetched, 1000 do
      added = added + redis.call('SADD', holds_key, unpack(fetched, from, math.min(from + 999, #fetched)))
    end
    if added < #fetched then fetched = each_once(fetched) end
    holding, held_more = holding + added, held_more + #fetched
  end
  if #fetched.late > 0 then waits.admit(fetched.late) end
  return fetched
end

-- The lists in which work is left that may start, and 1 where some may not. Work that is left has a hint.
local function what_is_left(served)
  local left, is_held = {}, 0
  for i = 1, #served do
    local name = served[i]
    if lengths[name] > 0 and gates.room(name) > 0 then
      left[#left + 1] = name
      if hint_lengths[name] == 0 then redis.call('RPUSH', hints[name], '1') end
    elseif lengths[name] > 0 then
      gates.note_shut(name)
      is_held = 1
    end
  end
  return left, is_held
end

-- seldom: fetch
-- The usual case, flat: the record of a queued run as that of the caller's next attempt, its entry id, and which attempt that is. Nil
-- where it is damaged, has left its list, or has a last moment to start.
local function usual_start(text)
  if not text or #text < LIVE_MIN or cut(text, 1, 2) ~= QUEUED_FRONT or cut(text, AT_START_WITHIN, AT_KEEP - 1) ~= NO_TIME then return nil end
  local id = live_id(text)
  if not id then return nil end
  local attempt, started = unpack_text('>I2', text, AT_ATTEMPT) + 1, cut(text, AT_STARTED, AT_FENCE - 1)
  return RUNNING_FRONT .. cut(text, 3, 4) .. struct.pack('>I2', attempt) .. cut(text, AT_LOST, AT_STARTED - 1)
    .. (started == NO_TIME and now_text or started) .. struct.pack('>I7', next_fence()) .. holder .. cut(text, LIVE_TAIL), id, attempt
end

-- Takes runs out of lists for the caller. Ids whose run has ended meanwhile are passed over.
local function take_from(name, count, fetched)
  local ids = redis.call('LPOP', lists[name], count)
  if not ids then return end
  local texts = redis.call('HMGET', live_key, unpack(ids))
  local writes, expired, dead = {}, {}, 0
  for i = 1, #ids do
    local text, id, attempt = usual_start(texts[i])
    local run = not text and read_live(texts[i])
    if text then
      append(writes, ids[i], text)
      append(fetched.given, ids[i], text)
      fetched[#fetched + 1] = ids[i]
      note_move(logged.started, attempt, id, ids[i])
      -- Of a later attempt the node counts the time of the whole run.
      if attempt > 1 then expired[#expired + 1] = false end
    elseif not run or run.state ~= QUEUED then
      dead = dead + 1
    elseif run.start_within > 0 and run.started_at == 0 and now - run.due_at > run.start_within then
      expired[#expired + 1], fetched.late[#fetched.late + 1] = ids[i], run.id
      remember_run(ids[i], run, MISSED, TOO_LATE, '', 0, '')
    else
      run.state, run.holder, run.attempt, run.fence = RUNNING, holder, run.attempt + 1, next_fence()
      if run.started_at == 0 then run.started_at = now end
      local packed = pack_live(run)
      append(writes, ids[i], packed)
      append(fetched.given, ids[i], packed)
      fetched[#fetched + 1] = ids[i]
      note_move(logged.started, run.attempt, run.id, ids[i])
      -- It has started in time.
      expired[#expired + 1] = false
    end
  end
  if dead > 0 then redis.pcall('HINCRBY', queues_key, name, -dead) end
  if #writes > 0 then redis.call('HSET', live_key, unpack(writes)) end
  for i = 1, #expired do
    if expired[i] then redis.call('HDEL', live_key, expired[i]) end
  end
  if #expired > 0 then redis.call('ZREM', start_by_key, unpack(ids)) end
end

-- A run stands in its list twice where it failed deep in it and was reopened: it is given out once.
local function each_once(ids)
  local seen, once = {}, { late = ids.late, given = {} }
  for i = 1, #ids do
    if seen[ids[i]] then
      redis.pcall('HINCRBY', queues_key, read_live(redis.call('HGET', live_key, ids[i])).list, -1)
    else
      seen[ids[i]], once[#once + 1] = true, ids[i]
    end
  end
  once.given = held_of(table.concat(once, ' '))
  return once
end
