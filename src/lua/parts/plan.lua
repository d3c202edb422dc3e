-- Plans as `domain/plan.rs` packs them: read, and asked for the next fire time.
local PLAN = '>BBBBI2I2I4I6I6I6I6I4I2c23I4I4I6I2BB'
local PLAN_TAIL = 66  -- from here on it is the tail of a live record
local PLAN_MIN = 83
local KEEP_AT, FLAGS_AT = 80, 82
local ARITHMETIC, FINAL = 1, 128
-- Places in a plan that was read: a list, since a table with names costs four times as much to make.
local P_TEXT, P_OVERLAP, P_CATCH_UP, P_MAX_RUNS, P_PER_MINUTE, P_BYTES, P_STOP, P_PHASE = 1, 2, 3, 4, 5, 6, 7, 8
local P_PERIOD, P_SUFFIX, P_BIRTH, P_REVISION, P_START_WITHIN, P_KEEP, P_IS_FINAL = 9, 10, 11, 12, 13, 14, 15
local P_IS_ARITHMETIC, P_FIRST, P_IS_DIRECT, P_NEEDS_MARKS, P_LIST, P_TAIL = 16, 17, 18, 19, 20, 21
-- How long after its fire time it is due, ms; fire times in all, active runs (0 for no limit); fire times that are left.
local P_DELAY, P_MAX_FIRES, P_MAX_RUNNING, P_LEFT = 22, 23, 24, 25
-- The entry's own limit of active runs, where a request follows another rule.
local P_OWN_LIMIT = 26
local FLAG_MARKS, FLAG_SPECIAL = 2, 4
local ALLOW, SKIP, BUFFER_ONE, BUFFER_ALL, CANCEL_OTHERS = 0, 1, 2, 3, 4
local CATCH_UP_LATEST, CATCH_UP_ALL = 1, 2
local VERSION = 3

-- Returns the plan, or nil and 'damaged' | 'newer'. Cannot raise: lengths are checked before anything is unpacked.
local function read_plan(text)
  if not text or #text < PLAN_MIN then return nil, 'damaged' end
  if string.byte(text) > VERSION then return nil, 'newer' end
  local version, form, overlap, catch_up, max_runs, per_minute, bytes, stop, phase, period, delay, max_fires,
    max_running, suffix, birth, revision, start_within, keep, flags, list_len, at = struct.unpack(PLAN, text)
  local is_arithmetic = form % FINAL == ARITHMETIC
  local first = at + list_len
  local rest = #text - first + 1
  if version < VERSION or (overlap > ALLOW and flags == 0) or overlap > CANCEL_OTHERS or (is_arithmetic and (period < 1 or rest ~= 0)) or (not is_arithmetic and rest ~= phase * 6) then
    return nil, 'damaged'
  end
  return { text, overlap, catch_up, max_runs, per_minute, bytes, stop, phase, period, suffix, birth, revision, start_within, keep,
    form >= FINAL, is_arithmetic, first, flags % 2 == 1, flags % FLAG_SPECIAL >= FLAG_MARKS, string.sub(text, at, first - 1),
    string.sub(text, PLAN_TAIL, first - 1), delay, max_fires, max_running, NEVER }
end

-- The least fire time after `t` and how many the plan knows behind it; or nil and 'dry' (Rust must go on) | 'over' (there is none).
local function time_after(p, t)
  if p[P_LEFT] <= 0 then return nil, 'over' end
  if p[P_IS_ARITHMETIC] then
    local n = p[P_PHASE]
    if t >= n then n = n + (math.floor((t - n) / p[P_PERIOD]) + 1) * p[P_PERIOD] end
    if n >= (p[P_STOP] > 0 and p[P_STOP] or NEVER) then return nil, 'over' end
    return n, 1000
  end
  local low, high = 0, p[P_PHASE]
  while low < high do
    local middle = math.floor((low + high) / 2)
    if struct.unpack('>I6', p[P_TEXT], p[P_FIRST] + middle * 6) > t then high = middle else low = middle + 1 end
  end
  if low == p[P_PHASE] then return nil, p[P_IS_FINAL] and 'over' or 'dry' end
  return struct.unpack('>I6', p[P_TEXT], p[P_FIRST] + low * 6), p[P_IS_FINAL] and 1000 or p[P_PHASE] - low - 1
end

-- Runs that may be active beside each other; 0 for any number.
local function active_limit(p) return p[P_OVERLAP] > ALLOW and 1 or p[P_MAX_RUNNING] end
