// The frame of a page that stands alone: one file, no script, nothing fetched, light and dark, print and
// phone.
#pragma once

#include <string>
#include <vector>

namespace felbo::report {

/// The whole page. `title` is text; `body` is HTML. The page's policy forbids it to load anything.
std::string page(const std::string& title, const std::string& body);

/// <h2> with an anchor, then `body` (HTML). Nothing if `body` is empty.
std::string section(const std::string& id, const std::string& heading, const std::string& body);

/// A picture (SVG or <img>) with a heading above it and a note below; `note` may be empty. Heading and note
/// are text.
std::string framed_figure(const std::string& heading, const std::string& picture,
                          const std::string& note = {});

/// A table that scrolls by itself where the page is too narrow. Cells are text.
struct Table {
  std::string caption;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> marked;  // rows to emphasise; empty: none
  std::size_t words = 1;     // columns of words, from the left; the others are numbers
};
std::string draw(const Table& table);

/// A term and what is to be said of it. Both are text.
struct Fact {
  std::string term, value;
};
/// A list of terms; `css` is its class: "ledger" (a line each) or "tiles" (large figures side by side).
std::string draw(const std::vector<Fact>& facts, const std::string& css);

/// Paragraph of text.
std::string paragraph(const std::string& text, const std::string& css = {});

/// What can be folded away; `body` is HTML.
std::string details(const std::string& summary, const std::string& body);

}  // namespace felbo::report
