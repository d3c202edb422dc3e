-- Changes of entries, by the locals of `put`.
local RUNS_SCANNED = 1500
local LIST_FULL = 500  -- times in a list that Rust makes no longer
local places = { due_key, parked_key, paused_key, broken_key, finished_key }
-- What is to be written; one table, because a Lua function has room for 200 locals only.
local writes = { entries = {}, plans = {}, messages = {}, revisions = {}, removed = {}, paused = {}, lists = {} }
-- What is to be taken off: from which place whom, single fields, runs, entries.
local removes = { places = {}, fields = {}, runs = {}, ids = {} }
-- Live runs of entries whose runs were not marked so far.
local unmarked = {}
for i = 1, #places do removes.places[places[i]] = {} end

-- Whether fire times up to now may lie beyond what the plan lists.
local function is_short(p, t)
  return not p[P_IS_ARITHMETIC] and not p[P_IS_FINAL] and (p[P_PHASE] == 0 or list_end(p) <= t)
end

-- The changes that are asked for, from the arguments from `first` on.
local function items_asked(first)
  local items, count = {}, 0
  for at = first, #ARGV - 11, 12 do
    local verb, till, from = ARGV[at + 1], tonumber(ARGV[at + 10]), tonumber(ARGV[at + 11])
    local is_discarded = verb == 'discard'
    if is_discarded then verb = 'remove' end
    if till == 0 then till = nil end
    if from == 0 then from = nil end
    count = count + 1
    items[count] = { id = ARGV[at], verb = verb, birth = tonumber(ARGV[at + 2]), revision = tonumber(ARGV[at + 3]),
      definition = ARGV[at + 4], plan = ARGV[at + 5], message = ARGV[at + 6], list = ARGV[at + 7], is_paused = ARGV[at + 8] == 'paused',
      fields = ARGV[at + 9], till = till, from = from }
    if is_discarded then items[count].is_discarded = true end
  end
  return items
end

-- Reads the entry as it stands. Returns why it can't be changed yet, or nil.
local function read_item(item, definition, plan)
  if not definition then return nil end
  local birth, revision = definitions.identity(definition)
  local old = { definition = definition, birth = tonumber(birth) or 0, revision = tonumber(revision) or 0 }
  item.old = old
  for i = 1, #places do
    local score = redis.call('ZSCORE', places[i], item.id)
    if score then
      old.place, old.score = places[i], tonumber(score)
      break
    end
  end
  if item.birth ~= old.birth or item.revision ~= old.revision then return nil end
  local p = read_plan(plan)
  old.is_meant, old.plan = true, p
  if is_dry_run or item.is_discarded or old.place == finished_key then return nil end
  if not p or not old.place or old.place == parked_key or old.place == broken_key then return 'overdue' end
  if old.place == paused_key then
    local till, place = pausing.till(item.id, old.score), cursors[item.id]
    if till <= now then
      item.wakes_at = pausing.reaches(item.id, p, till) and till or nil
      return item.wakes_at and 'woken' or 'overdue'
    end
    if item.from then
      -- What was counted together can't be taken apart here.
      local is_beyond = place and (place.back[3] or 0) > 0 and place.cursor > item.from
      local _, left = time_after(p, item.from - 1)
      return (is_beyond or left == 'dry') and 'overdue' or nil
    end
  end
  if item.verb ~= 'pause' and item.verb ~= 'remove' and not p[P_IS_DIRECT] and not lists[p[P_LIST]] then return p[P_LIST] end
  if is_short(p, now) then
    item.is_far_behind = old.place == due_key and p[P_PHASE] >= LIST_FULL
    return 'overdue'
  end
  return nil
end

