-- Looks at budgets and slots as they stand in one moment. Changes nothing.
--
-- KEYS  1 calls, then for each of B budgets: budget, holds; then the slots
-- ARGV  1 B
-- Gives for each budget {spend, version ("" where it is not seeded), held, due, sum of holds, sum of costs that are due,
--       {calls that hold money and do not run}, {calls whose cost is due}}; then for each slots {calls that do not run}
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local budgets, found = tonumber(ARGV[1]), {}

for b = 1, budgets do
  local state = redis.call('HMGET', KEYS[b * 2], 'spend', 'version', 'held', 'due')
  local fields = redis.call('HGETALL', KEYS[b * 2 + 1])
  local sums, strays, unsettled = {h = 0, d = 0}, {}, {}
  for f = 1, #fields, 2 do
    local kind, id = string.sub(fields[f], 1, 1), string.sub(fields[f], 2)
    sums[kind] = sums[kind] + tonumber(fields[f + 1])
    if kind == 'd' then
      unsettled[#unsettled + 1] = id
    elseif not redis.call('ZSCORE', KEYS[1], id) then
      strays[#strays + 1] = id
    end
  end
  found[b] = {
    state[1] or '', state[2] or '', state[3] or '0', state[4] or '0',
    string.format('%.0f', sums.h), string.format('%.0f', sums.d), strays, unsettled,
  }
end

for s = budgets * 2 + 2, #KEYS do
  local strays = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[s], '(' .. string.format('%.0f', now), '+inf')) do
    if not redis.call('ZSCORE', KEYS[1], id) then strays[#strays + 1] = id end
  end
  found[#found + 1] = strays
end
return found
