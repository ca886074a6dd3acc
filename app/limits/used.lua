-- What was used in the last minute: what all scripts share that counts it or corrects what was counted.
--
-- Moments are rounded down to the millisecond: with one more than a minute no real minute sees more than the limit.
local MINUTE = 60001

local function integer(number) return string.format('%.0f', number) end

-- The tokens of an ended call count as they were used. One that ran for more than the minute has none left to correct.
local function correct(moments, amounts, id, tokens)
  local estimate = redis.call('HGET', amounts, id)
  if not estimate then return end
  redis.call('HINCRBY', amounts, 'sum', integer(tonumber(tokens) - tonumber(estimate)))
  if tokens == '0' then
    redis.call('HDEL', amounts, id)
    redis.call('ZREM', moments, id)
  else
    redis.call('HSET', amounts, id, tokens)
  end
end
