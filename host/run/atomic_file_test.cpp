#include "host/run/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <memory>

#include "host/run/test_files.h"

namespace felbo {
namespace {

using testing_files::has;
using testing_files::in_child;
using testing_files::message_of;
using testing_files::read_bytes;
using testing_files::TempFolder;
using testing_files::write_bytes;
using Names = std::vector<std::string>;

/// A full disk in small: from here on, writing beyond `bytes` of a file fails with EFBIG after a short write.
void limit_file_size(rlim_t bytes) {
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{bytes, bytes};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) throw std::runtime_error("setrlimit failed");
}

/// A text without a period that a repeated or lost piece would keep.
std::string long_text(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += std::to_string(i) + " ";
  text.resize(size);
  return text;
}

TEST(AtomicFileTest, AppearsWholeOnCommitAndNotBefore) {
  const TempFolder folder;
  const std::string text = long_text(3'000'000);
  AtomicFile file(folder / "new");
  file.write(std::string_view(text).substr(0, 1));
  file.write("");
  file.write(std::string_view(text).substr(1));
  EXPECT_FALSE(std::filesystem::exists(folder / "new"));
  EXPECT_EQ(folder.names().size(), 1u);  // the temporary one
  file.commit();
  EXPECT_EQ(read_bytes(folder / "new"), text);
  EXPECT_EQ(folder.names(), Names{"new"});
}

TEST(AtomicFileTest, KeepsTheOldContentUntilCommit) {
  const TempFolder folder;
  write_bytes(folder / "file", "the old content, longer");
  AtomicFile file(folder / "file");
  file.write("new");
  EXPECT_EQ(read_bytes(folder / "file"), "the old content, longer");
  file.commit();
  EXPECT_EQ(read_bytes(folder / "file"), "new");
  EXPECT_EQ(folder.names(), Names{"file"});
}

TEST(AtomicFileTest, WithoutCommitNothingIsLeft) {
  const TempFolder folder;
  write_bytes(folder / "old", "old");
  {
    AtomicFile replaced(folder / "old");
    AtomicFile created(folder / "new");
    replaced.write("half of the n");
    created.write("half of the n");
  }
  EXPECT_EQ(read_bytes(folder / "old"), "old");
  EXPECT_EQ(folder.names(), Names{"old"});
}

TEST(AtomicFileTest, AnEmptyFileIsAFile) {
  const TempFolder folder;
  write_file_atomically(folder / "empty", "");
  EXPECT_EQ(read_bytes(folder / "empty"), "");
}

TEST(AtomicFileTest, TwoAtOnceDoNotMix) {
  const TempFolder folder;
  AtomicFile first(folder / "file");
  AtomicFile second(folder / "file");
  first.write("first");
  second.write("second");
  first.commit();
  EXPECT_EQ(read_bytes(folder / "file"), "first");
  second.commit();
  EXPECT_EQ(read_bytes(folder / "file"), "second");
  EXPECT_EQ(folder.names(), Names{"file"});
}

TEST(AtomicFileTest, NewFilesFollowTheUmask) {
  const TempFolder folder;
  const mode_t before = ::umask(027);
  write_file_atomically(folder / "file", "x");
  ::umask(before);
  struct stat info {};
  ASSERT_EQ(::stat((folder / "file").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST(AtomicFileTest, ASymbolicLinkStaysOne) {
  const TempFolder folder;
  write_bytes(folder / "target", "old");
  std::filesystem::create_symlink("target", folder / "link");
  write_file_atomically(folder / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(read_bytes(folder / "target"), "new");
}

TEST(AtomicFileTest, AFailedWriteLeavesTheOldFileAndSaysWhy) {
  const TempFolder folder;
  write_bytes(folder / "file", "old");
  const std::string message = in_child([&] {
    limit_file_size(4096);
    AtomicFile file(folder / "file");
    std::string text = message_of<std::runtime_error>([&] { file.write(long_text(10'000)); });
    // A caller that goes on after the error must not publish half a file.
    text += " / " + message_of<std::logic_error>([&] { file.write("more"); });
    return text + " / " + message_of<std::logic_error>([&] { file.commit(); });
  });
  EXPECT_TRUE(has(message, "cannot write '" + (folder / "file").string() + "': File too large"));
  EXPECT_TRUE(has(message, "(4096 bytes were written, 5904 more were wanted). The old file is untouched."));
  EXPECT_TRUE(has(message, "ulimit -f"));
  EXPECT_TRUE(has(message, "already committed or has failed / AtomicFile"));
  EXPECT_EQ(read_bytes(folder / "file"), "old");
  EXPECT_EQ(folder.names(), Names{"file"});
}

TEST(AtomicFileTest, AFailedFirstWriteLeavesNothing) {
  const TempFolder folder;
  const std::string message = in_child([&] {
    limit_file_size(0);
    return message_of<std::runtime_error>([&] { write_file_atomically(folder / "file", "text"); });
  });
  EXPECT_TRUE(has(message, "(0 bytes were written, 4 more were wanted). No file was left."));
  EXPECT_EQ(folder.names(), Names{});
}

TEST(AtomicFileTest, AFailedRenameLeavesNoTemporaryFile) {
  const TempFolder folder;
  AtomicFile file(folder / "file");
  file.write("text");
  std::filesystem::create_directory(folder / "file");
  const std::string message = message_of<std::runtime_error>([&] { file.commit(); });
  EXPECT_TRUE(has(
      message, "cannot put the new file in place of '" + (folder / "file").string() + "': Is a directory"));
  EXPECT_EQ(folder.names(), Names{"file"});
}

TEST(AtomicFileTest, NamesThatCannotBeWrittenAreRefused) {
  const TempFolder folder;
  const auto refusal = [&](const std::filesystem::path& path) {
    return message_of<std::invalid_argument>([&] { AtomicFile file(path); });
  };
  EXPECT_TRUE(
      has(refusal(folder / "absent/file"), "there is no folder '" + (folder / "absent").string() + "'"));
  EXPECT_TRUE(has(refusal(folder.path()), "it is a folder"));
  EXPECT_TRUE(has(refusal(""), "it names no file"));
  EXPECT_TRUE(has(refusal(folder / "file/"), "it names no file"));
  EXPECT_TRUE(has(refusal("/dev/null"), "it is no regular file"));
  EXPECT_TRUE(has(refusal(folder / std::string(300, 'x')), "the name is too long"));
  write_bytes(folder / "plain", "x");
  EXPECT_TRUE(has(refusal(folder / "plain/file"), "there is no folder"));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_EQ(folder.names(), Names{"plain"});
}

TEST(AtomicFileTest, AFolderClosedToTheUserIsRefused) {
  const TempFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  const std::string message = in_child([&] {
    constexpr uid_t kNobody = 65534;
    if (::geteuid() == 0 && ::setuid(kNobody) != 0) return std::string("setuid failed");
    return message_of<std::invalid_argument>([&] { AtomicFile file(folder / "file"); });
  });
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  EXPECT_TRUE(
      has(message, "no permission to create files in '" + folder.path().string() + "' (Permission denied)"));
}

}  // namespace
}  // namespace felbo
