-- Pauses and their ends. A paused entry stands in `paused` by the time until when; its cursor has that time in the place of
-- a pace, and what has passed (first, last, count, sum in halves) in the place of a back-log. Needs `settle`, `cursor`.
local PAUSES_ENDED, PAUSES_TIMES = 50, 1000  -- in one claim, at most: entries, listed fire times looked through
local pausing = { removes = {}, scores = {} }

-- seldom: pauses
function pausing.till(id, score)
  local place = cursors[id]
  return place and place.pace_at > 0 and place.pace_at or score
end

-- The fire times that passed while the entry was paused, up to `till`, as one record.
function pausing.settle(id, p, place, till)
  local f, l, c, s = place.back[1], place.back[2], place.back[3] or 0, (place.back[4] or 0) * 67108864 + (place.back[5] or 0)
  local count, nth, sum = due_times(p, place.cursor, till, math.max(p[P_LEFT] - c, 0))
  if count > 0 then f, l, c, s = c > 0 and f or nth(1), nth(count), c + count, (s + sum(1, count)) % MODULUS end
  if c > 0 then pass_over(id, p, f, l, c, s, SKIPPED, PAUSED) end
end

-- Whether the plan says where the entry goes on at the end of its pause.
function pausing.reaches(id, p, till)
  local place = cursors[id]
  local _, left = time_after(p, math.max(till, place and place.cursor or till) - 1)
  return left ~= 'dry'
end

-- The pause ended at `till`: what passed before is skipped, what came since is regular, however late that is noticed.
function pausing.wake(id, p, till)
  local place = cursors[id] or { cursor = till, pace_at = 0, back = {} }
  pausing.settle(id, p, place, till - 1)
  local t, left = time_after(p, math.max(till, place.cursor) - 1)
  cursors[id] = place
  put_in_place(id, p, t, left, {}, 0, NEVER, false)
  pausing.removes[#pausing.removes + 1] = id
  logged.events[#logged.events + 1] = { 'type', 'resumed', 'entry', id, 'message', 'its pause ended' }
end

-- Ends the pauses whose time has come.
function pausing.wake_due(limit)
  local found = limit > 0 and redis.call('ZRANGEBYSCORE', paused_key, '-inf', now, 'WITHSCORES', 'LIMIT', 0, PAUSES_ENDED) or {}
  if #found == 0 then return end
  local ids = {}
  for i = 1, #found, 2 do ids[#ids + 1] = found[i] end
  local texts = redis.call('HMGET', plans_key, unpack(ids))
  load_cursors(ids)
  load_ledgers(ids)
  local looked = 0
  for i = 1, #ids do
    if looked > PAUSES_TIMES then return end
    local id = ids[i]
    local p, why = read_plan(texts[i])
    local till = pausing.till(id, tonumber(found[i * 2]))
    if p then limits.load(id, p) end
    looked = looked + (p and not p[P_IS_ARITHMETIC] and p[P_PHASE] or 1)
    if till > now then
      append(pausing.scores, till, id)
    elseif p and pausing.reaches(id, p, till) then
      pausing.wake(id, p, till)
    else
      -- Its plan ends before the pause did: Rust counts what passed.
      append(pausing.scores, now + HAND_OUT_MS, id)
      if why ~= 'newer' then to_plan[#to_plan + 1] = id end
    end
  end
end

function pausing.flush()
  write_all('ZREM', paused_key, pausing.removes)
  write_all('ZADD', paused_key, pausing.scores)
end
