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

local function header_sums(p)
  local size, total = bits(u8(p, 0), 0, 4) * 4, 0
  if size > #p then return true end
  -- Every IPv4 packet comes here, and nearly all have no options.
  if size == 20 then
    local a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, q, r, s, t, u = byte(p, 1, 20)
    total = (a + c + e + g + i + k + m + o + r + t) * 256 + b + d + f + h + j + l + n + q + s + u
  else
    for offset = 0, size - 2, 2 do total = total + u16(p, offset) end
  end
  return total > 0 and total % 0xFFFF == 0
end

local EXTENSIONS = {
  [0] = true, [43] = true, [44] = true, [51] = true,
  [60] = true, [135] = true, [139] = true, [140] = true,
}
local MOST_EXTENSIONS = 16

local MOST_OPTIONS = 40

local function option(p, finish, wanted)
  local offset = 20
  for _ = 1, MOST_OPTIONS do
    local kind, size = u8(p, offset), 1
    if offset >= finish or offset >= #p or kind == 0 then return 0 end
    if kind == wanted then return offset end
    if kind ~= 1 then
      size = u8(p, offset + 1)
      if size < 2 then return 0 end
    end
    offset = offset + size
  end
  return 0
end

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

local MOST_LABELS = 256

local function name_end(p, offset)
  for _ = 1, MOST_LABELS do
    local size = u8(p, offset)
    if offset >= #p or (size >= 64 and size < 192) then return 0 end
    if size == 0 then return offset + 1 end
    if size >= 192 then return offset + 2 <= #p and offset + 2 or 0 end
    offset = offset + 1 + size
  end
  return 0
end

local function name_walk(p, offset)
  local size, piece = 1, offset
  for step = 0, MOST_LABELS - 1 do
    local label = u8(p, offset)
    if offset >= #p or (label >= 192 and offset + 2 > #p) then return 8 * step + 1 end
    if label == 0 then return 8 * step end
    if label >= 64 and label < 192 then return 8 * step + 2 end
    if label >= 192 then
      local target = u16(p, offset) - 0xC000
      if target < 12 or target >= piece then return 8 * step + 4 end
      offset, piece = target, target
    else
      size = size + 1 + label
      if size > 255 then return 8 * step + 3 end
      offset = offset + 1 + label
    end
  end
  return 8 * MOST_LABELS + 4
end

local function name_fault(p, offset) return name_walk(p, offset) % 8 end

local function dns_entries(p)
  local flags, total = u16(p, 2), 0
  if flags < 0x8000 and (flags % 16 ~= 0 or u16(p, 4) == 0) then return 0 end
  for i = 0, 3 do
    local count = u16(p, 4 + 2 * i)
    if count > 255 then return 0 end
    total = total + count
  end
  return total
end

local function dns_entry_end(p, offset, index)
  local finish = name_end(p, offset)
  if finish == 0 then return 0 end
  finish = finish + 4
  if index >= u16(p, 4) then finish = finish + 6 + u16(p, finish + 4) end
  return finish <= #p and finish or 0
end

local function ber_value(p, offset)
  local first = u8(p, offset + 1)
  if first < 128 then return offset + 2 end
  return first > 128 and first <= 132 and offset + first - 126 or 0
end

local function ber_end(p, offset)
  local value, size = ber_value(p, offset), u8(p, offset + 1)
  if value == 0 or value > #p then return 0 end
  if size > 128 then
    size = 0
    for i = offset + 2, value - 1 do size = size * 256 + u8(p, i) end
  end
  return value + size <= #p and value + size or 0
end

-- Neither Lua 5.1 nor both versions together have an operator for it.
local function exclusive_or(left, right)
  local result, place = 0, 1
  while left > 0 or right > 0 do
    if left % 2 ~= right % 2 then result = result + place end
    left, right, place = floor(left / 2), floor(right / 2), place * 2
  end
  return result
end

local CRC_DNP = {}
for first = 0, 255 do
  local crc = first
  for _ = 1, 8 do
    local low = crc % 2
    crc = floor(crc / 2)
    if low == 1 then crc = exclusive_or(crc, 0xA6BC) end
  end
  CRC_DNP[first] = crc
end

local function crc_dnp(p, offset, count)
  local crc = 0
  for i = 0, count - 1 do
    if i == 16 then break end
    local entry = CRC_DNP[exclusive_or(crc % 256, u8(p, offset + i))]
    crc = exclusive_or(floor(crc / 256), entry)
  end
  return 65535 - crc
end

local CHARACTERS, IN_TOKEN = {}, {}
for value = 0, 255 do
  CHARACTERS[value] = string.char(value)
  IN_TOKEN[value] = string.find(CHARACTERS[value], "[%w!#$%%&'*+%-.^_`|~]") ~= nil
end

local function find(p, offset, value)
  local at = string.find(p, CHARACTERS[value], offset < 0 and 1 or offset + 1, true)
  return at and at - 1 or #p
end

local function find_before(p, offset, finish, value)
  local at, limit = find(p, offset, value), finish < 0 and 0 or finish
  if limit > #p then limit = #p end
  return at < limit and at or limit
end

local function token_end(p, offset)
  for at = offset, offset + 255 do
    if not IN_TOKEN[u8(p, at)] then return at end
  end
  return offset + 256
end

local function folded(p, offset, count)
  local number = 0
  for i = 0, count - 1 do
    if i == 32 then break end
    local value = u8(p, offset + i)
    if value >= 65 and value <= 90 then value = value + 32 end
    number = (number * 257 + value) % 0x7FFFFFFF
  end
  return number
end
