-- The ledger: per entry, which fire times became what, in stretches. Needs `ledger_key`.
local STRETCH = '>I6I6I4I7I4BB'  -- first, last, count, sum mod 2^52, revision, outcome (state; SUCCEEDED stands for fired), reason
local STRETCH_LEN = 29
local MODULUS = 4503599627370496
-- From here on an entry's ledger is named in the reply, so that a node merges its oldest stretches.
local LEDGER_LONG = 5800  -- bytes: 200 stretches
local ledgers, long_ledgers, ledger_writes = {}, {}, {}
-- Entries with `max_fires`: their plans, and how many fire times came so far.
local limits = { plans = {}, counts = {} }

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

-- seldom: ledger
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

local function enter(id, first, last, count, sum, revision, outcome, reason)
  ledgers[id] = grown(id, ledgers[id], first, last, count, sum, revision, outcome, reason)
  local p = limits.plans[id]
  if p then p[P_LEFT], limits.counts[id] = p[P_LEFT] - count, limits.counts[id] + count end
end

-- Fire times of a back-log (entered as fired, `pace`) end otherwise after all: its oldest, `first` to `last`, are taken out of
-- their stretch and stand in their place, under the revision that they came by, between what has been fired before and what is
-- left of `back` behind. So the ledger stays in order, and no stretch spans fire times that are not its own.
local function recast(id, first, last, count, sum, revision, outcome, reason, back)
  local text = ledgers[id]
  for at = #text - STRETCH_LEN + 1, 2, -STRETCH_LEN do
    local f, l, c, s, r, o, w = struct.unpack(STRETCH, text, at)
    if o == SUCCEEDED and w == PACE and f <= first and last <= l and c >= count then
      local behind, behind_sum, head, mine, rest = 0, 0, string.sub(text, 1, at - 1), nil, ''
      for i = 1, #back do
        if back[i] > last and back[i] <= l then behind, behind_sum = behind + 1, (behind_sum + back[i]) % MODULUS end
      end
      if c - count > behind then
        head = head .. struct.pack(STRETCH, f, first - 1, c - count - behind, (s - sum - behind_sum) % MODULUS, r, o, w)
      elseif at > STRETCH_LEN then
        local pf, pl, pc, ps, pr, po, pw = struct.unpack(STRETCH, text, at - STRETCH_LEN)
        if pr == r and po == outcome and pw == reason and pl < first then
          head, mine = string.sub(text, 1, at - STRETCH_LEN - 1), struct.pack(STRETCH, pf, last, pc + count, (ps + sum) % MODULUS, pr, po, pw)
        end
      end
      mine = mine or struct.pack(STRETCH, first, last, count, sum, r, outcome, reason)
      if behind > 0 then rest = struct.pack(STRETCH, last + 1, l, behind, behind_sum, r, o, w) end
      ledgers[id] = head .. mine .. rest .. string.sub(text, at + STRETCH_LEN)
      return
    end
  end
  -- It was counted when it was found.
  local p = limits.plans[id]
  if p then p[P_LEFT], limits.counts[id] = p[P_LEFT] + count, limits.counts[id] - count end
  enter(id, first, last, count, sum, revision, outcome, reason)
end

-- The last fire time that the ledger of an entry names; 0 without any.
local function ledger_end(id)
  local last, text = 0, ledgers[id] or ''
  for at = 2, #text - STRETCH_LEN + 1, STRETCH_LEN do last = math.max(last, (struct.unpack('>I6', text, at + 6))) end
  return last
end
