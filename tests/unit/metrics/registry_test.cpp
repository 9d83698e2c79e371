#include "router/metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "router/metrics/scrape.h"

namespace router::metrics {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

/// Whether the text has exactly this sample.
bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

class RegistryTest : public testing::Test {
 protected:
  ManualClock clock;
  Registry registry{2, clock};
};

TEST_F(RegistryTest, GivesTheSameCellsForTheSameDeploymentWhateverTheCase) {
  const auto first = registry.deployment("Iris", "Blue");
  EXPECT_EQ(first, registry.deployment("iris", "blue"));
  EXPECT_NE(first, registry.deployment("iris", "green"));
  EXPECT_NE(registry.deployment("a", "bc"), registry.deployment("ab", "c"));
}

TEST_F(RegistryTest, TellsWhyConnectionsWereReplaced) {
  const auto blue = registry.deployment("iris", "blue");
  blue->on(0).connection_replaced(FreshReason::kAfterError);
  blue->on(1).connection_replaced(FreshReason::kAfterError);
  blue->on(1).connection_replaced(FreshReason::kClosesSilently);
  const std::string text = registry.render();
  const std::string name = R"(inference_router_fresh_connections_total{endpoint="iris",deployment="blue",reason=)";
  EXPECT_TRUE(has_line(text, name + R"("after_5xx"} 2)")) << text;
  EXPECT_TRUE(has_line(text, name + R"("closes_silently"} 1)")) << text;
}

TEST_F(RegistryTest, SumsTheShards) {
  const auto blue = registry.deployment("iris", "blue");
  blue->on(0).exchange_finished(
      {.status = 200, .duration = 40us, .stale_retried = true, .request_bytes = 10, .response_bytes = 3});
  blue->on(1).exchange_finished({.status = 200, .duration = 2s, .abort_unnoticed = true, .request_bytes = 5});
  const std::string text = registry.render();
  EXPECT_TRUE(has_line(text, R"(inference_router_requests_total{endpoint="iris",deployment="blue",code="200",reason=""} 2)"))
      << text;
  EXPECT_TRUE(has_line(text, R"(inference_router_request_bytes_total{endpoint="iris",deployment="blue"} 15)"));
  EXPECT_TRUE(has_line(text, R"(inference_router_response_bytes_total{endpoint="iris",deployment="blue"} 3)"));
  EXPECT_TRUE(
      has_line(text, R"(inference_router_retries_total{endpoint="iris",deployment="blue",reason="stale_connection"} 1)"));
  EXPECT_TRUE(has_line(text, R"(inference_router_retries_total{endpoint="iris",deployment="blue",reason="connect_failed"} 0)"));
  EXPECT_TRUE(has_line(text, R"(inference_router_aborts_unnoticed_total{endpoint="iris",deployment="blue"} 1)"));
  EXPECT_TRUE(has_line(text, R"(inference_router_request_duration_seconds_count{endpoint="iris",deployment="blue"} 2)"));
  EXPECT_TRUE(
      has_line(text, R"(inference_router_request_duration_seconds_bucket{endpoint="iris",deployment="blue",le="5e-05"} 1)"));
  EXPECT_TRUE(
      has_line(text, R"(inference_router_request_duration_seconds_bucket{endpoint="iris",deployment="blue",le="2.5"} 2)"));
  EXPECT_TRUE(
      has_line(text, R"(inference_router_request_duration_seconds_bucket{endpoint="iris",deployment="blue",le="+Inf"} 2)"));
  EXPECT_THAT(text, HasSubstr(R"(inference_router_request_duration_seconds_sum{endpoint="iris",deployment="blue"} 2.00004)"));
}

TEST_F(RegistryTest, AddsUpReasonsThatShareAName) {
  const auto none = registry.deployment("", "");
  none->on(0).exchange_finished({.status = 501, .reason = Reason::kUnsupportedCoding});
  none->on(1).exchange_finished({.status = 501, .reason = Reason::kUnsupportedVersion});
  EXPECT_TRUE(has_line(registry.render(),
                       R"(inference_router_requests_total{endpoint="",deployment="",code="501",reason="unsupported"} 2)"));
}

TEST_F(RegistryTest, ShowsEmptyHistogramsOfNamedDeploymentsOnly) {
  const auto named = registry.deployment("iris", "blue");
  const auto unnamed = registry.deployment("", "");
  const std::string text = registry.render();
  EXPECT_TRUE(has_line(text, R"(inference_router_queue_wait_seconds_count{endpoint="iris",deployment="blue"} 0)"));
  EXPECT_THAT(text, Not(HasSubstr(R"(inference_router_queue_wait_seconds_count{endpoint="",)")));
}

TEST_F(RegistryTest, KeepsARemovedDeploymentForTenMinutes) {
  registry.deployment("iris", "blue")->on(0).exchange_finished({.status = 200});
  EXPECT_THAT(registry.render(), HasSubstr("blue"));
  clock.advance(9min + 59s);
  EXPECT_THAT(registry.render(), HasSubstr("blue"));
  clock.advance(1s);
  EXPECT_THAT(registry.render(), Not(HasSubstr("blue")));
}

TEST_F(RegistryTest, CountsTheTenMinutesFromWhenTheLastExchangeLetsGo) {
  auto held = registry.deployment("iris", "blue");
  registry.render();
  clock.advance(20min);
  EXPECT_THAT(registry.render(), HasSubstr("blue"));
  held.reset();
  EXPECT_THAT(registry.render(), HasSubstr("blue"));
  clock.advance(10min);
  EXPECT_THAT(registry.render(), Not(HasSubstr("blue")));
}

TEST_F(RegistryTest, GoesOnCountingWhenADeploymentComesBackInTime) {
  registry.deployment("iris", "blue")->on(0).exchange_finished({.status = 200});
  registry.render();
  clock.advance(9min);
  const auto again = registry.deployment("iris", "blue");
  again->on(1).exchange_finished({.status = 200});
  clock.advance(9min);
  EXPECT_THAT(registry.render(), HasSubstr(R"(code="200",reason=""} 2)"));
}

TEST_F(RegistryTest, DoesNotGrowForEverWhenNobodyScrapes) {
  for (int i = 0; i < 500; ++i) {
    registry.deployment("iris", "v" + std::to_string(i));
    clock.advance(1min);
  }
  std::size_t known = 0;
  for (const auto& family : registry.collect()) known = std::max(known, family.metric.size());
  EXPECT_LT(known, 200u);
}

TEST_F(RegistryTest, ShowsWhatTheProcessTells) {
  registry.set_process_figures([] {
    ProcessFigures figures;
    figures.deployments = {{.endpoint = "iris",
                            .deployment = "blue",
                            .queue_length = 3,
                            .slots_in_use = 2,
                            .slots = 4,
                            .replicas_ready = 1,
                            .replicas_ejected = 1,
                            .replicas_refusing = 2,
                            .outages = {.ejections = 7, .refusals = 5}}};
    figures.certificates_refused = 2;
    figures.authorities_refused = 1;
    figures.certificates = {{"/etc/tls.pem", 1'700'000'000, 1'800'000'000}};
    figures.generation = 9;
    figures.discovery_age = 1500ms;
    figures.resources_refused = 5;
    figures.access_log_dropped = 11;
    figures.version = "0.1.0";
    return figures;
  });
  registry.configuration_reloaded(true);
  registry.configuration_reloaded(false);
  registry.configuration_reloaded(false);
  registry.shard(0).connections_active.add(2);
  registry.shard(1).connections_active.add(1);
  registry.shard(1).handshakes_resumed.add(6);
  registry.shard(0).mirrored[static_cast<std::size_t>(MirrorResult::kTooLarge)].add(2);
  registry.shard(1).mirrored[static_cast<std::size_t>(MirrorResult::kTooLarge)].add(3);
  const std::string text = registry.render();
  for (const char* line : {
           R"(inference_router_queue_length{endpoint="iris",deployment="blue"} 3)",
           R"(inference_router_slots_in_use{endpoint="iris",deployment="blue"} 2)",
           R"(inference_router_slots{endpoint="iris",deployment="blue"} 4)",
           R"(inference_router_replicas{endpoint="iris",deployment="blue",state="ready"} 1)",
           R"(inference_router_replicas{endpoint="iris",deployment="blue",state="ejected"} 1)",
           R"(inference_router_replicas{endpoint="iris",deployment="blue",state="not_ready"} 0)",
           R"(inference_router_replicas{endpoint="iris",deployment="blue",state="refusing"} 2)",
           R"(inference_router_ejections_total{endpoint="iris",deployment="blue"} 7)",
           R"(inference_router_refusals_total{endpoint="iris",deployment="blue"} 5)",
           R"(inference_router_mirrored_total{result="too_large"} 5)",
           R"(inference_router_certificate_start_timestamp_seconds{certificate="/etc/tls.pem"} 1700000000)",
           R"(inference_router_certificate_expiry_timestamp_seconds{certificate="/etc/tls.pem"} 1800000000)",
           R"(inference_router_files_refused{kind="certificate"} 2)",
           R"(inference_router_files_refused{kind="authorities"} 1)",
           R"(inference_router_configuration_generation 9)",
           R"(inference_router_configuration_reloads_total{result="accepted"} 1)",
           R"(inference_router_configuration_reloads_total{result="refused"} 2)",
           R"(inference_router_configuration_refused 1)",
           R"(inference_router_discovery_age_seconds 1.5)",
           R"(inference_router_resources_refused 5)",
           R"(inference_router_access_log_dropped_total 11)",
           R"(inference_router_build_info{version="0.1.0"} 1)",
           R"(inference_router_connections_active 3)",
           R"(inference_router_tls_handshakes_total{result="ok",resumed="true"} 6)",
       })
    EXPECT_TRUE(has_line(text, line)) << line << "\nis not in\n" << text;
}

TEST_F(RegistryTest, CallsTheFiguresOfTheProcessAsClientLibrariesDo) {
  registry.set_process_figures([] {
    ProcessFigures figures;
    figures.usage = {.cpu_seconds = 1.25,
                     .start_seconds = 1'700'000'000.5,
                     .resident_bytes = 4096,
                     .virtual_bytes = 8192,
                     .threads = 3,
                     .open_descriptors = 17,
                     .max_descriptors = 1024};
    return figures;
  });
  const std::string text = registry.render();
  for (const char* line :
       {"process_cpu_seconds_total 1.25", "process_resident_memory_bytes 4096", "process_virtual_memory_bytes 8192",
        "process_open_fds 17", "process_max_fds 1024", "process_start_time_seconds 1700000000.5", "process_threads 3"}) {
    EXPECT_TRUE(has_line(text, line)) << line << "\nis not in\n" << text;
  }
  registry.set_process_figures([] { return ProcessFigures{}; });
  EXPECT_THAT(registry.render(), Not(HasSubstr("\nprocess_"))) << "a figure that could not be read is left out, not shown as 0";
}

TEST_F(RegistryTest, ShowsTheFleetOfAMemberOnly) {
  registry.set_process_figures([] { return ProcessFigures{}; });
  EXPECT_THAT(registry.render(), Not(HasSubstr("\ninference_router_fleet_")));
  registry.set_process_figures([] {
    ProcessFigures figures;
    figures.fleet = FleetFigures{.members = {{"serving", 3}},
                                 .epoch = 7,
                                 .covered = true,
                                 .slots_waiting = 4,
                                 .round_trips = {{"10.0.0.1:9903", std::chrono::microseconds(250)}},
                                 .sent_on = {5, 6, 7}};
    return figures;
  });
  const std::string text = registry.render();
  for (const char* line : {"inference_router_fleet_members{state=\"serving\"} 3", "inference_router_fleet_epoch 7",
                           "inference_router_fleet_covered 1", "inference_router_fleet_slots_waiting_for_takeover 4",
                           "inference_router_fleet_link_rtt_seconds{peer=\"10.0.0.1:9903\"} 0.00025",
                           "inference_router_fleet_requests_sent_on_total{result=\"answered\"} 5",
                           "inference_router_fleet_requests_sent_on_total{result=\"failed\"} 7"}) {
    EXPECT_TRUE(has_line(text, line)) << line << "\nis not in\n" << text;
  }
}

TEST_F(RegistryTest, ShowsReplicasOnlyWhereToldToAndNoMoreThanTold) {
  bool is_on = false;
  registry.set_process_figures([&is_on] {
    ProcessFigures figures;
    if (!is_on) return figures;
    figures.per_replica = PerReplica{{}, 20};
    for (int i = 10; i < 35; ++i) {
      figures.per_replica->present.push_back({.endpoint = "iris",
                                              .deployment = "blue",
                                              .replica = "10.0.0." + std::to_string(i) + ":5001",
                                              .slots_in_use = 2,
                                              .requests = 7,
                                              .answers = 5,
                                              .first_byte_nanoseconds = 1'500'000'000});
    }
    return figures;
  });
  EXPECT_THAT(registry.render(), Not(HasSubstr("replica=")));
  is_on = true;
  const std::string text = registry.render();
  const std::string labels = R"({endpoint="iris",deployment="blue",replica="10.0.0.29:5001"} )";
  for (const std::string& line :
       {"inference_router_replica_requests_total" + labels + "7", "inference_router_replica_slots_in_use" + labels + "2",
        "inference_router_replica_first_byte_seconds_count" + labels + "5",
        "inference_router_replica_first_byte_seconds_sum" + labels + "1.5",
        std::string("inference_router_replicas_left_out 5")}) {
    EXPECT_TRUE(has_line(text, line)) << line << "\nis not in\n" << text;
  }
  EXPECT_THAT(text, Not(HasSubstr("10.0.0.30")));
  std::string pieces;
  const auto scrape = registry.scrape();
  while (scrape->next(pieces)) {
  }
  EXPECT_EQ(pieces, text);
  is_on = false;
  const std::string off = registry.render();
  EXPECT_THAT(off, Not(HasSubstr("replica=")));
  EXPECT_THAT(off, Not(HasSubstr("\ninference_router_replicas_left_out ")));
}

TEST_F(RegistryTest, TellsWhetherTheFilesAreInForce) {
  EXPECT_TRUE(has_line(registry.render(), "inference_router_configuration_refused 0"));
  registry.configuration_reloaded(false);
  EXPECT_TRUE(has_line(registry.render(), "inference_router_configuration_refused 1"));
  registry.configuration_reloaded(true);
  EXPECT_TRUE(has_line(registry.render(), "inference_router_configuration_refused 0"));
}

TEST_F(RegistryTest, ShowsNothingOfAnApiServerThatIsNotFollowed) {
  registry.set_process_figures([] { return ProcessFigures{}; });
  const std::string text = registry.render();
  for (const char* name : {"\ninference_router_discovery_age_seconds ", "\ninference_router_resources_refused ",
                           "\ninference_router_events_dropped_total "})
    EXPECT_THAT(text, Not(HasSubstr(name)));
}

TEST_F(RegistryTest, KeepsTheEjectionsAndRefusalsOfARemovedDeployment) {
  std::vector<DeploymentFigures> configured{{.endpoint = "iris", .deployment = "blue", .queue_length = 3, .outages = {7, 5}}};
  registry.set_process_figures([&] {
    ProcessFigures figures;
    figures.deployments = configured;
    return figures;
  });
  registry.deployment("iris", "blue");
  registry.render();
  configured.clear();
  const std::string text = registry.render();
  EXPECT_THAT(text, HasSubstr(R"(inference_router_ejections_total{endpoint="iris",deployment="blue"} 7)"));
  EXPECT_THAT(text, HasSubstr(R"(inference_router_refusals_total{endpoint="iris",deployment="blue"} 5)"));
  EXPECT_THAT(text, Not(HasSubstr("inference_router_queue_length{")));
}

TEST_F(RegistryTest, EscapesLabels) {
  const auto odd = registry.deployment("a\"b\\c\nd", "x");
  odd->on(0).exchange_finished({.status = 200});
  EXPECT_THAT(registry.render(), HasSubstr(R"(endpoint="a\"b\\c\nd")"));
}

TEST_F(RegistryTest, PassesPromtool) {
  ASSERT_EQ(::access("/usr/bin/promtool", X_OK), 0) << "promtool is not installed: ./dev setup test";
  const auto blue = registry.deployment("iris", "blue");
  blue->on(0).exchange_finished({.status = 200, .duration = 1ms, .queued = true, .answered = true});
  registry.deployment("", "")->on(1).exchange_finished({.status = 404, .reason = Reason::kEndpointNotFound});
  registry.set_process_figures([] {
    ProcessFigures figures;
    figures.deployments = {{.endpoint = "iris", .deployment = "blue"}};
    figures.certificates = {{"/etc/tls.pem", 1'700'000'000, 1'800'000'000}};
    figures.version = "0.1.0";
    return figures;
  });
  std::string path = testing::TempDir() + "metrics-XXXXXX";
  ::close(::mkstemp(path.data()));
  std::ofstream(path) << registry.render();
  FILE* promtool = ::popen(("/usr/bin/promtool check metrics < " + path + " 2>&1").c_str(), "r");
  ASSERT_NE(promtool, nullptr);
  std::string complaints;
  char piece[256];
  while (std::fgets(piece, sizeof piece, promtool) != nullptr) complaints += piece;
  EXPECT_EQ(::pclose(promtool), 0);
  EXPECT_EQ(complaints, "");
  ::unlink(path.c_str());
}

/// The pieces of a scrape. `between` is called after each.
std::vector<std::string> pieces_of(
    Registry& registry, const std::function<void()>& between = [] {}) {
  const std::unique_ptr<Scrape> scrape = registry.scrape();
  std::vector<std::string> pieces;
  for (bool more = true; more; between()) more = scrape->next(pieces.emplace_back());
  return pieces;
}

class ManyDeployments : public RegistryTest {
 protected:
  ManyDeployments() {
    registry.set_process_figures([this] {
      ProcessFigures figures;
      figures.deployments = configured;
      figures.certificates = {{"/etc/tls.pem", 1'800'000'000}};
      figures.discovery_age = 1500ms;
      figures.version = "0.1.0";
      return figures;
    });
    for (int i = 0; i < 100; ++i) {
      const std::string name = "v" + std::to_string(i);
      held.push_back(registry.deployment("iris", name));
      held.back()->on(0).exchange_finished({.status = 200, .duration = i * 1ms, .queued = true, .request_bytes = 1});
      configured.push_back({.endpoint = "iris", .deployment = name, .queue_length = 3, .outages = {7, 5}});
    }
    registry.render();
    configured.erase(configured.begin(), configured.begin() + 20);  // the figures of their outages stay
  }
  std::vector<DeploymentFigures> configured;
  std::vector<std::shared_ptr<DeploymentMetrics>> held;
};

TEST_F(ManyDeployments, AreShownInPiecesThatAddUpToTheWhole) {
  const std::vector<std::string> pieces = pieces_of(registry);
  std::string sum;
  for (const std::string& piece : pieces) {
    EXPECT_LT(piece.size(), 2 * Scrape::kPieceBytes);
    sum += piece;
  }
  EXPECT_GT(pieces.size(), 10u);
  EXPECT_EQ(sum, registry.render());
}

TEST_F(ManyDeployments, MayComeAndGoBetweenTwoPieces) {
  int piece = 0;
  const std::vector<std::string> pieces = pieces_of(registry, [&] {
    if (++piece == 2) held.erase(held.begin() + 50);
    if (piece == 2) registry.render();
    if (piece == 3) clock.advance(10min);
    if (piece == 3) registry.render();  // drops the deployment that is gone
    if (piece == 4) held.push_back(registry.deployment("iris", "v00"));
  });
  std::string sum;
  for (const std::string& each : pieces) sum += each;
  EXPECT_THAT(sum, HasSubstr(R"(inference_router_fresh_connections_total{endpoint="iris",deployment="v00")"));
  EXPECT_THAT(sum, Not(HasSubstr(R"(inference_router_fresh_connections_total{endpoint="iris",deployment="v50")")));
  EXPECT_THAT(sum, HasSubstr(R"(inference_router_fresh_connections_total{endpoint="iris",deployment="v99")"));
}

TEST_F(RegistryTest, GivesEveryFamilyAHelpText) {
  for (const auto& family : registry.collect()) {
    EXPECT_TRUE(family.name.starts_with("inference_router_") || family.name.starts_with("process_")) << family.name;
    EXPECT_FALSE(family.help.empty()) << family.name;
  }
}

}  // namespace
}  // namespace router::metrics
