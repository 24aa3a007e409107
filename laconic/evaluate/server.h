#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "laconic/evaluate/completions.h"

namespace laconic {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;                        ///< 0: any free one
  int64_t most_bytes = int64_t{4} << 20;  ///< of a request
};

/// Serves POST /v1/completions, GET /v1/models, /health and /metrics until Ctrl-C or SIGTERM, then
/// ends what is under way with status 503 and returns. Faults are JSON objects {"error":
/// {"message", "type", "code"}}: status 400 for a wrong request, 404 for an unknown path, 413 for
/// one too large.
/// @param ready  is told the port once requests are accepted.
/// @throws c10::ValueError when host and port cannot be listened on.
void serve(Completions& completions, const ServerOptions& options,
           const std::function<void(int port)>& ready);

}  // namespace laconic
