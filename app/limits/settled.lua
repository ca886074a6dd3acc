-- Tells Redis what SQL has booked: new balances, and calls whose cost is now part of them. One script, so that no admission
-- sees a cost twice or not at all.
--
-- KEYS  1 events, 2 settled, then B budgets, then for each settled cost: budget, holds
-- ARGV  1 B, 2 number of events E, 3 how long idle counters are kept (ms), then for each budget: spend, version, and "1"
--       where it limits somebody (a balance that limits nobody is told only to a counter that is there);
--       then E event ids, then for each settled cost: request id
local budgets, events, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
for b = 1, budgets do
  local key, spend, version, limits = KEYS[2 + b], ARGV[1 + b * 3], ARGV[2 + b * 3], ARGV[3 + b * 3]
  local state = redis.call('HMGET', key, 'spend', 'version')
  if (state[1] and tonumber(state[2]) < tonumber(version)) or (not state[1] and limits == '1') then
    redis.call('HSET', key, 'spend', spend, 'version', version)
    redis.call('PEXPIRE', key, keep)
  end
end
for e = 1, events do redis.call('XDEL', KEYS[1], ARGV[3 + budgets * 3 + e]) end
-- Events are taken in their order, so the last place says that everything before it is settled as well.
if events > 0 then redis.call('SET', KEYS[2], ARGV[3 + budgets * 3 + events]) end
for s = 1, (#KEYS - 2 - budgets) / 2 do
  local budget, holds = KEYS[1 + budgets + s * 2], KEYS[2 + budgets + s * 2]
  local id = ARGV[3 + budgets * 3 + events + s]
  local due = redis.call('HGET', holds, 'd' .. id)
  if due then
    redis.call('HDEL', holds, 'd' .. id)
    redis.call('HINCRBY', budget, 'due', '-' .. due)
  end
end
return 0
