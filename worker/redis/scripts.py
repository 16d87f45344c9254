"""Redis' scripts for messages in hand: each takes place whole or not at all."""

from __future__ import annotations

#: Records a message in hand.
TAKE = """
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
"""
#: Takes more messages of a queue, as many as there are tags, and records them as in hand in the
#: form of `redelivery.unacked_record`. What Redis cannot record stays in its queue.
TAKE_MORE = """
local taken = {}
for number = 3, #ARGV do
  local item = redis.call('LRANGE', KEYS[3], -1, -1)[1]
  if not item then break end
  local record = '[' .. item .. ', "", ' .. ARGV[2] .. ']'
  if type(redis.pcall('ZADD', KEYS[2], ARGV[1], ARGV[number])) == 'table' then break end
  if type(redis.pcall('HSET', KEYS[1], ARGV[number], record)) == 'table' then
    redis.call('ZREM', KEYS[2], ARGV[number])
    break
  end
  local gone = redis.pcall('RPOP', KEYS[3])
  if type(gone) == 'table' then
    redis.call('HDEL', KEYS[1], ARGV[number])
    redis.call('ZREM', KEYS[2], ARGV[number])
    return gone
  end
  taken[#taken + 1] = item
end
return taken
"""
#: Puts a message back, unless another worker acknowledged it or put it back meanwhile.
PUT_BACK = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call(ARGV[4], KEYS[3], ARGV[3])
return 1
"""
