-- Admits one call or refuses it: every meter on its path, all or nothing. A refused call changes nothing.
-- Money is nano-dollars, times are milliseconds of Redis's clock.
--
-- KEYS  1 calls, 2 templates, 3 epoch, then P policy keys, then for each of M meters: budget, holds, slots;
--       then R sorted sets of requests, then for each meter with a limit on tokens: tokens, amounts
-- ARGV  1 request id, 2 estimate, 3 lease, 4 template, 5 how long idle counters are kept, 6 P, 7 M, 8 R,
--       then P policy versions, then for each meter: max_budget or "", strict ("1" or "0"), max_parallel or "";
--       then R limits on requests, then for each limit on tokens: limit, what the call needs of it
-- Gives {"permit", meter, left, "0", rates} (the tightest budget, 0 where there is none)
--       or {reason, meter, spend, taken, rates}: "exceeded", "parallel", "held", "short"
--       or {reason, limit, used, wait, rates}: "rpm", "tpm"; wait is ms, -1: the call can never fit
--       or {reason, meter}: "cold", "stale", "unseeded"
--       meter and limit count from 1; rates: of the limit with the least left {limit, left, reset (ms, -1: never)},
--       first of requests, then of tokens, {0, 0, 0} where there is none
local id, estimate, lease, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[5]
local policies, meters, request_limits = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
-- Moments are rounded down to the millisecond: with one more than a minute no real minute sees more than the limit.
local MINUTE, NEVER, AT_ONCE = 60001, -1, 500
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function integer(number) return string.format('%.0f', number) end

-- The caller asks again when an answer was lost on the way, so a known request is a permit.
if redis.call('ZSCORE', KEYS[1], id) then return {'permit', 0, '0', '0', {}} end

-- A Redis that has lost its data does not know what is in flight.
if redis.call('EXISTS', KEYS[3]) == 0 then return {'cold', 0} end

for p = 1, policies do
  if redis.call('GET', KEYS[3 + p]) ~= ARGV[8 + p] then return {'stale', p} end
end

local function key(meter, which) return KEYS[3 + policies + (meter - 1) * 3 + which] end
local function argument(meter, which) return ARGV[8 + policies + (meter - 1) * 3 + which] end

-- Rates: a limit on requests or tokens, how much of it the last minute has used, and how much the call needs.
local rates = {}

local function forget_old_tokens(tokens, amounts)
  repeat
    local old = redis.call('ZRANGEBYSCORE', tokens, '-inf', now - MINUTE, 'LIMIT', 0, AT_ONCE)
    if #old > 0 then
      local freed = 0
      for _, amount in ipairs(redis.call('HMGET', amounts, unpack(old))) do
        freed = freed + tonumber(amount or '0')
      end
      redis.call('ZREM', tokens, unpack(old))
      redis.call('HDEL', amounts, unpack(old))
      redis.call('HINCRBY', amounts, 'sum', integer(0 - freed))
    end
  until #old < AT_ONCE
end

local first_rate_key, first_rate_argument = 3 + policies + meters * 3, 8 + policies + meters * 3
for r = 1, request_limits do
  local requests = KEYS[first_rate_key + r]
  redis.call('ZREMRANGEBYSCORE', requests, '-inf', now - MINUTE)
  local used = redis.call('ZCARD', requests)
  rates[r] = {limit = tonumber(ARGV[first_rate_argument + r]), used = used, need = 1, moments = requests}
