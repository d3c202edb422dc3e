-- The ledger: per entry, which fire times became what, in stretches. Needs `ledger_key`.
local STRETCH = '>I6I6I4I7I4BB'  -- first, last, count, sum mod 2^52, revision, outcome (state; SUCCEEDED stands for fired), reason
local STRETCH_LEN = 29
local MODULUS = 4503599627370496
-- From here on an entry's ledger is named in the reply, so that a node merges its oldest stretches.
local LEDGER_LONG = 5800  -- bytes: 200 stretches
local ledgers, long_ledgers, ledger_writes = {}, {}, {}

local function load_ledgers(ids)
  if #ids == 0 then return end
  local texts = redis.call('HMGET', ledger_key, unpack(ids))
  for i = 1, #ids do ledgers[ids[i]] = texts[i] or '' end
end

-- a * b mod 2^52 in doubles, by halves of 26 bits.
local function multiply(a, b)
  local half = 67108864
  local ah, al, bh, bl = math.floor(a / half), a % half, math.floor(b / half), b % half
  return (al * bl + ((ah * bl + al * bh) % half) * half) % MODULUS
end

-- Sum mod 2^52 of `count` fire times from `first`, `period` apart.
local function sum_of(first, count, period)
  local pairs_of = count % 2 == 0 and multiply(count / 2, count - 1) or multiply(count, (count - 1) / 2)
  return (multiply(first, count) + multiply(pairs_of % MODULUS, period)) % MODULUS
end

-- The ledger with one more outcome: the last stretch grows, or a new one begins.
local function grown(id, text, first, last, count, sum, revision, outcome, reason)
  local n = #text
  if n > STRETCH_LEN then
    local f, l, c, s, r, o, w = struct.unpack(STRETCH, text, n - STRETCH_LEN + 1)
    if r == revision and o == outcome and w == reason and first > l then
      local stretch = struct.pack(STRETCH, f, last, c + count, (s + sum) % MODULUS, r, o, w)
      return n == STRETCH_LEN + 1 and '\1' .. stretch or string.sub(text, 1, n - STRETCH_LEN) .. stretch
    end
  elseif n == 0 then
    text = '\1'
  end
  if n > LEDGER_LONG then long_ledgers[#long_ledgers + 1] = id end
  return text .. struct.pack(STRETCH, first, last, count, sum, revision, outcome, reason)
end

local function enter(id, first, last, count, sum, revision, outcome, reason)
  ledgers[id] = grown(id, ledgers[id], first, last, count, sum, revision, outcome, reason)
end

-- Fire times of a back-log (entered as fired, `pace`) end otherwise after all: the newest or the oldest `count` of their
-- stretch, `first` to `last`, are taken out of it and entered anew.
local function recast(id, first, last, count, sum, revision, outcome, reason)
  local text = ledgers[id]
  for at = #text - STRETCH_LEN + 1, 2, -STRETCH_LEN do
    local f, l, c, s, r, o, w = struct.unpack(STRETCH, text, at)
    if o == SUCCEEDED and w == PACE and f <= first and last <= l and c >= count then
      local left = c > count and struct.pack(STRETCH, f == first and last + 1 or f, l == last and first - 1 or l, c - count, (s - sum) % MODULUS, r, o, w) or ''
      ledgers[id] = string.sub(text, 1, at - 1) .. left .. string.sub(text, at + STRETCH_LEN)
      if ledgers[id] == '\1' then ledgers[id] = '' end
      break
    end
  end
  enter(id, first, last, count, sum, revision, outcome, reason)
end

local function flush_ledgers()
  local write = ledger_writes
  for id, text in pairs(ledgers) do
    if text ~= '' then
      write[#write + 1] = id
      write[#write + 1] = text
    end
  end
  for from = 1, #write, 2000 do
    redis.call('HSET', ledger_key, unpack(write, from, math.min(from + 1999, #write)))
  end
end
