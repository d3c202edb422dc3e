-- Keys that people give to requests for runs: while one is taken, another request with it makes no run. Needs `uniques_key`,
-- `unique_until_key`, `now`, `request`, `digest`.
local UNIQUES_MAX = 100000
local uniques = {}

-- Returns run id and fire time of the run that holds the key, or nil.
function uniques.holder(field)
  if field == '' then return nil end
  local till = tonumber(redis.call('ZSCORE', unique_until_key, field) or nil)
  local text = till and till > now and redis.call('HGET', uniques_key, field)
  local run_id, fire_at = string.match(text or '', '^(%S+) (%d+)$')
  return run_id, tonumber(fire_at)
end

-- The answer to a request that makes no run: the key is taken, or there is no room for another; nil where it may go on.
function uniques.refusal(field)
  local run_id, fire_at = uniques.holder(field)
  if run_id then
    local answer = { 'taken', run_id, fire_at, '' }
    keep_clock()
    keep_answer(request, digest, answer)
    return answer
  end
  local is_full = field ~= '' and redis.call('ZCOUNT', unique_until_key, '(' .. now, '+inf') >= UNIQUES_MAX
  return is_full and { 'crowded' } or nil
end

function uniques.take(field, run_id, fire_at, ms)
  if field == '' then return end
  redis.call('HSET', uniques_key, field, run_id .. ' ' .. string.format('%.0f', fire_at))
  redis.call('ZADD', unique_until_key, now + ms, field)
  local old = redis.call('ZRANGEBYSCORE', unique_until_key, '-inf', now, 'LIMIT', 0, 100)
  if #old > 0 then
    redis.call('HDEL', uniques_key, unpack(old))
    redis.call('ZREM', unique_until_key, unpack(old))
  end
end
