-- Runs in a list, or beside it, whose `start_within` has passed end `missed`, `too_late`; those that had begun and wait for their
-- next attempt when the time of the whole run is up end `failed`, `timeout`. Needs start_by_key, delayed_key, live_key, queues_key,
-- the history, `waits`.

-- seldom: expire
local function end_late(run_id, run)
  if run.attempt == 0 then return remember_run(run_id, run, MISSED, TOO_LATE, '', 0, '') end
  remember_run(run_id, run, FAILED, TIMEOUT, '', 0, 'it had not succeeded within the time of the whole run (retry.within)')
end

local function expire_queued()
  local ids = redis.call('ZRANGEBYSCORE', start_by_key, '-inf', '(' .. now, 'LIMIT', 0, 100)
  if #ids == 0 then return 0 end
  local texts = redis.call('HMGET', live_key, unpack(ids))
  local gone, entries = {}, {}
  for i = 1, #ids do
    local run = read_live(texts[i])
    if run and run.state == WAITING then
      gone[#gone + 1] = ids[i]
      end_late(ids[i], run)
      if delayed.has(run) then redis.call('ZREM', delayed_key, ids[i]) else waits.drop(run.id, ids[i]) end
    elseif run and run.state == RETRYING then
      gone[#gone + 1], entries[#entries + 1] = ids[i], run.id
      end_late(ids[i], run)
      redis.call('ZREM', delayed_key, ids[i])
    elseif run and run.state == QUEUED then
      gone[#gone + 1], entries[#entries + 1] = ids[i], run.id
      end_late(ids[i], run)
      -- Near the front of its list as a rule: then it goes at once, so that a list that nobody serves does not grow.
      local list = lists[run.list]
      if list and redis.call('LPOS', list, ids[i], 'MAXLEN', 500) then
        redis.call('LREM', list, 1, ids[i])
      else
        redis.call('HINCRBY', queues_key, run.list, 1)
      end
    end
  end
  redis.call('ZREM', start_by_key, unpack(ids))
  if #gone > 0 then redis.call('HDEL', live_key, unpack(gone)) end
  waits.admit(entries)
  return #gone
end
