-- Runs that wait for their time beside all lists, in `delayed`: retries, and runs that somebody asked for at an instant. Needs
-- `delayed_key`, `live_key`, `queues_key`, `lists`, `hints`, `directs`, `read_message`.
local delayed = {}
local DELAYED_MOVED = 500

-- seldom: delayed
-- Whether the run stands there.
function delayed.has(run)
  return run.state == RETRYING or (run.state == WAITING and run.flags % (UNTIL * 2) >= UNTIL)
end

-- Moves what is due into its list. Returns whether more may be.
function delayed.move()
  local ids = redis.call('ZRANGEBYSCORE', delayed_key, '-inf', now, 'LIMIT', 0, DELAYED_MOVED)
  if #ids == 0 then return false end
  local texts = redis.call('HMGET', live_key, unpack(ids))
  local gone, writes, pushed = {}, {}, {}
  for i = 1, #ids do
    local run = read_live(texts[i])
    if not run or not delayed.has(run) then
      gone[#gone + 1] = ids[i]
    elseif run.entry_flags % 2 == 1 then
      -- A message, which waits behind a byte 2: `deliver_all` sends it.
      local _, message = attempt_log(run)
      local way, tail = read_message(string.sub(message, 2))
      redis.call('HDEL', live_key, ids[i])
      gone[#gone + 1] = ids[i]
      directs[#directs + 1] = { run.id, '', ids[i], run.fire_at, run.trigger, tail, way, nil, run }
    elseif not lists[run.list] then
      -- Whoever reads the registry again moves it.
      redis.call('HSETNX', queues_key, run.list, 0)
    else
      run.state, run.flags, run.enqueued_at = QUEUED, run.flags % UNTIL, now
      gone[#gone + 1] = ids[i]
      append(writes, ids[i], pack_live(run))
      pushed[run.list] = pushed[run.list] or {}
      table.insert(pushed[run.list], ids[i])
    end
  end
  if #writes > 0 then redis.call('HSET', live_key, unpack(writes)) end
  for name, runs in pairs(pushed) do
    redis.call('RPUSH', lists[name], unpack(runs))
    local hint = hints[name]
    if hint and redis.call('LLEN', hint) == 0 then redis.call('RPUSH', hint, '1') end
  end
  if #gone > 0 then redis.call('ZREM', delayed_key, unpack(gone)) end
  return #ids == DELAYED_MOVED
end
