-- A claim that finds nothing due, or a few entries whose runs its caller starts at once, ends here, before the rest of the script is made:
-- to make its functions costs Redis more than such a claim. It answers and writes what the whole claim would, and leaves to it
-- whatever is asked for once in a while, limited, waiting or not the usual case. Needs `clock`, `lease`, `plan`, `live`, `log`,
-- `ledger` and the locals of `claim`.
local CALM_MAX = 4  -- entries
local marks_of_clock = redis.call('HMGET', clock_key, 'drain_until', 'drain_by', 'claimed', 'checked', 'zone', 'zone_at', 'zone_done', 'zone_walk', 'waits_seen', 'aged', 'age_walk',
  'held', 'moves_count')

-- When anything but a fire time wants to be looked at, and when the first lease ends. `may_have`: whether one of these
-- keys may be there.
local function first_look(look, may_have)
  if may_have and redis.call('EXISTS', parked_key, broken_key, paused_key, backfilling_key, start_by_key, delayed_key) > 0 then
    for _, key in ipairs({ parked_key, broken_key, paused_key, backfilling_key, start_by_key, delayed_key }) do
      local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
      if first[2] then look = math.min(look, tonumber(first[2])) end
    end
  end
  local lease = tonumber(redis.call('ZRANGE', leases_key, 0, 0, 'WITHSCORES')[2])
  if not lease then return look, nil end
  return math.min(look, math.max(lease, hold), shortest and now + math.floor(shortest / 3) or look), lease
end

-- Whether nothing is to be done now that a claim does once in a while: a beat, the drain mark, an outage, the balance, zone data, old
-- records. Then also whether there is anything of what most installations do not have most of the time: one command tells that.
local function is_calm()
  if beat ~= '' or batch == 0 or behind_ms > 5000 then return false end
  local marks = marks_of_clock
  local function is_within(mark, ms) return now - (tonumber(marks[mark]) or 0) < ms end
  if tonumber(marks[1] or 0) > now or not is_within(3, 3000) or not is_within(4, 60000) then return false end
  if not is_within(10, 3600000) and not is_within(11, 600000) then return false end
  if marks[5] ~= release or marks[7] ~= release or not is_within(6, 3000) then return false end
  local has_rare = redis.call('EXISTS', rules_key, waits_key, stale_key, parked_key, broken_key, paused_key, backfilling_key, start_by_key,
    delayed_key, cursors_key, skips_key) > 0
  if has_rare and redis.call('EXISTS', rules_key, waits_key, stale_key) > 0 then return false end
  if redis.call('HLEN', queues_key) > list_count then return false end
  for _, key in pairs(lists) do
    if redis.call('LLEN', key) > 0 then return false end
  end
  -- An older call that comes late must find that it is.
  local kept = number > 0 and redis.call('HGET', lanes_key, holder .. ':claim')
  return not kept or (tonumber(string.match(kept, '^%d+')) or 0) < number, has_rare
end

-- Whether a run of one of these entries may be active. Marks count only while their run is alive.
local function any_active(ids)
  local runs, texts = {}, redis.call('HMGET', active_key, unpack(ids))
  for i = 1, #texts do
    for at = 1, #(texts[i] or ''), 36 do runs[#runs + 1] = cut(texts[i], at, at + 35) end
  end
  if #runs > 1000 then return true end
  local lives = #runs > 0 and redis.call('HMGET', live_key, unpack(runs)) or {}
  for i = 1, #lives do
    if lives[i] then return true end
  end
  return false
end

