-- Admits one call or refuses it: every meter on its path, all or nothing. A refused call changes nothing.
-- Money is nano-dollars, times are milliseconds of Redis's clock.
--
-- KEYS  1 calls, 2 templates, 3 epoch, then P policy keys, then for each of M meters: budget, holds, slots
-- ARGV  1 request id, 2 estimate, 3 lease, 4 template, 5 how long idle counters are kept, 6 P, then P policy versions,
--       then for each meter: max_budget or "", strict ("1" or "0"), max_parallel or ""
-- Gives {"permit", meter, left} (the tightest budget, 0 where there is none) or {reason, meter, spend, taken}
--       reason: "cold", "stale", "unseeded", "exceeded", "parallel", "held", "short"; meter counts from 1
local id, estimate, lease, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[5]
local policies = tonumber(ARGV[6])
local meters = (#KEYS - 3 - policies) / 3
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function integer(number) return string.format('%.0f', number) end

-- The caller asks again when an answer was lost on the way, so a known request is a permit.
if redis.call('ZSCORE', KEYS[1], id) then return {'permit', 0, '0'} end

-- A Redis that has lost its data does not know what is in flight.
if redis.call('EXISTS', KEYS[3]) == 0 then return {'cold', 0} end

for p = 1, policies do
  if redis.call('GET', KEYS[3 + p]) ~= ARGV[6 + p] then return {'stale', p} end
end

local function key(meter, which) return KEYS[3 + policies + (meter - 1) * 3 + which] end
local function argument(meter, which) return ARGV[6 + policies + (meter - 1) * 3 + which] end

-- Money first in "exceeded": it is the answer that waiting does not change.
local holds, waiting, short, tightest, least = {}, nil, nil, 0, nil
for m = 1, meters do
  local limit = tonumber(argument(m, 1))
  if limit then
    local state = redis.call('HMGET', key(m, 1), 'spend', 'held', 'due')
    if not state[1] then return {'unseeded', m} end
    local spend, held, due = tonumber(state[1]), tonumber(state[2] or '0'), tonumber(state[3] or '0')
    local left = limit - spend - due - held
    if estimate > 0 then
      if spend >= limit then return {'exceeded', m, integer(spend), '0'} end
      if estimate <= left then
        holds[m] = estimate
      elseif held > 0 or left <= 0 then
        waiting = waiting or {'held', m, integer(spend), integer(held + due)}
      elseif argument(m, 2) == '1' then
        short = short or {'short', m, integer(spend), integer(due)}
      else
        holds[m] = left
      end
    end
    if not least or left < least then tightest, least = m, left end
  end
end

for m = 1, meters do
  local limit = tonumber(argument(m, 3))
  if limit then
    redis.call('ZREMRANGEBYSCORE', key(m, 3), '-inf', now)
    local taken = redis.call('ZCARD', key(m, 3))
    if taken >= limit then return {'parallel', m, integer(taken), '0'} end
  end
end
if waiting then return waiting end
if short then return short end

for m = 1, meters do
  if holds[m] then
    redis.call('HSET', key(m, 2), 'h' .. id, integer(holds[m]))
    redis.call('HINCRBY', key(m, 1), 'held', integer(holds[m]))
    redis.call('PEXPIRE', key(m, 1), keep)
    redis.call('PEXPIRE', key(m, 2), keep)
  end
  if argument(m, 3) ~= '' then redis.call('ZADD', key(m, 3), now + lease, id) end
end
redis.call('ZADD', KEYS[1], now + lease, id)
redis.call('HSET', KEYS[2], id, ARGV[4])
return {'permit', tightest, integer(least and (least - (holds[tightest] or 0)) or 0)}
