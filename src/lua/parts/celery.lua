-- A message for Celery workers, protocol 2 as kombu writes it: what `domain/celery/message.rs` has rendered, and what belongs to
-- one run. Its id is the task's. Needs `instant_text`, TRIGGER_WORDS.
local TEMPLATE, TEMPLATE_MIN = '>I6I6I4I4', 20  -- expires, countdown, lengths of body and properties
local celery = { times = {} }

-- seldom: celery
-- As Python prints it, or `null`: `delay` ms after the sending, 0 for none. `ms` is when it is sent.
function celery.time_after(ms, delay)
  if delay == 0 then return 'null' end
  local text = celery.times[ms + delay]
  if not text then
    text = '"' .. string.sub(instant_text(ms + delay), 1, 23) .. '000+00:00"'
    celery.times[ms + delay] = text
  end
  return text
end

-- `sent_at` is in the delivery tag, too: by it workers keep apart what was sent twice with one id. `template` has TEMPLATE_MIN bytes
-- at least; cannot raise.
function celery.render(template, run_id, fire_at, trigger, sent_at)
  local expires, countdown, body_len, properties_len, at = struct.unpack(TEMPLATE, template)
  local properties_at = at + body_len
  local headers_at = properties_at + properties_len
  return '{"body": "' .. string.sub(template, at, properties_at - 1)
    .. '", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "id": "' .. run_id
    .. '", "shadow": null, "eta": ' .. celery.time_after(sent_at, countdown) .. ', "expires": ' .. celery.time_after(sent_at, expires)
    .. ', "group": null, "group_index": null, "retries": 0, "root_id": "' .. run_id
    .. '", "parent_id": null, "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}, "upbeat_fire_at": "'
    .. instant_text(fire_at) .. '", "upbeat_trigger": "' .. TRIGGER_WORDS[trigger] .. '", ' .. string.sub(template, headers_at)
    .. '}, "properties": {"correlation_id": "' .. run_id .. '", "delivery_mode": 2, "body_encoding": "base64", "delivery_tag": "' .. run_id
    .. '.' .. string.format('%.0f', sent_at) .. '", "delivery_info": {"exchange": "", '
    .. string.sub(template, properties_at, headers_at - 1) .. '}}'
end
