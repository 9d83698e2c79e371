#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "router/proxy/downstream.h"
#include "router/proxy/record.h"
#include "router/runtime/line_writer.h"

namespace router::proxy {

/// One exchange as a JSON object on one line; fields are named as in Azure Monitor's AmlOnlineEndpointTrafficLog, plus our own
/// (contract, section 10). The query of the target is left out: it may hold what is nobody's business.
/// `client_ip`: the text of an address; empty leaves `ClientIP` out.
/// What a client has written is cut: path 1,024 bytes, `User-Agent` 70, method 32 (each escaped: up to six times as much).
void append_access_line(std::string& line, std::uint64_t generation, std::string_view client_ip, const Downstream& downstream,
                        const Record& record);

/// Hands the line to the writer; dropped and counted there if the writer cannot keep up.
void write_access_line(runtime::LineWriter& writer, std::size_t shard, std::uint64_t generation, std::string_view client_ip,
                       const Downstream& downstream, const Record& record);

}  // namespace router::proxy
