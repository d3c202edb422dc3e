-- Fire times that somebody asked to skip: per entry a list of (fire time, who and why), oldest first. One that is due ends
-- `skipped`, `skip_asked`; for the others it is as if it were not there, so it is never the newest that `latest` runs. What
-- passes otherwise (paused, removed) is dropped unseen. Needs `skips_key`, `fire`.
local skipping = { of = {}, cuts = {}, pending = {}, writes = {}, removes = {} }

-- seldom: skips
function skipping.read(text)
  local list, at = {}, 1
  while text and #text >= at + 7 do
    local fire_at, length = struct.unpack('>I6I2', text, at)
    list[#list + 1] = { fire_at, string.sub(text, at + 8, at + 7 + length) }
    at = at + 8 + length
  end
  return list
end

function skipping.pack(list)
  local parts = {}
  for i = 1, #list do parts[i] = struct.pack('>I6I2', list[i][1], #list[i][2]) .. list[i][2] end
  return table.concat(parts)
end

function skipping.load(ids)
  if #ids == 0 or redis.call('HLEN', skips_key) == 0 then return end
  local texts = redis.call('HMGET', skips_key, unpack(ids))
  for i = 1, #ids do
    if texts[i] then skipping.of[ids[i]] = skipping.read(texts[i]) end
  end
end

-- The first fire time from `t` on that is not skipped, for people.
function skipping.next(id, p, t)
  local list = skipping.of[id] or {}
  for k = 1, #list do
    if t == list[k][1] then t = time_after(p, t) end
  end
  return t
end

-- The fire times without those to skip; `nth` and `sum` count the others, `sum` only within what `run_end` holds together.
function skipping.without(id, count, nth, sum)
  local list, cuts, pending = skipping.of[id], {}, {}
  for k = 1, #list do
    local low, high = 1, count + 1
    while low < high do
      local middle = math.floor((low + high) / 2)
      if nth(middle) < list[k][1] then low = middle + 1 else high = middle end
    end
    -- What is no fire time any more is dropped.
    if low <= count and nth(low) == list[k][1] then
      cuts[#cuts + 1] = low
      pending[#pending + 1] = list[k]
    end
  end
  skipping.cuts[id], skipping.pending[id] = cuts, pending
  local function place_of(i)
    for k = 1, #cuts do
      if cuts[k] <= i then i = i + 1 end
    end
    return i
  end
  return count - #cuts, function(i) return nth(place_of(i)) end, function(i, j) return sum(place_of(i), place_of(j)) end
end

-- The last of i to j that has nothing skipped between it and the i-th.
function skipping.run_end(id, i, j)
  local cuts, at = skipping.cuts[id] or {}, i
  for k = 1, #cuts do
    if cuts[k] > at then return math.min(j, i + cuts[k] - at - 1) end
    at = at + 1
  end
  return j
end

-- Records what is skipped before `t`, so that the ledger stays in order.
function skipping.emit(id, p, t)
  local pending = skipping.pending[id]
  while pending and pending[1] and pending[1][1] < t do
    local skip = table.remove(pending, 1)
    pass_over(id, p, skip[1], skip[1], 1, skip[1], SKIPPED, SKIP_ASKED, skip[2])
  end
end

-- All before `t` is settled.
function skipping.done(id, p, t)
  skipping.emit(id, p, t)
  local kept, list = {}, skipping.of[id]
  for k = 1, #list do
    if list[k][1] >= t then kept[#kept + 1] = list[k] end
  end
  if #kept == #list then return end
  if #kept == 0 then skipping.removes[#skipping.removes + 1] = id else append(skipping.writes, id, skipping.pack(kept)) end
end

function skipping.flush()
  write_all('HDEL', skips_key, skipping.removes)
  write_all('HSET', skips_key, skipping.writes)
end
