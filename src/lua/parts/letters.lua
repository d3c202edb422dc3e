-- Dead letters, opened again. Needs the locals of `retry`.
local LETTER_START_WITHIN, LETTER_REST = 9, 15  -- in the tail of a live record: `start_within`, what is behind it
local reopening = { plans = {} }

-- What a letter holds. Returns nil where it is damaged.
local function open_letter(text)
  if not text or #text < 7 or string.byte(text) ~= 1 then return nil end
  local _, body_len, message_len, at = struct.unpack('>BI2I4', text)
  local message = string.sub(text, at + body_len, at + body_len + message_len - 1)
  return read_live(string.sub(text, at + body_len + message_len)), message
end

-- Makes it an active run again. Returns the word for it.
local function reopen(run_id, run)
  local p = reopening.plans[run.id]
  local is_bound = p and p[P_BIRTH] == run.birth and p[P_NEEDS_MARKS]
  local is_waiting = is_bound and overlap.is_busy(run.id, p)
  if is_waiting and waits.count(run.id, marks[run.id] or '') >= WAITS_MAX then return 'full' end
  run.state, run.flags, run.holder, run.fence, run.started_at = QUEUED, 0, NOBODY, 0, 0
  run.enqueued_at, run.uncounted, run.lost = now, run.attempt, 0
  -- Somebody wants it now, however late it is.
  run.tail = string.sub(run.tail, 1, LETTER_START_WITHIN - 1) .. string.rep('\0', 6) .. string.sub(run.tail, LETTER_REST)
  if is_waiting then
    run.state, run.flags, run.enqueued_at = WAITING, p[P_OVERLAP] == ALLOW and BY_LIMIT or 0, 0
    waits.add(run.id, active_limit(p), run_id)
  else
    queued[run.list] = queued[run.list] or {}
    table.insert(queued[run.list], run_id)
  end
  append(live_writes, run_id, pack_live(run))
  if is_bound then
    marks[run.id] = (marks[run.id] or '') .. run_id
    marked[#marked + 1] = run.id
  end
  return is_waiting and 'waiting' or 'queued'
end

-- Sends a message again and records how it ended. Returns the word for it.
local function send_again(run_id, run, message)
  local way, tail = read_message(message)
  if not way then return 'gone' end
  way.runs = { { run.id, '', run_id, run.fire_at, run.trigger, tail, way } }
  local why = deliver_by(way)[1]
  run.state, run.attempt, run.uncounted, run.lost = RUNNING, run.attempt + 1, run.attempt, 0
  run.enqueued_at, run.started_at, run.fence = now, now, 0
  redis.call('HDEL', letters_key, run_id)
  redis.call('ZREM', dead_key, run_id)
  remember_run(run_id, run, why and FAILED or SUCCEEDED, why and why[1] or DELIVERED, '', 0, why and why[2] or '', message)
  return why and 'failed' or 'delivered'
end