end
for t = 1, (#KEYS - first_rate_key - request_limits) / 2 do
  local k, a = first_rate_key + request_limits + t * 2, first_rate_argument + request_limits + t * 2
  local tokens, amounts, limit, need = KEYS[k - 1], KEYS[k], ARGV[a - 1], ARGV[a]
  forget_old_tokens(tokens, amounts)
  local used = tonumber(redis.call('HGET', amounts, 'sum') or '0')
  rates[#rates + 1] = {limit = tonumber(limit), used = used, need = tonumber(need), moments = tokens, amounts = amounts}
end

local function ages_out(moment) return tonumber(moment) + MINUTE - now end

-- How long until enough of the oldest has aged out for the call to fit, in ms.
local function wait_for(rate)
  if rate.need > rate.limit then return NEVER end
  local missing = rate.used + rate.need - rate.limit
  if missing <= 0 then return 0 end
  if not rate.amounts then
    return ages_out(redis.call('ZRANGE', rate.moments, missing - 1, missing - 1, 'WITHSCORES')[2])
  end
  local from, last = 0, now
  repeat
    local oldest = redis.call('ZRANGE', rate.moments, from, from + AT_ONCE - 1, 'WITHSCORES')
    for o = 1, #oldest, 2 do
      last, missing = oldest[o + 1], missing - tonumber(redis.call('HGET', rate.amounts, oldest[o]) or '0')
      if missing <= 0 then return ages_out(last) end
    end
    from = from + AT_ONCE
  until #oldest == 0
  return ages_out(last)
end

-- Requests go before tokens, what can never fit before all that waiting helps; the wait is the longest of all.
local refused = nil
for i, rate in ipairs(rates) do
  rate.kind = i <= request_limits and 'rpm' or 'tpm'
  rate.place = i <= request_limits and i or i - request_limits
  rate.wait = wait_for(rate)
  if rate.wait ~= 0 then
    local longest = refused and refused.wait or 0
    local later = refused and refused.kind == rate.kind and rate.wait > longest
    if longest ~= NEVER and (not refused or later or rate.wait == NEVER) then refused = rate end
    if refused.wait ~= NEVER then refused.wait = math.max(refused.wait, longest, rate.wait) end
  end
end

-- What the answer says of the tightest rates, with this call counted or not.
local function told(counted)
  local told_of, tight = {0, 0, 0, 0, 0, 0}, {}
  if #rates == 0 then return {} end
  for _, rate in ipairs(rates) do
    rate.left = math.max(0, rate.limit - rate.used - (counted and rate.need or 0))
    if not tight[rate.kind] or rate.left < tight[rate.kind].left then tight[rate.kind] = rate end
  end
  for kind, rate in pairs(tight) do
    local reset = rate.wait
    if reset == 0 then
      local oldest = redis.call('ZRANGE', rate.moments, 0, 0, 'WITHSCORES')
      reset = oldest[2] and ages_out(oldest[2]) or 0
    end
    local at = kind == 'rpm' and 0 or 3
    told_of[at + 1], told_of[at + 2], told_of[at + 3] = rate.place, rate.left, reset
  end
  return told_of
end

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
      if spend >= limit then return {'exceeded', m, integer(spend), '0', told(false)} end
      if estimate <= left then
        holds[m] = estimate
      elseif held > 0 or left <= 0 then
        waiting = waiting or {'held', m, integer(spend), integer(held + due), told(false)}
      elseif argument(m, 2) == '1' then
        short = short or {'short', m, integer(spend), integer(due), told(false)}
      else
        holds[m] = left
      end
    end
    if not least or left < least then tightest, least = m, left end
  end
end

if refused then
  return {refused.kind, refused.place, integer(refused.used), integer(refused.wait), told(false)}
end

for m = 1, meters do
  local limit = tonumber(argument(m, 3))
  if limit then
    redis.call('ZREMRANGEBYSCORE', key(m, 3), '-inf', now)
    local taken = redis.call('ZCARD', key(m, 3))
    if taken >= limit then return {'parallel', m, integer(taken), '0', told(false)} end
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
for _, rate in ipairs(rates) do
  redis.call('ZADD', rate.moments, now, id)
  redis.call('PEXPIRE', rate.moments, MINUTE)
  if rate.amounts then
    redis.call('HSET', rate.amounts, id, integer(rate.need))
    redis.call('HINCRBY', rate.amounts, 'sum', integer(rate.need))
    redis.call('PEXPIRE', rate.amounts, MINUTE)
  end
end
redis.call('ZADD', KEYS[1], now + lease, id)
redis.call('HSET', KEYS[2], id, ARGV[4])
return {'permit', tightest, integer(least and (least - (holds[tightest] or 0)) or 0), '0', told(true)}
