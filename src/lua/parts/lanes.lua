-- Numbered calls: the same number gets the same answer, a lower one is refused. Needs `lanes_key`, `holder`, `number`.
local function read_lane(lane)
  local text = redis.call('HGET', lanes_key, holder .. lane)
  if not text then return 0, '' end
  local kept, given, answer = string.match(text, '^(%d+) ?(%d*)\n(.*)$')
  return tonumber(kept) or 0, answer or '', tonumber(given)
end

local function keep_lane(lane, answer)
  redis.call('HSET', lanes_key, holder .. lane, string.format('%.0f %.0f', number, fence) .. '\n' .. answer)
end

-- What of these run ids the holder executes: { id, live record, ... }. Not what came back to it since by another call: that
-- attempt has a greater fence than `last`, the last one that was given out with the answer.
local function held_of(ids_text, last)
  local ids, held = {}, {}
  for id in string.gmatch(ids_text, '%S+') do ids[#ids + 1] = id end
  if #ids == 0 then return held end
  local texts = redis.call('HMGET', live_key, unpack(ids))
  for i = 1, #ids do
    local run = read_live(texts[i])
    if run and run.state == RUNNING and run.holder == holder and not (last and run.fence > last) then
      held[#held + 1] = ids[i]
      held[#held + 1] = texts[i]
    end
  end
  return held
end
