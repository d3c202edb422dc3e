-- Plans as `domain/plan.rs` packs them: read, and asked for the next fire time.
local PLAN = '>BBBBI2I2I4I6I6I6c23I4I4I6I2BB'
local PLAN_TAIL = 54  -- from here on it is the tail of a live record
local PLAN_MIN = 71
local ARITHMETIC, FINAL = 1, 128
local SKIP = 1
local CATCH_UP_LATEST, CATCH_UP_ALL = 1, 2
local VERSION = 1

-- Returns the plan, or nil and 'damaged' | 'newer'. Cannot raise: lengths are checked before anything is unpacked.
local function read_plan(text)
  if not text or #text < PLAN_MIN then return nil, 'damaged' end
  if string.byte(text) > VERSION then return nil, 'newer' end
  local p = { text = text }
  local version, form, list_len, at
  version, form, p.overlap, p.catch_up, p.max_runs, p.per_minute, p.bytes, p.stop, p.phase, p.period, p.suffix,
    p.birth, p.revision, p.start_within, p.keep, p.flags, list_len, at = struct.unpack(PLAN, text)
  p.is_final = form >= FINAL
  p.is_arithmetic = form % FINAL == ARITHMETIC
  p.is_direct = p.flags % 2 == 1
  p.needs_marks = p.flags >= 2 or p.overlap == SKIP
  p.list = string.sub(text, at, at + list_len - 1)
  p.tail = string.sub(text, PLAN_TAIL, at + list_len - 1)
  p.first = at + list_len
  local rest = #text - p.first + 1
  if version == 0 or (p.is_arithmetic and (p.period < 1 or rest ~= 0)) or (not p.is_arithmetic and rest ~= p.phase * 6) then
    return nil, 'damaged'
  end
  return p
end

-- The least fire time after `t` and how many the plan knows behind it; or nil and 'dry' (Rust must go on) | 'over' (there is none).
local function time_after(p, t)
  if p.is_arithmetic then
    local n = p.phase
    if t >= n then n = n + (math.floor((t - n) / p.period) + 1) * p.period end
    if p.stop > 0 and n >= p.stop then return nil, 'over' end
    return n, 1000
  end
  local low, high = 0, p.phase
  while low < high do
    local middle = math.floor((low + high) / 2)
    if struct.unpack('>I6', p.text, p.first + middle * 6) > t then high = middle else low = middle + 1 end
  end
  if low == p.phase then return nil, p.is_final and 'over' or 'dry' end
  return struct.unpack('>I6', p.text, p.first + low * 6), p.is_final and 1000 or p.phase - low - 1
end
