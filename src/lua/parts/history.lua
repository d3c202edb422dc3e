-- What has ended: per entry two rings of packed records (`ID` succeeded, `ID!` the others) in chunks, and three lines a run in
-- the stream `ended`. What failed for good is a dead letter, too, that holds all that a retry needs: the record, the message of a
-- direct action, the live record. Needs `history_key`, `ended_key`, `dead_key`, `letters_key`, `now`, the log. Nothing here raises
-- after `guard_history`.
local RECORD = '>BBBBI2BBI6I6I6I6I6I4I4I2I4I6'
local CHUNK = 16
local REQUESTED = 1
local FIRST_CHUNK = '\0\0\0\0\1'
local tails, chunks, ended = {}, {}, {}
local end_codes = {}
local DEAD_MAX, DEAD_KEPT_MS = 10000, 7776000000  -- letters, and 90 days
local letters, deaths = {}, {}

-- Reads, so that a key of another type raises before the first write.
local function guard_history()
  redis.call('HLEN', history_key)
  redis.call('XLEN', ended_key)
  redis.call('HLEN', letters_key)
  redis.call('ZCARD', dead_key)
end

-- No id holds a `!`.
local function ring_of(id, state) return state == SUCCEEDED and id or id .. '!' end

local function load_tails(fields)
  for from = 1, #fields, 1000 do
    local slice = {}
    for i = from, math.min(from + 999, #fields) do slice[#slice + 1] = fields[i] end
    local texts = redis.call('HMGET', history_key, unpack(slice))
    for i = 1, #slice do tails[slice[i]] = texts[i] or '' end
  end
end

-- How a run ended, for the stream: the numbers of state, reason and trigger.
local function end_code(state, reason, trigger)
  local key = state * 65536 + reason * 256 + trigger
  local code = end_codes[key]
  if not code then
    code = state .. ' ' .. reason .. ' ' .. trigger
    end_codes[key] = code
  end
  return code
end

-- Puts a packed record at the end of its ring; `field` names the ring, `first` is the ring with this record alone.
local function push_record(id, run_id, keep, field, body, first, code)
  local n = #ended
  ended[n + 1], ended[n + 2], ended[n + 3] = id, run_id, code
  if keep == 0 then return end
  local tail = tails[field]
  if not tail then
    tail = redis.pcall('HGET', history_key, field)
    if type(tail) ~= 'string' then tail = '' end
  end
  if #tail < 5 then
    tails[field] = first or FIRST_CHUNK .. struct.pack('>I2', #body) .. body
    return
  end
  local sequence, count = struct.unpack('>I4B', tail)
  if count >= CHUNK then
    chunks[#chunks + 1] = field .. '\0' .. sequence % math.ceil(keep / CHUNK)
    chunks[#chunks + 1] = tail
    sequence, count, tail = sequence + 1, 0, ''
  end
  body = body or string.sub(first, 8)
  tails[field] = struct.pack('>I4B', sequence, count + 1) .. string.sub(tail, 6) .. struct.pack('>I2', #body) .. body
end

local function flush_history()
  local write = chunks
  for field, text in pairs(tails) do
    if text ~= '' then
      write[#write + 1] = field
      write[#write + 1] = text
    end
  end
  for from = 1, #write, 2000 do
    redis.call('HSET', history_key, unpack(write, from, math.min(from + 1999, #write)))
  end
  if #letters > 0 then flush_letters() end
  log_ended(ended)
end

-- seldom: history
-- r: id, run_id, keep, state, reason, trigger, attempt, lost, flags, fire_at, due_at, enqueued_at, started_at, finished_at,
-- birth, revision, exit (code + 1, 0 none), fires, last_fire_at, node, message, log (of the attempts; may be nil). Returns it packed.
local function remember(r)
  local code = end_code(r.state, r.reason, r.trigger)
  local body = struct.pack(RECORD, 1, r.state, r.reason, r.trigger, r.attempt, r.lost, r.flags,
    r.fire_at, r.due_at, r.enqueued_at, r.started_at, r.finished_at, r.birth, r.revision, r.exit, r.fires, r.last_fire_at)
    .. (r.flags == REQUESTED and r.run_id or '')
    .. string.char(#r.node) .. r.node .. struct.pack('>I2', #r.message) .. r.message .. (r.log or '')
  push_record(r.id, r.run_id, r.keep, ring_of(r.id, r.state), body, nil, r.fires > 1 and code .. ' ' .. r.fires or code)
  return body
end

-- What failed for good stays until somebody retries or purges it. `message` is that of a direct action.
local function bury(run_id, body, message, live)
  letters[#letters + 1] = run_id
  letters[#letters + 1] = struct.pack('>BI2I4', 1, #body, #message) .. body .. message .. pack_live(live)
  deaths[#deaths + 1] = now
  deaths[#deaths + 1] = run_id
end

-- A run that ends: `live` is its record as `read_live` gives it.
local function remember_run(run_id, live, state, reason, node, exit, message, direct)
  local log = live.attempt > 0 and attempt_log(live) or ''
  -- Behind the message: how many attempts count for nothing, when the last one began (0: it stands among the others), and the others.
  if log ~= '' then log = struct.pack('>I2I6', live.uncounted, live.state == RUNNING and attempt_start(live) or 0) .. log end
  local body = remember({ id = live.id, run_id = run_id, keep = live.keep, state = state, reason = reason, trigger = live.trigger,
    attempt = live.attempt, lost = live.lost, flags = live.trigger > CATCH_UP and REQUESTED or 0, fire_at = live.fire_at,
    -- Between two attempts it names the next one, which does not come now.
    due_at = live.due_at, enqueued_at = live.state == RETRYING and 0 or live.enqueued_at, started_at = live.started_at,
    finished_at = now, birth = live.birth, revision = live.revision, exit = exit, fires = 1, last_fire_at = live.fire_at, node = node,
    message = message, log = log })
  if state ~= FAILED then return end
  if live.state == RUNNING then log_attempt(live, reason, node, exit, message) end
  bury(run_id, body, direct or '', live)
end

-- More letters than `DEAD_MAX`, and those that are too old, go.
local function flush_letters()
  for from = 1, #letters, 1000 do
    local till = math.min(from + 999, #letters)
    redis.call('HSET', letters_key, unpack(letters, from, till))
    redis.call('ZADD', dead_key, unpack(deaths, from, till))
  end
  local gone = redis.call('ZRANGEBYSCORE', dead_key, '-inf', now - DEAD_KEPT_MS, 'LIMIT', 0, 100)
  if #gone == 0 then
    local over = redis.call('ZCARD', dead_key) - DEAD_MAX
    if over > 0 then gone = redis.call('ZRANGE', dead_key, 0, math.min(over, 1000) - 1) end
  end
  if #gone > 0 then
    redis.call('ZREM', dead_key, unpack(gone))
    redis.call('HDEL', letters_key, unpack(gone))
    log_event('type', 'letters_dropped', 'count', #gone)
  end
end
