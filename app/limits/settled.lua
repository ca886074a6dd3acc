-- Tells Redis what SQL has booked: new balances, and calls whose cost is now part of them. One script, so that no admission
-- sees a cost twice or not at all.
--
-- KEYS  1 events, 2 settled, then B budgets, then for each of the G budgets that have settled costs: budget, holds
-- ARGV  1 B, 2 number of events E, 3 how long idle counters are kept (ms), then for each budget: spend, version, and "1"
--       where it limits somebody (a balance that limits nobody is told only to a counter that is there);
--       then E event ids, then for each of the G: number of costs, their request ids, each once
local budgets, events, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
-- Lua takes only so many arguments in one call.
local MOST = 1000
-- Up to here Lua's numbers are exact: nine million dollars.
local EXACT = 2 ^ 53

for b = 1, budgets do
  local key, spend, version, limits = KEYS[2 + b], ARGV[1 + b * 3], ARGV[2 + b * 3], ARGV[3 + b * 3]
  local state = redis.call('HMGET', key, 'spend', 'version')
  if (state[1] and tonumber(state[2]) < tonumber(version)) or (not state[1] and limits == '1') then
    redis.call('HSET', key, 'spend', spend, 'version', version)
    redis.call('PEXPIRE', key, keep)
  end
end

local at = 4 + budgets * 3
for first = at, at + events - 1, MOST do
  redis.call('XDEL', KEYS[1], unpack(ARGV, first, math.min(first + MOST, at + events) - 1))
end
at = at + events
-- Events are taken in their order, so the last place says that everything before it is settled as well.
if events > 0 then redis.call('SET', KEYS[2], ARGV[at - 1]) end

for k = 3 + budgets, #KEYS, 2 do
  local budget, holds, count = KEYS[k], KEYS[k + 1], tonumber(ARGV[at])
  local names = {}
  for n = 1, count do names[n] = 'd' .. ARGV[at + n] end
  at = at + 1 + count
  for first = 1, count, MOST do
    local last = math.min(first + MOST - 1, count)
    local sum = 0
    for _, due in ipairs(redis.call('HMGET', holds, unpack(names, first, last))) do
      local amount = tonumber(due or '0')
      if sum > 0 and sum + amount > EXACT then
        redis.call('HINCRBY', budget, 'due', string.format('%.0f', -sum))
        sum = 0
      end
      sum = sum + amount
    end
    if sum > 0 then redis.call('HINCRBY', budget, 'due', string.format('%.0f', -sum)) end
    redis.call('HDEL', holds, unpack(names, first, last))
  end
end
return 0
