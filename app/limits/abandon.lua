-- Books calls whose process died: their leases ended, so their holds become their cost and an event says so.
--
-- KEYS  1 calls, 2 templates, 3 events
-- ARGV  1 how many at the most, 2 how long idle counters are kept (ms)
-- Gives the number of calls that were given up
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(dead) do
  local template = redis.call('HGET', KEYS[2], id)
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
  if template then
    local call = cjson.decode(template)
    -- The smallest hold is what every budget on the path had set aside; more than that was never promised to the call.
    local cost, holds = tonumber(call.hold), {}
    for m, meter in ipairs(call.meters) do
      local name = meter[1] .. '@' .. string.format('%.0f', meter[2])
      holds[m] = redis.call('HGET', 'tollgate:holds:' .. name, 'h' .. id)
      if holds[m] and tonumber(holds[m]) < cost then cost = tonumber(holds[m]) end
      redis.call('ZREM', 'tollgate:slots:' .. meter[1], id)
    end
    local text = string.format('%.0f', cost)
    for m, meter in ipairs(call.meters) do
      if holds[m] then
        local name = meter[1] .. '@' .. string.format('%.0f', meter[2])
        redis.call('HDEL', 'tollgate:holds:' .. name, 'h' .. id)
        redis.call('HINCRBY', 'tollgate:budget:' .. name, 'held', '-' .. holds[m])
        -- A call that was put back after it had been given up has its cost standing already.
        if cost > 0 and redis.call('HSETNX', 'tollgate:holds:' .. name, 'd' .. id, text) == 1 then
          redis.call('HINCRBY', 'tollgate:budget:' .. name, 'due', text)
        end
        redis.call('PEXPIRE', 'tollgate:budget:' .. name, ARGV[2])
        redis.call('PEXPIRE', 'tollgate:holds:' .. name, ARGV[2])
      end
    end
    redis.call('XADD', KEYS[3], '*', 'e', template, 'abandoned', text)
  end
end
return #dead
