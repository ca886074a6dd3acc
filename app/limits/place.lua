-- Takes a place at one of some deployments: the best of those that have room, all or nothing.
-- Those of a lower order are better; among them, by `ranked`: those that are asked less at this moment ("busy"), that
-- answered sooner ("pace"; one that nobody knows is asked first), that were used less in the last minute ("usage");
-- else as they are given.
--
-- KEYS  for each of D deployments: places, requests, tokens, amounts, pace
-- ARGV  1 id of the attempt, 2 lease (ms), 3 ranked, 4 "stream" or "whole", then for each deployment: order,
--       max_parallel or "", rpm or "", tpm or "", what the call needs of its tokens
-- Gives {deployment, counted from 1}
--       or {0, "parallel", slots taken, limit, 0} or {0, "rpm" or "tpm", used, limit, wait (ms, -1: it can never fit)}:
--       none has room; of what keeps the call from each, what ends first
local id, lease, ranked = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local found = {}
for d = 1, #KEYS / 5 do
  local k, a = d * 5 - 5, d * 5 - 1
  local one = {
    place = d, slots = KEYS[k + 1], order = tonumber(ARGV[a + 1]), max_parallel = tonumber(ARGV[a + 2]), rates = {},
  }
  local rpm, tpm, need = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
  if rpm then one.rates[1] = {kind = 'rpm', moments = KEYS[k + 2], limit = rpm, need = 1} end
  if tpm or ranked == 'usage' then
    local rate = {kind = 'tpm', moments = KEYS[k + 3], amounts = KEYS[k + 4], limit = tpm or math.huge, need = need}
    one.rates[#one.rates + 1] = rate
  end
  redis.call('ZREMRANGEBYSCORE', one.slots, '-inf', now)
  one.taken = redis.call('ZCARD', one.slots)
  for _, rate in ipairs(one.rates) do rate.used = used_of(rate) end
  if ranked == 'busy' then one.rank = one.taken
  elseif ranked == 'usage' then one.rank = one.rates[#one.rates].used
  elseif ranked == 'pace' then one.rank = tonumber(redis.call('HGET', KEYS[k + 5], ARGV[4]) or '0')
  else one.rank = d end
  found[d] = one
end
table.sort(found, function(one, other)
  if one.order ~= other.order then return one.order < other.order end
  if one.rank ~= other.rank then return one.rank < other.rank end
  return one.place < other.place
end)

-- What keeps the call from a deployment, nil where there is room; of several rates the one with the longest wait.
local function obstacle(one)
  if one.max_parallel and one.taken >= one.max_parallel then
    return {'parallel', one.taken, one.max_parallel, 0}
  end
  local worst = nil
  for _, rate in ipairs(one.rates) do
    local wait = wait_for(rate)
    if wait ~= 0 and not (worst and worst[4] == NEVER) and (wait == NEVER or not worst or wait > worst[4]) then
      worst = {rate.kind, rate.used, rate.limit, wait}
    end
  end
  return worst
end

local soonest = nil
for _, one in ipairs(found) do
  local refused = obstacle(one)
  if not refused then
    redis.call('ZADD', one.slots, now + lease, id)
    for _, rate in ipairs(one.rates) do count(rate, id) end
    return {one.place}
  end
  local sooner = soonest and soonest[4] ~= NEVER and (refused[4] == NEVER or refused[4] >= soonest[4])
  if not sooner then soonest = refused end
end
return {0, soonest[1], soonest[2], soonest[3], soonest[4]}
