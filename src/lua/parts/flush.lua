-- Writes what was gathered: runs first, then the lists; the script itself advances the entries, and delivers last.
-- Needs live_key, active_key, start_by_key, holds_key, leases_key, and the parts before it.
local waiting_lists = {}

local function flush_runs()
  if #live_writes > 0 then
    for from = 1, #live_writes, 2000 do
      redis.call('HSET', live_key, unpack(live_writes, from, math.min(from + 1999, #live_writes)))
    end
  end
  for i = 1, #marked do append(mark_writes, marked[i], marks[marked[i]]) end
  for from = 1, #mark_writes, 2000 do
    redis.call('HSET', active_key, unpack(mark_writes, from, math.min(from + 1999, #mark_writes)))
  end
  if next(waits.changed) then waits.flush() end
  for name, run_ids in pairs(queued) do
    for from = 1, #run_ids, 1000 do redis.call('RPUSH', lists[name], unpack(run_ids, from, math.min(from + 999, #run_ids))) end
    waiting_lists[#waiting_lists + 1] = name
  end
  for from = 1, #start_bys, 2000 do redis.call('ZADD', start_by_key, unpack(start_bys, from, math.min(from + 1999, #start_bys))) end
  if #started > 0 then
    redis.call('SADD', holds_key, unpack(started))
    redis.call('HINCRBY', clock_key, 'held', #started)
    extend_lease(holder, lease_ms)
  end
end

-- At most one hint in each list: whoever takes it fetches.
local function leave_hints()
  for i = 1, #waiting_lists do
    local hint = hints[waiting_lists[i]]
    if hint and redis.call('LLEN', hint) == 0 then redis.call('RPUSH', hint, '1') end
  end
end
