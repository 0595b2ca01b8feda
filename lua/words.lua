-- The words that rules are written in for bytes, numbers and text (words.py says the same in
-- Python). A span is a string, so its captured bytes are all its bytes. Each word is total: a byte
-- outside the span reads as 0.
local byte, sub, seek = string.byte, string.sub, string.find

local function length(p) return #p end

local function captured(p) return #p end

local function u8(p, offset)
  if offset < 0 then return 0 end
  return byte(p, offset + 1) or 0
end

local function u16(p, offset)
  local high, low
  if offset >= 0 then
    high, low = byte(p, offset + 1, offset + 2)
    if low then return high * 256 + low end
  end
  return u8(p, offset) * 256 + u8(p, offset + 1)
end

local function u32(p, offset)
  local a, b, c, d
  if offset >= 0 then
    a, b, c, d = byte(p, offset + 1, offset + 4)
    if d then return ((a * 256 + b) * 256 + c) * 256 + d end
  end
  return u16(p, offset) * 65536 + u16(p, offset + 2)
end

local function u16_little(p, offset)
  return u8(p, offset + 1) * 256 + u8(p, offset)
end

local function u32_little(p, offset)
  return u16_little(p, offset + 2) * 65536 + u16_little(p, offset)
end

local POWERS = {}
for exponent = 0, 53 do POWERS[exponent] = 2 ^ exponent end

-- Without floor(): a call of C costs as much as ten operations.
local function bits(value, shift, width)
  local unit = POWERS[shift]
  return (value - value % unit) / unit % POWERS[width]
end

local function same(p, first, second, count)
  for i = 0, count - 1 do
    if u8(p, first + i) ~= u8(p, second + i) then return false end
  end
  return true
end

local function filled(p, offset, count, value)
  for i = 0, count - 1 do
    if u8(p, offset + i) ~= value then return false end
  end
  return true
end

local CHARACTERS = {}
for value = 0, 255 do CHARACTERS[value] = string.char(value) end

local function find(p, offset, value)
  local at = seek(p, CHARACTERS[value], offset < 0 and 1 or offset + 1, true)
  return at and at - 1 or #p
end

local function find_before(p, offset, finish, value)
  local limit = finish < 0 and 0 or finish
  if limit > #p then limit = #p end
  local at = seek(p, CHARACTERS[value], offset < 0 and 1 or offset + 1, true)
  return at and at <= limit and at - 1 or limit
end

-- By a pattern, which C reads: where Lua is interpreted, a step of a loop costs as much as a call.
local function token_end(p, offset)
  if offset < 0 or offset >= #p then return offset end
  local at = seek(p, "[^%w!#$%%&'*+%-.^_`|~]", offset + 1)
  local finish = at and at - 1 or #p
  return finish < offset + 256 and finish or offset + 256
end

-- The numbers of texts seen; as many as a sender can think of, so they are forgotten in time.
local FOLDED, MOST_FOLDED = {}, 1024
local kept = 0

-- Two bytes between divisions keep the number below 2^53.
local function fold(text, count)
  local number, whole = 0, #text - #text % 4
  for at = 1, whole, 4 do
    local a, b, c, d = byte(text, at, at + 3)
    number = ((number * 257 + a) * 257 + b) % 0x7FFFFFFF
    number = ((number * 257 + c) * 257 + d) % 0x7FFFFFFF
  end
  for at = whole + 1, count do number = (number * 257 + (byte(text, at) or 0)) % 0x7FFFFFFF end
  return number
end

local function folded(p, offset, count)
  if count > 32 then count = 32 end
  if count <= 0 then return 0 end
  if offset < 0 then
    local before = offset + count > 0 and -offset or count
    return fold(("\0"):rep(before) .. sub(p, 1, count - before):lower(), count)
  end
  local text = sub(p, offset + 1, offset + count)
  if #text < count then return fold(text:lower(), count) end
  local number = FOLDED[text]
  if number then return number end
  number = fold(text:lower(), count)
  if kept == MOST_FOLDED then FOLDED, kept = {}, 0 end
  FOLDED[text], kept = number, kept + 1
  return number
end
