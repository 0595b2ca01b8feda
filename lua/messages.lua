-- Which layer's message a datagram or a segment begins with, as procwire/decode finds it: by ports
-- (the tables OVER_UDP and OVER_TCP), or by its first bytes.
local HTTP_STARTS = {}
for start in ("GET POST HEAD PUT DELE OPTI TRAC CONN PATC PROP HTTP"):gmatch("%a+") do
  HTTP_STARTS[u32(#start == 3 and start .. " " or start, 0)] = true
end

local SMTP_VERBS = {
  ehlo = true, helo = true, mail = true, rcpt = true, data = true,
  bdat = true, rset = true, quit = true, auth = true, star = true,
}
local SMTP_GREETINGS = { ["ehlo "] = true, ["helo "] = true }
local SMB_STARTS = {
  [0xFF534D42] = true, [0xFE534D42] = true, [0xFD534D42] = true, [0xFC534D42] = true,
}

-- Each tells whether the payload of a TCP segment begins like a message of its layer, and where.
local BEGINS = {
  dns = function(payload)
    if #payload >= 14 and u16(payload, 0) == #payload - 2 then return 2 end
  end,
  modbus = function(payload)
    local fits = u16(payload, 2) == 0 or u16(payload, 4) == #payload - 6
    if #payload >= 8 and fits then return 0 end
  end,
  dnp3 = function(payload)
    if u16(payload, 0) == 0x0564 then return 0 end
  end,
  smtp = function(payload)
    local printable = #payload >= 4 and payload:find("^%d[ -~][ -~]")
    if SMTP_VERBS[sub(payload, 1, 4):lower()] or printable then return 0 end
  end,
}

-- A record's header; or with another version, a hello that fills its record; or SSL 2.0's.
local function begins_tls(payload)
  local kind, major, minor, high, low, hello = byte(payload, 1, 6)
  if not low then return false end
  if kind >= 128 then
    local fits = u16(payload, 0) - 0x8000 == #payload - 2
    return fits and (minor == 1 or minor == 4)
  end
  if kind < 20 or kind > 24 then return false end
  if major == 3 and minor <= 4 then return true end
  local fills = bits(u32(payload, 5), 0, 24) == high * 256 + low - 4
  return #payload >= 9 and kind == 22 and (hello == 1 or hello == 2) and fills
end

-- Whether a line that begins with a token and a space ends in a version of HTTP/1, and has more
-- than these.
local function begins_with_request_line(payload)
  local line = payload:match("^([^\n]*)\r?\n")
  local method = line and line:match("^[%w!#$%%&'*+.^_`|~-]+ ")
  return method and #method <= 257 and line:lower():find(" http/1%.%d\r?$", #method + 1)
end

-- The layer of a message that is known by its first bytes, on any port, or nil.
local function layer_of_start(payload)
  local first = byte(payload, 1)
  if not first then return nil end
  if first >= 128 or (first >= 20 and first <= 24) then return begins_tls(payload) and "tls" or nil end
  if first == 0 then return #payload >= 8 and SMB_STARTS[u32(payload, 4)] and "smb" or nil end
  if HTTP_STARTS[u32(payload, 0)] or sub(payload, 1, 4):lower() == "http" then return "http1" end
  if sub(payload, 1, 4) == "SSH-" then return "ssh" end
  if #payload < 8 then return nil end
  if begins_with_request_line(payload) then return "http1" end
  if SMTP_GREETINGS[sub(payload, 1, 5):lower()] then return "smtp" end
end

local function layer_of_ports(p, layers)
  local high, low, to_high, to_low = byte(p, 1, 4)
  return layers[to_high * 256 + to_low] or layers[high * 256 + low]
end
