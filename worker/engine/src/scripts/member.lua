-- member: what the running set calls a run, for the scripts that have to say it (fetch, cancel, repair). It is put before
-- each of them. The 16 bytes of the job's id alone for its first run, which most have no other than, and id:run for later
-- ones. What is no id is always followed by its run, so that it never passes for a run of a job (store/run_id.rs).
local ID = 16                              -- bytes of a job's id

local function member_of(id, run)
  if run == 1 and #id == ID then return id end
  return id .. ':' .. string.format('%.0f', run)
end

