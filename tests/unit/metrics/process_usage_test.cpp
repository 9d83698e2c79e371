#include "router/metrics/process_usage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

namespace router::metrics {
namespace {

const std::string kNumbers = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 21 0 4711 1048576 256 18446744073709551615 1 1 0 0\n";

TEST(ProcessUsage, ReadsItsLineWhateverTheProgramIsCalled) {
  for (const std::string name : {"router", "a b", "x) S 1 (y", "", "))"}) {
    const auto stat = parse_process_stat("12 (" + name + ")" + kNumbers);
    ASSERT_TRUE(stat) << name;
    EXPECT_EQ(stat->threads, 21u);
    EXPECT_EQ(stat->start_ticks, 4711u);
    EXPECT_EQ(stat->virtual_bytes, 1048576u);
    EXPECT_EQ(stat->resident_pages, 256u);
  }
}

TEST(ProcessUsage, ReadsNothingFromALineThatEndsTooSoonOrHoldsNoNumbers) {
  for (const std::string text : {"", "12 (router", "12 (router)", "12 (router) S 1 2", "12 (router)S 1"}) {
    EXPECT_FALSE(parse_process_stat(text)) << text;
  }
  std::string words = kNumbers;
  words.replace(words.find("4711"), 4, "soon");
  EXPECT_FALSE(parse_process_stat("12 (router)" + words));
}

TEST(ProcessUsage, TellsWhatTheKernelKnowsOfThisProcess) {
  const ProcessUsage usage = ProcessUsageReader().read(TimePoint{});
  EXPECT_GE(usage.threads.value_or(0), 1u);
  EXPECT_GT(usage.resident_bytes.value_or(0), 100'000u);
  EXPECT_GT(usage.virtual_bytes.value_or(0), *usage.resident_bytes);
  EXPECT_GE(usage.cpu_seconds.value_or(-1), 0);
  const auto now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(usage.start_seconds.value_or(0), now + 2);
  EXPECT_GT(usage.start_seconds.value_or(0), now - 3600);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(usage.max_descriptors, limit.rlim_cur);
}

TEST(ProcessUsage, CountsOpenDescriptors) {
  ProcessUsageReader reader;
  const std::uint64_t before = reader.read(TimePoint{}).open_descriptors.value_or(0);
  EXPECT_GE(before, 3u);
  std::vector<int> opened;
  for (int i = 0; i < 20; ++i) opened.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(reader.read(TimePoint{} + std::chrono::seconds(1)).open_descriptors, before + 20);
  for (const int each : opened) ::close(each);
}

TEST(ProcessUsage, ListsOpenDescriptorsAtMostOnceASecondWhereTheirFolderHasNoSize) {
  // fdinfo lists the descriptors, too, and reports no size on any kernel. fd reports its size since Linux 6.2.
  const std::string proc = testing::TempDir() + "proc_of_an_older_kernel";
  std::filesystem::remove_all(proc);
  std::filesystem::create_directories(proc + "/self");
  std::filesystem::create_symlink("/proc/self/fdinfo", proc + "/self/fd");
  ProcessUsageReader reader(proc);
  const std::uint64_t before = reader.read(TimePoint{}).open_descriptors.value_or(0);
  EXPECT_GE(before, 3u);
  const int opened = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(reader.read(TimePoint{} + std::chrono::milliseconds(999)).open_descriptors, before);
  EXPECT_EQ(reader.read(TimePoint{} + std::chrono::seconds(1)).open_descriptors, before + 1);
  ::close(opened);
  std::filesystem::remove_all(proc);
}

TEST(ProcessUsage, SaysNothingOfWhatIsHidden) {
  const ProcessUsage usage = ProcessUsageReader("/nowhere").read(TimePoint{});
  EXPECT_FALSE(usage.open_descriptors);
  EXPECT_FALSE(usage.resident_bytes);
  EXPECT_FALSE(usage.start_seconds);
  EXPECT_TRUE(usage.cpu_seconds);
  EXPECT_TRUE(usage.max_descriptors);
}

}  // namespace
}  // namespace router::metrics
