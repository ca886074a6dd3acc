-- Admits one call or refuses it: every meter on its path, all or nothing. A refused call changes nothing, and takes its
-- place from the queues; a call that has to wait takes only that place. A dry run says what would be, and changes nothing.
-- What has ended by itself (leases, the last minute, waiters that do not ask any more) is forgotten in every case.
-- Money is nano-dollars, times are milliseconds of Redis's clock.
--
-- KEYS  1 calls, 2 templates, 3 epoch, 4 arrivals, then P policy keys, then for each of D deployments: cooling;
--       then for each of M meters: budget, holds, slots;
--       then R sorted sets of requests, then for each of T limits on tokens: tokens, amounts;
--       then for each meter that rolls over: its previous budget; then for each meter with a queue: queue, asked
-- ARGV  1 request id, 2 estimate, 3 lease, 4 template, 5 how long a waiter keeps its place without asking, 6 P, 7 M, 8 R,
--       9 T, 10 dry ("1" or "0"), 11 how long idle counters are kept, 12 how many wait in a queue at the most, 13 D,
--       then P policy versions, then for each meter: max_budget or "", strict ("1" or "0"), max_parallel or "",
--       what can roll over or "", queue ("1" or "0");
--       then R limits on requests, then T limits on tokens, then for each of them what the call needs of it
-- Gives {"permit", meter, left, "0", budget, rates, cooling or nothing} (the tightest budget, 0 where there is none)
--       or {reason, meter, spend, taken, budget, rates}: "exceeded", "held", "short"
--       or {reason, meter, slots taken, waiters before, "0", rates}: "parallel" (before: 0), "queued"
--       or {reason, limit, used, wait, "0", rates}: "rpm", "tpm"; wait is ms, -1: the call can never fit
--       or {"unseeded", meter, "1" where its previous window is meant, else "0"}
--       or {reason, which}: "cold", "stale"
--       meter and limit count from 1; budget is with what has rolled over; rates: of the limit with the least left
--       {limit, left, reset (ms, -1: never)}, first of requests, then of tokens, {0, 0, 0} where there is none;
--       cooling: {deployment, for how long still (ms), what for} for each that is left alone, one after the other
local id, estimate, lease, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[11]
local policy_count, meter_count = tonumber(ARGV[6]), tonumber(ARGV[7])
local request_limits, token_limits = tonumber(ARGV[8]), tonumber(ARGV[9])
local dry, waiter, most_waiting = ARGV[10] == '1', tonumber(ARGV[5]), tonumber(ARGV[12])
local deployment_count = tonumber(ARGV[13])

-- The caller asks again when an answer was lost on the way, so a known request is a permit.
if redis.call('ZSCORE', KEYS[1], id) then return {'permit', 0, '0', '0', '0', {}} end

-- All that is plain text, in one command: each takes Redis as long as reading a few texts more.
local texts = redis.call('MGET', KEYS[3], unpack(KEYS, 5, 4 + policy_count + deployment_count))

-- A Redis that has lost its data does not know what is in flight.
if not texts[1] then return {'cold', 0} end

for p = 1, policy_count do
  if texts[1 + p] ~= ARGV[13 + p] then return {'stale', p} end
end

-- What is asked, in the order of KEYS and ARGV: k and a are how many of them have been read.
local meters, rates, k, a = {}, {}, 4 + policy_count + deployment_count, 13 + policy_count
for m = 1, meter_count do
  meters[m] = {
    place = m, budget = KEYS[k + 1], holds = KEYS[k + 2], slots = KEYS[k + 3],
    max_budget = tonumber(ARGV[a + 1]), strict = ARGV[a + 2] == '1', max_parallel = tonumber(ARGV[a + 3]),
    rolls_over = tonumber(ARGV[a + 4]), has_queue = ARGV[a + 5] == '1',
  }
  k, a = k + 3, a + 5
end
-- A limit on requests or tokens, and how much the call needs of it.
for r = 1, request_limits do
  rates[r] = {kind = 'rpm', place = r, moments = KEYS[k + 1], limit = tonumber(ARGV[a + 1]), need = 1}
  k, a = k + 1, a + 1
end
for t = 1, token_limits do
  rates[#rates + 1] = {
    kind = 'tpm', place = t, moments = KEYS[k + 1], amounts = KEYS[k + 2],
    limit = tonumber(ARGV[a + t]), need = tonumber(ARGV[a + token_limits + t]),
  }
  k = k + 2
