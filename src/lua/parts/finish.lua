-- Ends attempts of the caller, or gives them back. Needs the locals of `work`.
local now_text, node_text = struct.pack('>I6', now), string.char(#node_name) .. node_name
local OUTCOMES = { succeeded = SUCCEEDED, failed = FAILED, cancelled = CANCELLED }
local FIRST_ATTEMPT = '\0\1\0\0\0'
local usual_fronts, usual_exits = {}, {}
-- How many the caller executes, and by how many the shard's count of them changes.
local holding, held_more = 0, 0

-- The usual case, flat: the first attempt of a run of its entry, nobody asked to cancel it, and it succeeded. Returns its entry id, or nil
-- where it is another case or another attempt holds the run.
local function usual_end(text, a)
  if a.outcome ~= 'succeeded' or a.reason ~= 0 or not text or #text < LIVE_MIN or byte(text) ~= 1 or byte(text, 2) ~= RUNNING or byte(text, 3) > CATCH_UP
    or byte(text, 4) ~= 0 or cut(text, AT_ATTEMPT, AT_FIRE - 1) ~= FIRST_ATTEMPT or cut(text, AT_HOLDER, LIVE_TAIL - 1) ~= holder
    or unpack_text('>I7', text, AT_FENCE) ~= a.fence then return nil end
  local id, ends = live_id(text)
  return ends == #text and id or nil
end

-- Its record, whose fields stand in the live one in the same order.
local function remember_usual(a)
  local text, trigger = a.text, byte(a.text, 3)
  local front, exit = usual_fronts[trigger], usual_exits[a.exit]
  if not front then
    front = struct.pack('>BBBBI2BB', 1, SUCCEEDED, a.reason, trigger, 1, 0, 0)
    usual_fronts[trigger] = front
  end
  if not exit then
    exit = struct.pack('>I2I4', a.exit, 1)
    usual_exits[a.exit] = exit
  end
  local body = front .. cut(text, AT_FIRE, AT_FENCE - 1) .. now_text .. cut(text, LIVE_TAIL, AT_START_WITHIN - 1) .. exit
    .. cut(text, AT_FIRE, AT_FIRE + 5) .. node_text .. struct.pack('>I2', #a.message) .. a.message
  push_record(a.id, a.run_id, unpack_text('>I2', text, AT_KEEP), a.id, body, nil, end_code(SUCCEEDED, a.reason, trigger))
end

-- Reads the records of attempts; `is_mine` where the caller holds the current attempt. Returns whether all are the usual case.
local function read_attempts(attempts)
  local ids, rings = {}, {}
  for i = 1, #attempts do ids[i] = attempts[i].run_id end
  if #ids == 0 then return true end
  local texts = redis.call('HMGET', live_key, unpack(ids))
  local seen = {}
  for i = 1, #attempts do
    local a = attempts[i]
    a.id = not seen[a.run_id] and usual_end(texts[i], a)
    if a.id then
      a.text, seen[a.run_id], rings[#rings + 1] = texts[i], true, a.id
    else
      a.run = read_live(texts[i])
    end
    a.is_mine = a.run and not seen[a.run_id] and a.run.state == RUNNING and a.run.holder == holder and a.run.fence == a.fence
    if a.is_mine then
      seen[a.run_id] = true
      if OUTCOMES[a.outcome] then rings[#rings + 1] = ring_of(a.run.id, OUTCOMES[a.outcome]) end
    end
  end
  load_tails(rings)
  for i = 1, #attempts do
    if not attempts[i].text then return false end
  end
  return true
end

-- Returns a word per attempt. `has_rare`: there may be back-logs, or runs that wait.
local function finish(attempts, has_rare)
  local words, gone, released, entries = {}, {}, {}, {}
  for i = 1, #attempts do
    local a = attempts[i]
    local state = OUTCOMES[a.outcome]
    if a.is_mine and (not state or a.wait >= 0) then
      local other, reason = end_of(a)
      if other then state, a.reason, a.wait = other, reason, -1 end
    end
    if a.text then
      words[i] = 'finished'
      released[#released + 1], gone[#gone + 1], entries[#entries + 1] = a.run_id, a.run_id, a.id
      remember_usual(a)
    elseif not a.is_mine then
      words[i] = 'lost'
      log_event('type', 'refused', 'run', a.run_id, 'node', node_name,
        'message', 'a result of an attempt that had lost its lease: ' .. a.outcome)
    elseif not state and not lists[a.run.list] then
      -- Its list is not among those declared: it stays with its holder, until the lease ends and it is taken over.
      words[i] = 'lost'
    elseif not state then
      words[i] = 'requeued'
      released[#released + 1] = a.run_id
      a.run.uncounted = math.min(a.run.uncounted + 1, 65535)
      log_attempt(a.run, DRAINED, node_name, a.exit, a.message)
      requeue(a)
    elseif a.wait >= 0 then
      words[i] = 'retrying'
      released[#released + 1] = a.run_id
      delay_next(a)
    else
      words[i] = 'finished'
      released[#released + 1] = a.run_id
      gone[#gone + 1] = a.run_id
      entries[#entries + 1] = a.run.id
      if a.run.flags % 2 == CANCEL_ASKED then
        local reason, words = cancel_words(a.run_id)
        if state == CANCELLED then a.reason, a.message = reason, words or a.message end
      end
      remember_run(a.run_id, a.run, state, a.reason, node_name, a.exit, a.message)
    end
  end
  if #gone > 0 then redis.call('HDEL', live_key, unpack(gone)) end
  if #released > 0 then
    holding = holding - redis.call('SREM', holds_key, unpack(released))
    held_more = held_more - #released
  end
  if has_rare then
    wake_back_logs(entries)
    waits.admit(entries)
  end
  return words
end

-- seldom: finish
-- A run that goes back to the front of its list.
local function requeue(a)
  local run = a.run
  run.state, run.holder = QUEUED, NOBODY
  redis.call('HSET', live_key, a.run_id, pack_live(run))
  redis.call('LPUSH', lists[run.list], a.run_id)
  if hints[run.list] and redis.call('LLEN', hints[run.list]) == 0 then redis.call('RPUSH', hints[run.list], '1') end
end

-- A back-log waits for the run before it.
local function wake_back_logs(ids)
  if #ids == 0 or redis.call('HLEN', cursors_key) == 0 then return end
  local texts = redis.call('HMGET', cursors_key, unpack(ids))
  for i = 1, #ids do
    if texts[i] and #texts[i] > 12 then
      local pace_at = struct.unpack('>I6', texts[i], 7)
      redis.call('ZADD', due_key, 'XX', 'LT', math.max(pace_at, now), ids[i])
    end
  end
end

-- Why a run was cancelled, and by whom.
local function cancel_words(run_id)
  local words = redis.call('HGET', cancels_key, run_id)
  redis.call('HDEL', cancels_key, run_id)
  if words == OTHER_CAME then return CANCEL_OTHER, '' end
  return BY_USER, words
end

-- An attempt failed and its run has another one: it waits for its time in `delayed`. The whole run has `left` ms, if it has a limit.
local function delay_next(a)
  local run = a.run
  log_attempt(run, a.reason, node_name, a.exit, a.message)
  append(logged.retried, run.id, a.run_id)
  logged.retried[#logged.retried + 1] = string.format('%d %d %.0f', run.attempt, a.reason, now + a.wait)
  -- When it goes into its list stands in its record, too: `delayed` can be rebuilt from it.
  run.state, run.holder, run.enqueued_at = RETRYING, NOBODY, now + a.wait
  redis.call('HSET', live_key, a.run_id, pack_live(run))
  redis.call('ZADD', delayed_key, run.enqueued_at, a.run_id)
  if a.left > 0 then redis.call('ZADD', start_by_key, now + a.left, a.run_id) end
end

-- How it ends although nobody knows its outcome: somebody had asked to cancel it, or it may not be repeated; nil where it goes back.
local function end_of(a)
  if a.run.flags % 2 == CANCEL_ASKED then return CANCELLED, BY_USER end
  if a.outcome == 'handed_back' and a.run.entry_flags % (FLAG_ONCE * 2) >= FLAG_ONCE then return FAILED, DRAINED end
end
