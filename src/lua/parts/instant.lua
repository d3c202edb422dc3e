-- Instants and triggers as they stand in messages.
local TRIGGER_WORDS = { 'scheduled', 'catch_up', 'manual', 'backfill', 'follow_up', 'one_off' }
local instants = {}

-- seldom: instant
-- RFC 3339 in UTC with milliseconds, by integer arithmetic, once per distinct instant.
local function instant_text(ms)
  local text = instants[ms]
  if text then return text end
  local days, rest = math.floor(ms / 86400000), ms % 86400000
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  text = string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', yoe + era * 400 + (month <= 2 and 1 or 0), month,
    doy - math.floor((153 * mp + 2) / 5) + 1, math.floor(rest / 3600000), math.floor(rest / 60000) % 60,
    math.floor(rest / 1000) % 60, rest % 1000)
  instants[ms] = text
  return text
end
