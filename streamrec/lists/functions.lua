#!lua name=streamrec
-- version: 6
-- What must be atomic, or must be one round trip, runs inside Redis. Loaded by streamrec itself (functions.py).
-- Lists and answers are JSON; profiles are 8 bytes of revision and a MessagePack map.

local LIST_VERSION = 1
-- How many sold-out items among the first ones are stepped over before the whole list must be decoded.
local SPARE = 2
-- What campaigns pin for everybody, now and later; see pins.py.
local PINS = 'campaigns:pins'
local PINS_HEAD = '^{"v":1,"from":(%d+),'

-- ---- lists ----------------------------------------------------------------------------------------------------------

local function decode(text)
  local ok, list = pcall(cjson.decode, text)
  if not ok or type(list) ~= 'table' or list.v ~= LIST_VERSION or type(list.items) ~= 'table' then return nil end
  return list
end

-- The list cut to its first items, or nil. Decoding is what a read costs, and most reads want 10 of 60. The cut is where the next item
-- begins, which nothing else looks like: inside a string each quote has a backslash before it. Between items there may be blanks.
local function head(raw, count)
  local at = 0
  for _ = 0, count do
    at = string.find(raw, '{"id":', at + 1, true)
    if not at then return nil end
  end
  local list = decode(string.sub(raw, 1, at - 1) .. '0]}')
  if list then list.items[count + 1] = nil end
  return list
end