-- Live runs of the entries that ask for them: removed ones drop what waits, others collect their marks.
local function scan_live(wanted)
  if next(wanted) == nil then return true end
  if redis.call('HLEN', live_key) > RUNS_SCANNED then return false end
  local all = redis.call('HGETALL', live_key)
  for i = 1, #all, 2 do
    local run = read_live(all[i + 1])
    local item = run and wanted[run.id]
    if item and item.verb == 'remove' then
      if run.state ~= RUNNING and run.state ~= WAITING then removes.runs[#removes.runs + 1] = { all[i], run } end
    elseif item and run.birth == item.old.birth then
      unmarked[run.id] = (unmarked[run.id] or '') .. all[i]
    end
  end
  return true
end

-- Reads all that the changes need. Returns { id, why, ... } of those that can't be done yet.
local function read_items(items)
  local ids, again, wanted = {}, {}, {}
  for i = 1, #items do ids[i] = items[i].id end
  load_cursors(ids)
  local standing = redis.call('HMGET', entries_key, unpack(ids))
  local plans = redis.call('HMGET', plans_key, unpack(ids))
  local settled, with_message = {}, {}
  for i = 1, #items do
    local item = items[i]
    local why = read_item(item, standing[i], plans[i])
    item.new = item.verb ~= 'remove' and read_plan(item.plan) or nil
    if not why and item.new then
      item.first, item.left = time_after(item.new, (item.from or now + 1) - 1)
      if item.left == 'dry' or (not item.from and is_short(item.new, now)) then why = 'short' end
    end
    if why then append(again, item.id, why) end
    if item.old and item.old.is_meant then
      local p = item.old.plan
      if p then settled[#settled + 1] = item.id end
      if p and p[P_IS_DIRECT] then with_message[#with_message + 1] = item.id end
      local is_unmarked = p and item.new and item.new[P_NEEDS_MARKS] and not p[P_NEEDS_MARKS]
      if item.verb == 'remove' or is_unmarked then wanted[item.id] = item end
    end
  end
  load_lists()
  load_ledgers(settled)
  skipping.load(settled)
  load_marks(settled)
  waits.load(ids)
  for i = 1, #items do
    local p = items[i].old and items[i].old.is_meant and items[i].old.plan
    if p then limits.load(items[i].id, p) end
  end
  for i = 1, #items do
    local id, from = items[i].id, items[i].from
    if from and not ledgers[id] then load_ledgers({ id }) end
    -- Each fire time is settled once, also over `rm` and `add`.
    if from and ledger_end(id) >= from then append(again, id, 'from') end
  end
  load_messages(with_message)
  -- With too many runs to look through, what waits is dropped when a node fetches it.
  local is_scanned = #again > 0 or is_dry_run or scan_live(wanted)
  for id, item in pairs(wanted) do
    if item.verb ~= 'remove' and not is_scanned then append(again, id, 'busy') end
    if item.verb ~= 'remove' and is_scanned then
      -- What is overdue and fires in this step is marked with the rest.
      marks[id], item.old.plan[P_NEEDS_MARKS] = unmarked[id] or '', true
      marked[#marked + 1] = id
    end
  end
  return again
end

-- All that is overdue ends `missed`, however young: the entry is paused or removed.
local function settle_missed(id, p, place, reason)
  for i = 1, #place.back do drop_back(id, p, place.back[i], place.back, MISSED, reason) end
  if place.cursor > now then return end
  local count, nth, sum = due_times(p, place.cursor, now)
  range_over(id, p, nth, sum, 1, count, MISSED, reason)
end

local function settle_all(item, p, place)
  if item.verb == 'pause' then return settle_missed(item.id, p, place, PAUSED) end
  if item.verb == 'remove' then return settle_missed(item.id, p, place, REMOVED) end
  local t, left = settle(item.id, p, place.cursor, place.back)
  -- Which of a back-log are the newest is known once its plan reaches to now.
  if item.is_far_behind then return t, left, place.back, place.pace_at, now end
  local look, pace_at = pace(item.id, p, place.back, place.pace_at)
  return t, left, place.back, pace_at, look
end

-- Settles the old plan of an entry. Returns its next fire time as it was, its back-log where that lives on, and the first fire
-- time that is not settled.
local function settle_old(item)
  local old, id = item.old, item.id
  local p = old.plan
  if not p or not old.place or old.place == finished_key then return nil end
  local place = cursors[id] or { cursor = old.score - p[P_DELAY], pace_at = 0, back = {} }
  if old.place == paused_key then
    pausing.settle(id, p, place, item.from and item.from - 1 or now)
    return nil
  end
  local next_before = place.cursor < NEVER and skipping.next(id, p, place.cursor) or nil
  local t, _, back, pace_at, look = settle_all(item, p, place)
  return next_before, back, pace_at, look, t
end

-- Lists that are full and end before now are settled as far as they reach, and parked: Rust goes on from there. Returns
-- whether there were any.
local function settle_far_behind(items)
  local is_any = false
  for i = 1, #items do
    local item = items[i]
    local id, p = item.id, item.old and item.old.plan
    local place = item.is_far_behind and (cursors[id] or { cursor = item.old.score - p[P_DELAY], pace_at = 0, back = {} })
    if place and due_times(p, place.cursor) > 0 then
      local t, left, back, pace_at, look = settle_all(item, p, place)
      put_in_place(id, p, t, left or 'dry', back or {}, pace_at or 0, look or NEVER, true)
      is_any = true
    end
  end
  return is_any
end

-- Ends the pauses whose time has come. Returns whether there were any.
function pausing.wake_items(items)
  for i = 1, #items do
    if items[i].wakes_at then pausing.wake(items[i].id, items[i].old.plan, items[i].wakes_at) end
  end
  return #pausing.removes > 0
end

-- What waits of a backfill ends with its entry, as one record.
function backfilling.drop(id, p)
  local text = redis.call('HLEN', backfills_key) > 0 and redis.call('HGET', backfills_key, id)
  local count, first, last, run_id = backfilling.span(text)
  if count == 0 then return end
  remember({ id = id, run_id = run_id, keep = p[P_KEEP], state = CANCELLED, reason = ENTRY_REMOVED, trigger = BACKFILL, attempt = 0,
    lost = 0, flags = REQUESTED, fire_at = first, due_at = first, enqueued_at = 0, started_at = 0, finished_at = now,
    birth = p[P_BIRTH], revision = p[P_REVISION], exit = 0, fires = count, last_fire_at = last, node = '', message = '' })
end

-- What waits for runs before it ends with its entry.
local function drop_waiting(id)
  local text = waits.of[id] or ''
  for at = 3, #text, 36 do
    local run_id = string.sub(text, at, at + 35)
    local run = read_live(redis.call('HGET', live_key, run_id))
    if run and run.state == WAITING then removes.runs[#removes.runs + 1] = { run_id, run } end
  end
end

-- What the new limit of fire times leaves.
local function limit_fires(item)
  local id, p, old = item.id, item.new, item.old and item.old.plan
  if p[P_MAX_FIRES] == 0 then
    if old and old[P_MAX_FIRES] > 0 then removes.fields[#removes.fields + 1] = { fires_key, id } end
    limits.counts[id] = nil
    return
  end
  local count = limits.counts[id] or (item.old and limits.on_record(id, item.old.definition)) or 0
  limits.counts[id], p[P_LEFT] = count, p[P_MAX_FIRES] - count
end

-- The first fire time of the new plan. One of the old plan that has come but is not due yet, because of `spread`, stays if the
-- new plan has it, too; else it is missed.
local function first_time(item, pending)
  local p, old = item.new, item.old
  if pending and pending <= now and not item.from then
    local t, left = time_after(p, pending - 1)
    if t == pending then return t, left end
    pass_over(item.id, old.plan, pending, pending, 1, pending, MISSED, CHANGED)
  end
  return item.first, item.left
end

-- The text of a definition or of what is left of one, with this step's instant in it: from then on it holds. With it its revision.
local function stamped(text)
  local revision, from, to = string.match(text, '^{"v":%[%d+,%d+,(%d+),()%d+()')
  if not from then revision, from, to = string.match(text, '^{"v":%d+,"birth":%d+,"revision":(%d+),"at":()%d+()') end
  if not from then return text, tonumber(string.match(text, '"revision":(%d+)')) end
  return string.sub(text, 1, from - 1) .. score(now) .. string.sub(text, to), tonumber(revision)
end

-- Decides one change and gathers its writes. Returns { id, word, next before, next after, revision, fields that differ }.
local function change(item)
  local id, old = item.id, item.old
  if not old and (item.revision > 0 or item.verb == 'remove') then return { id, 'gone', -1, -1, 0, '' } end
  if old and (not old.is_meant or (item.from and old.place ~= paused_key)) then
    return { id, item.revision == 0 and 'exists' or 'conflict', -1, -1, old.revision, '' }
  end
  local revision
  item.definition, revision = stamped(item.definition)
  local next_before, back, pace_at, look, pending
  if old then
    next_before, back, pace_at, look, pending = settle_old(item)
    append(writes.revisions, id .. '\0' .. old.revision, old.definition)
    if old.revision > 200 then removes.fields[#removes.fields + 1] = { revisions_key, id .. '\0' .. (old.revision - 200) } end
    if old.place then table.insert(removes.places[old.place], id) end
  end
  if item.verb == 'remove' then
    append(writes.removed, id, item.definition)
    append(writes.revisions, id .. '\0' .. revision, item.definition)
    if old.plan then backfilling.drop(id, old.plan) end
    drop_waiting(id)
    removes.ids[#removes.ids + 1] = id
    return { id, 'removed', next_before or -1, -1, revision, item.fields }
  end
  append(writes.entries, id, item.definition)
  append(writes.plans, id, item.plan)
  if item.message ~= '' then
    append(writes.messages, id, item.message)
  elseif old and old.plan and old.plan[P_IS_DIRECT] then
    removes.fields[#removes.fields + 1] = { messages_key, id }
  end
  if item.list ~= '' then writes.lists[item.list] = true end
  local p = item.new
  -- What came between `from` and now is due: the next claim finds it late.
  local t, left = first_time(item, pending)
  limit_fires(item)
  if p[P_LEFT] <= 0 then
    -- One that had come and was not due yet finds the new limit reached.
    if t and t <= now and not item.from then
      pass_over(id, old.plan, t, t, 1, t, MISSED, CHANGED)
      if limits.counts[id] and not limits.plans[id] then limits.counts[id] = limits.counts[id] + 1 end
    end
    t, left = nil, 'over'
  end
  waits.limits[id] = active_limit(p)
  -- A pause that has ended meanwhile is none: the entry keeps its back-log.
  if item.is_paused and (item.till or NEVER) > now then
    append(writes.paused, item.till or NEVER, id)
    append(cursor_writes, id, pack_cursor(t or NEVER, item.till or 0, {}))
    t = nil
  else
    if cursors[id] then cursor_removes[#cursor_removes + 1] = id end
    cursors[id] = nil
    t = put_in_place(id, p, t, left, back or {}, pace_at or 0, look or NEVER, false)
    -- It owes what came before this change: should it lose its place, that must be known.
    if item.from and t then append(cursor_writes, id, pack_cursor(t, 0, {})) end
    t = t and skipping.next(id, p, t)
  end
  return { id, old and 'changed' or 'added', next_before or -1, t or -1, revision, item.fields }
end

-- Reads of every key that is only written below: a key of another type raises here, before the first write.
local function guard_put()
  guard_history()
  for _, key in ipairs({ active_key, waits_key, cancels_key, fires_key, backfills_key, queues_key, revisions_key, removed_key, messages_key, requests_key }) do redis.call('HLEN', key) end
  for _, key in ipairs({ due_key, parked_key, paused_key, broken_key, finished_key, start_by_key, requested_key, stale_key, backfilling_key, delayed_key }) do redis.call('ZCARD', key) end
  for _, key in ipairs({ events_key, moves_key }) do redis.call('XLEN', key) end
  for _, key in pairs(hints) do redis.call('LLEN', key) end
end

-- What was changed, four lines each: what, entry id, revision, fields that differ.
local function log_changes(items, results)
  local lines, count = {}, 0
  for i = 1, #results do
    local id, word, verb = results[i][1], results[i][2], items[i].verb
    if word == 'added' or word == 'changed' or word == 'removed' then
      if word == 'changed' and verb ~= 'put' then word = verb == 'pause' and 'paused' or 'resumed' end
      append(lines, word, id)
      append(lines, string.format('%.0f', results[i][5]), results[i][6])
      count = count + 1
    end
  end
  if count > 0 then
    log_line(events_key, 'events', EVENTS_MAX, count, 'type', 'changes', 'actor', actor, 'reason', reason, 'changes', table.concat(lines, '\n'))
  end
end

-- Runs of removed entries that wait end `cancelled`.
local function drop_runs()
  for i = 1, #removes.runs do
    local run_id, run = removes.runs[i][1], removes.runs[i][2]
    redis.call('HDEL', live_key, run_id)
    redis.call('ZREM', start_by_key, run_id)
    if run.state == WAITING then
      waits.drop(run.id, run_id)
    elseif run.state == RETRYING then
      redis.call('ZREM', delayed_key, run_id)
    else
      redis.call('HINCRBY', queues_key, run.list, 1)
    end
    remember_run(run_id, run, CANCELLED, ENTRY_REMOVED, '', 0, '')
  end
end

local function flush_changes()
  for i = 1, #places do write_all('ZREM', places[i], removes.places[places[i]]) end
  write_all('HSET', entries_key, writes.entries)
  write_all('HSET', plans_key, writes.plans)
  write_all('HSET', messages_key, writes.messages)
  write_all('HSET', revisions_key, writes.revisions)
  write_all('HSET', removed_key, writes.removed)
  write_all('ZADD', paused_key, writes.paused)
  for i = 1, #removes.fields do redis.call('HDEL', removes.fields[i][1], removes.fields[i][2]) end
  for name in pairs(writes.lists) do redis.call('HSETNX', queues_key, name, 0) end
  for _, key in ipairs({ entries_key, plans_key, messages_key, active_key, cursors_key, skips_key, backfills_key, fires_key }) do write_all('HDEL', key, removes.ids) end
  for _, key in ipairs({ stale_key, backfilling_key }) do write_all('ZREM', key, removes.ids) end
  zones.leave_behind(writes.entries)
  drop_runs()
end
