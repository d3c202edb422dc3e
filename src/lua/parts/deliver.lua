-- Direct actions: messages that Rust has rendered but for what is the run's; of version 2 it left out entry id and namespace, too, since
-- they need more room in Redis than the rest. Needs `messages_key`, `history`,
-- `celery`.
local MESSAGE = '>BBBI4I2B'  -- version, form, flags, max_len, length of the target, length of the namespace (streams, version 2)
local STREAM, LIST, PUBLISH, CELERY = 1, 2, 3, 4
local RAW, TRIM = 1, 2
-- `RECORD` of the history in two, around birth and revision.
local RECORD_HEAD, RECORD_END = '>BBBBI2BBI6I6I6I6I6', '>I2I4I6'
local MESSAGE_MIN = 10
local delivered, betweens, ways = {}, {}, {}, {}
local last_head, last_way, least

-- seldom: deliver
-- Returns the message's way and what stands behind run id, fire time and trigger, or nil where it is damaged; cannot raise.
-- Messages with the same head go to the same target in the same way, so the head is read once.
local function read_message(text)
  if last_head and text and #text >= least and cut(text, 1, #last_head) == last_head then return last_way, cut(text, #last_head + 1) end
  if not text or #text < MESSAGE_MIN then return nil end
  local version, form, flags, max_len, target_len, names_len, at = struct.unpack(MESSAGE, text)
  local tail_at = at + target_len + names_len
  local shortest_text = tail_at - 1 + (form == CELERY and TEMPLATE_MIN or 0)
  if (version ~= 1 and version ~= 2) or #text < shortest_text then return nil end
  local head = string.sub(text, 1, tail_at - 1)
  local way = ways[head]
  if not way then
    way = { head = head, form = form, flags = flags, max_len = max_len, target = string.sub(text, at, at + target_len - 1),
      namespace = string.sub(text, at + target_len, tail_at - 1), runs = {} }
    if version == 2 then way.behind_id = '","namespace":"' .. way.namespace .. '","payload":' end
    ways[head] = way
  end
  last_head, last_way, least = head, way, shortest_text
  return way, string.sub(text, tail_at)
end

local function load_messages(ids)
  if #ids == 0 then return end
  local texts = redis.call('HMGET', messages_key, unpack(ids))
  for i = 1, #ids do templates[ids[i]] = texts[i] end
end

-- What stands between run id and the rest of a message; the same for all of one fire time.
local function between(fire_at, trigger)
  local text = betweens[fire_at]
  if not text or trigger ~= SCHEDULED then
    text = '","fire_at":"' .. instant_text(fire_at) .. '","trigger":"' .. TRIGGER_WORDS[trigger] .. '"'
    if trigger == SCHEDULED then betweens[fire_at] = text end
  end
  return text
end

local function render(way, d)
  if way.flags % 2 == RAW then return d[D_TAIL] end
  if not way.behind_id then return '{"run_id":"' .. d[D_RUN_ID] .. between(d[D_FIRE_AT], d[D_TRIGGER]) .. d[D_TAIL] end
  return '{"run_id":"' .. d[D_RUN_ID] .. between(d[D_FIRE_AT], d[D_TRIGGER]) .. ',"entry_id":"' .. d[D_ID] .. way.behind_id .. d[D_TAIL] .. '}'
end

-- The same for many, most of them of one fire time.
local function render_all(way, group, from, till)
  local texts, fire_at, trigger, middle = {}, nil, nil, nil
  local behind_id = way.behind_id
  for i = from, till do
    local d = group[i]
    if way.form == CELERY then
      texts[i - from + 1] = celery.render(d[D_TAIL], d[D_RUN_ID], d[D_FIRE_AT], d[D_TRIGGER], now)
    elseif way.flags % 2 == RAW then
      texts[i - from + 1] = d[D_TAIL]
    else
      if d[D_FIRE_AT] ~= fire_at or d[D_TRIGGER] ~= trigger then
        fire_at, trigger = d[D_FIRE_AT], d[D_TRIGGER]
        middle = between(fire_at, trigger) .. (behind_id and ',"entry_id":"' or '')
      end
      if behind_id then
        texts[i - from + 1] = '{"run_id":"' .. d[D_RUN_ID] .. middle .. d[D_ID] .. behind_id .. d[D_TAIL] .. '}'
      else
        texts[i - from + 1] = '{"run_id":"' .. d[D_RUN_ID] .. middle .. d[D_TAIL]
      end
    end
  end
  return texts
end

-- Redis' own words of a refused write; nil where it was done.
local function refusal(reply)
  if type(reply) == 'table' and reply.err then return reply.err end
  return nil
end

