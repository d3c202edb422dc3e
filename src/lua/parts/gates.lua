-- Limits and pauses of queues: how many runs of a queue may start now. What executes is marked in `occupied`, a member `QUEUE\0RUN`
-- a run, beside a member `QUEUE\0` that says that all are marked: without it (the limit is new, or the key was lost) nothing of the
-- queue starts until they are counted. A mark counts only while its run is running. `starts` has when runs started within the span
-- of a rate, packed: end of a slice, how many. Where nothing is limited a call pays one command for it. Needs `rules_key`,
-- `occupied_key`, `starts_key`, `live_key`, `lists`, `hints`.
local GATE_SLICES, GATE_CHECKED, GATE_EACH_MS, GATE_LOOK_MS = 64, 500, 1000, 5000
local gates = { of = {}, marks = {}, ended = {}, freed = {}, uncounted = {}, look = NEVER }

function gates.load()
  if redis.call('HLEN', rules_key) == 0 then return end
  gates.is_any = true
  redis.call('ZCARD', occupied_key)
  redis.call('HLEN', starts_key)
  local seen, queues = {}, {}
  for list in pairs(lists) do
    local queue = gates.queue_of(list)
    if not seen[queue] then seen[queue], queues[#queues + 1] = true, queue end
  end
  if #queues == 0 then return end
  local texts = redis.call('HMGET', rules_key, unpack(queues))
  for i = 1, #queues do
    if texts[i] then gates.of[queues[i]] = gates.read(texts[i]) end
  end
end

-- How many runs of this list may start now.
function gates.room(list)
  local queue = gates.is_any and gates.queue_of(list)
  local gate = gates.of[queue]
  if not gate then return NEVER end
  if not gate.room then gates.measure(queue, gate) end
  return gate.room
end

-- seldom: gates
function gates.queue_of(list) return string.match(list, '^[^:]*') end

-- A rule that can't be read lets nothing start: `queues` says so.
function gates.read(text)
  local is_fine, rule = pcall(cjson.decode, text)
  if not is_fine or type(rule) ~= 'table' or rule.v ~= 1 or rule.paused then return { is_shut = true } end
  local share, starts, span = tonumber(rule.running_share), tonumber(rule.rate_share), tonumber(rule.rate_ms)
  if (rule.max_running and not share) or (rule.rate and not (starts and span and span > 0)) then return { is_shut = true } end
  return { share = share, starts = starts, span = span, slice = starts and starts > GATE_SLICES and math.ceil(span / GATE_SLICES) or 1 }
end

-- The slices of a rate that still count. What lies beyond the clock is of a time when it had run ahead.
function gates.window(queue, gate)
  local text, slices, count = redis.call('HGET', starts_key, queue) or '', {}, 0
  for at = 1, #text - 9, 10 do
    local ends, starts = struct.unpack('>I6I4', text, at)
    if ends > now - gate.span and ends <= now + gate.span then
      slices[#slices + 1] = { ends, starts }
      count = count + starts
    end
  end
  return slices, count
end

function gates.measure(queue, gate)
  gate.room = gate.is_shut and 0 or NEVER
  if gate.share then
    gate.is_uncounted = not redis.call('ZSCORE', occupied_key, queue .. '\0')
    local marked = redis.call('ZLEXCOUNT', occupied_key, '[' .. queue .. '\0', '(' .. queue .. '\1') - 1
    gate.room = gate.is_uncounted and 0 or math.max(gate.share - marked, 0)
  end
  if gate.starts then
    local slices, count = gates.window(queue, gate)
    gate.slices = slices
    if count >= gate.starts and gate.room > 0 then gate.next_at = slices[1] and slices[1][1] + gate.span end
    gate.room = math.min(gate.room, math.max(gate.starts - count, 0))
  end
end

-- Those from `first` on have started.
function gates.start(list, run_ids, first)
  local queue, count = gates.is_any and gates.queue_of(list), #run_ids - first + 1
  local gate = gates.of[queue]
  if not gate or count < 1 then return end
  gate.room = gate.room - count
  for i = first, gate.share and #run_ids or 0 do append(gates.marks, 0, queue .. '\0' .. run_ids[i]) end
  if not gate.starts then return end
  local ends, last = math.ceil(now / gate.slice) * gate.slice, gate.slices[#gate.slices]
  if last and last[1] >= ends then last[2] = last[2] + count else gate.slices[#gate.slices + 1] = { ends, count } end
  gate.has_started = true
  if gate.room == 0 then gate.next_at = gate.slices[1][1] + gate.span end
end

function gates.flush()
  for from = 1, #gates.marks, 2000 do
    redis.call('ZADD', occupied_key, unpack(gates.marks, from, math.min(from + 1999, #gates.marks)))
  end
  for queue, gate in pairs(gates.of) do
    if gate.has_started then
      local texts = {}
      for i = 1, #gate.slices do texts[i] = struct.pack('>I6I4', gate.slices[i][1], gate.slices[i][2]) end
      redis.call('HSET', starts_key, queue, table.concat(texts))
    end
  end
end

-- A run executes no longer, however that came.
function gates.free(list, run_id)
  if not gates.is_any then return end
  local queue = gates.queue_of(list)
  gates.ended[#gates.ended + 1], gates.freed[queue] = queue .. '\0' .. run_id, true
end

function gates.flush_ended()
  for from = 1, #gates.ended, 1000 do
    redis.call('ZREM', occupied_key, unpack(gates.ended, from, math.min(from + 999, #gates.ended)))
  end
end

-- Those of `attempts` that the caller held, by what became of each.
function gates.free_attempts(attempts, words)
  for i = 1, #attempts do
    local a = attempts[i]
    if words[i] ~= 'lost' then gates.free(a[A_TEXT] and list_of(a[A_TEXT]) or a[A_RUN].list, a[A_RUN_ID]) end
  end
  gates.flush_ended()
end

-- What was freed in a queue may serve a list that the caller does not.
function gates.hint_others(served)
  if not next(gates.freed) then return end
  local own = {}
  for i = 1, #served do own[served[i]] = true end
  for list, key in pairs(lists) do
    local hint = hints[list]
    if hint and not own[list] and gates.freed[gates.queue_of(list)] and redis.call('LLEN', key) > 0 and gates.room(list) > 0
      and redis.call('LLEN', hint) == 0 then redis.call('RPUSH', hint, '1') end
  end
end

-- Takes the lists of queues with a limit out of those from which runs may start without a fetch.
function gates.keep_out(serves)
  if not gates.is_any then return end
  for list in pairs(lists) do
    if gates.of[gates.queue_of(list)] then serves[list] = false end
  end
end

-- Work waits behind a gate that is shut: when somebody should look at it.
function gates.note_shut(list)
  local queue = gates.queue_of(list)
  local gate = gates.of[queue]
  if gate.is_shut then return end
  if gate.is_uncounted then gates.uncounted[queue] = true end
  gates.look = math.min(gates.look, gate.next_at or now + (gate.is_uncounted and GATE_EACH_MS or GATE_LOOK_MS))
end

-- Marks of runs that run no longer go, some in each second: whoever ended them did not know of marks.
function gates.heal()
  if not gates.is_any then return end
  local walk = redis.call('HMGET', clock_key, 'marks_seen', 'marks_from')
  if now - (tonumber(walk[1]) or 0) < GATE_EACH_MS then return end
  local marks = redis.call('ZRANGEBYLEX', occupied_key, walk[2] and '(' .. walk[2] or '-', '+', 'LIMIT', 0, GATE_CHECKED)
  redis.call('HSET', clock_key, 'marks_seen', now, 'marks_from', marks[GATE_CHECKED] or '')
  local ids, members, gone = {}, {}, {}
  for i = 1, #marks do
    local run_id = string.match(marks[i], '%z(.+)$')
    if run_id then ids[#ids + 1], members[#members + 1] = run_id, marks[i] end
  end
  local texts = #ids > 0 and redis.call('HMGET', live_key, unpack(ids)) or {}
  for i = 1, #ids do
    if not texts[i] or byte(texts[i], 2) ~= RUNNING then gone[#gone + 1] = members[i] end
  end
  if #gone > 0 then redis.call('ZREM', occupied_key, unpack(gone)) end
end

-- Queues that somebody must count before anything starts, asked for once a second.
function gates.to_count()
  local queues = {}
  for queue in pairs(gates.uncounted) do queues[#queues + 1] = queue end
  if #queues == 0 or now - tonumber(redis.call('HGET', clock_key, 'count_asked') or 0) < GATE_EACH_MS then return {} end
  redis.call('HSET', clock_key, 'count_asked', now)
  return queues
end
