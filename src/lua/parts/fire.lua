-- Makes runs. Only gathers what is to be written; `flush.lua` writes. Needs the parts before it and these locals of the script:
-- live_key, active_key, lists (name -> key), serves (name -> true), slots, holder, node_name.
local live_writes, queued, started, directs = {}, {}, {}, {}
local start_bys = {}
local marks, empty = {}, {}
local runs_made, bytes_made, claimed = 0, 0, 0
local heads = {}

local function run_id_of(p, fire_at)
  local head = heads[fire_at]
  if not head then
    head = string.format('%08x-%04x', math.floor(fire_at / 65536), fire_at % 65536)
    heads[fire_at] = head
  end
  return head .. p.suffix
end

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
      if lives[i] then marks[owners[from + i - 1]] = marks[owners[from + i - 1]] .. slice[i] end
    end
  end
end

local function load_lists()
  for name, key in pairs(lists) do empty[name] = redis.call('LLEN', key) == 0 end
end

local marked = {}

-- The one record of fire times that end without a run.
local function record_over(id, p, first, last, count, state, reason, message)
  remember({ id = id, run_id = run_id_of(p, first), keep = p.keep, state = state, reason = reason, trigger = SCHEDULED,
    attempt = 0, lost = 0, flags = 0, fire_at = first, due_at = first, enqueued_at = 0, started_at = 0,
    finished_at = now, birth = p.birth, revision = p.revision, exit = 0, fires = count, last_fire_at = last, node = '',
    message = message or '' })
end

local function pass_over(id, p, first, last, count, sum, state, reason, message)
  enter(id, first, last, count, sum, p.revision, state, reason)
  record_over(id, p, first, last, count, state, reason, message)
end

-- Fire times of the back-log that end otherwise after all.
local function drop_back(id, p, first, last, count, sum, state, reason)
  recast(id, first, last, count, sum, p.revision, state, reason)
  record_over(id, p, first, last, count, state, reason)
end

-- Puts a run where it belongs: into a free slot of the claimer, or at the end of its list.
local function place(id, p, run_id, fire_at, trigger, extras)
  local tail = p.tail .. string.char(#id) .. id .. (extras or '')
  local run = { state = QUEUED, trigger = trigger, flags = 0, attempt = 0, lost = 0, handed = 0, fire_at = fire_at,
    due_at = fire_at, enqueued_at = now, started_at = 0, fence = 0, holder = NOBODY, tail = tail }
  if slots > 0 and serves[p.list] and empty[p.list] then
    slots = slots - 1
    run.state, run.attempt, run.started_at, run.fence, run.holder = RUNNING, 1, now, next_fence(), holder
    started[#started + 1] = run_id
  else
    empty[p.list] = false
    local list = queued[p.list]
    if not list then
      list = {}
      queued[p.list] = list
    end
    list[#list + 1] = run_id
    if p.start_within > 0 then
      start_bys[#start_bys + 1] = fire_at + p.start_within
      start_bys[#start_bys + 1] = run_id
    end
  end
  live_writes[#live_writes + 1] = run_id
  live_writes[#live_writes + 1] = pack_live(run)
  if p.needs_marks then
    marks[id] = marks[id] .. run_id
    marked[id] = true
  end
end

-- Fires one pair. A direct action is delivered by `flush`; anything else becomes a live run. The fire times of a back-log are
-- in the ledger since they were found.
local function fire(id, p, fire_at, trigger, is_entered)
  runs_made = runs_made + 1
  if p.overlap == SKIP and marks[id] ~= '' then
    pass_over(id, p, fire_at, fire_at, 1, fire_at, SKIPPED, OVERLAP, string.sub(marks[id], 1, 36))
    return
  end
  if not is_entered then enter(id, fire_at, fire_at, 1, fire_at, p.revision, FIRED, 0) end
  claimed = claimed + 1
  local run_id = run_id_of(p, fire_at)
  if p.is_direct then
    directs[#directs + 1] = { id = id, p = p, run_id = run_id, fire_at = fire_at, trigger = trigger }
    bytes_made = bytes_made + p.bytes
  else
    place(id, p, run_id, fire_at, trigger)
  end
end
