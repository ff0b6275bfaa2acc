"""What Redis does with rate limits, at once for all limits of a call: look at each, and take from all or from none.

A minute is two windows, this one and the part of the last that is less than a minute ago. Times are Redis's own, so that
processes need not agree on theirs.
"""

from __future__ import annotations

_WINDOW = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local window, part = math.floor(now / 60), (now % 60) / 60

local function counts(key)
  local kept = redis.call('HMGET', key, 'window', 'now', 'before')
  local was, count, before = tonumber(kept[1]), tonumber(kept[2]) or 0, tonumber(kept[3]) or 0
  if was == window then return count, before end
  if was == window - 1 then return 0, count end
  return 0, 0
end

local function keep(key, count, before)
  redis.call('HSET', key, 'window', window, 'now', count, 'before', before)
  redis.call('EXPIRE', key, 180)
end
"""

# KEYS: a limit each. ARGV: the call's id, seconds its place is kept, then of each limit: kind, limit, cost.
# Answers of each limit: what is left, ms until all of it is there again, ms to wait (0: taken).
TAKE = (
    _WINDOW
    + """
local found, must_wait = {}, false
for i, key in ipairs(KEYS) do
  local kind, limit, cost = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local used, wait = 0, 0
  if kind == 'concurrent' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    used = redis.call('ZCARD', key)
    if used >= limit then wait = 1000 end
  else
    local count, before = counts(key)
    cost = math.min(cost, limit)
    used = before * (1 - part) + count
    if used + cost > limit + 0.000001 then
      if count + cost <= limit then
        wait = (1 - (limit - count - cost) / before - part) * 60000
      else
        wait = (1 - part + 1 - (limit - cost) / count) * 60000
      end
    end
  end
  if wait > 0 then must_wait = true end
  found[i] = {math.floor(limit - used), math.ceil(used / limit * 60000), math.ceil(wait)}
end
if must_wait then return found end
for i, key in ipairs(KEYS) do
  local kind, limit, cost = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  if kind == 'concurrent' then
    cost = 1
    redis.call('ZADD', key, now + ARGV[2], ARGV[1])
    redis.call('EXPIRE', key, math.ceil(ARGV[2]) + 1)
  else
    local count, before = counts(key)
    cost = math.min(cost, limit)
    keep(key, count + cost, before)
  end
  found[i][1] = math.max(found[i][1] - cost, 0)
end
return found
"""
)

# KEYS: a limit each. ARGV: the call's id, then of each limit: kind, how much more was used than was taken.
END = (
    _WINDOW
    + """
for i, key in ipairs(KEYS) do
  if ARGV[2 * i] == 'concurrent' then
    redis.call('ZREM', key, ARGV[1])
  else
    local count, before = counts(key)
    keep(key, math.max(count + tonumber(ARGV[2 * i + 1]), 0), before)
  end
end
"""
)

# KEYS: places. ARGV: seconds they are kept, then the id in each.
RENEW = """
local clock = redis.call('TIME')
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, 'XX', clock[1] + ARGV[1], ARGV[i + 1])
  redis.call('EXPIRE', key, math.ceil(ARGV[1]) + 1)
end
"""
