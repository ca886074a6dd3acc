-- A deployment has failed: after more failures than are allowed in a minute it is left alone for a while.
-- One that is left alone already is so for the longer of the two times.
--
-- KEYS  1 fails, 2 cooling
-- ARGV  1 how many failures are allowed, 2 the minute (ms), 3 for how long it is left alone (ms), 4 what for
-- Gives 1 where it is left alone now, else 0
local fails = redis.call('INCR', KEYS[1])
if fails == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if fails <= tonumber(ARGV[1]) then return 0 end
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[3]) then redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[3]) end
return 1
