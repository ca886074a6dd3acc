-- Renews the leases of calls that are still running. A lease that has been taken away is not brought back.
--
-- KEYS  1 calls, then for each renewed slot its sorted set
-- ARGV  1 lease (ms), 2 number of calls N, then N request ids, then for each slot its request id
local clock = redis.call('TIME')
local ends = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) + tonumber(ARGV[1])
local calls = tonumber(ARGV[2])
for c = 1, calls do redis.call('ZADD', KEYS[1], 'XX', ends, ARGV[2 + c]) end
for s = 2, #KEYS do redis.call('ZADD', KEYS[s], 'XX', ends, ARGV[1 + calls + s]) end
return 0
