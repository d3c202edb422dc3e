-- Numbered calls: the same number gets the same answer, a lower one is refused. Needs `lanes_key`, `holder`, `number`.
local function read_lane(lane)
  local text = redis.call('HGET', lanes_key, holder .. lane)
  if not text then return 0, '' end
  local kept, answer = string.match(text, '^(%d+)\n(.*)$')
  return tonumber(kept) or 0, answer or ''
end

local function keep_lane(lane, answer)
  redis.call('HSET', lanes_key, holder .. lane, string.format('%.0f', number) .. '\n' .. answer)
end

-- What of these run ids the holder executes: { id, live record, ... }.
local function held_of(ids_text)
  local ids, held = {}, {}
  for id in string.gmatch(ids_text, '%S+') do ids[#ids + 1] = id end
  if #ids == 0 then return held end
  local texts = redis.call('HMGET', live_key, unpack(ids))
  for i = 1, #ids do
    local run = read_live(texts[i])
    if run and run.state == RUNNING and run.holder == holder then
      held[#held + 1] = ids[i]
      held[#held + 1] = texts[i]
    end
  end
  return held
end
