-- Looks at meters as they stand in one moment. Changes nothing: what has ended is not counted, and stays.
--
-- KEYS  for each of M meters: budget, slots, asked, requests, tokens, amounts; then for each that rolls over: its previous
--       budget
-- ARGV  1 M, 2 how long a waiter keeps its place without asking (ms)
-- Gives for each meter {spend ("" where it is not seeded), held, due, slots taken, waiters, requests and tokens of the last
--       minute}; then for each previous budget {spend, held, due}. Money is nano-dollars.
local meter_count, waiter = tonumber(ARGV[1]), tonumber(ARGV[2])
-- As in admit.lua.
local MINUTE, AT_ONCE = 60001, 500
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function count_after(key, moment) return redis.call('ZCOUNT', key, '(' .. string.format('%.0f', moment), '+inf') end

local function money_of(budget)
  local state = redis.call('HMGET', budget, 'spend', 'held', 'due')
  return {state[1] or '', state[2] or '0', state[3] or '0'}
end

local function tokens_of(tokens, amounts)
  local used, from = tonumber(redis.call('HGET', amounts, 'sum') or '0'), 0
  repeat
    local old = redis.call('ZRANGEBYSCORE', tokens, '-inf', now - MINUTE, 'LIMIT', from, AT_ONCE)
    if #old > 0 then
      for _, amount in ipairs(redis.call('HMGET', amounts, unpack(old))) do used = used - tonumber(amount or '0') end
    end
    from = from + AT_ONCE
  until #old < AT_ONCE
  return string.format('%.0f', used)
end

local found = {}
for m = 1, meter_count do
  local k = (m - 1) * 6
  local state = money_of(KEYS[k + 1])
  state[4] = count_after(KEYS[k + 2], now)
  state[5] = count_after(KEYS[k + 3], now - waiter)
  state[6] = count_after(KEYS[k + 4], now - MINUTE)
  state[7] = tokens_of(KEYS[k + 5], KEYS[k + 6])
  found[m] = state
end
for p = meter_count * 6 + 1, #KEYS do found[#found + 1] = money_of(KEYS[p]) end
return found
