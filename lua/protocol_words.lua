-- The words that rules are written in for structures of protocols (protocol_words.py says the same
-- in Python), made of those of words.lua.
local floor = math.floor

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

local FRAGMENT, AUTHENTICATION = 44, 51

local function extension_end(p, kind, offset)
  if kind == FRAGMENT then return u16(p, offset + 2) < 8 and offset + 8 or 0 end
  return offset + 8 + u8(p, offset + 1) * (kind == AUTHENTICATION and 4 or 8)
end

local function extension(p, wanted)
  local kind, offset = u8(p, 6), 40
  for _ = 1, MOST_EXTENSIONS do
    if not EXTENSIONS[kind] or offset + 8 > #p then return 0 end
    if kind == wanted then return offset end
    local finish = extension_end(p, kind, offset)
    if finish == 0 then return 0 end
    kind, offset = u8(p, offset), finish
  end
  return 0
end

local function upper_header(p)
  local kind, offset = u8(p, 6), 40
  for _ = 1, MOST_EXTENSIONS do
    if not EXTENSIONS[kind] or offset + 8 > #p then break end
    local finish = extension_end(p, kind, offset)
    if finish == 0 then return 0 end
    kind, offset = u8(p, offset), finish
  end
  return offset * 256 + kind
end

local MOST_LABELS = 256

local function read_name_end(p, offset)
  if offset < 0 then return offset + 1 end
  for _ = 1, MOST_LABELS do
    local size = byte(p, offset + 1)
    if not size or (size >= 64 and size < 192) then return 0 end
    if size == 0 then return offset + 1 end
    if size >= 192 then return offset + 2 <= #p and offset + 2 or 0 end
    offset = offset + 1 + size
  end
  return 0
end

local function read_name(p, offset)
  if offset < 0 then return 0 end
  local size, piece = 1, offset
  for step = 0, MOST_LABELS - 1 do
    local label = byte(p, offset + 1)
    if label == 0 then return 8 * step end
    if not label or (label >= 192 and offset + 2 > #p) then return 8 * step + 1 end
    if label >= 192 then
      local target = u16(p, offset) - 0xC000
      if target < 12 or target >= piece then
        while piece < target and piece < offset do piece = piece + 1 + byte(p, piece + 1) end
        if piece == target and target < offset then return 8 * step + 5 end
        return 8 * step + 4
      end
      offset, piece = target, target
    else
      if label >= 64 then return 8 * step + 2 end
      size = size + 1 + label
      if size > 255 then return 8 * step + 3 end
      offset = offset + 1 + label
    end
  end
  return 8 * MOST_LABELS + 4
end

-- The rules of a message read the same names and entries: what is known of the last one read.
local known_of, ends, walks = "", {}, {}
local entries, questions, entry_starts, entry_ends

local function begin(p)
  known_of, ends, walks = p, {}, {}
  entries, questions, entry_starts, entry_ends = nil, u16(p, 4), {}, {}
end

local function name_end(p, offset)
  if p ~= known_of then begin(p) end
  local finish = ends[offset]
  if not finish then
    finish = read_name_end(p, offset)
    ends[offset] = finish
  end
  return finish
end

local function name_walk(p, offset)
  if p ~= known_of then begin(p) end
  local walk = walks[offset]
  if not walk then
    walk = read_name(p, offset)
    walks[offset] = walk
  end
  return walk
end

local function name_fault(p, offset) return name_walk(p, offset) % 8 end

local CLASSES = { [1] = true, [3] = true, [4] = true, [254] = true, [255] = true }

local function one_question(p)
  if u16(p, 4) ~= 1 or name_fault(p, 12) ~= 0 then return false end
  local finish = name_end(p, 12) + 4
  local alone = u16(p, 6) + u16(p, 8) + u16(p, 10) == 0 and finish == #p
  return alone or CLASSES[u16(p, finish - 2)] == true
end

local function read_entries(p)
  local flags, total = u16(p, 2), 0
  if flags < 0x8000 and (flags % 16 ~= 0 or questions == 0) then return 0 end
  for i = 0, 3 do
    local count = u16(p, 4 + 2 * i)
    if count > 255 then return 0 end
    total = total + count
  end
  return total
end

local function dns_entries(p)
  if p ~= known_of then begin(p) end
  if not entries then entries = read_entries(p) end
  return entries
end

local function dns_entry_end(p, offset, index)
  if p ~= known_of then begin(p) end
  if entry_starts[index] == offset then return entry_ends[index] end
  local finish = name_end(p, offset)
  if finish ~= 0 then
    finish = finish + 4
    if index >= questions then finish = finish + 6 + u16(p, finish + 4) end
    if finish > #p then finish = 0 end
  end
  entry_starts[index], entry_ends[index] = offset, finish
  return finish
end

-- Types of records with names in their data, with what comes before the first; and with two.
local NAMES = {
  [2] = 0, [5] = 0, [6] = 0, [12] = 0, [14] = 0, [15] = 2, [17] = 0, [18] = 2, [21] = 2, [33] = 6,
  [36] = 2, [39] = 0,
}
local TWO_NAMES = { [6] = true, [14] = true, [17] = true }

local function dns_entry_walk(p, offset, index)
  local walk, finish = name_walk(p, offset), name_end(p, offset)
  if walk % 8 ~= 0 or finish == 0 or index < questions then return walk end
  local kind = u16(p, finish)
  local before = NAMES[kind]
  if before and before < u16(p, finish + 8) then
    local name = finish + 10 + before
    walk = walk + name_walk(p, name)
    if walk % 8 == 0 and TWO_NAMES[kind] then walk = walk + name_walk(p, name_end(p, name)) end
  end
  return walk
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

local COLON, MOST_DIGITS, LAST_PORT = 58, 6, 65535

local function port_end(p, offset)
  if u8(p, offset) ~= COLON then return offset end
  local port = 0
  for at = offset + 1, offset + 1 + MOST_DIGITS do
    local digit = u8(p, at) - 48
    if digit < 0 or digit > 9 then return (port > 0 or at == offset + 1) and at or 0 end
    port = port * 10 + digit
    if port > LAST_PORT then return 0 end
  end
  return 0
end
