-- age_runs: drop what ended longer ago than it is kept: lines of the three streams, chunks of the rings whose newest record is
-- older, and dead letters. A call takes a page, about 2,000 lines of each stream, 100 chunks and 500 letters.
--
-- One node at a time: who begins while a sweep is younger than the pause between two is sent away.
--
-- KEYS[1] clock   hash   the shard's clock and counters
-- KEYS[2] events  stream what happened
-- KEYS[3] moves   stream runs that were fired and started
-- KEYS[4] ended   stream runs that ended
-- KEYS[5] history hash   rings of records
-- KEYS[6] dead    zset   run id -> when it failed for good
-- KEYS[7] letters hash   run id -> dead letter
-- ARGV[1] empty to begin, else where the last call stopped
-- ARGV[2] how long it is kept, ms
-- ARGV[3] between two sweeps, ms
-- ARGV[4] how long a dead letter is kept, ms
-- Returns { 'later' } | { 'aged', where it stopped (empty: this was all), lines dropped, chunks dropped }
local clock_key, events_key, moves_key, ended_key, history_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local dead_key, letters_key = KEYS[6], KEYS[7]
local from, kept_ms, pause_ms, letter_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local CHUNKS, LINES, LETTERS, FINISHED_AT, RECORD_MIN = 100, 2000, 500, 32, 38
-- use words clock log
if from == '' and now - tonumber(redis.call('HGET', clock_key, 'runs_aged') or 0) < pause_ms then return { 'later' } end
local oldest = now - kept_ms
for _, key in ipairs({ events_key, moves_key, ended_key }) do redis.call('XLEN', key) end
local old_letters = redis.call('ZRANGEBYSCORE', dead_key, '-inf', now - letter_ms, 'LIMIT', 0, LETTERS)
redis.call('HLEN', letters_key)

-- When the newest record of a chunk ended; never, where it can't be read.
local function newest(chunk)
  local at, last = 6, 0
  while at + 1 <= #chunk do
    local length = struct.unpack('>I2', chunk, at)
    if length < RECORD_MIN or #chunk < at + 1 + length or string.byte(chunk, at + 2) ~= 1 then return NEVER end
    last = math.max(last, (struct.unpack('>I6', chunk, at + 2 + FINISHED_AT)))
    at = at + 2 + length
  end
  return last
end

local page = from == 'log' and { '0', {} } or redis.call('HSCAN', history_key, from == '' and '0' or from, 'COUNT', CHUNKS)
local gone = {}
for i = 1, #page[2], 2 do
  if newest(page[2][i + 1]) < oldest then gone[#gone + 1] = page[2][i] end
end

keep_clock()
if from == '' then redis.call('HSET', clock_key, 'runs_aged', now) end
for i = 1, #gone, 1000 do redis.call('HDEL', history_key, unpack(gone, i, math.min(i + 999, #gone))) end
if #old_letters > 0 then
  redis.call('ZREM', dead_key, unpack(old_letters))
  redis.call('HDEL', letters_key, unpack(old_letters))
  log_event('type', 'letters_dropped', 'count', #old_letters)
end
local lines, is_more = 0, #old_letters == LETTERS
for _, key in ipairs({ events_key, moves_key, ended_key }) do
  local id = string.format('%.0f', math.max(oldest, 0))
  local count = redis.call('XTRIM', key, 'MINID', '~', id, 'LIMIT', LINES)
  is_more = is_more or count > 0
  -- No whole node of the stream is older: at most a part of one.
  if count == 0 then count = redis.call('XTRIM', key, 'MINID', '=', id) end
  lines = lines + count
end
return { 'aged', page[1] ~= '0' and page[1] or is_more and 'log' or '', lines, #gone }
