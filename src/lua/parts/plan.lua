-- Plans as `domain/plan/packed.rs` packs them: read, and asked for the next fire time. What most entries have alike stands in them
-- only where it is not (WIDE). Those of versions 3, with all of it, and 4, with two characters more, are read, too.
local PLAN_MIN, PLAN_REST = 41, 34
local PLAN_BIRTH, PLAN_REVISION_END = 26, 33
local ARITHMETIC, LISTED, UNIT, FINAL = 1, 2, 4, 128
-- By the unit in the form: bytes of a number, how it is packed, ms that it counts. Lists of the fourth have their first time in
-- 4 bytes of seconds, and distances in hours, each from the time before it. A distance of 0 only fills a plan up to PLAN_MIN.
local STEPS, NUMBERS, UNITS = { [0] = 2, 3, 6, 1 }, { [0] = '>I2', '>I3', '>I6' }, { [0] = 60000, 1000, 1 }
local HOURS, HOUR_MS, SECONDS_END = 3, 3600000, 65536
local WIDE, OVERLAPS = 128, 16
-- Places in a plan that was read: a list, since a table with names costs four times as much to make.
local P_TEXT, P_OVERLAP, P_CATCH_UP, P_MAX_RUNS, P_PER_MINUTE, P_STEP, P_STOP, P_PHASE = 1, 2, 3, 4, 5, 6, 7, 8
local P_PERIOD, P_SUFFIX, P_BIRTH, P_REVISION, P_START_WITHIN, P_KEEP, P_IS_FINAL = 9, 10, 11, 12, 13, 14, 15
local P_IS_ARITHMETIC, P_FIRST, P_IS_DIRECT, P_NEEDS_MARKS, P_LIST, P_TAIL = 16, 17, 18, 19, 20, 21
-- How long after its fire time it is due, ms; fire times in all, active runs (0 for no limit); fire times that are left.
local P_DELAY, P_MAX_FIRES, P_MAX_RUNNING, P_LEFT = 22, 23, 24, 25
-- The entry's own limit of active runs, where a request follows another rule.
local P_OWN_LIMIT = 26
-- The first time of a list whose others are distances from it.
local P_BASE, P_NUMBER, P_UNIT = 27, 28, 29
local FLAG_MARKS, FLAG_SPECIAL = 2, 4
local ALLOW, SKIP, BUFFER_ONE, BUFFER_ALL, CANCEL_OTHERS = 0, 1, 2, 3, 4
local CATCH_UP_LATEST, CATCH_UP_ALL = 1, 2
local VERSION, VERSION_BEFORE = 5, 4
-- What is alike in many plans, by the bytes that say it: their list, the end of the tail of their live records, where their times
-- begin, start_within, stop, keep; then max_runs, per_minute, delay, max_fires, max_running.
local S_LIST, S_TAIL, S_AT, S_START_WITHIN, S_STOP, S_KEEP = 1, 2, 3, 4, 5, 6
local S_MAX_RUNS, S_PER_MINUTE, S_DELAY, S_MAX_FIRES, S_MAX_RUNNING = 7, 8, 9, 10, 11
local USUAL = '>xBBBc21xxxxI4I6'  -- form, rules, list, suffix, revision, the first time
local shapes, LIST_NAMES = {}, { '', 'default:exec', 'default:shell', 'default:http' }
local KEEP_RUNS, MAX_RUNS, PER_MINUTE = 100, 100, 60  -- as `domain/policy.rs` has them