-- Append items of `from` to `out`, at most up to n: those not sold out and not in `seen`. Ids are asked for in blocks of what is
-- still missing, so that the usual read asks Redis for n ids once.
local function take(out, from, n, soldout, seen)
  local at, count = 1, #from
  while #out < n and at <= count do
    local block, ids = {}, {}
    while #block < n - #out and at <= count do
      local item = from[at]
      at = at + 1
      if not seen[item.id] then
        seen[item.id] = true
        block[#block + 1] = item
        ids[#ids + 1] = item.id
      end
    end
    if #ids > 0 then
      local hidden = redis.call('SMISMEMBER', soldout, unpack(ids))
      for i = 1, #block do
        if hidden[i] == 0 then out[#out + 1] = block[i] end
      end
    end
  end
end

local function answer(source, list, items)
  list = list or {}
  return '{"source":"' .. source .. '","made_at":' .. string.format('%.0f', list.made_at or 0)
    .. ',"variant":' .. cjson.encode(list.variant or '') .. ',"digest":' .. cjson.encode(list.digest or '')
    .. ',"items":' .. (#items > 0 and cjson.encode(items) or '[]') .. '}'
end

local function owned_ids(raw)
  local profile, ids = cmsgpack.unpack(string.sub(raw, 9)), {}
  for id in pairs(profile.b or {}) do ids[id] = true end
  -- As Profile.in_cart: an entry that is not newer than the newest forgotten purchase may be that purchase.
  for id, entry in pairs(profile.c or {}) do
    if entry[1] > 0 and entry[2] > (profile.f or 0) then ids[id] = true end
  end
  return ids
end

-- What the visitor bought or has in the cart; nil when the profile cannot be read: then nothing may be filled in.
local function owned(key)
  local raw = redis.call('GET', key)
  if not raw then return {} end
  local ok, ids = pcall(owned_ids, raw)
  return ok and ids or nil
end

-- The first n items of the list under the key that are not sold out nor pinned, the list itself, and the ids that were looked at or are
-- pinned. Of a list with pins only as many items are needed as they leave slots.
local function first_of(key, n, soldout, pins)
  local function looked()
    local seen = {}
    for id in pairs(pins and pins.items or {}) do seen[id] = true end
    return {}, seen
  end
  local need, items, seen = n - (pins and pins.within or 0), looked()
  local raw = redis.call('GET', key)
  if not raw then return items, nil, seen end
  local list = head(raw, n + SPARE)
  if list then
    take(items, list.items, need, soldout, seen)
    if #items >= need then return items, list, seen end
  end
  items, seen = looked()
  list = decode(raw)
  if list then take(items, list.items, need, soldout, seen) end
  return items, list, seen
end

local function read_pins()
  local raw, running = redis.call('GET', PINS), {}
  local from = raw and string.match(raw, PINS_HEAD)
  if not from then return running end
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if now < tonumber(from) then return running end
  local board = cjson.decode(raw)
  for _, pin in ipairs(board.pins) do
    if pin.starts_at <= now and now < pin.ends_at then running[#running + 1] = pin end
  end
  return running
end

-- Which pins have a slot for this visitor now, or nil: of several for a slot the first that is not hidden, owned or placed already. Only
-- the home list has pins. Who may not read their key, or reads where it has another slot (a cluster), gets those that were ranked.
local function placed_pins(rec, profile, soldout, n)
  if rec ~= 'rec:' .. string.sub(profile, 9) then return nil end
  local ok, running = pcall(read_pins)
  if not ok or #running == 0 then return nil end
  local skip, ids = owned(profile), {}
  if not skip then return nil end
  for i, pin in ipairs(running) do ids[i] = pin.id end
  local hidden = redis.call('SMISMEMBER', soldout, unpack(ids))
  local pins = {items = {}, slots = {}, within = 0}
  for i, pin in ipairs(running) do
    if hidden[i] == 0 and not skip[pin.id] and not pins.items[pin.id] and not pins.slots[pin.slot] then
      pins.items[pin.id] = {id = pin.id, score = 0, why = 'campaign:' .. pin.campaign}
      pins.slots[pin.slot] = pins.items[pin.id]
      if pin.slot <= n then pins.within = pins.within + 1 end
    end
  end
  return next(pins.slots) and pins or nil
end

-- The first n of the items with the pins in their slots. Where the items end, the pins left over follow, the last slot's first, which is what
-- ranking does. A pin that the list has among its first n keeps the score that it has there.
local function with_pins(items, pins, list, n)
  for i = math.min(n, list and #list.items or 0), 1, -1 do
    local pin = pins.items[list.items[i].id]
    if pin then pin.score = list.items[i].score end
  end
  local out, at = {}, 1
  for slot = 1, n do
    local from = pins.slots[slot] and slot
    if not from and not items[at] then
      for other in pairs(pins.slots) do from = math.max(from or 0, other) end
      if not from then break end
    end
    if from then
      out[slot], pins.slots[from] = pins.slots[from], nil
    else
      out[slot], at = items[at], at + 1
    end
  end
  return out
end

-- KEYS: the visitor's list, the visitor's profile, soldout, the fallback list. ARGV: n.
local function topk(keys, args)
  local n = tonumber(args[1])
  local pins = placed_pins(keys[1], keys[2], keys[3], n)
  local need = n - (pins and pins.within or 0)
  local items, list, seen = first_of(keys[1], n, keys[3], pins)
  local before, fallback = #items, nil
  if before < need or not list then
    local skip, raw = owned(keys[2]), redis.call('GET', keys[4])
    fallback = skip and raw and decode(raw)
    if fallback then
      for id in pairs(seen) do skip[id] = true end
      take(items, fallback.items, need, keys[3], skip)
    end
  end
  local source, made = 'list', list
  if before == 0 and (#items > 0 or not list) then source, made = 'fallback', fallback
  elseif #items > before then source = 'filled' end
  if not made or (#items == 0 and not pins) then return answer('none', nil, {}) end
  return answer(source, made, pins and with_pins(items, pins, list, n) or items)
end

-- KEYS: any list, soldout. ARGV: n.
local function guarded_list(keys, args)
  local items, list = first_of(keys[1], tonumber(args[1]), keys[2])
  if #items == 0 then return answer('none', nil, items) end
  return answer('list', list, items)
end

redis.register_function{function_name = 'streamrec_topk', callback = topk, flags = {'no-writes'}}
redis.register_function{function_name = 'streamrec_list', callback = guarded_list, flags = {'no-writes'}}

-- ---- visitors -------------------------------------------------------------------------------------------------------

-- The first revision of a visitor is the time in µs and each write adds 1: a visitor that was forgotten and came back never meets
-- the revision that somebody read before.
local function next_revision(current)
  if current == '' then
    local now = redis.call('TIME')
    return tonumber(now[1]) * 1000000 + tonumber(now[2])
  end
  return struct.unpack('>I8', current) + 1
end

-- KEYS: the profile, then the lists. ARGV: the revision that was read (8 bytes, empty: there was none), TTL in s, the profile without its
-- revision, then the lists. Returns the new revision, or 0 when the profile was written by somebody else in between.
local function commit(keys, args)
  local current = redis.call('GETRANGE', keys[1], 0, 7)
  if current ~= args[1] then return 0 end
  local revision = next_revision(current)
  redis.call('SET', keys[1], struct.pack('>I8', revision) .. args[3], 'EX', args[2])
  for i = 2, #keys do redis.call('SET', keys[i], args[i + 2], 'EX', args[2]) end
  return revision
end

redis.register_function('streamrec_commit', commit)

-- KEYS: a list. ARGV: the made_at of the list that is to be replaced, the new list. Returns 1, or 0 when another list or none stands there:
-- whoever wrote it knew more than the caller. The time to live stays.
local function replace(keys, args)
  local head = '{"made_at":' .. args[1] .. ','
  if redis.call('GETRANGE', keys[1], 0, #head - 1) ~= head then return 0 end
  redis.call('SET', keys[1], args[2], 'KEEPTTL')
  return 1
end

redis.register_function('streamrec_replace', replace)

local blanks = ''

-- Whether the list under the key is the one that was made then. Most moments have 13 digits.
local function was_made(key, made_at)
  local digits = redis.call('GETRANGE', key, 11, 23)
  return (tonumber(digits) or tonumber(string.match(digits, '^(%d+),'))) == made_at
end

-- KEYS: lists. ARGV: per list the made_at and the length of the one that is meant and how many patches it gets (see redis_visitors.py); per
-- patch where it begins, its bytes and which of ARGV it writes, 0: blanks; the texts. Returns a digit per list: 1, or 0 when another list or
-- none stands there. The time to live stays, and nothing is copied but what is written: what a list costs is mostly its calls. So its length
-- is seen only as it is patched; one of another length, which nobody should have made at the very moment, is deleted, as readers fall back.
local function patch(keys, args)
  local done, list_at, patch_at, made_at, length, count, offset, size, text = {}, 1, 1
  for i = 1, #keys do
    made_at, length, count, list_at = struct.unpack('<dI4I4', args[1], list_at)
    local meant = was_made(keys[i], made_at)
    for _ = 1, count do
      offset, size, text, patch_at = struct.unpack('<I4I4I4', args[2], patch_at)
      if meant then
        if size > #blanks then blanks = string.rep(' ', size) end
        if redis.call('SETRANGE', keys[i], offset, text > 0 and args[text] or string.sub(blanks, 1, size)) ~= length then
          redis.call('DEL', keys[i])
          meant = false
        end
      end
    end
    done[i] = meant and '1' or '0'
  end
  return table.concat(done)
end

redis.register_function('streamrec_patch', patch)

-- ---- item facts -----------------------------------------------------------------------------------------------------

-- Every fact function: KEYS: the item's hash, soldout. ARGV: item id, ts (not streamrec_remove), order, the fact's own values.
-- Returns 1 applied + 2 became sold out + 4 became available. Without the key soldout, which in a cluster has another slot, the
-- caller keeps that set: 1 applied + 8 must not be shown.

local function newer(key, group, ts, order)
  local now = redis.call('HMGET', key, group .. '_ts', group .. '_order')
  local old_ts = tonumber(now[1] or '-1')
  ts = tonumber(ts)
  return ts > old_ts or (ts == old_ts and tonumber(order) > tonumber(now[2] or '-1'))
end

-- Put the item into soldout or take it out, as its hash says. Done whether or not the fact was new: a repeat repairs the set.
local function guard(key, soldout, id, applied)
  local now = redis.call('HMGET', key, 'quantity', 'catalog_order', 'removed_order', 'excluded')
  local removed = now[3] and tonumber(now[3]) >= tonumber(now[2] or '-1')
  local hidden = removed or now[1] == '0' or now[4]
  if not soldout then return applied + (hidden and 8 or 0) end
  if hidden then
    return applied + 2 * redis.call('SADD', soldout, id)
  end
  return applied + 4 * redis.call('SREM', soldout, id)
end

local function set_quantity(key, ts, order, quantity)
  if not newer(key, 'stock', ts, order) then return 0 end
  redis.call('HSET', key, 'quantity', quantity, 'stock_ts', ts, 'stock_order', order)
  return 1
end

local function set_price(key, ts, order, price, list_price)
  if not newer(key, 'price', ts, order) then return 0 end
  redis.call('HSET', key, 'price', price, 'price_ts', ts, 'price_order', order)
  if list_price == '' then redis.call('HDEL', key, 'list_price') else redis.call('HSET', key, 'list_price', list_price) end
  return 1
end

-- ARGV: id, ts, order, quantity.
local function stock(keys, args)
  return guard(keys[1], keys[2], args[1], set_quantity(keys[1], args[2], args[3], args[4]))
end

-- ARGV: id, ts, order, price, list price or ''.
local function price(keys, args)
  return guard(keys[1], keys[2], args[1], set_price(keys[1], args[2], args[3], args[4], args[5]))
end

-- ARGV: id, ts, order, title, image_url, category, brand, currency, price or '', quantity or ''.
local function catalog(keys, args)
  local key, ts, order, applied = keys[1], args[2], args[3], 0
  if args[9] ~= '' then applied = math.max(applied, set_price(key, ts, order, args[9], '')) end
  if args[10] ~= '' then applied = math.max(applied, set_quantity(key, ts, order, args[10])) end
  if newer(key, 'catalog', ts, order) then
    redis.call('HSET', key, 'title', args[4], 'image_url', args[5], 'category', args[6], 'brand', args[7], 'currency', args[8],
      'catalog_ts', ts, 'catalog_order', order)
    applied = 1
  end
  return guard(key, keys[2], args[1], applied)
end

-- ARGV: id, order. A removal has no ts: it removes the item as it was listed up to that order.
local function remove(keys, args)
  local applied = 0
  if tonumber(args[2]) > tonumber(redis.call('HGET', keys[1], 'removed_order') or '-1') then
    redis.call('HSET', keys[1], 'removed_order', args[2])
    applied = 1
  end
  return guard(keys[1], keys[2], args[1], applied)
end

local function set_excluded(key, hide)
  if hide == '1' then redis.call('HSET', key, 'excluded', '1') elseif hide == '0' then redis.call('HDEL', key, 'excluded') end
end

-- KEYS: the ids that campaigns hide, who writes them, then, outside a cluster, soldout and the items' hashes. ARGV: the writer who is expected,
-- the writer from now on, 1 to hide or 0 to show, the items' ids. Returns 1, or 0 when another has written: then nothing is done.
local function exclude(keys, args)
  if (redis.call('GET', keys[2]) or '') ~= args[1] then return 0 end
  redis.call('SET', keys[2], args[2])
  if #args < 4 then return 1 end
  local hide, ids = args[3] == '1', {unpack(args, 4)}
  for i = 4, #keys do
    set_excluded(keys[i], args[3])
    if not hide then guard(keys[i], keys[3], ids[i - 3], 0) end
  end
  if hide and keys[3] then redis.call('SADD', keys[3], unpack(ids)) end
  redis.call(hide and 'SADD' or 'SREM', keys[1], unpack(ids))
  return 1
end

-- For a cluster. KEYS: the item's hash. ARGV: 1 to hide it, 0 to show it, '' to look. Returns 8 where the item must not be shown.
local function mark(keys, args)
  set_excluded(keys[1], args[1])
  return guard(keys[1], nil, nil, 0)
end

redis.register_function('streamrec_exclude', exclude)
redis.register_function('streamrec_mark', mark)
redis.register_function('streamrec_stock', stock)
redis.register_function('streamrec_price', price)
redis.register_function('streamrec_catalog', catalog)
redis.register_function('streamrec_remove', remove)

-- ---- progress ---------------------------------------------------------------------------------------------------------

-- The server's run: another one may have come back with less than the last one had. In a cluster it is the run of the key's node.
local function run_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
end

-- KEYS: a hash of stamps. ARGV: its fields. Returns the run and the fields' values.
local function progress(keys, args)
  return {run_id(), redis.call('HMGET', keys[1], unpack(args))}
end

-- KEYS: a hash of stamps. ARGV: TTL in s or 0, the run that is known, then per stamp its field, the value that should stand there ('': none)
-- and the new one. Returns 1, or 0 when anything is not as it is known: then nothing is written.
local function stamp(keys, args)
  if run_id() ~= args[2] then return 0 end
  for i = 3, #args, 3 do
    if (redis.call('HGET', keys[1], args[i]) or '') ~= args[i + 1] then return 0 end
  end
  for i = 3, #args, 3 do redis.call('HSET', keys[1], args[i], args[i + 2]) end
  if args[1] ~= '0' then redis.call('EXPIRE', keys[1], args[1]) end
  return 1
end

-- KEYS: the data's name; data that has none is named after this moment. Returns the run and the name.
local function identity(keys)
  local now = redis.call('TIME')
  redis.call('SET', keys[1], now[1] .. '.' .. now[2], 'NX')
  return {run_id(), redis.call('GET', keys[1])}
end

redis.register_function{function_name = 'streamrec_progress', callback = progress, flags = {'no-writes'}}
redis.register_function('streamrec_stamp', stamp)
redis.register_function('streamrec_identity', identity)

-- ---- learnt weights -------------------------------------------------------------------------------------------------

local WEIGHTS_VERSION = 1

local function weights_of(text)
  local ok, known = pcall(cjson.decode, text or '')
  if ok and type(known) == 'table' and known.v == WEIGHTS_VERSION then return known end
end

local function within(value, low, high) return math.min(math.max(value, low), high) end

local function numbers(by_name)
  local words = {}
  for name, number in pairs(by_name) do
    words[#words + 1] = cjson.encode(name) .. ':' .. string.format('%.17g', number)
  end
  return '{' .. table.concat(words, ',') .. '}'
end

-- KEYS: a placement's weights. ARGV: TTL in s; what the caller knows of them, empty if nothing; drift, drift_ms, most, half_life_ms; the ts of
-- the moves, 0 if there are none; then part, move, part, move, … As `moved` in part_weights.py. Returns what stands now, empty if nothing.
local function learn(keys, args)
  local stored = redis.call('GET', keys[1])
  local known = weights_of(stored) or weights_of(args[2])
  local drift, drift_ms, most, half_life_ms, ts = tonumber(args[3]), tonumber(args[4]), tonumber(args[5]), tonumber(args[6]), tonumber(args[7])
  if ts == 0 and (not known or weights_of(stored)) then return known and stored or '' end
  local newest = math.max(known and known.ts or ts, ts)
  local window = math.floor(newest / drift_ms)
  local logs, since = {}, {}
  if known then
    local fade = 2 ^ (-(newest - known.ts) / half_life_ms)
    local from = window == known.window and known.since or known.logs
    for part, log in pairs(known.logs) do logs[part] = log * fade end
    for part, log in pairs(from) do since[part] = log * fade end
  end
  for i = 8, #args, 2 do
    local part, base = args[i], since[args[i]] or 0
    logs[part] = within(within((logs[part] or 0) + tonumber(args[i + 1]), base - drift, base + drift), -most, most)
  end
  local text = '{"v":1,"ts":' .. string.format('%.0f', newest) .. ',"window":' .. string.format('%.0f', window)
    .. ',"logs":' .. numbers(logs) .. ',"since":' .. numbers(since) .. '}'
  redis.call('SET', keys[1], text, 'EX', args[1])
  return text
end

redis.register_function('streamrec_learn', learn)
