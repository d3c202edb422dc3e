-- Numbers that stand for words in packed records; the order of the lists in `domain/run.rs`, held equal by a test. As all
-- numbers with names in capitals they are put in place when a script is joined: a Lua function has room for 200 locals only.
local WAITING, QUEUED, RUNNING, RETRYING, SUCCEEDED, FAILED, CANCELLED, SKIPPED, MISSED = 1, 2, 3, 4, 5, 6, 7, 8, 9
local SCHEDULED, CATCH_UP, MANUAL, BACKFILL, FOLLOW_UP, ONE_OFF = 1, 2, 3, 4, 5, 6
local DELIVERED, TIMEOUT, TARGET, TARGET_FULL, LOST, DRAINED = 1, 4, 7, 8, 11, 12
local OVERLAP, PAUSED, SKIP_ASKED, SUPERSEDED, TOO_LATE, CATCH_UP_LIMIT, REMOVED = 13, 14, 15, 16, 17, 18, 20
local CHANGED = 19
local BY_USER, CANCEL_OTHER, ENTRY_REMOVED, PACE = 21, 22, 23, 25
-- Later than any fire time: the cursor of an entry that has none left.
local NEVER = 281474976710655
-- As locals, for what is done once for every fire.
local cut, unpack_text, byte = string.sub, struct.unpack, string.byte

local function append(list, a, b)
  local n = #list
  list[n + 1], list[n + 2] = a, b
end

-- One command for many; `list` holds whole groups of at most 1,000 arguments.
local function write_all(command, key, list)
  for from = 1, #list, 1000 do redis.call(command, key, unpack(list, from, math.min(from + 999, #list))) end
end
