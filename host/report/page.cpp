#include "host/report/page.h"

#include <fmt/format.h>

#include "host/report/page_style.h"
#include "host/report/text.h"
#include "kernels/common/check.h"

namespace felbo::report {

std::string page(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
      "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; img-src data:; style-src "
      "'unsafe-inline'\">\n"
      "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
      "<link rel='icon' href='data:,'>\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
      escape(title), kPageStyle, body);
}

std::string section(const std::string& id, const std::string& heading, const std::string& body) {
  if (body.empty()) return {};
  return fmt::format("<section aria-labelledby='{0}'>\n<h2 id='{0}'>{1}</h2>\n{2}</section>\n", id,
                     escape(heading), body);
}

std::string framed_figure(const std::string& heading, const std::string& picture, const std::string& note) {
  const std::string caption = note.empty() ? "" : fmt::format("<figcaption>{}</figcaption>", escape(note));
  return fmt::format("<figure>\n<h3>{}</h3>\n{}{}</figure>\n", escape(heading), picture, caption);
}

std::string draw(const Table& table) {
  std::string out = fmt::format(
      "<div class='wide' tabindex='0' role='region' "
      "aria-label='{0}'><table><caption>{0}</caption>\n<thead><tr>",
      escape(table.caption));
  for (std::size_t j = 0; j < table.header.size(); ++j)
    out += fmt::format("<th scope='col'{}>{}</th>", j < table.words ? " class='w'" : "",
                       escape(table.header[j]));
  out += "</tr></thead>\n<tbody>\n";
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    FELBO_CHECK(table.rows[i].size() == table.header.size(), "row {} has {} cells under {} headings", i,
                table.rows[i].size(), table.header.size());
    out += i < table.marked.size() && table.marked[i] ? "<tr class='marked'>" : "<tr>";
    for (std::size_t j = 0; j < table.rows[i].size(); ++j) {
      const std::string cell = escape(table.rows[i][j]);
      if (j == 0)
        out += fmt::format("<th scope='row' class='w'>{}</th>", cell);
      else
        out += fmt::format("<td{}>{}</td>", j < table.words ? " class='w'" : "", cell);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string draw(const std::vector<Fact>& facts, const std::string& css) {
  if (facts.empty()) return {};
  std::string out = fmt::format("<dl class='{}'>\n", css);
  for (const auto& [term, value] : facts)
    out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(term), escape(value));
  return out + "</dl>\n";
}

std::string paragraph(const std::string& text, const std::string& css) {
  return fmt::format("<p{}>{}</p>\n", css.empty() ? "" : fmt::format(" class='{}'", css), escape(text));
}

std::string details(const std::string& summary, const std::string& body) {
  return fmt::format("<details><summary>{}</summary>\n{}</details>\n", escape(summary), body);
}

}  // namespace felbo::report
