#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "router/proxy/downstream.h"
#include "router/proxy/record.h"
#include "router/runtime/line_writer.h"

namespace router::proxy {

/// Appends one exchange as a JSON object on one line. The fields are named as in Azure Monitor's AmlOnlineEndpointTrafficLog,
/// plus fields of the router's own (contract, section 10). The query of the target is left out: it may contain private data.
/// `client_ip`: the text of an address; if it is empty, `ClientIP` is left out.
/// Texts of the client are cut before they are escaped: path 1,024 bytes, `User-Agent` 70, method 32. An escaped text is up to
/// six times as long.
void append_access_line(std::string& line, std::uint64_t generation, std::string_view client_ip, const Downstream& downstream,
                        const Record& record);

/// Passes the line to the writer, which drops and counts it if its buffer is full.
void write_access_line(runtime::LineWriter& writer, std::size_t shard, std::uint64_t generation, std::string_view client_ip,
                       const Downstream& downstream, const Record& record);

}  // namespace router::proxy
