-- What people asked for, by request id: the same request gets the same answer for 24 h. Needs requests_key, requested_key, now.
local REQUESTS_KEPT_MS, REQUESTS_MAX = 86400000, 100000

-- Returns the answer given before, or nil; 'other' where the id came with other content.
local function answered(request, content)
  redis.call('ZCARD', requested_key)
  local text = redis.call('HGET', requests_key, request)
  if not text then return nil end
  local digest, answer = string.match(text, '^(%S*) (.*)$')
  if digest ~= content then return 'other' end
  return cjson.decode(answer)
end

-- `answer` as JSON.
local function keep_text(request, content, answer)
  redis.call('HSET', requests_key, request, content .. ' ' .. answer)
  redis.call('ZADD', requested_key, now, request)
  local old = redis.call('ZRANGEBYSCORE', requested_key, '-inf', now - REQUESTS_KEPT_MS, 'LIMIT', 0, 100)
  if #old == 0 and redis.call('ZCARD', requested_key) > REQUESTS_MAX then old = redis.call('ZRANGE', requested_key, 0, 9) end
  if #old > 0 then
    redis.call('HDEL', requests_key, unpack(old))
    redis.call('ZREM', requested_key, unpack(old))
  end
end

local function keep_answer(request, content, answer) keep_text(request, content, cjson.encode(answer)) end
