-- Overlap: whether a run may start beside those of its entry that are active. Decides and gathers; `overlap.flush` writes. Needs
-- `active_key`, `live_key`, `cancels_key`, `delayed_key`, `waits`.
local marks, empty, mark_writes = {}, {}, {}
local overlap = { fresh = {}, ended = {}, asked = {} }

-- seldom: overlap
-- Marks count only while their run is in `live`.
local function load_marks(ids)
  if #ids == 0 then return end
  local texts = redis.call('HMGET', active_key, unpack(ids))
  local runs, owners = {}, {}
  for i = 1, #ids do
    marks[ids[i]] = ''
    for at = 1, #(texts[i] or ''), 36 do
      runs[#runs + 1] = string.sub(texts[i], at, at + 35)
      owners[#owners + 1] = ids[i]
    end
  end
  for from = 1, #runs, 1000 do
    local slice = {}
    for i = from, math.min(from + 999, #runs) do slice[#slice + 1] = runs[i] end
    local lives = redis.call('HMGET', live_key, unpack(slice))
    for i = 1, #slice do
      if lives[i] and #lives[i] >= LIVE_MIN then marks[owners[from + i - 1]] = marks[owners[from + i - 1]] .. slice[i] end
    end
  end
end

-- Whether one more run of the entry has to wait or must not be. A back-log and a backfill wait for what is active.
function overlap.is_busy(id, p)
  local active = marks[id] or ''
  if p[P_OVERLAP] > ALLOW then return active ~= '' end
  return p[P_MAX_RUNNING] > 0 and (#active >= p[P_MAX_RUNNING] * 36 or waits.count(id, active) > 0)
end

-- Asks those that run to end; those that have not begun end at once. Returns whether one must be waited for.
function overlap.cancel_others(id)
  local ids, kept, is_running, texts = {}, {}, false, {}
  for at = 1, #marks[id], 36 do ids[#ids + 1] = string.sub(marks[id], at, at + 35) end
  for from = 1, #ids, 1000 do
    local some = redis.call('HMGET', live_key, unpack(ids, from, math.min(from + 999, #ids)))
    for i = 1, #some do texts[from + i - 1] = some[i] end
  end
  for i = 1, #ids do
    local run = read_live(overlap.fresh[ids[i]] or texts[i])
    if run and run.state == RUNNING then
      kept[#kept + 1], is_running = ids[i], true
      if run.flags % 2 ~= CANCEL_ASKED then
        run.flags = run.flags + CANCEL_ASKED
        overlap.fresh[ids[i]] = pack_live(run)
        overlap.asked[#overlap.asked + 1] = ids[i]
      end
    elseif run then
      overlap.ended[#overlap.ended + 1] = { ids[i], run }
      if run.state == WAITING then waits.forget(id, ids[i]) end
    end
  end
  marks[id] = table.concat(kept)
  return is_running
end

-- Returns 'run', 'wait', or nil where the fire time is skipped.
function overlap.decide(id, p)
  local rule, active = p[P_OVERLAP], marks[id] or ''
  if active == '' then return 'run' end
  if rule == SKIP then return nil end
  if rule == CANCEL_OTHERS then return overlap.cancel_others(id) and 'wait' or 'run' end
  local waiting = waits.count(id, active)
  if rule == ALLOW then
    if p[P_MAX_RUNNING] == 0 or (waiting == 0 and #active < p[P_MAX_RUNNING] * 36) then return 'run' end
    return waiting < WAITS_MAX and 'wait' or nil
  end
  return waiting < (rule == BUFFER_ONE and 1 or WAITS_MAX) and 'wait' or nil
end

function overlap.flush()
  for i = 1, #overlap.asked do
    local run_id = overlap.asked[i]
    redis.call('HSET', live_key, run_id, overlap.fresh[run_id])
    redis.call('HSET', cancels_key, run_id, OTHER_CAME)
  end
  for i = 1, #overlap.ended do
    local run_id, run = overlap.ended[i][1], overlap.ended[i][2]
    redis.call('HDEL', live_key, run_id)
    redis.call('ZREM', start_by_key, run_id)
    if run.state == QUEUED then redis.call('HINCRBY', queues_key, run.list, 1) end
    if run.state == RETRYING then redis.call('ZREM', delayed_key, run_id) end
    remember_run(run_id, run, CANCELLED, CANCEL_OTHER, '', 0, '')
  end
end
