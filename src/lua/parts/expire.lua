-- Runs in a list, or beside it, whose `start_within` has passed end `missed`, `too_late`. Needs start_by_key, live_key,
-- queues_key, the history, `waits`.
local function expire_queued()
  local ids = redis.call('ZRANGEBYSCORE', start_by_key, '-inf', '(' .. now, 'LIMIT', 0, 100)
  if #ids == 0 then return 0 end
  local texts = redis.call('HMGET', live_key, unpack(ids))
  local gone, entries = {}, {}
  for i = 1, #ids do
    local run = read_live(texts[i])
    if run and run.state == WAITING then
      gone[#gone + 1] = ids[i]
      remember_run(ids[i], run, MISSED, TOO_LATE, '', 0, '')
      waits.drop(run.id, ids[i])
    elseif run and run.state == QUEUED then
      gone[#gone + 1], entries[#entries + 1] = ids[i], run.id
      remember_run(ids[i], run, MISSED, TOO_LATE, '', 0, '')
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