-- What is due of `found` (ids and when they are due), as { id, when, plan, shape, revision, suffix, next time }; nil where one of
-- them is not the usual case, or can't be started by the caller.
local function plain_ones(found, count, has_rare)
  if number == 0 or count > CALM_MAX or count > slots or behind_ms > 0 then return nil end
  local ids, with_marks, ones = {}, {}, {}
  for i = 1, count do ids[i] = found[i * 2 - 1] end
  for _, key in ipairs(has_rare and { cursors_key, skips_key } or {}) do
    local texts = redis.call('HMGET', key, unpack(ids))
    for i = 1, count do
      if texts[i] then return nil end
    end
  end
  local plans = redis.call('HMGET', plans_key, unpack(ids))
  for i = 1, count do
    local text, fire_at = plans[i], tonumber(found[i * 2])
    if not text or #text < PLAN_MIN or byte(text) ~= VERSION or now - fire_at > LATE_WITH_NEWER_MS then return nil end
    local form, rules, code, suffix, revision, base = unpack_text(USUAL, text)
    local flags, shape = rules % OVERLAPS, shapes[rules * 256 + code] or shape_of(text, rules, code)
    -- No message, and nothing special.
    if (flags ~= 0 and flags ~= FLAG_MARKS) or not shape or not lists[shape[S_LIST]] or not serves[shape[S_LIST]] then return nil end
    local at, stop, start_within = shape[S_AT], shape[S_STOP], shape[S_START_WITHIN]
    if start_within > 0 and now - fire_at > start_within then return nil end
    if at > PLAN_REST then base = unpack_text('>I6', text, at) end
    local t, is_low = next_after(text, form, at, base, stop, fire_at)
    if not t or is_low then return nil end
    if flags == FLAG_MARKS then with_marks[#with_marks + 1] = ids[i] end
    ones[i] = { ids[i], fire_at, text, shape, revision, suffix, t, flags == FLAG_MARKS }
  end
  if #with_marks > 0 and any_active(with_marks) then return nil end
  return ones, ids
end

-- Starts them. Returns their run ids, and these with their records.
local function start_plain(ones, ids)
  local ledgers_of = redis.call('HMGET', ledger_key, unpack(ids))
  redis.call('HLEN', live_key)
  redis.call('SCARD', holds_key)
  redis.call('XLEN', moves_key)
  local run_ids, records, marks, stretches, places, moved = {}, {}, {}, {}, {}, {}
  for i = 1, #ones do
    local id, fire_at, text, shape, revision, suffix, t, needs_mark = unpack(ones[i])
    local run_id = id_head(fire_at) .. suffix
    run_ids[i] = run_id
    append(records, run_id, struct.pack(LIVE, 1, RUNNING, SCHEDULED, 0, 1, 0, 0, fire_at, fire_at, now, now, next_fence(), holder)
      .. cut(text, PLAN_BIRTH, PLAN_REVISION_END) .. shape[S_TAIL] .. string.char(#id) .. id)
    append(moved, id, run_id)
    if needs_mark then append(marks, id, run_id) end
    append(stretches, id, grown(id, ledgers_of[i] or '', fire_at, fire_at, 1, fire_at, revision, SUCCEEDED, 0))
    append(places, t, id)
  end
  local count, moves = #ones, tonumber(marks_of_clock[13]) or 0
  keep_clock('claimed', now, 'held', (tonumber(marks_of_clock[12]) or 0) + count, 'moves_count', moves + 2 * count)
  redis.call('HSET', live_key, unpack(records))
  if #marks > 0 then redis.call('HSET', active_key, unpack(marks)) end
  redis.call('SADD', holds_key, unpack(run_ids))
  extend_lease(holder, lease_ms)
  -- As `flush_moves` does it.
  moved = table.concat(moved, '\n')
  add_line(moves_key, 'moves', MOVES_MAX, moves + count, count, 'type', 'fired', 'trigger', SCHEDULED, 'runs', moved)
  add_line(moves_key, 'moves', MOVES_MAX, moves + 2 * count, count, 'type', 'started', 'node', node_name, 'attempt', 1, 'runs', moved)
  redis.call('HSET', ledger_key, unpack(stretches))
  redis.call('ZADD', due_key, unpack(places))
  return run_ids, records
end

-- What their caller reads before it executes them, for each: definition, the newest records, result. None where one of the keys is of
-- another type: then the caller asks for them, and is told.
local function briefs_of(ids)
  local rings, briefs = {}, {}
  for i = 1, #ids do append(rings, ids[i], ids[i] .. '!') end
  local definitions, results = redis.pcall('HMGET', entries_key, unpack(ids)), redis.pcall('HMGET', results_key, unpack(ids))
  rings = redis.pcall('HMGET', history_key, unpack(rings))
  if definitions.err or results.err or rings.err then return briefs end
  for i = 1, #ids do
    local n = i * 4
    briefs[n - 3], briefs[n - 2], briefs[n - 1], briefs[n] = definitions[i], rings[i * 2 - 1], rings[i * 2], results[i]
  end
  return briefs
end

-- The answer, or nil where there may be more to do.
local function answer_calm()
  local is_quiet, has_rare = is_calm()
  if not is_quiet then return nil end
  local look, found = first_look(NEVER, has_rare), redis.call('ZRANGE', due_key, 0, CALM_MAX, 'WITHSCORES')
  if look <= now then return nil end
  local count, next_due, late = 0, NEVER, 0
  while found[count * 2 + 2] and tonumber(found[count * 2 + 2]) <= now do count = count + 1 end
  if found[count * 2 + 2] then next_due = tonumber(found[count * 2 + 2]) end
  local ones, ids, run_ids, records
  if count > 0 then
    ones, ids = plain_ones(found, count, has_rare)
    if not ones then return nil end
  end
  local live_nodes = redis.call('ZCOUNT', seen_key, now - 10000, '+inf')
  if ones then
    run_ids, records = start_plain(ones, ids)
    for i = 1, count do next_due, late = math.min(next_due, ones[i][7]), math.max(late, now - ones[i][2]) end
    look = math.min(look, math.max(now + lease_ms, hold))
  else
    keep_clock('claimed', now)
  end
  -- As `keep_lane` does it.
  if number > 0 then
    redis.call('HSET', lanes_key, holder .. ':claim', string.format('%.0f %.0f', number, fence) .. '\n' .. table.concat(run_ids or {}, ' '))
  end
  return { 'claimed', now, next_due < NEVER and next_due or -1, look < NEVER and look or -1, live_nodes,
    { count, count, 0, 0, 0, behind_ms == 0 and micros % 1000 or 0, 0, 0, late }, records or {}, {}, {}, {}, {}, long_ledgers, {}, {},
    ones and briefs_of(ids) or {} }
end
local answer = answer_calm()
if answer then return answer end
