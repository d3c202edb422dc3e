-- Live records as `domain/record.rs` reads them: a head of fixed size, the plan's tail, the entry id; then the attempts before
-- the last one, where there are any, behind a byte 1 and their length; then the extras of requested runs, JSON.
local LIVE = '>BBBBI2BI2I6I6I6I6I7c16'
local LIVE_ALL = LIVE .. 'I4I4I6I2BB'
local LIVE_TAIL = 57
local LIVE_MIN = 75
-- Where its fields stand, for what is done once for every run.
local AT_ATTEMPT, AT_LOST, AT_FIRE, AT_STARTED, AT_FENCE, AT_HOLDER, AT_START_WITHIN, AT_KEEP, AT_LIST = 5, 7, 10, 28, 34, 41, 65, 71, 74
local NOBODY = '----------------'
-- Who asked to cancel a run: its entry, because the next one came. Words of people never begin like this.
local OTHER_CAME = '\1'
-- Flags: somebody asked to cancel it; it waits because of a limit; it waits until nothing else is active, whatever its entry
-- allows; it waits, in `delayed`, for its time.
local CANCEL_ASKED, BY_LIMIT, ALONE, UNTIL = 1, 2, 4, 8
-- Of its entry: no attempt is repeated.
local FLAG_ONCE = 8
-- One attempt: start, end, reason, exit code + 1; then its node and its message, each behind its length.
local ATTEMPT = '>I6I6BI2'
local ATTEMPT_MESSAGE_MAX, ATTEMPT_LOG_MAX = 200, 16000

local heads = {}

-- The beginning of the ids of all runs of a fire time, with the version of UUIDs.
local function id_head(fire_at)
  local head = heads[fire_at]
  if not head then
    head = string.format('%08x-%04x-8', math.floor(fire_at / 65536), fire_at % 65536)
    heads[fire_at] = head
  end
  return head
end

-- The entry id of a record, and where it ends; nil where it is cut off.
local function live_id(text)
  local at = AT_LIST + 1 + byte(text, AT_LIST)
  local length = byte(text, at)
  if not length or #text < at + length then return nil end
  return cut(text, at + 1, at + length), at + length
end

-- seldom: live
local function pack_live(r)
  return struct.pack(LIVE, 1, r.state, r.trigger, r.flags, r.attempt, r.lost, r.uncounted, r.fire_at, r.due_at,
    r.enqueued_at, r.started_at, r.fence, r.holder) .. r.tail
end

-- Returns the record, or nil where it is damaged; cannot raise.
local function read_live(text)
  if not text or #text < LIVE_MIN or string.byte(text) ~= 1 then return nil end
  local r = {}
  local version, list_len, at
  version, r.state, r.trigger, r.flags, r.attempt, r.lost, r.uncounted, r.fire_at, r.due_at, r.enqueued_at, r.started_at,
    r.fence, r.holder, r.birth, r.revision, r.start_within, r.keep, r.entry_flags, list_len, at = struct.unpack(LIVE_ALL, text)
  r.list = string.sub(text, at, at + list_len - 1)
  at = at + list_len
  local id_len = string.byte(text, at)
  if not id_len or #text < at + id_len then return nil end
  r.id = string.sub(text, at + 1, at + id_len)
  r.tail = string.sub(text, LIVE_TAIL)
  -- What stands behind the entry id, counted in `tail`.
  r.rest_at = at + id_len + 2 - LIVE_TAIL
  return r
end

-- The list of a record that was read.
local function list_of(text) return cut(text, AT_LIST + 1, AT_LIST + byte(text, AT_LIST)) end

-- The attempts before the last one, packed, and what stands behind them.
local function attempt_log(r)
  local rest = string.sub(r.tail, r.rest_at)
  if #rest < 3 or string.byte(rest) ~= 1 then return '', rest end
  local length = struct.unpack('>I2', rest, 2)
  return string.sub(rest, 4, 3 + length), string.sub(rest, 4 + length)
end

-- An attempt has its fence from its start, in us.
local function attempt_start(r) return r.fence > 0 and math.floor(r.fence / 1000) or r.started_at end

-- Writes the attempt that ends, but not the run, into the record. Of very many only the last ones stay.
local function log_attempt(r, reason, node, exit, message)
  local log, extras = attempt_log(r)
  message = string.sub(message, 1, ATTEMPT_MESSAGE_MAX)
  while #log > ATTEMPT_LOG_MAX do
    local node_len = string.byte(log, 16)
    log = string.sub(log, 19 + node_len + struct.unpack('>I2', log, 17 + node_len))
  end
  log = log .. struct.pack(ATTEMPT, attempt_start(r), now, reason, exit) .. string.char(#node) .. node .. struct.pack('>I2', #message) .. message
  r.tail = string.sub(r.tail, 1, r.rest_at - 1) .. '\1' .. struct.pack('>I2', #log) .. log .. extras
end
