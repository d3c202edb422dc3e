-- Makes runs. Only gathers what is to be written; `flush.lua` writes. Needs the parts before it and these locals of the script:
-- live_key, active_key, lists (name -> key), serves (name -> true), slots, holder, node_name.
local live_writes, queued, started, directs = {}, {}, {}, {}
local start_bys = {}
local marks, empty, mark_writes = {}, {}, {}
local runs_made, bytes_made, claimed = 0, 0, 0
-- Places in a direct delivery that waits for `deliver.lua`.
local D_ID, D_PLAN, D_RUN_ID, D_FIRE_AT, D_TRIGGER, D_TAIL, D_WAY, D_RING = 1, 2, 3, 4, 5, 6, 7, 8
local heads, queued_heads = {}, {}

local function id_head(fire_at)
  local head = heads[fire_at]
  if not head then
    head = string.format('%08x-%04x', math.floor(fire_at / 65536), fire_at % 65536)
    heads[fire_at] = head
  end
  return head
end

local function run_id_of(p, fire_at) return id_head(fire_at) .. p[P_SUFFIX] end

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

local function load_lists()
  for name, key in pairs(lists) do empty[name] = redis.call('LLEN', key) == 0 end
end

local marked = {}

-- The one record of fire times that end without a run.
local function record_over(id, p, first, last, count, state, reason, message)
  remember({ id = id, run_id = run_id_of(p, first), keep = p[P_KEEP], state = state, reason = reason, trigger = SCHEDULED,
    attempt = 0, lost = 0, flags = 0, fire_at = first, due_at = first, enqueued_at = 0, started_at = 0,
    finished_at = now, birth = p[P_BIRTH], revision = p[P_REVISION], exit = 0, fires = count, last_fire_at = last, node = '',
    message = message or '' })
end

local function pass_over(id, p, first, last, count, sum, state, reason, message)
  enter(id, first, last, count, sum, p[P_REVISION], state, reason)
  record_over(id, p, first, last, count, state, reason, message)
end

-- Fire times of the back-log that end otherwise after all.
local function drop_back(id, p, first, last, count, sum, state, reason)
  recast(id, first, last, count, sum, p[P_REVISION], state, reason)
  record_over(id, p, first, last, count, state, reason)
end

-- The head of the live record of a run that waits: the same for all of one fire time.
local function queued_head(fire_at, trigger)
  local head = queued_heads[fire_at]
  if not head or trigger ~= SCHEDULED then
    head = struct.pack(LIVE, 1, QUEUED, trigger, 0, 0, 0, 0, fire_at, fire_at, now, 0, 0, NOBODY)
    if trigger == SCHEDULED then queued_heads[fire_at] = head end
  end
  return head
end

-- Puts a run where it belongs: into a free slot of the claimer, or at the end of its list.
local function place(id, p, run_id, fire_at, trigger, extras)
  local name = p[P_LIST]
  local head
  if slots > 0 and serves[name] and empty[name] then
    slots = slots - 1
    head = struct.pack(LIVE, 1, RUNNING, trigger, 0, 1, 0, 0, fire_at, fire_at, now, now, next_fence(), holder)
    started[#started + 1] = run_id
  else
    head = queued_head(fire_at, trigger)
    empty[name] = false
    local list = queued[name]
    if not list then
      list = {}
      queued[name] = list
    end
    list[#list + 1] = run_id
    if p[P_START_WITHIN] > 0 then
      start_bys[#start_bys + 1] = fire_at + p[P_START_WITHIN]
      start_bys[#start_bys + 1] = run_id
    end
  end
  local n = #live_writes
  live_writes[n + 1] = run_id
  live_writes[n + 2] = head .. p[P_TAIL] .. string.char(#id) .. id .. (extras or '')
  if p[P_NEEDS_MARKS] then
    marks[id] = marks[id] == '' and run_id or marks[id] .. run_id
    marked[#marked + 1] = id
  end
end

-- Fires one pair. A direct action is delivered by `flush`; anything else becomes a live run. The fire times of a back-log are
-- in the ledger since they were found.
local function fire(id, p, fire_at, trigger, is_entered)
  runs_made = runs_made + 1
  if p[P_OVERLAP] == SKIP and marks[id] ~= '' then
    pass_over(id, p, fire_at, fire_at, 1, fire_at, SKIPPED, OVERLAP, string.sub(marks[id], 1, 36))
    return
  end
  if not is_entered then enter(id, fire_at, fire_at, 1, fire_at, p[P_REVISION], SUCCEEDED, 0) end
  claimed = claimed + 1
  local run_id = run_id_of(p, fire_at)
  if p[P_IS_DIRECT] then
    directs[#directs + 1] = { id, p[P_TEXT], run_id, fire_at, trigger }
    bytes_made = bytes_made + p[P_BYTES]
  else
    place(id, p, run_id, fire_at, trigger)
  end
end
