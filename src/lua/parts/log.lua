-- What happened, in three streams that are one in their ids: shard's ms, then us within it and a counter, so that what stands in
-- them has an order over all three (`domain/event.rs` says which types there are). `events`: what people and the fleet did;
-- `moves`: runs that were fired and started; `ended`: runs that ended. A line may stand for many, each stream holds so many at
-- most; the last tenth may be more. Needs `clock_key`, `now`, `micros`, `behind_ms`. Nothing here raises once the keys were read.
local EVENTS_MAX, MOVES_MAX, ENDED_MAX, LOG_PARTS = 100000, 100000, 1000000, 10
-- `fired` by trigger, `started` by attempt.
local logged = { lines = 0, fired = { {} }, started = {}, retried = {}, events = {} }

-- Marks where each tenth of a stream ended, and takes off what is older than ten of them.
local function mark_log(key, name, id)
  local marks = (redis.call('HGET', clock_key, name .. '_marks') or '') .. id .. ' '
  local _, count = string.gsub(marks, ' ', ' ')
  if count > LOG_PARTS then
    local first, rest = string.match(marks, '^(%S*) (.*)$')
    redis.pcall('XTRIM', key, 'MINID', '~', first, 'LIMIT', 0)
    marks = rest
  end
  redis.call('HSET', clock_key, name .. '_marks', marks)
end

-- One line that stands for `count`, `total` with all before it. Where the clock had gone back no id can be made of it: then the
-- line says its time itself.
local function add_line(key, name, most, total, count, ...)
  local step, id = most / LOG_PARTS, nil
  if behind_ms == 0 then
    id = redis.pcall('XADD', key, 'MAXLEN', '~', most, string.format('%.0f-%.0f', now, micros % 1000 * 1000 + logged.lines), 'c', total, ...)
  end
  if type(id) ~= 'string' then id = redis.pcall('XADD', key, 'MAXLEN', '~', most, '*', 'c', total, 'at', now, ...) end
  logged.lines = logged.lines + 1
  if math.floor(total / step) > math.floor((total - count) / step) and type(id) == 'string' then mark_log(key, name, id) end
end

local function log_line(key, name, most, count, ...)
  add_line(key, name, most, redis.call('HINCRBY', clock_key, name .. '_count', count), count, ...)
end

-- A run that was fired, with the number of its trigger, or started, with that of its attempt.
local function note_move(moves, number, id, run_id)
  local runs = moves[number] or {}
  local n = #runs
  runs[n + 1], runs[n + 2] = id, run_id
  moves[number] = runs
end

-- Two lines a run: entry id, run id. One that is tried again has a third: attempt, number of the reason, when the next one is due.
local function flush_moves()
  local retried = logged.retried
  local count = #retried / 3
  for _, runs in pairs(logged.fired) do count = count + #runs / 2 end
  for _, runs in pairs(logged.started) do count = count + #runs / 2 end
  if count == 0 then return end
  local total = redis.call('HINCRBY', clock_key, 'moves_count', count) - count
  for trigger, runs in pairs(logged.fired) do
    if #runs > 0 then
      total = total + #runs / 2
      add_line(moves_key, 'moves', MOVES_MAX, total, #runs / 2, 'type', 'fired', 'trigger', trigger, 'runs', table.concat(runs, '\n'))
    end
  end
  if #retried > 0 then
    total = total + #retried / 3
    add_line(moves_key, 'moves', MOVES_MAX, total, #retried / 3, 'type', 'retried', 'node', node_name, 'runs', table.concat(retried, '\n'))
  end
  for attempt, runs in pairs(logged.started) do
    total = total + #runs / 2
    add_line(moves_key, 'moves', MOVES_MAX, total, #runs / 2, 'type', 'started', 'node', node_name, 'attempt', attempt, 'runs', table.concat(runs, '\n'))
  end
end

-- Three lines a run that ended: entry id, run id, and as numbers state, reason, trigger, and the fire times that it stands for.
local function log_ended(lines)
  if #lines > 0 then
    log_line(ended_key, 'ended', ENDED_MAX, #lines / 3, 'type', 'ended', 'node', node_name, 'runs', table.concat(lines, '\n'))
  end
end

-- seldom: log
local function log_event(...) log_line(events_key, 'events', EVENTS_MAX, 1, ...) end

local function flush_events()
  for i = 1, #logged.events do log_event(unpack(logged.events[i])) end
end
