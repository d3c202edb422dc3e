-- Makes runs. Only gathers what is to be written; `flush.lua` writes. Needs the parts before it and these locals of the script:
-- live_key, active_key, lists (name -> key), serves (name -> true), slots, holder, node_name.
local live_writes, queued, started, directs = {}, {}, {}, {}
-- What `started` stands for: run id, record, ...
local given = {}
local start_bys = {}
local runs_made, bytes_made, claimed = 0, 0, 0
-- Places in a direct delivery that waits for `deliver.lua`.
local D_ID, D_PLAN, D_RUN_ID, D_FIRE_AT, D_TRIGGER, D_TAIL, D_WAY, D_RING, D_LIVE = 1, 2, 3, 4, 5, 6, 7, 8, 9
-- How many records are kept: only where the usual case fires it.
local D_KEEP = 10
-- Messages of direct actions, by entry.
local templates = {}
local queued_heads = {}

local function load_lists()
  for name, key in pairs(lists) do empty[name] = redis.call('LLEN', key) == 0 end
end

local marked = {}

-- The head of the live record of a run in its list: the same for all of one fire time.
local function queued_head(fire_at, trigger, due_at)
  local head = queued_heads[fire_at]
  if not head or trigger ~= SCHEDULED or due_at ~= fire_at then
    head = struct.pack(LIVE, 1, QUEUED, trigger, 0, 0, 0, 0, fire_at, due_at, now, 0, 0, NOBODY)
    if trigger == SCHEDULED and due_at == fire_at then queued_heads[fire_at] = head end
  end
  return head
end

-- seldom: fire
local function run_id_of(p, fire_at) return id_head(fire_at) .. p[P_SUFFIX] end

-- The one record of fire times that end without a run.
local function record_over(id, p, first, last, count, state, reason, message)
  remember({ id = id, run_id = run_id_of(p, first), keep = p[P_KEEP], state = state, reason = reason, trigger = SCHEDULED,
    attempt = 0, lost = 0, flags = 0, fire_at = first, due_at = first + p[P_DELAY], enqueued_at = 0, started_at = 0,
    finished_at = now, birth = p[P_BIRTH], revision = p[P_REVISION], exit = 0, fires = count, last_fire_at = last, node = '',
    message = message or '' })
end

local function pass_over(id, p, first, last, count, sum, state, reason, message)
  enter(id, first, last, count, sum, p[P_REVISION], state, reason)
  record_over(id, p, first, last, count, state, reason, message)
end

-- The oldest of the back-log ends otherwise after all; `back` is what is left of it.
local function drop_back(id, p, t, back, state, reason)
  recast(id, t, t, 1, t, p[P_REVISION], state, reason, back)
  record_over(id, p, t, t, 1, state, reason)
end

-- Puts a run where it belongs: into a free slot of the claimer, at the end of its list, or beside it where it `waits`.
local function place(id, p, run_id, fire_at, trigger, extras, is_waiting)
  local name = p[P_LIST]
  local due_at = trigger == MANUAL and fire_at or fire_at + p[P_DELAY]
  local head
  if is_waiting then
    local own = p[P_OWN_LIMIT]
    local flags = p[P_OVERLAP] == ALLOW and BY_LIMIT or own and own ~= 1 and ALONE or 0
    head = struct.pack(LIVE, 1, WAITING, trigger, flags, 0, 0, 0, fire_at, due_at, 0, 0, 0, NOBODY)
    waits.add(id, own or active_limit(p), run_id)
  elseif slots > 0 and serves[name] and empty[name] then
    slots = slots - 1
    head = struct.pack(LIVE, 1, RUNNING, trigger, 0, 1, 0, 0, fire_at, due_at, now, now, next_fence(), holder)
    started[#started + 1] = run_id
    note_move(logged.started, 1, id, run_id)
  else
    head = queued_head(fire_at, trigger, due_at)
    empty[name] = false
    local list = queued[name]
    if not list then
      list = {}
      queued[name] = list
    end
    list[#list + 1] = run_id
  end
  if p[P_START_WITHIN] > 0 and byte(head, 2) ~= RUNNING then append(start_bys, due_at + p[P_START_WITHIN], run_id) end
  local text = head .. p[P_TAIL] .. string.char(#id) .. id .. (extras or '')
  append(live_writes, run_id, text)
  if byte(head, 2) == RUNNING then append(given, run_id, text) end
  note_move(logged.fired, trigger, id, run_id)
  if p[P_OVERLAP] == CANCEL_OTHERS then overlap.fresh[run_id] = text end
  if p[P_NEEDS_MARKS] then
    marks[id] = (marks[id] or '') .. run_id
    marked[#marked + 1] = id
  end
end

-- Fires one pair. A direct action is delivered by `flush`; anything else becomes a live run. The fire times of a back-log are
-- in the ledger since they were found.
local function fire(id, p, fire_at, trigger, is_entered)
  runs_made = runs_made + 1
  local verdict = p[P_NEEDS_MARKS] and overlap.decide(id, p) or not p[P_NEEDS_MARKS] and 'run'
  if not verdict then
    pass_over(id, p, fire_at, fire_at, 1, fire_at, SKIPPED, OVERLAP, string.sub(marks[id], 1, 36))
    return
  end
  if not is_entered then enter(id, fire_at, fire_at, 1, fire_at, p[P_REVISION], SUCCEEDED, 0) end
  claimed = claimed + 1
  local run_id = run_id_of(p, fire_at)
  if p[P_IS_DIRECT] then
    directs[#directs + 1] = { id, p[P_TEXT], run_id, fire_at, trigger }
    bytes_made = bytes_made + #(templates[id] or '')
  else
    place(id, p, run_id, fire_at, trigger, nil, verdict == 'wait')
  end
end
