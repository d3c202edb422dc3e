-- Settles the fire times of an entry up to now, by the rule "Late" of the contract. Needs `fire.lua`.
local LATE_MS, LATE_WITH_NEWER_MS = 60000, 5000

-- seldom: settle
-- The fire times from `cursor` to `limit`, else those that are due, `most` of them: their number, the i-th, and the sum of i to j; and whether
-- the plan knows what comes next.
local function due_times(p, cursor, limit, most)
  limit, most = limit or now - p[P_DELAY], most or p[P_LEFT]
  if p[P_IS_ARITHMETIC] then
    local till = (p[P_STOP] > 0 and p[P_STOP] <= limit) and p[P_STOP] - 1 or limit
    -- The cursor of a paused entry may stand between two fire times.
    local first = time_after(p, cursor - 1) or NEVER
    local count = till >= first and math.floor((till - first) / p[P_PERIOD]) + 1 or 0
    local function nth(i) return first + (i - 1) * p[P_PERIOD] end
    local function sum(i, j) return sum_of(nth(i), j - i + 1, p[P_PERIOD]) end
    return math.min(count, most), nth, sum, true
  end
  local times = {}
  local t, why = time_after(p, cursor - 1)
  while t and t <= limit and #times < most do
    times[#times + 1] = t
    t, why = time_after(p, t)
  end
  local function sum(i, j)
    local total = 0
    for k = i, j do total = (total + times[k]) % MODULUS end
    return total
  end
  return #times, function(i) return times[i] end, sum, why ~= 'dry' or #times >= most
end

-- The greatest i that has been due for more than `age`.
local function older_than(p, count, nth, age)
  local low, high = 0, count
  while low < high do
    local middle = math.ceil((low + high) / 2)
    if now - p[P_DELAY] - nth(middle) > age then low = middle else high = middle - 1 end
  end
  return low
end

local function range_over(id, p, nth, sum, i, j, state, reason)
  while i <= j do
    local k = skipping.run_end(id, i, j)
    skipping.emit(id, p, nth(i))
    pass_over(id, p, nth(i), nth(k), k - i + 1, sum(i, k), state, reason)
    i = k + 1
  end
end

-- What is late, by `catch_up`; `back` is the back-log, a list of fire times. Returns how many are settled.
local function settle_many(id, p, cursor, back)
  local count, nth, sum, is_known = due_times(p, cursor)
  if count == 0 then return cursor, nil end
  local last = nth(count)
  if skipping.of[id] then count, nth, sum = skipping.without(id, count, nth, sum) end
  if count == 0 then return time_after(p, last) end
  -- Where the plan ran dry nobody knows yet whether the newest has a newer one behind it: it waits for the next plan.
  local till = count
  if not is_known and now - p[P_DELAY] - nth(count) > LATE_WITH_NEWER_MS then till = count - 1 end
  local late = math.min(older_than(p, count, nth, LATE_WITH_NEWER_MS), count - 1)
  if is_known and now - p[P_DELAY] - nth(count) > LATE_MS then late = count end
  local gone = p[P_START_WITHIN] > 0 and math.min(older_than(p, count, nth, p[P_START_WITHIN]), till) or 0
  range_over(id, p, nth, sum, 1, gone, MISSED, TOO_LATE)
  if late > gone then
    if p[P_CATCH_UP] == CATCH_UP_ALL then
      local from = math.max(gone + 1, late - p[P_MAX_RUNS] + 1)
      range_over(id, p, nth, sum, gone + 1, from - 1, MISSED, CATCH_UP_LIMIT)
      local i = from
      while i <= late do
        local k = skipping.run_end(id, i, late)
        skipping.emit(id, p, nth(i))
        enter(id, nth(i), nth(k), k - i + 1, sum(i, k), p[P_REVISION], SUCCEEDED, PACE)
        i = k + 1
      end
      for i = from, late do back[#back + 1] = nth(i) end
      while #back > p[P_MAX_RUNS] do
        local t = table.remove(back, 1)
        drop_back(id, p, t, back, MISSED, CATCH_UP_LIMIT)
      end
    elseif p[P_CATCH_UP] == CATCH_UP_LATEST and late == count then
      range_over(id, p, nth, sum, gone + 1, late - 1, MISSED, SUPERSEDED)
      skipping.emit(id, p, nth(late))
      fire(id, p, nth(late), CATCH_UP)
    else
      range_over(id, p, nth, sum, gone + 1, late, MISSED, p[P_CATCH_UP] == CATCH_UP_LATEST and SUPERSEDED or TOO_LATE)
    end
  end
  for i = math.max(late, gone) + 1, till do
    skipping.emit(id, p, nth(i))
    fire(id, p, nth(i), SCHEDULED)
  end
  if till < count then return nth(count), 'dry' end
  return time_after(p, last)
end

-- The usual case: one fire time is due, and it is not late. Returns what `settle` does, or nothing where it is not that case.
local function settle_usual(id, p, cursor)
  local age = now - p[P_DELAY] - cursor
  if age < 0 then return cursor, 1000 end
  if age > LATE_WITH_NEWER_MS or (p[P_START_WITHIN] > 0 and age > p[P_START_WITHIN]) then return nil end
  local t, left = time_after(p, cursor)
  if t and t <= now - p[P_DELAY] then return nil end
  fire(id, p, cursor, SCHEDULED)
  if p[P_LEFT] <= 0 then return nil, 'over' end
  return t, left
end

-- Settles what is due of one entry. Returns the next fire time, or nil and 'dry' | 'over'; where a time is returned with 'dry'
-- it is settled once the next plan is there.
local function settle(id, p, cursor, back)
  if p[P_LEFT] <= 0 then return nil, 'over' end
  local t, left
  if cursor > now - p[P_DELAY] or not skipping.of[id] then
    t, left = settle_usual(id, p, cursor)
    if left then return t, left end
  end
  t, left = settle_many(id, p, cursor, back)
  if skipping.of[id] then
    local is_dry = not t and left == 'dry'
    skipping.done(id, p, t or (is_dry and list_end(p) + 1) or NEVER)
    -- The last one of all was to be skipped.
    if p[P_LEFT] <= 0 then return nil, 'over' end
  end
  return t, left
end

-- Lets the oldest of the back-log go, if its pace and the runs before it allow. Returns the time to look again, or nil.
local function pace(id, p, back, pace_at)
  while #back > 0 and p[P_START_WITHIN] > 0 and now - p[P_DELAY] - back[1] > p[P_START_WITHIN] do
    local t = table.remove(back, 1)
    drop_back(id, p, t, back, MISSED, TOO_LATE)
  end
  if #back > 0 and pace_at <= now then
    if overlap.is_busy(id, p) then return now + 1000, pace_at end
    fire(id, p, table.remove(back, 1), CATCH_UP, true)
    pace_at = now + math.floor(60000 / p[P_PER_MINUTE])
  end
  return #back > 0 and math.max(pace_at, now) or nil, pace_at
end
