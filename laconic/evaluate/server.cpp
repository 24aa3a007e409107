#include "laconic/evaluate/server.h"

#include <c10/util/Exception.h>
#include <httplib.h>

#include <chrono>
#include <thread>

#include "laconic/base/interrupt.h"
#include "laconic/file/json/json.h"

namespace laconic {
namespace {

using httplib::Request;
using httplib::Response;
using nlohmann::json;

constexpr const char* kJson = "application/json";
constexpr size_t kThreads = 8;  // connections at once; an idle one holds its thread
constexpr int kDepth = 8;       // of a request's JSON
constexpr int kKeepAliveSeconds = 30, kReadSeconds = 30;

void reply(Response& response, const json& object) {
  // Names of tokens may hold parts of characters.
  response.set_content(object.dump(-1, ' ', true, json::error_handler_t::replace), kJson);
}

void refuse(Response& response, int status, const std::string& message) {
  response.status = status;
  const char* const type = status < 500 ? "invalid_request_error" : "server_error";
  reply(response, {{"error", {{"message", message}, {"type", type}, {"code", status}}}});
}

void complete(Completions& completions, const Request& request, Response& response) {
  try {
    return reply(response,
                 completions.complete(parse_json(request.body, "[completions] the body", kDepth)));
  } catch (const Interrupted&) {
    refuse(response, 503, "the server ends.");
  } catch (const c10::ValueError& error) {
    refuse(response, 400, error.what_without_backtrace());
  } catch (const c10::Error& error) {
    refuse(response, 500, error.what_without_backtrace());
  } catch (const std::exception& error) {
    refuse(response, 500, error.what());
  }
  completions.count_refusal();
}

void route(httplib::Server& server, Completions& completions) {
  server.Post("/v1/completions", [&](const Request& request, Response& response) {
    complete(completions, request, response);
  });
  server.Get("/v1/models",
             [&](const Request&, Response& response) { reply(response, completions.models()); });
  server.Get("/health", [](const Request&, Response& response) {
    reply(response, {{"status", "ok"}});
  });
  server.Get("/metrics", [&](const Request&, Response& response) {
    response.set_content(completions.metrics(), "text/plain; version=0.0.4");
  });
  server.set_error_handler([](const Request& request, Response& response) {
    if (!response.body.empty()) return;
    const bool unknown = response.status == 404;
    refuse(response, response.status,
           unknown ? "unknown path " + request.path.substr(0, 80) +
                         ": expected POST /v1/completions, GET /v1/models, /health or /metrics."
                   : "the request cannot be read: wrong HTTP, or too large.");
  });
}

}  // namespace

void serve(Completions& completions, const ServerOptions& options,
           const std::function<void(int port)>& ready) {
  httplib::Server server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_payload_max_length(static_cast<size_t>(options.most_bytes));
  server.set_keep_alive_timeout(kKeepAliveSeconds);
  server.set_read_timeout(kReadSeconds);
  // Replies that follow one another on a connection would wait for a timer otherwise.
  server.set_tcp_nodelay(true);
  // Not SO_REUSEPORT, by which two servers would share a port.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  route(server, completions);
  const int port = options.port == 0 ? server.bind_to_any_port(options.host)
                   : server.bind_to_port(options.host, options.port) ? options.port
                                                                     : -1;
  TORCH_CHECK_VALUE(port > 0, "[serve] cannot listen on ", options.host, ":", options.port,
                    ". Is the port taken? Choose another with --port, 0 for any.");
  std::thread watch([&server] {
    while (interrupting_signal() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    server.stop();
  });
  ready(port);
  server.listen_after_bind();
  watch.join();
}

}  // namespace laconic
