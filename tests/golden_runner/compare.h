#pragma once

#include <map>
#include <string>
#include <vector>

#include "manifest.h"

namespace laconic::golden {

/// What the library answers to a case.
struct Answer {
  std::map<std::string, at::Tensor> outputs;
  /// The gradient of sum(differentiated * gradient) with respect to each of these is compared.
  std::map<std::string, at::Tensor> leaves;
  at::Tensor differentiated;
  std::string gradient = "grad_y";  ///< an input of the case
  /// One quantization step of an output, by name: how far an element that `mismatch` allows may
  /// be. Outputs without one allow no mismatch.
  std::map<std::string, at::Tensor> steps;
  std::vector<std::string> not_compared;  ///< recorded outputs that only inform
  std::vector<std::string> failures;      ///< what the case itself found wrong
};

/// One sentence for each output and gradient that is not as recorded.
std::vector<std::string> compare(const Case& item, const Answer& answer);

}  // namespace laconic::golden