-- What a plan of at least PLAN_MIN bytes has like others, or nil where it is damaged.
local function shape_of(text, rules, code)
  local is_wide, at, name = rules >= WIDE, PLAN_REST, LIST_NAMES[code]
  if is_wide then at = at + 30 end
  if code == 0 then
    local length = byte(text, at)
    if not length then return nil end
    at = at + 1 + length
    name = cut(text, at - length, at - 1)
  end
  if not name or #text < at + 5 then return nil end
  local key = at > PLAN_REST and cut(text, 3, 4) .. cut(text, PLAN_REST, at - 1) or rules * 256 + code
  local shape = shapes[key]
  if shape then return shape end
  local max_runs, per_minute, stop, delay, max_fires, max_running, start_within, keep = MAX_RUNS, PER_MINUTE, 0, 0, 0, 0, 0, KEEP_RUNS
  if is_wide then
    max_runs, per_minute, stop, delay, max_fires, max_running, start_within, keep = unpack_text('>I2I2I6I6I4I2I6I2', text, PLAN_REST)
  end
  shape = { name, struct.pack('>I6I2BB', start_within, keep, rules % OVERLAPS, #name) .. name, at, start_within, stop, keep,
    max_runs, per_minute, delay, max_fires, max_running }
  shapes[key] = shape
  return shape
end

-- The least time after `t` of a list in hours whose numbers begin at `at`, from its first time on, and how many stand behind it; nil
-- where there is none. Lists in hours are short: to walk costs no more than to search.
local function walk_hours(text, at, time, t)
  local place = at + 4
  while time <= t do
    local hours = byte(text, place)
    if not hours then return nil end
    time, place = time + hours * HOUR_MS, place + 1
  end
  return time, #text - place + 1
end

-- The fire time behind `fire_at` in a plan of this form, whose times begin at `at` with `base`, and whether few are left behind it;
-- nil where it was the last one, false where somebody must look closer.
local function next_after(text, form, at, base, stop, fire_at)
  local unit = math.floor(form % 16 / UNIT)
  if unit == HOURS then
    if form % UNIT ~= LISTED then return false end
    local t, left = walk_hours(text, at, math.floor(base / SECONDS_END) * 1000, fire_at)
    if t then return t > now and t, form < FINAL and left <= LOW end
    if form < FINAL then return false end
    return nil
  end
  local step, number, counts = STEPS[unit], NUMBERS[unit], UNITS[unit]
  local more = (#text - at - 5) / step
  if form % UNIT == ARITHMETIC then
    if more ~= 1 or fire_at < base then return false end
    local period = unpack_text(number, text, at + 6) * counts
    if period < 1 then return false end
    local t = fire_at - (fire_at - base) % period + period
    return t > now and (stop == 0 or t < stop) and t, false
  end
  if form % UNIT ~= LISTED or more % 1 ~= 0 then return false end
  -- Distances from the first time, or the times themselves.
  local since = counts > 1 and base or 0
  local low, high, over = base > fire_at and 0 or 1, more + 1, (fire_at - since) / counts
  while low > 0 and low < high do
    local middle = math.floor((low + high) / 2)
    if unpack_text(number, text, at + 6 - step + middle * step) > over then high = middle else low = middle + 1 end
  end
  if low > more then
    if form < FINAL then return false end
    return nil
  end
  local t = low == 0 and base or since + unpack_text(number, text, at + 6 - step + low * step) * counts
  return t > now and t, form < FINAL and more - low <= LOW
end

-- seldom: plan
-- A plan of version 3.
local function read_old(text)
  if #text < 83 then return nil, 'damaged' end
  local version, form, overlap, catch_up, max_runs, per_minute, _, stop, phase, period, delay, max_fires,
    max_running, suffix, birth, revision, start_within, keep, flags, list_len, at = unpack_text('>BBBBI2I2I4I6I6I6I6I4I2xxc21I4I4I6I2BB', text)
  local is_arithmetic = form % FINAL == ARITHMETIC
  local first = at + list_len
  local rest = #text - first + 1
  if version ~= 3 or (overlap > ALLOW and flags == 0) or overlap > CANCEL_OTHERS or (is_arithmetic and (period < 1 or rest ~= 0)) or (not is_arithmetic and rest ~= phase * 6) then
    return nil, 'damaged'
  end
  return { text, overlap, catch_up, max_runs, per_minute, 6, stop, phase, period, suffix, birth, revision, start_within, keep,
    form >= FINAL, is_arithmetic, first, flags % 2 == 1, flags % FLAG_SPECIAL >= FLAG_MARKS, cut(text, at, first - 1),
    cut(text, 66, first - 1), delay, max_fires, max_running, NEVER, false, 0 }
end

-- A plan of version 4 as it is packed now, or one that is too short: it is damaged.
local function renewed(text)
  if byte(text, 2) % 16 >= HOURS * UNIT then return '' end
  return string.char(VERSION) .. cut(text, 2, 4) .. cut(text, 7) .. (#text < PLAN_MIN + 2 and '\0\0' or '')
end

-- Returns the plan, or nil and 'damaged' | 'newer'. Cannot raise: lengths are checked before anything is unpacked.
local function read_plan(text)
  if not text or #text < PLAN_MIN then return nil, 'damaged' end
  if byte(text) > VERSION then return nil, 'newer' end
  if byte(text) < VERSION_BEFORE then return read_old(text) end
  if byte(text) == VERSION_BEFORE then text = renewed(text) end
  if #text < PLAN_MIN then return nil, 'damaged' end
  local form, rules, code, suffix, birth, revision = unpack_text('>xBBBc21I4I4', text)
  local shape = shape_of(text, rules, code)
  if not shape then return nil, 'damaged' end
  local at, kind, unit, flags, overlap = shape[S_AT], form % UNIT, math.floor(form % 16 / UNIT), rules % OVERLAPS, math.floor(rules % WIDE / OVERLAPS)
  local is_arithmetic, step, is_hours = kind == ARITHMETIC, STEPS[unit], unit == HOURS
  local base, rest, phase, period = unpack_text('>I6', text, at), (#text - at - 5) / step, 0, 0
  if is_hours then base, rest = math.floor(base / SECONDS_END) * 1000, rest + 2 end
  -- A list without times has no distance, but one of 0 that fills it up.
  if rest % 1 ~= 0 or kind == 0 or (is_hours and kind ~= LISTED) or (is_arithmetic and rest ~= 1) or (kind ~= LISTED and rest > 1) or (overlap > ALLOW and flags == 0) or overlap > CANCEL_OTHERS then
    return nil, 'damaged'
  end
  if is_arithmetic then
    phase, period = base, unpack_text(NUMBERS[unit], text, at + 6) * UNITS[unit]
    if period < 1 then return nil, 'damaged' end
  elseif kind == LISTED then
    phase = rest + 1
  end
  return { text, overlap, math.floor(form % FINAL / 16), shape[S_MAX_RUNS], shape[S_PER_MINUTE], step, shape[S_STOP], phase, period,
    suffix, birth, revision, shape[S_START_WITHIN], shape[S_KEEP], form >= FINAL, is_arithmetic, at, flags % 2 == 1,
    flags % FLAG_SPECIAL >= FLAG_MARKS, shape[S_LIST], cut(text, PLAN_BIRTH, PLAN_REVISION_END) .. shape[S_TAIL], shape[S_DELAY], shape[S_MAX_FIRES],
    shape[S_MAX_RUNNING], NEVER, false, base, NUMBERS[unit], UNITS[unit] }
end

-- The i-th time of a list, from 0 on.
local function listed(p, i)
  if p[P_STEP] == 1 then
    local time = p[P_BASE]
    for place = p[P_FIRST] + 4, p[P_FIRST] + 3 + i do time = time + byte(p[P_TEXT], place) * HOUR_MS end
    return time
  end
  if p[P_STEP] == 6 or i == 0 then return (unpack_text('>I6', p[P_TEXT], p[P_FIRST] + i * 6)) end
  return p[P_BASE] + unpack_text(p[P_NUMBER], p[P_TEXT], p[P_FIRST] + 6 + (i - 1) * p[P_STEP]) * p[P_UNIT]
end

-- The last time of a list that has any.
local function list_end(p) return listed(p, p[P_PHASE] - 1) end

-- The least fire time after `t` and how many the plan knows behind it; or nil and 'dry' (Rust must go on) | 'over' (there is none).
local function time_after(p, t)
  if p[P_LEFT] <= 0 then return nil, 'over' end
  if p[P_IS_ARITHMETIC] then
    local n = p[P_PHASE]
    if t >= n then n = n + (math.floor((t - n) / p[P_PERIOD]) + 1) * p[P_PERIOD] end
    if n >= (p[P_STOP] > 0 and p[P_STOP] or NEVER) then return nil, 'over' end
    return n, 1000
  end
  if p[P_STEP] == 1 then
    local found, left = walk_hours(p[P_TEXT], p[P_FIRST], p[P_BASE], t)
    if not found then return nil, p[P_IS_FINAL] and 'over' or 'dry' end
    return found, p[P_IS_FINAL] and 1000 or left
  end
  local low, high = 0, p[P_PHASE]
  while low < high do
    local middle = math.floor((low + high) / 2)
    if listed(p, middle) > t then high = middle else low = middle + 1 end
  end
  if low == p[P_PHASE] then return nil, p[P_IS_FINAL] and 'over' or 'dry' end
  return listed(p, low), p[P_IS_FINAL] and 1000 or p[P_PHASE] - low - 1
end

-- Runs that may be active beside each other; 0 for any number.
local function active_limit(p) return p[P_OVERLAP] > ALLOW and 1 or p[P_MAX_RUNNING] end
