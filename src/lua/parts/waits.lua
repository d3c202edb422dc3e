-- Runs that wait, `waiting`, until runs before them have ended: beside their queue, in `waits`, per entry the number that may be
-- active beside each other (0: any number) and the run ids, oldest first. Whatever ends a run of the entry moves the next ones
-- into their list; a claim looks after them, too, so that none is forgotten. Needs `waits_key`, `live_key`, `active_key`,
-- `queues_key`, `lists`, `hints`.
local WAITS_MAX = 100  -- runs that wait for one entry
local WAITS_HEALED, WAITS_HEAL_MS = 20, 1000
local waits = { of = {}, limits = {}, changed = {}, added = 0 }

-- seldom: waits
local function run_at(text, i) return string.sub(text, i * 36 - 33, i * 36 + 2) end

function waits.load(ids)
  if #ids == 0 or redis.call('HLEN', waits_key) == 0 then return end
  local texts = redis.call('HMGET', waits_key, unpack(ids))
  for i = 1, #ids do waits.of[ids[i]] = texts[i] or nil end
end

-- Those that wait and are alive, as `active` says.
function waits.count(id, marked_ids)
  local text, count = waits.of[id] or '', 0
  for i = 1, math.floor(#text / 36) do
    if string.find(marked_ids, run_at(text, i), 1, true) then count = count + 1 end
  end
  return count
end

function waits.add(id, limit, run_id)
  local text = waits.of[id] or '\0\0'
  waits.of[id] = struct.pack('>I2', limit) .. string.sub(text, 3) .. run_id
  waits.changed[id], waits.added = true, waits.added + 1
end

-- One of them ends with what is gathered.
function waits.forget(id, run_id)
  local text = waits.of[id] or ''
  local at = string.find(text, run_id, 3, true)
  if at then waits.of[id] = string.sub(text, 1, at - 1) .. string.sub(text, at + 36) end
  waits.changed[id], waits.added = true, waits.added - 1
end

function waits.flush()
  for id in pairs(waits.changed) do
    local text = waits.of[id] or ''
    if #text > 2 then redis.call('HSET', waits_key, id, text) else redis.call('HDEL', waits_key, id) end
  end
  if waits.added ~= 0 then redis.call('HINCRBY', clock_key, 'waiting', waits.added) end
end

-- How many of each changed entry may be active from now on. Returns how many runs go on.
function waits.set_limits()
  local ids = {}
  for id, limit in pairs(waits.limits) do
    local text = redis.call('HLEN', waits_key) > 0 and redis.call('HGET', waits_key, id)
    if text then
      redis.call('HSET', waits_key, id, struct.pack('>I2', limit) .. string.sub(text, 3))
      ids[#ids + 1] = id
    end
  end
  return waits.admit(ids)
end

-- A run that waits has ended.
function waits.drop(id, run_id)
  local text = redis.call('HGET', waits_key, id)
  redis.call('HINCRBY', clock_key, 'waiting', -1)
  local at = text and string.find(text, run_id, 3, true)
  if not at then return end
  text = string.sub(text, 1, at - 1) .. string.sub(text, at + 36)
  if #text > 2 then redis.call('HSET', waits_key, id, text) else redis.call('HDEL', waits_key, id) end
end

-- How many runs of an entry are active and do not wait.
function waits.busy(id)
  local text = redis.call('HGET', active_key, id) or ''
  local ids, busy = {}, 0
  for at = 1, #text, 36 do ids[#ids + 1] = string.sub(text, at, at + 35) end
  for from = 1, #ids, 1000 do
    local texts = redis.call('HMGET', live_key, unpack(ids, from, math.min(from + 999, #ids)))
    for i = 1, #texts do
      local run = read_live(texts[i])
      if run and run.state ~= WAITING then busy = busy + 1 end
    end
  end
  return busy
end

-- Moves what may go on of these entries into its list. Returns how many runs.
function waits.admit(ids)
  if #ids == 0 or redis.call('HLEN', waits_key) == 0 then return 0 end
  local moved, seen = 0, {}
  for i = 1, #ids do
    local id = ids[i]
    local text = not seen[id] and redis.call('HGET', waits_key, id) or ''
    seen[id] = true
    local limit = #text > 2 and struct.unpack('>I2', text) or 0
    local busy, at = #text > 2 and waits.busy(id) or 0, 3
    while at <= #text and (limit == 0 or busy < limit) do
      local run_id = string.sub(text, at, at + 35)
      local run = read_live(redis.call('HGET', live_key, run_id))
      if run and run.state == WAITING then
        if run.flags >= ALONE and busy > 0 then break end
        -- Its list is not among those declared: whoever reads the registry again moves it.
        if not lists[run.list] then
          redis.call('HSETNX', queues_key, run.list, 0)
          break
        end
        run.state, run.enqueued_at = QUEUED, now
        run.flags = run.flags % BY_LIMIT
        redis.call('HSET', live_key, run_id, pack_live(run))
        redis.call('RPUSH', lists[run.list], run_id)
        local hint = hints[run.list]
        if hint and redis.call('LLEN', hint) == 0 then redis.call('RPUSH', hint, '1') end
        moved, busy = moved + 1, busy + 1
      end
      at = at + 36
    end
    if #text > 2 and at > #text then
      redis.call('HDEL', waits_key, id)
    elseif at > 3 then
      redis.call('HSET', waits_key, id, string.sub(text, 1, 2) .. string.sub(text, at))
    end
  end
  if moved > 0 then redis.call('HINCRBY', clock_key, 'waiting', -moved) end
  return moved
end

-- Looks after those that wait, a few at a time: a step that ended a run may not have known their list.
function waits.heal(seen)
  if now - seen < WAITS_HEAL_MS or redis.call('HLEN', waits_key) == 0 then return end
  redis.call('HSET', clock_key, 'waits_seen', now)
  waits.admit(redis.call('HRANDFIELD', waits_key, WAITS_HEALED))
end
