-- Ends attempts of the caller, or gives them back. Needs `live`, `history`, `log`, `waits` and the locals of `work` or `rescue`.
local now_text, node_text = struct.pack('>I6', now), string.char(#node_name) .. node_name
-- An attempt as the caller told of it is a list, since a table with names costs four times as much to make. Behind what was told: its
-- entry id and live record where it is the usual case, else the record as it was read; whether the caller holds it.
local A_RUN_ID, A_FENCE, A_OUTCOME, A_REASON, A_EXIT, A_WAIT, A_LEFT, A_MESSAGE = 1, 2, 3, 4, 5, 6, 7, 8
local A_ID, A_TEXT, A_RUN, A_IS_MINE = 9, 10, 11, 12
local ATTEMPT_TOLD = '>Bc0I7BBI2I6I6I2c0'
local HANDED_BACK = 4
-- By the number of an outcome: how the run ends with it, if it does.
local OUTCOMES = { SUCCEEDED, FAILED, CANCELLED }
local FIRST_ATTEMPT = '\0\1\0\0\0'
local usual_fronts, usual_exits = {}, {}
-- How many the caller executes, and by how many the shard's count of them changes.
local holding, held_more = 0, 0

-- The usual case, flat: the first attempt of a run of its entry, nobody asked to cancel it, and it succeeded. Returns its entry id, or nil
-- where it is another case or another attempt holds the run.
local function usual_end(text, a)
  if a[A_OUTCOME] ~= 1 or a[A_REASON] ~= 0 or not text or #text < LIVE_MIN or byte(text) ~= 1 or byte(text, 2) ~= RUNNING or byte(text, 3) > CATCH_UP
    or byte(text, 4) ~= 0 or cut(text, AT_ATTEMPT, AT_FIRE - 1) ~= FIRST_ATTEMPT or cut(text, AT_HOLDER, LIVE_TAIL - 1) ~= holder
    or unpack_text('>I7', text, AT_FENCE) ~= a[A_FENCE] then return nil end
  local id, ends = live_id(text)
  return ends == #text and id or nil
end

-- Its record, whose fields stand in the live one in the same order.
local function remember_usual(a)
  local text, message = a[A_TEXT], a[A_MESSAGE]
  local trigger = byte(text, 3)
  local front, exit = usual_fronts[trigger], usual_exits[a[A_EXIT]]
  if not front then
    front = struct.pack('>BBBBI2BB', 1, SUCCEEDED, 0, trigger, 1, 0, 0)
    usual_fronts[trigger] = front
  end
  if not exit then
    exit = struct.pack('>I2I4', a[A_EXIT], 1)
    usual_exits[a[A_EXIT]] = exit
  end
  local body = front .. cut(text, AT_FIRE, AT_FENCE - 1) .. now_text .. cut(text, LIVE_TAIL, AT_START_WITHIN - 1) .. exit
    .. cut(text, AT_FIRE, AT_FIRE + 5) .. node_text .. struct.pack('>I2', #message) .. message
  push_record(a[A_ID], a[A_RUN_ID], unpack_text('>I2', text, AT_KEEP), a[A_ID], body, nil, end_code(SUCCEEDED, 0, trigger))
end

-- What the caller told of so many attempts, with their records. Returns it, and whether all are the usual case.
local function read_attempts(told, count)
  local attempts, ids, rings, seen, is_plain, at = {}, {}, {}, {}, true, 1
  for i = 1, count do
    local run_id, fence, outcome, reason, exit, wait, left, message, behind = unpack_text(ATTEMPT_TOLD, told, at)
    attempts[i], ids[i], at = { run_id, fence, outcome, reason, exit, wait - 1, left, message, false, false, false, false }, run_id, behind
  end
  local texts = count > 0 and redis.call('HMGET', live_key, unpack(ids)) or {}
  for i = 1, count do
    local a, run_id = attempts[i], ids[i]
    local id = not seen[run_id] and usual_end(texts[i], a)
    if id then
      a[A_ID], a[A_TEXT], seen[run_id], rings[#rings + 1] = id, texts[i], true, id
    else
      local run = read_live(texts[i])
      is_plain, a[A_RUN] = false, run
      if run and not seen[run_id] and run.state == RUNNING and run.holder == holder and run.fence == a[A_FENCE] then
        local state = OUTCOMES[a[A_OUTCOME]]
        a[A_IS_MINE], seen[run_id] = true, true
        if state then rings[#rings + 1] = ring_of(run.id, state) end
      end
    end
  end
  load_tails(rings)
  return attempts, is_plain
end

-- Returns a word per attempt. `has_rare`: there may be back-logs, or runs that wait.
local function finish(attempts, has_rare)
  local words, gone, released, entries = {}, {}, {}, {}
  for i = 1, #attempts do
    local a = attempts[i]
    if a[A_TEXT] then
      words[i], released[#released + 1], gone[#gone + 1], entries[#entries + 1] = 'finished', a[A_RUN_ID], a[A_RUN_ID], a[A_ID]
      remember_usual(a)
    else
      words[i] = finish_other(a, released, gone, entries)
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
-- Ends one that is not the usual case. Returns its word.
local function finish_other(a, released, gone, entries)
  local outcomes = { 'succeeded', 'failed', 'cancelled', 'handed_back', 'returned' }
  local run_id, run, state = a[A_RUN_ID], a[A_RUN], OUTCOMES[a[A_OUTCOME]]
  if a[A_IS_MINE] and (not state or a[A_WAIT] >= 0) then
    local other, reason = end_of(a)
    if other then state, a[A_REASON], a[A_WAIT] = other, reason, -1 end
  end
  if not a[A_IS_MINE] then
    log_event('type', 'refused', 'run', run_id, 'node', node_name,
      'message', 'a result of an attempt that had lost its lease: ' .. (outcomes[a[A_OUTCOME]] or ''))
    return 'lost'
  end
  -- Its list is not among those declared: it stays with its holder, until the lease ends and it is taken over.
  if not state and not lists[run.list] then return 'lost' end
  released[#released + 1] = run_id
  if not state then
    run.uncounted = math.min(run.uncounted + 1, 65535)
    log_attempt(run, DRAINED, node_name, a[A_EXIT], a[A_MESSAGE])
    requeue(run_id, run)
    return 'requeued'
  end
  if a[A_WAIT] >= 0 then
    delay_next(a)
    return 'retrying'
  end
  gone[#gone + 1], entries[#entries + 1] = run_id, run.id
  if run.flags % 2 == CANCEL_ASKED then
    local reason, words = cancel_words(run_id)
    if state == CANCELLED then a[A_REASON], a[A_MESSAGE] = reason, words or a[A_MESSAGE] end
  end
  remember_run(run_id, run, state, a[A_REASON], node_name, a[A_EXIT], a[A_MESSAGE])
  return 'finished'
end

-- A run that goes back to the front of its list.
local function requeue(run_id, run)
  run.state, run.holder = QUEUED, NOBODY
  redis.call('HSET', live_key, run_id, pack_live(run))
  redis.call('LPUSH', lists[run.list], run_id)
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
  local run, run_id, next_at = a[A_RUN], a[A_RUN_ID], now + a[A_WAIT]
  log_attempt(run, a[A_REASON], node_name, a[A_EXIT], a[A_MESSAGE])
  append(logged.retried, run.id, run_id)
  logged.retried[#logged.retried + 1] = string.format('%d %d %.0f', run.attempt, a[A_REASON], next_at)
  -- When it goes into its list stands in its record, too: `delayed` can be rebuilt from it.
  run.state, run.holder, run.enqueued_at = RETRYING, NOBODY, next_at
  redis.call('HSET', live_key, run_id, pack_live(run))
  redis.call('ZADD', delayed_key, next_at, run_id)
  if a[A_LEFT] > 0 then redis.call('ZADD', start_by_key, now + a[A_LEFT], run_id) end
end

-- How it ends although nobody knows its outcome: somebody had asked to cancel it, or it may not be repeated; nil where it goes back.
local function end_of(a)
  if a[A_RUN].flags % 2 == CANCEL_ASKED then return CANCELLED, BY_USER end
  if a[A_OUTCOME] == HANDED_BACK and a[A_RUN].entry_flags % (FLAG_ONCE * 2) >= FLAG_ONCE then return FAILED, DRAINED end
end
