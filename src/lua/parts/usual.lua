-- The usual case of a claim, flat: one fire time of the entry is due, it is not late, and nothing else is to be decided. It does
-- in one go, without a table per plan, what `settle`, `fire` and `put_in_place` do for any other; what it does not do changes nothing.
-- Needs every part before it. Most of what it writes is the same for all entries of one fire time and made once.
local id_lengths = {}
-- What is the same for all of one fire time, and how much is gathered: `take` fires the usual ones before any other.
local usual_at, usual_head, usual_id, usual_stretches
local live_count, ledger_count, mark_count, due_count = 0, 0, 0, 0

local function begin_fire_time(fire_at)
  usual_at, usual_head, usual_id, usual_stretches = fire_at, queued_head(fire_at, SCHEDULED, fire_at), id_head(fire_at), {}
end

local function id_length(length)
  id_lengths[length] = string.char(length)
  return id_lengths[length]
end

-- The ledger of an entry whose first fire time this is.
local function first_stretch(fire_at, revision)
  local text = '\1' .. struct.pack(STRETCH, fire_at, fire_at, 1, fire_at % MODULUS, revision, SUCCEEDED, 0)
  usual_stretches[revision] = text
  return text
end

-- Fires an entry that is due at `fire_at`. `ledger` is its text or false, `way` and `tail` the message of a direct action, `ring`
-- its history. Returns whether it is done; if not, nothing was gathered.
local function take_usual(id, text, fire_at, ledger, needs_mark, way, tail, ring)
  local age = now - fire_at
  if age < 0 or age > LATE_WITH_NEWER_MS then return false end
  if byte(text) ~= VERSION then return false end
  local form, rules, code, suffix, revision, base = unpack_text(USUAL, text)
  local shape = shapes[rules * 256 + code] or shape_of(text, rules, code)
  if not shape then return false end
  local at, stop, start_within = shape[S_AT], shape[S_STOP], shape[S_START_WITHIN]
  if start_within > 0 and age > start_within then return false end
  if at > PLAN_REST then base = unpack_text('>I6', text, at) end
  local t, is_low = next_after(text, form, at, base, stop, fire_at)
  if t == false then return false end
  local name
  if not way then
    name = shape[S_LIST]
    if not lists[name] then return false end
  end

  if fire_at ~= usual_at then begin_fire_time(fire_at) end
  runs_made, claimed = runs_made + 1, claimed + 1
  local run_id = usual_id .. suffix
  if way then
    directs[#directs + 1] = { id, text, run_id, fire_at, SCHEDULED, tail, way, ring, false, shape[S_KEEP] }
    bytes_made = bytes_made + #tail
  else
    local tail = cut(text, PLAN_BIRTH, PLAN_REVISION_END) .. shape[S_TAIL] .. (id_lengths[#id] or id_length(#id)) .. id
    local fired = logged.fired[SCHEDULED]
    fired[live_count + 1], fired[live_count + 2] = id, run_id
    if slots > 0 and serves[name] and empty[name] then
      slots = slots - 1
      tail = struct.pack(LIVE, 1, RUNNING, SCHEDULED, 0, 1, 0, 0, fire_at, fire_at, now, now, next_fence(), holder) .. tail
      started[#started + 1] = run_id
      append(given, run_id, tail)
      note_move(logged.started, 1, id, run_id)
    else
      tail = usual_head .. tail
      local list = queued[name]
      if list then
        list[#list + 1] = run_id
      else
        queued[name], empty[name] = { run_id }, false
      end
      if start_within > 0 then append(start_bys, fire_at + start_within, run_id) end
    end
    live_writes[live_count + 1], live_writes[live_count + 2] = run_id, tail
    live_count = live_count + 2
    if needs_mark then
      mark_writes[mark_count + 1], mark_writes[mark_count + 2] = id, run_id
      mark_count = mark_count + 2
    end
  end
  ledger_writes[ledger_count + 1] = id
  ledger_writes[ledger_count + 2] = ledger and grown(id, ledger, fire_at, fire_at, 1, fire_at, revision, SUCCEEDED, 0)
    or usual_stretches[revision] or first_stretch(fire_at, revision)
  ledger_count = ledger_count + 2
  if t then
    due_writes[due_count + 1], due_writes[due_count + 2] = scores[t] or score(t), id
    due_count = due_count + 2
    if is_low then to_plan[#to_plan + 1] = id end
  else
    due_removes[#due_removes + 1] = id
    append(finished_writes, now, id)
  end
  return true
end
