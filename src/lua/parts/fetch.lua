-- Looks into lists in one call, at most: they may be full of ids whose run has ended.
local FETCH_LOOKS = 200
-- Takes runs out of lists for the caller. Ids whose run has ended meanwhile are passed over.
local function take_from(name, count, fetched)
  local ids = redis.call('LPOP', lists[name], count)
  if not ids then return end
  local texts = redis.call('HMGET', live_key, unpack(ids))
  local writes, expired, dead = {}, {}, 0
  for i = 1, #ids do
    local run = read_live(texts[i])
    if not run or run.state ~= QUEUED then
      dead = dead + 1
    elseif run.start_within > 0 and run.started_at == 0 and now - run.due_at > run.start_within then
      expired[#expired + 1], fetched.late[#fetched.late + 1] = ids[i], run.id
      remember_run(ids[i], run, MISSED, TOO_LATE, '', 0, '')
    else
      run.state, run.holder, run.attempt, run.fence = RUNNING, holder, run.attempt + 1, next_fence()
      if run.started_at == 0 then run.started_at = now end
      writes[#writes + 1] = ids[i]
      writes[#writes + 1] = pack_live(run)
      fetched[#fetched + 1] = ids[i]
      note_move(logged.started, run.attempt, run.id, ids[i])
      -- It has started in time; of a later attempt the node counts the time of the whole run.
      if run.start_within > 0 or run.attempt > 1 then expired[#expired + 1] = false end
    end
  end
  if dead > 0 then redis.call('HINCRBY', queues_key, name, -dead) end
  if #writes > 0 then redis.call('HSET', live_key, unpack(writes)) end
  for i = 1, #expired do
    if expired[i] then redis.call('HDEL', live_key, expired[i]) end
  end
  if #expired > 0 then redis.call('ZREM', start_by_key, unpack(ids)) end
end

-- A run stands in its list twice where it failed deep in it and was reopened: it is given out once.
local function each_once(ids)
  local seen, once = {}, { late = ids.late }
  for i = 1, #ids do
    if seen[ids[i]] then
      redis.call('HINCRBY', queues_key, read_live(redis.call('HGET', live_key, ids[i])).list, -1)
    else
      seen[ids[i]], once[#once + 1] = true, ids[i]
    end
  end
  return once
end

-- Up to `wanted` runs from the lists served, in their order. Returns their ids.
local function fetch(wanted, served, lengths)
  -- `late`: entries of runs that could not start in time.
  local fetched, looks = { late = {} }, 0
  for i = 1, #served do
    local left = lengths[served[i]]
    while left > 0 and #fetched < wanted and looks < FETCH_LOOKS do
      looks = looks + 1
      local count = math.min(wanted - #fetched, left, 500)
      take_from(served[i], count, fetched)
      left = left - count
    end
  end
  if #fetched > 0 then
    local added = 0
    for from = 1, #fetched, 1000 do
      added = added + redis.call('SADD', holds_key, unpack(fetched, from, math.min(from + 999, #fetched)))
    end
    if added < #fetched then fetched = each_once(fetched) end
    redis.call('HINCRBY', clock_key, 'held', #fetched)
  end
  waits.admit(fetched.late)
  -- The fences given out above.
  redis.call('HSET', clock_key, 'fence', fence)
  return fetched
end
