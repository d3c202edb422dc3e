-- Where an entry stands when its score in `due` is not its next fire time: the cursor (all before it is settled), the next
-- time of its back-log's pace, the back-log. Needs `cursors_key`, `due_key`, `parked_key`, `finished_key`.
local HAND_OUT_MS = 10000
local LOW = 2
local cursors = {}
local to_plan = {}
local due_writes, due_removes, cursor_writes, cursor_removes, parked_writes, finished_writes = {}, {}, {}, {}, {}, {}

local function load_cursors(ids)
  if #ids == 0 or redis.call('HLEN', cursors_key) == 0 then return end
  local texts = redis.call('HMGET', cursors_key, unpack(ids))
  for i = 1, #ids do cursors[ids[i]] = read_cursor(texts[i]) end
end

local scores = {}

-- A score as text, made once per distinct time: Redis would print each number anew, with 17 digits.
local function score(t)
  local text = scores[t]
  if not text then
    text = string.format('%.0f', t)
    scores[t] = text
  end
  return text
end

local function flush_cursors()
  write_all('ZADD', due_key, due_writes)
  write_all('ZREM', due_key, due_removes)
  write_all('HDEL', cursors_key, cursor_removes)
  write_all('HSET', cursors_key, cursor_writes)
  write_all('ZADD', parked_key, parked_writes)
  write_all('ZADD', finished_key, finished_writes)
end

-- seldom: cursor
local function read_cursor(text)
  if not text or #text < 12 or #text % 6 ~= 0 then return nil end
  local cursor, pace_at = struct.unpack('>I6I6', text)
  local back = {}
  for at = 13, #text, 6 do back[#back + 1] = struct.unpack('>I6', text, at) end
  return { cursor = cursor, pace_at = pace_at, back = back }
end

local function pack_cursor(cursor, pace_at, back)
  local parts = { struct.pack('>I6I6', cursor, pace_at) }
  for i = 1, #back do parts[#parts + 1] = struct.pack('>I6', back[i]) end
  return table.concat(parts)
end

-- Gives an entry its place after it was settled. `t`, `left` are what `settle` returned, `was_due` whether it stands in `due`.
-- Returns the next fire time for people, or nil.
local function put_in_place(id, p, t, left, back, pace_at, look, was_due)
  if left == 'dry' then
    local cursor = t or list_end(p) + 1
    append(cursor_writes, id, pack_cursor(cursor, pace_at, back))
    append(parked_writes, now + HAND_OUT_MS, id)
    if was_due then due_removes[#due_removes + 1] = id end
    to_plan[#to_plan + 1] = id
    return t
  end
  if #back > 0 or (t and p[P_DELAY] > 0) then
    append(cursor_writes, id, pack_cursor(t or NEVER, pace_at, back))
    append(due_writes, math.min(t and t + p[P_DELAY] or NEVER, look or NEVER), id)
    if t and left <= LOW then to_plan[#to_plan + 1] = id end
    return t
  end
  if cursors[id] then cursor_removes[#cursor_removes + 1] = id end
  if not t then
    if was_due then due_removes[#due_removes + 1] = id end
    append(finished_writes, now, id)
    return nil
  end
  append(due_writes, score(t), id)
  if left <= LOW then to_plan[#to_plan + 1] = id end
  return t
end
