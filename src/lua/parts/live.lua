-- Live records as `domain/run.rs` reads them: a head of fixed size, the plan's tail, the entry id, extras of requested runs.
local LIVE = '>BBBBI2BBI6I6I6I6I7c16'
local LIVE_ALL = LIVE .. 'I4I4I6I2BB'
local LIVE_TAIL = 56
local LIVE_MIN = 74
local NOBODY = '----------------'
-- Who asked to cancel a run: its entry, because the next one came. Words of people never begin like this.
local OTHER_CAME = '\1'
-- Flags: somebody asked to cancel it; it waits because of a limit; it waits until nothing else is active, whatever its entry allows.
local CANCEL_ASKED, BY_LIMIT, ALONE = 1, 2, 4

local function pack_live(r)
  return struct.pack(LIVE, 1, r.state, r.trigger, r.flags, r.attempt, r.lost, r.handed, r.fire_at, r.due_at,
    r.enqueued_at, r.started_at, r.fence, r.holder) .. r.tail
end

-- Returns the record, or nil where it is damaged; cannot raise.
local function read_live(text)
  if not text or #text < LIVE_MIN or string.byte(text) ~= 1 then return nil end
  local r = {}
  local version, list_len, at
  version, r.state, r.trigger, r.flags, r.attempt, r.lost, r.handed, r.fire_at, r.due_at, r.enqueued_at, r.started_at,
    r.fence, r.holder, r.birth, r.revision, r.start_within, r.keep, r.entry_flags, list_len, at = struct.unpack(LIVE_ALL, text)
  r.list = string.sub(text, at, at + list_len - 1)
  at = at + list_len
  local id_len = string.byte(text, at)
  if not id_len or #text < at + id_len then return nil end
  r.id = string.sub(text, at + 1, at + id_len)
  r.tail = string.sub(text, LIVE_TAIL)
  return r
end
