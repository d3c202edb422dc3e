-- What scripts read of a definition, by pattern, as `domain/definition/written.rs` writes it and as version 1 did: texts of people
-- can't look like this.
local definitions = {}

-- Birth and revision as text, or nil where its front is damaged.
function definitions.identity(text)
  local birth, revision = string.match(text, '^{"v":%[%d+,(%d+),(%d+),')
  if birth then return birth, revision end
  return string.match(text, '^{"v":%d+,"birth":(%d+),"revision":(%d+)')
end

-- From when its fire times count; NEVER where that can't be read.
function definitions.counts_since(text)
  local old = '^{"v":%d+,"birth":%d+,"revision":%d+,"at":%d+,"created":'
  return tonumber(string.match(text, '^{"v":%b[],"since":(%d+)') or string.match(text, '^{"v":%b[],"created":(%d+)')
    or string.match(text, '^{"v":%[%d+,%d+,%d+,(%d+)') or string.match(text, old .. '%d+,"since":(%d+)') or string.match(text, old .. '(%d+)') or NEVER)
end
