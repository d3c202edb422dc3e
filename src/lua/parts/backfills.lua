-- Past fire times that somebody asked to run after all: per entry batches of (who and why as JSON, fire times with run ids,
-- oldest first), and when the next of them has its turn. They are in the ledger as fired since they were asked for, and touch
-- neither cursor nor place of their entry; so they also run while it is paused. Needs `backfills_key`, `backfilling_key`,
-- `cursor`, `fire`, `deliver`.
local BACKFILL_ITEM, BACKFILL_HEAD = 42, 4  -- bytes: fire time and run id; lengths of a batch
local BACKFILLS_LOOKED, BACKFILL_WAIT_MS = 20, 1000
local backfilling = { writes = {}, removes = {}, scores = {} }

-- seldom: backfills
-- Their number, the first and the last fire time, and the first run id.
function backfilling.span(text)
  local at, total, first, last, run_id = 1, 0, NEVER, 0, nil
  while text and #text >= at + BACKFILL_HEAD + BACKFILL_ITEM - 1 do
    local extras_len, count = struct.unpack('>I2I2', text, at)
    at = at + BACKFILL_HEAD + extras_len
    if count == 0 or #text < at + count * BACKFILL_ITEM - 1 then break end
    run_id = run_id or string.sub(text, at + 6, at + BACKFILL_ITEM - 1)
    first = math.min(first, (struct.unpack('>I6', text, at)))
    last = math.max(last, (struct.unpack('>I6', text, at + (count - 1) * BACKFILL_ITEM)))
    total, at = total + count, at + count * BACKFILL_ITEM
  end
  return total, first, last, run_id
end

-- Takes the first out. Returns its fire time, run id, extras and what is left, '' for nothing.
function backfilling.first(text)
  local extras_len, count = struct.unpack('>I2I2', text)
  local extras, at = string.sub(text, 5, 4 + extras_len), 5 + extras_len
  local fire_at, run_id = struct.unpack('>I6c36', text, at)
  local rest = string.sub(text, at + BACKFILL_ITEM)
  if count > 1 then rest = struct.pack('>I2I2', extras_len, count - 1) .. extras .. rest end
  return fire_at, run_id, extras, rest
end

-- Always into its list, behind what is due; its age counts from now.
function backfilling.place(id, p, run_id, fire_at, extras)
  local name = p[P_LIST]
  queued[name] = queued[name] or {}
  table.insert(queued[name], run_id)
  empty[name] = false
  if p[P_START_WITHIN] > 0 then append(start_bys, now + p[P_START_WITHIN], run_id) end
  local head = struct.pack(LIVE, 1, QUEUED, BACKFILL, 0, 0, 0, 0, fire_at, now, now, 0, 0, NOBODY)
  append(live_writes, run_id, head .. p[P_TAIL] .. string.char(#id) .. id .. extras)
  note_move(logged.fired, BACKFILL, id, run_id)
  if p[P_NEEDS_MARKS] then
    marks[id] = marks[id] .. run_id
    marked[#marked + 1] = id
  end
end

-- One turn of one entry. Returns when it is the next one's, or nil where none is left.
function backfilling.take(id, p, text)
  if overlap.is_busy(id, p) then return now + BACKFILL_WAIT_MS end
  local fire_at, run_id, extras, rest = backfilling.first(text)
  runs_made, claimed = runs_made + 1, claimed + 1
  if p[P_IS_DIRECT] then
    directs[#directs + 1] = { id, p[P_TEXT], run_id, fire_at, BACKFILL }
    bytes_made = bytes_made + #(templates[id] or '')
  else
    backfilling.place(id, p, run_id, fire_at, extras)
  end
  if rest == '' then return nil end
  append(backfilling.writes, id, rest)
  return now + math.floor(60000 / p[P_PER_MINUTE])
end

function backfilling.take_turns(limit)
  redis.call('HLEN', backfills_key)
  if limit == 0 or redis.call('ZCARD', backfilling_key) == 0 then return end
  local ids = redis.call('ZRANGEBYSCORE', backfilling_key, '-inf', now, 'LIMIT', 0, BACKFILLS_LOOKED)
  if #ids == 0 then return end
  local texts, packed = redis.call('HMGET', backfills_key, unpack(ids)), redis.call('HMGET', plans_key, unpack(ids))
  -- What `usual` has fired just now is active, too.
  for i = 1, #mark_writes, 2 do marks[mark_writes[i]] = mark_writes[i + 1] end
  local plans, unmarked, unread = {}, {}, {}
  for i = 1, #ids do
    plans[i] = read_plan(packed[i])
    if plans[i] and plans[i][P_NEEDS_MARKS] and not marks[ids[i]] then unmarked[#unmarked + 1] = ids[i] end
    if plans[i] and plans[i][P_IS_DIRECT] and not templates[ids[i]] then unread[#unread + 1] = ids[i] end
  end
  load_marks(unmarked)
  load_messages(unread)
  for i = 1, #ids do
    local id, p = ids[i], plans[i]
    local look
    if backfilling.span(texts[i]) == 0 then
      look = nil
    elseif not p or (p[P_IS_DIRECT] and not read_message(templates[id])) then
      -- It is planned afresh by whoever finds it due.
      look = now + HAND_OUT_MS
    elseif not p[P_IS_DIRECT] and not lists[p[P_LIST]] then
      unknown_lists[#unknown_lists + 1] = p[P_LIST]
      look = now + BACKFILL_WAIT_MS
    else
      look = backfilling.take(id, p, texts[i])
    end
    if look then append(backfilling.scores, look, id) else backfilling.removes[#backfilling.removes + 1] = id end
  end
end

-- What has lost its turn gets one; once a minute.
function backfilling.heal()
  if redis.call('HLEN', backfills_key) == redis.call('ZCARD', backfilling_key) then return end
  local ids = redis.call('HRANDFIELD', backfills_key, 100)
  for i = 1, #ids do redis.call('ZADD', backfilling_key, 'NX', now, ids[i]) end
end

function backfilling.flush()
  write_all('HDEL', backfills_key, backfilling.removes)
  write_all('ZREM', backfilling_key, backfilling.removes)
  write_all('HSET', backfills_key, backfilling.writes)
  write_all('ZADD', backfilling_key, backfilling.scores)
end
