-- Says which life of Redis this is. A Redis without an epoch is empty or has lost its data: nobody is admitted until the
-- web processes have had a moment to put back what is in flight.
--
-- KEYS  1 epoch, 2 warming
-- ARGV  1 a new epoch, 2 how long the moment is (ms); 0: there is nothing to put back
-- Gives the epoch, or "" while it is not there yet
local epoch = redis.call('GET', KEYS[1])
if epoch then return epoch end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local since = tonumber(redis.call('GET', KEYS[2]) or '')
if not since then
  redis.call('SET', KEYS[2], string.format('%.0f', now), 'PX', 600000)
  since = now
end
if now - since < tonumber(ARGV[2]) then return '' end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return ARGV[1]
