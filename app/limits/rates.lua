-- Requests and tokens of the last minute: what scripts share that look at such limits. It stands before each of them, behind
-- used.lua.
-- A rate is {moments: sorted set of ids by their millisecond, amounts: hash of tokens by id and of their "sum" (nil: it
-- limits requests), limit, need: what the call takes of it}.
local NEVER, AT_ONCE = -1, 500
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

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

local function used_of(rate)
  if rate.amounts then
    forget_old_tokens(rate.moments, rate.amounts)
    return tonumber(redis.call('HGET', rate.amounts, 'sum') or '0')
  end
  redis.call('ZREMRANGEBYSCORE', rate.moments, '-inf', now - MINUTE)
  return redis.call('ZCARD', rate.moments)
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

-- The call counts from now on.
local function count(rate, id)
  redis.call('ZADD', rate.moments, now, id)
  redis.call('PEXPIRE', rate.moments, MINUTE)
  if rate.amounts then
    redis.call('HSET', rate.amounts, id, integer(rate.need))
    redis.call('HINCRBY', rate.amounts, 'sum', integer(rate.need))
    redis.call('PEXPIRE', rate.amounts, MINUTE)
  end
end
