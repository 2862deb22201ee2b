// For tests of pages: a headless Chromium that looks at one, at a width, and says what is wrong with it.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <regex>
#include <string>

#include "tests/cli/run_program.h"

namespace felbo::cli {

/// The browser's program; empty if there is none.
inline std::string browser() {
  for (const char* path : {"/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"})
    if (::access(path, X_OK) == 0) return path;
  return {};
}

#define FELBO_NEEDS_BROWSER()                                                                              \
  if (browser().empty())                                                                                   \
  GTEST_SKIP() << "no browser: pages are not looked at; install chromium (scripts/install-deps.sh --test " \
                  "does on Debian)"

struct Look {
  std::string text;  // that a reader sees
  Words complaints;  // empty if the page is sound
};

/// The page is shown in a frame of the width asked for, since a browser's own window does not get as narrow
/// as a phone. What the frame's script finds it leaves as text, which --dump-dom prints.
inline std::string frame_around(const std::string& page, int width) {
  return "<!doctype html><body style='margin:0'><iframe id=f src='" + page +
         "' style='border:0;width:" + std::to_string(width) +
         R"js(px;height:900px'></iframe><pre id=out></pre><script>
onload = () => {
  const w = f.contentWindow, d = f.contentDocument, bad = [];
  if (d.documentElement.scrollWidth > w.innerWidth)
    bad.push('overflow: ' + d.documentElement.scrollWidth + ' in ' + w.innerWidth);
  for (const image of d.images) if (!image.naturalWidth) bad.push('picture: ' + image.src.slice(0, 60));
  const drawings = [...d.querySelectorAll('svg')];
  if (!drawings.length) bad.push('no svg');
  for (const svg of drawings) {
    const box = svg.getBoundingClientRect();
    if (box.width < 40 || box.height < 40) bad.push('svg: ' + box.width + ' x ' + box.height);
    if (!svg.querySelector('title')?.textContent) bad.push('svg: no title');
    if (![...svg.querySelectorAll('path,rect,circle')].some(e => !e.closest('clipPath') && e.getBBox().width > 0))
      bad.push('svg: empty');
    if (svg.outerHTML.includes('NaN')) bad.push('svg: NaN');
  }
  for (const entry of w.performance.getEntriesByType('resource'))
    if (!entry.name.startsWith('data:')) bad.push('request: ' + entry.name);
  const style = w.getComputedStyle(d.body);
  if (style.color === style.backgroundColor) bad.push('text in the colour of the paper');
  out.textContent = 'FOUND' + JSON.stringify({bad, text: d.body.innerText}) + 'END';
};
</script>)js";
}

/// `page` is a file of `folder`.
inline Look look_at(const TempFolder& folder, const std::string& page, int width) {
  write_bytes(folder / "frame.html", frame_around(page, width));
  const std::string dom = folder / "dom.txt", log = folder / "log.txt";
  const std::string command =
      "timeout 120 '" + browser() +
      "' --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --allow-file-access-from-files "
      "--disable-background-networking --disable-component-update --no-first-run --enable-logging=stderr "
      "--v=0 "
      "--host-resolver-rules='MAP * ~NOTFOUND' --user-data-dir='" +
      std::string(folder / "profile") +
      "' --window-size=1500,1000 --virtual-time-budget=2000 --dump-dom 'file://" +
      std::string(folder / "frame.html") + "' >'" + dom + "' 2>'" + log + "'";
  Look look;
  const int status = std::system(command.c_str());
  const std::string tree = read_bytes(dom), said = read_bytes(log);
  const std::size_t begin = tree.find("FOUND{"), end = tree.rfind("}END");
  if (status != 0 || begin == std::string::npos || end == std::string::npos) {
    look.complaints.push_back("the browser ended with " + std::to_string(status) + ": " + said);
    return look;
  }
  std::string found = tree.substr(begin + 5, end + 1 - begin - 5);
  for (const auto& [reference, character] :
       {std::pair("&lt;", "<"), std::pair("&gt;", ">"), std::pair("&amp;", "&")})
    found = std::regex_replace(found, std::regex(reference), character);
  const json report = json::parse(found);
  look.text = report["text"];
  for (const json& complaint : report["bad"]) look.complaints.push_back(complaint);
  std::istringstream lines(said);
  for (std::string line; std::getline(lines, line);)
    if (has(line, ":CONSOLE")) look.complaints.push_back("console: " + line);
  return look;
}

inline void expect_sound_page(const TempFolder& folder, const std::string& page, int width,
                              const std::string& text) {
  const Look look = look_at(folder, page, width);
  EXPECT_EQ(look.complaints, Words());
  EXPECT_TRUE(has(look.text, text));
}

}  // namespace felbo::cli