local function add_to_stream(way, d)
  local command = { 'XADD', way.target }
  if way.flags >= TRIM then
    command[3], command[4], command[5] = 'MAXLEN', '~', way.max_len
  end
  command[#command + 1] = '*'
  local fields = { 'payload', d[D_TAIL] }
  if way.flags % 2 ~= RAW then
    fields = { 'run_id', d[D_RUN_ID], 'entry_id', d[D_ID], 'namespace', way.namespace, 'fire_at', instant_text(d[D_FIRE_AT]),
      'trigger', TRIGGER_WORDS[d[D_TRIGGER]], 'payload', d[D_TAIL] }
  end
  for i = 1, #fields do command[#command + 1] = fields[i] end
  return redis.pcall(unpack(command))
end

-- The runs of one way, in order. Returns per run nil or { reason, words }.
local function deliver_by(way)
  local failed, group = {}, way.runs
  local room = #group
  if way.form ~= PUBLISH and way.flags < TRIM then
    local length = redis.pcall(way.form == STREAM and 'XLEN' or 'LLEN', way.target)
    if refusal(length) then
      for i = 1, #group do failed[i] = { TARGET, length.err } end
      return failed
    end
    room = math.max(0, math.min(#group, way.max_len - length))
  end
  for i = room + 1, #group do failed[i] = { TARGET_FULL, way.target .. ' holds ' .. way.max_len } end
  if way.form == LIST or way.form == CELERY then
    for from = 1, room, 1000 do
      local till = math.min(from + 999, room)
      -- Workers of Celery take what stands last.
      local command = way.form == LIST and 'RPUSH' or 'LPUSH'
      local words = refusal(redis.pcall(command, way.target, unpack(render_all(way, group, from, till))))
      for i = from, words and till or 0 do failed[i] = { TARGET, words } end
    end
  else
    for i = 1, room do
      local d = group[i]
      local reply = way.form == STREAM and add_to_stream(way, d) or way.form == PUBLISH and redis.pcall('PUBLISH', way.target, render(way, d))
      local words = refusal(reply)
      if words then failed[i] = { TARGET, words } end
    end
  end
  return failed
end

-- A ring with the record of a scheduled run that was delivered alone, but for birth and revision: the same for all of one
-- fire time.
local function delivered_parts(fire_at)
  local parts = delivered[fire_at]
  if not parts then
    local head = struct.pack(RECORD_HEAD, 1, SUCCEEDED, DELIVERED, SCHEDULED, 1, 0, 0, fire_at, fire_at, now, now, now)
    local tail = struct.pack(RECORD_END, 0, 1, fire_at) .. string.char(#node_name) .. node_name .. '\0\0'
    parts = { FIRST_CHUNK .. struct.pack('>I2', #head + 8 + #tail) .. head, tail, end_code(SUCCEEDED, DELIVERED, SCHEDULED) }
    delivered[fire_at] = parts
  end
  return parts
end

local function record_delivery(d, why)
  local text, fire_at, trigger = d[D_PLAN], d[D_FIRE_AT], d[D_TRIGGER]
  local keep = d[D_KEEP]
  if keep and not why then
    local parts = delivered_parts(fire_at)
    local ring = parts[1] .. cut(text, PLAN_BIRTH, PLAN_REVISION_END) .. parts[2]
    if d[D_RING] and keep > 0 then
      local n, m = #ended, #chunks
      ended[n + 1], ended[n + 2], ended[n + 3] = d[D_ID], d[D_RUN_ID], parts[3]
      chunks[m + 1], chunks[m + 2] = d[D_RING], ring
    else
      push_record(d[D_ID], d[D_RUN_ID], keep, ring_of(d[D_ID], SUCCEEDED), nil, ring, parts[3])
    end
    return
  end
  if d[D_LIVE] then
    local live = d[D_LIVE]
    live.state, live.flags, live.attempt, live.enqueued_at, live.started_at = RUNNING, 0, 1, now, now
    live.tail = string.sub(live.tail, 1, live.rest_at - 1)
    return remember_run(d[D_RUN_ID], live, why and FAILED or SUCCEEDED, why and why[1] or DELIVERED, node_name, 0, why and why[2] or '',
      d[D_WAY] and d[D_WAY].head .. d[D_TAIL])
  end
  local p = read_plan(text)
  local due_at = trigger == MANUAL and fire_at or fire_at + p[P_DELAY]
  local live = read_live(struct.pack(LIVE, 1, RUNNING, trigger, 0, 1, 0, 0, fire_at, due_at, now, now, 0, NOBODY)
    .. p[P_TAIL] .. string.char(#d[D_ID]) .. d[D_ID])
  local message = d[D_WAY] and d[D_WAY].head .. d[D_TAIL]
  remember_run(d[D_RUN_ID], live, why and FAILED or SUCCEEDED, why and why[1] or DELIVERED, node_name, 0, why and why[2] or '', message)
end

-- Delivers what `fire` gathered and records each run's end. After every other write: a target may refuse. Returns why the
-- last of them was refused.
local function deliver_all()
  local order, last = {}, nil
  for i = 1, #directs do
    local d = directs[i]
    if not d[D_WAY] then d[D_WAY], d[D_TAIL] = read_message(templates[d[D_ID]]) end
    local way = d[D_WAY]
    if way then
      if #way.runs == 0 then order[#order + 1] = way end
      way.runs[#way.runs + 1] = d
    else
      last = { TARGET, 'the stored message is missing or damaged' }
      record_delivery(d, last)
    end
  end
  for i = 1, #order do
    local group = order[i].runs
    local failed = deliver_by(order[i])
    for k = 1, #group do
      record_delivery(group[k], failed[k])
      last = failed[k] or last
    end
  end
  return last
end
