-- The words that rules are written in (words.py says the same in Python). A span is a string, so
-- its captured bytes are all its bytes. Each word is total: a byte outside the span reads as 0.
local byte = string.byte
local floor = math.floor

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
  return u16(p, offset) * 65536 + u16(p, offset + 2)
end

local function bits(value, shift, width)
  return floor(value / 2 ^ shift) % 2 ^ width
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

local EXTENSIONS = {
  [0] = true, [43] = true, [44] = true, [51] = true,
  [60] = true, [135] = true, [139] = true, [140] = true,
}
local MOST_EXTENSIONS = 16

local function extension(p, wanted)
  local kind, offset, size = u8(p, 6), 40, 0
  for _ = 1, MOST_EXTENSIONS do
    if not EXTENSIONS[kind] or offset + 8 > #p then return 0 end
    if kind == wanted then return offset end
    size = 8 + u8(p, offset + 1) * 8
    if kind == 51 then size = 8 + u8(p, offset + 1) * 4 end
    if kind == 44 then
      size = 8
      if u16(p, offset + 2) >= 8 then return 0 end
    end
    kind = u8(p, offset)
    offset = offset + size
  end
  return 0
end