end
for _, meter in ipairs(meters) do
  if meter.rolls_over then meter.previous, k = KEYS[k + 1], k + 1 end
end
local queues = {}
for _, meter in ipairs(meters) do
  if meter.has_queue then
    meter.queue, meter.asked, k = KEYS[k + 1], KEYS[k + 2], k + 2
    queues[#queues + 1] = meter
  end
end

-- The limit that refuses the call, or nil: requests go before tokens, what can never fit before all that waiting helps;
-- the wait is the longest of all.
local function refusing_rate()
  local refusing = nil
  for _, rate in ipairs(rates) do
    rate.used = used_of(rate)
    rate.wait = wait_for(rate)
    if rate.wait ~= 0 then
      local longest = refusing and refusing.wait or 0
      local later = refusing and refusing.kind == rate.kind and rate.wait > longest
      if longest ~= NEVER and (not refusing or later or rate.wait == NEVER) then refusing = rate end
      if refusing.wait ~= NEVER then refusing.wait = math.max(refusing.wait, longest, rate.wait) end
    end
  end
  return refusing
end

-- What the answer says of the tightest rates, with this call counted or not.
local function told(counted)
  if #rates == 0 then return {} end
  local told_of, tight = {0, 0, 0, 0, 0, 0}, {}
  for _, rate in ipairs(rates) do
    rate.left = math.max(0, rate.limit - rate.used - (counted and rate.need or 0))
    if not tight[rate.kind] or rate.left < tight[rate.kind].left then tight[rate.kind] = rate end
  end
  for kind, rate in pairs(tight) do
    local reset = rate.wait
    if reset == 0 then
      local oldest = redis.call('ZRANGE', rate.moments, 0, 0, 'WITHSCORES')
      reset = oldest[2] and ages_out(oldest[2]) or (counted and MINUTE or 0)
    end
    local at = kind == 'rpm' and 0 or 3
    told_of[at + 1], told_of[at + 2], told_of[at + 3] = rate.place, rate.left, reset
  end
  return told_of
end

-- Money: what a meter's budget is with what rolls over, and how it stands. nil where SQL has to be asked, and of which
-- window. The previous window's costs that are not settled, and its calls in flight, take from what it can leave.
local function money_of(meter)
  local state = redis.call('HMGET', meter.budget, 'spend', 'held', 'due')
  if not state[1] then return nil, '0' end
  local spend, held, due = tonumber(state[1]), tonumber(state[2] or '0'), tonumber(state[3] or '0')
  local budget = meter.max_budget
  if meter.previous then
    local before = redis.call('HMGET', meter.previous, 'spend', 'held', 'due')
    if not before[1] then return nil, '1' end
    local unspent = math.max(0, meter.rolls_over - tonumber(before[1]))
    local without_due = math.max(0, unspent - tonumber(before[3] or '0'))
    local without_held = math.max(0, without_due - tonumber(before[2] or '0'))
    budget, due, held = budget + unspent, due + unspent - without_due, held + without_due - without_held
  end
  return {spend = spend, held = held, due = due, budget = budget, left = budget - spend - due - held}
end

-- The deployments that are left alone for a while; nil where there is none.
local function cooling()
  local found = nil
  for d = 1, deployment_count do
    local what = texts[1 + policy_count + d]
    if what then
      local left = redis.call('PTTL', KEYS[4 + policy_count + d])
      found = found or {}
      found[#found + 1], found[#found + 2], found[#found + 3] = d, left, what
    end
  end
  return found
end

-- Queues: who came first goes first. A call has one arrival in all of them, so that they agree on who came first.
local arrival = nil

local function look_at(queue)
  local gone = redis.call('ZRANGEBYSCORE', queue.asked, '-inf', now - waiter)
  if #gone > 0 then
    redis.call('ZREM', queue.queue, unpack(gone))
    redis.call('ZREM', queue.asked, unpack(gone))
  end
  local mine = redis.call('ZSCORE', queue.queue, id)
  queue.waits = mine and true or false
  arrival = arrival or mine or nil
end

-- A newcomer stands behind all.
local function waiters_before(queue)
  if arrival then return redis.call('ZCOUNT', queue.queue, '-inf', '(' .. arrival) end
  return redis.call('ZCARD', queue.queue)
end

local function is_full(queue) return not queue.waits and redis.call('ZCARD', queue.queue) >= most_waiting end

-- The call keeps its places and takes those that it has to; nothing else is its own while it waits.
local function wait_in_queues()
  if dry then return end
  for _, queue in ipairs(queues) do
    if queue.waits then
      arrival = arrival or redis.call('INCR', KEYS[4])
      redis.call('ZADD', queue.queue, arrival, id)
      redis.call('ZADD', queue.asked, now, id)
      redis.call('PEXPIRE', queue.queue, waiter)
      redis.call('PEXPIRE', queue.asked, waiter)
    end
  end
end

local function leave_queues()
  if dry then return end
  for _, queue in ipairs(queues) do
    redis.call('ZREM', queue.queue, id)
    redis.call('ZREM', queue.asked, id)
  end
end

local function refuse(reason, place, first, second, budget)
  leave_queues()
  return {reason, place, integer(first), integer(second), integer(budget), told(false)}
end

local function wait(reason, place, first, second, budget)
  wait_in_queues()
  return {reason, place, integer(first), integer(second), integer(budget), told(false)}
end

-- `holds`: what each meter's budget sets aside.
local function take(holds)
  leave_queues()
  local ends = integer(now + lease)
  for m, meter in ipairs(meters) do
    if holds[m] then
      local hold = holds[m] == estimate and ARGV[2] or integer(holds[m])
      redis.call('HSET', meter.holds, 'h' .. id, hold)
      redis.call('HINCRBY', meter.budget, 'held', hold)
      redis.call('PEXPIRE', meter.budget, keep)
      redis.call('PEXPIRE', meter.holds, keep)
    end
    if meter.max_parallel then redis.call('ZADD', meter.slots, ends, id) end
  end
  for _, rate in ipairs(rates) do count(rate, id) end
  redis.call('ZADD', KEYS[1], ends, id)
  redis.call('HSET', KEYS[2], id, ARGV[4])
end

-- From here on the call is decided, in the order in which refusals are told.
local refusing = refusing_rate()

-- Money first in "exceeded": it is the answer that waiting does not change.
local holds, held, short, tightest = {}, nil, nil, nil
for m, meter in ipairs(meters) do
  if meter.max_budget then
    local money, missing = money_of(meter)
    if not money then return {'unseeded', m, missing} end
    money.place = m
    if estimate > 0 then
      if money.spend >= money.budget then return refuse('exceeded', m, money.spend, 0, money.budget) end
      if estimate <= money.left then
        holds[m] = estimate
      elseif money.held > 0 or money.left <= 0 then
        held = held or money
      elseif meter.strict then
        short = short or money
      else
        holds[m] = money.left
      end
    end
    if not tightest or money.left < tightest.left then tightest = money end
  end
end

if refusing then return refuse(refusing.kind, refusing.place, refusing.used, refusing.wait, 0) end

for _, queue in ipairs(queues) do look_at(queue) end
local blocked = nil
for m, meter in ipairs(meters) do
  if meter.max_parallel then
    local taken = redis.call('ZCARD', meter.slots)
    local before = meter.queue and waiters_before(meter) or 0
    if taken + before >= meter.max_parallel then
      -- Leases that have ended, of processes that died, are looked for only where they would stand in the way.
      taken = taken - redis.call('ZREMRANGEBYSCORE', meter.slots, '-inf', now)
    end
    if taken + before >= meter.max_parallel then
      if not meter.queue or is_full(meter) then return refuse('parallel', m, taken, 0, 0) end
      meter.waits = true
      blocked = blocked or {place = m, taken = taken, before = before}
    end
  end
end
if blocked then return wait('queued', blocked.place, blocked.taken, blocked.before, 0) end
if held then return wait('held', held.place, held.spend, held.held + held.due, held.budget) end
if short then return wait('short', short.place, short.spend, short.due, short.budget) end

-- The call is counted in the answer, and stands nowhere yet.
local permit = {'permit', 0, '0', '0', '0', told(true), cooling()}
if tightest then
  local left = tightest.left - (holds[tightest.place] or 0)
  permit[2], permit[3], permit[5] = tightest.place, integer(left), integer(tightest.budget)
end
if not dry then take(holds) end
return permit
