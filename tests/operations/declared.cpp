#include "tests/operations/declared.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "kernels/elbo_loss/elbo_loss_work.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/likelihood_work.h"

namespace felbo::test {
namespace {

Likelihood likelihood_of(const LossFamily& family) {
  return likelihood_from_names(family.family_name, family.variance_name, {}, 5.0f,
                               std::max(family.categories, 1));
}

/// From "bernoulli, gaussian, ... or ...".
std::vector<std::string> family_names() {
  std::vector<std::string> names;
  std::istringstream words(likelihood_names());
  for (std::string word; words >> word;) {
    if (word.back() == ',') word.pop_back();
    if (word != "or") names.push_back(word);
  }
  return names;
}

LossFamily family_of(const std::string& name, const std::string& variance, int categories) {
  const Likelihood which = likelihood_from_names(name, variance, {}, 5.0f, std::max(categories, 1));
  LossFamily family{.family_name = name,
                    .variance_name = variance,
                    .family = static_cast<int>(which.family),
                    .variance = static_cast<int>(which.variance),
                    .categories = categories,
                    .has_variance = which.has_variance(),
                    .outputs = which.outputs(),
                    .own_per_dimension = which.own_parameters(2) == 2,
                    .own = static_cast<int>(which.own_parameters(1))};
  const bool of_elbo_loss =
      which.family == LikelihoodFamily::kBernoulli || which.family == LikelihoodFamily::kGaussian;
  family.in_elbo_loss = of_elbo_loss && family.own == 0;
  for (const char c : name + "_" + (family.has_variance ? variance : std::string()) +
                          (categories > 0 ? std::to_string(categories) : std::string())) {
    family.name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  }
  return family;
}

}  // namespace

std::vector<LossFamily> loss_families() {
  std::vector<LossFamily> families;
  for (const std::string& name : family_names()) {
    if (likelihood_family_from_name(name) == LikelihoodFamily::kCategorical) {
      for (const int categories : {2, 8, 64}) families.push_back(family_of(name, "unit", categories));
      continue;
    }
    if (!family_of(name, "unit", 0).has_variance) {
      families.push_back(family_of(name, "unit", 0));
      continue;
    }
    for (const char* variance : {"fixed:2", "learned", "per-dimension", "per-element"})
      families.push_back(family_of(name, variance, 0));
  }
  return families;
}

Work declared_likelihood(const LossFamily& family, std::int64_t rows, std::int64_t dimensions, bool gradient,
                         std::int64_t data_bytes) {
  return likelihood_work(likelihood_of(family), rows, dimensions, gradient, data_bytes);
}
Work declared_elbo_loss(const LossFamily& family, std::int64_t batch, std::int64_t dimensions,
                        std::int64_t latent, std::int64_t samples, std::int64_t data_bytes, bool gradient) {
  return elbo_loss_work(likelihood_of(family), batch, dimensions, latent, samples, data_bytes, gradient);
}

}  // namespace felbo::test
