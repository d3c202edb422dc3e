-- Direct actions: messages that Rust has rendered but for run id, fire time and trigger. Needs `messages_key`, `history`.
local MESSAGE = '>BBBI4I2'  -- version, form, flags, max_len, length of the target
local STREAM, LIST, PUBLISH = 1, 2, 3
local RAW, TRIM = 1, 2
local TRIGGER_WORDS = { 'scheduled', 'catch_up', 'manual', 'backfill', 'follow_up', 'one_off' }
-- `RECORD` of the history in two, around birth and revision.
local RECORD_HEAD, RECORD_END = '>BBBBI2BBI6I6I6I6I6', '>I2I4I6'
-- Stands for a message that is missing or damaged, so that its run fails and nothing raises.
local NO_MESSAGE = { form = 0, flags = 0, max_len = 0, target = '', head = '' }
local templates, instants, delivered = {}, {}, {}

-- RFC 3339 in UTC with milliseconds, by integer arithmetic, once per distinct instant.
local function instant_text(ms)
  local text = instants[ms]
  if text then return text end
  local days, rest = math.floor(ms / 86400000), ms % 86400000
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  text = string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', yoe + era * 400 + (month <= 2 and 1 or 0), month,
    doy - math.floor((153 * mp + 2) / 5) + 1, math.floor(rest / 3600000), math.floor(rest / 60000) % 60,
    math.floor(rest / 1000) % 60, rest % 1000)
  instants[ms] = text
  return text
end

-- Returns the message's parts, or nil where they are damaged; cannot raise.
local function read_message(text)
  if not text or #text < 13 then return nil end
  local version, form, flags, max_len, target_len, at = struct.unpack(MESSAGE, text)
  if version ~= 1 or #text < at + target_len + 3 then return nil end
  local middle_at = at + target_len
  local middle_len = struct.unpack('>I4', text, middle_at)
  return { form = form, flags = flags, max_len = max_len, target = string.sub(text, at, middle_at - 1),
    -- Messages with the same head go to the same target in the same way.
    head = string.sub(text, 1, middle_at - 1), middle = string.sub(text, middle_at + 4, middle_at + 3 + middle_len),
    tail = string.sub(text, middle_at + 4 + middle_len) }
end

local function load_messages(ids)
  if #ids == 0 then return end
  local texts = redis.call('HMGET', messages_key, unpack(ids))
  for i = 1, #ids do templates[ids[i]] = read_message(texts[i]) end
end

local function render(m, d)
  if m.flags % 2 == RAW then return m.tail end
  return '{"run_id":"' .. d.run_id .. m.middle .. instant_text(d.fire_at) .. '","trigger":"' .. TRIGGER_WORDS[d.trigger] .. m.tail
end

-- Redis' own words of a refused write; nil where it was done.
local function refusal(reply)
  if type(reply) == 'table' and reply.err then return reply.err end
  return nil
end

local function add_to_stream(m, d)
  local command = { 'XADD', m.target }
  if m.flags >= TRIM then
    command[3], command[4], command[5] = 'MAXLEN', '~', m.max_len
  end
  command[#command + 1] = '*'
  local fields = { 'payload', m.tail }
  if m.flags % 2 ~= RAW then
    fields = { 'run_id', d.run_id, 'entry_id', d.id, 'namespace', m.middle, 'fire_at', instant_text(d.fire_at), 'trigger', TRIGGER_WORDS[d.trigger], 'payload', m.tail }
  end
  for i = 1, #fields do command[#command + 1] = fields[i] end
  return redis.pcall(unpack(command))
end

-- Messages of one target, in order. Returns per message nil or { reason, words }.
local function deliver_to(m, group)
  local failed = {}
  local room = #group
  if m == NO_MESSAGE then
    for i = 1, room do failed[i] = { TARGET, 'the stored message is missing or damaged' } end
    return failed
  end
  if m.form ~= PUBLISH and m.flags < TRIM then
    local length = redis.pcall(m.form == LIST and 'LLEN' or 'XLEN', m.target)
    if refusal(length) then
      for i = 1, #group do failed[i] = { TARGET, length.err } end
      return failed
    end
    room = math.max(0, math.min(#group, m.max_len - length))
  end
  for i = room + 1, #group do failed[i] = { TARGET_FULL, m.target .. ' holds ' .. m.max_len } end
  if m.form == LIST then
    for from = 1, room, 1000 do
      local till, texts = math.min(from + 999, room), {}
      for i = from, till do texts[#texts + 1] = render(group[i].message, group[i]) end
      local words = refusal(redis.pcall('RPUSH', m.target, unpack(texts)))
      for i = from, words and till or 0 do failed[i] = { TARGET, words } end
    end
  else
    for i = 1, room do
      local d = group[i]
      local reply = m.form == STREAM and add_to_stream(d.message, d) or m.form == PUBLISH and redis.pcall('PUBLISH', m.target, render(d.message, d))
      local words = refusal(reply)
      if words then failed[i] = { TARGET, words } end
    end
  end
  return failed
end

-- The record of a scheduled run that was delivered, but for birth and revision: the same for all of one fire time.
local function delivered_parts(fire_at)
  local parts = delivered[fire_at]
  if not parts then
    parts = { struct.pack(RECORD_HEAD, 1, SUCCEEDED, DELIVERED, SCHEDULED, 1, 0, 0, fire_at, fire_at, now, now, now),
      struct.pack(RECORD_END, 0, 1, fire_at) .. string.char(#node_name) .. node_name .. '\0\0' }
    delivered[fire_at] = parts
  end
  return parts
end

local function record_delivery(d, why)
  local p = d.p
  d.state, d.words = why and FAILED or SUCCEEDED, why and why[2] or ''
  if not why and d.trigger == SCHEDULED then
    local parts = delivered_parts(d.fire_at)
    push_record(d.id, p[P_KEEP], SUCCEEDED, d.run_id, parts[1] .. string.sub(p[P_TAIL], 1, 8) .. parts[2])
    return
  end
  remember({ id = d.id, run_id = d.run_id, keep = p[P_KEEP], state = d.state, reason = why and why[1] or DELIVERED,
    trigger = d.trigger, attempt = 1, lost = 0, flags = d.trigger > CATCH_UP and REQUESTED or 0, fire_at = d.fire_at,
    due_at = d.fire_at, enqueued_at = now, started_at = now, finished_at = now, birth = p[P_BIRTH], revision = p[P_REVISION],
    exit = 0, fires = 1, last_fire_at = d.fire_at, node = node_name, message = d.words })
end

-- Delivers what `fire` gathered and records each run's end. After every other write: a target may refuse.
local function deliver_all()
  local groups, order = {}, {}
  for i = 1, #directs do
    local d = directs[i]
    d.message = templates[d.id] or NO_MESSAGE
    local group = groups[d.message.head]
    if not group then
      group = {}
      groups[d.message.head] = group
      order[#order + 1] = group
    end
    group[#group + 1] = d
  end
  for i = 1, #order do
    local group = order[i]
    local failed = deliver_to(group[1].message, group)
    for k = 1, #group do record_delivery(group[k], failed[k]) end
  end
end
