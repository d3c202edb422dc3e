-- What a definition says about a pause. Texts in it can't look like this: their quotes are escaped.

-- Until when an entry is paused, NEVER where the pause has no end, nil where its definition names none.
local function pause_end(definition)
  local at = string.find(definition, ',"paused":{', 1, true)
  if not at or at > (string.find(definition, ',"entry":{', 1, true) or 0) then return nil end
  return tonumber(string.match(definition, '^,"paused":{"until":(%d+)', at)) or NEVER
end
