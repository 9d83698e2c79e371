-- For wrk: sends the same POST again and again, with a body of BENCH_BODY bytes; at the end prints the counts as one line of JSON.
wrk.method = "POST"
wrk.body = '{"data": "' .. string.rep("x", tonumber(os.getenv("BENCH_BODY")) - 12) .. '"}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\n{"requests": %d, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
    summary.requests, errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
