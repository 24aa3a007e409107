#pragma once

#include <string>
#include <vector>

#include "laconic/quant/presets/presets.h"

namespace laconic {

// The presets of a family, in the order in which they are listed.
std::vector<QuantPreset> scaled_integer_presets();
std::vector<QuantPreset> fixed_point_presets();
std::vector<QuantPreset> shifted_integer_presets();
std::vector<QuantPreset> sign_presets();
std::vector<QuantPreset> plain_float_presets();
std::vector<QuantPreset> fnuz_float_presets();
std::vector<QuantPreset> ocp_float_presets();
std::vector<QuantPreset> block_presets();
std::vector<QuantPreset> no_quantizer_presets();
std::vector<QuantPreset> program_presets();
std::vector<QuantPreset> own_presets();

// What families share.

inline const Granularity kChannels = PerChannel{.axis = 0};
inline constexpr int64_t kCollectSteps =
    300;  ///< batches from which an activation's scale is found
inline constexpr const char* kGroupSizeNote = "set the group size";

/// `spec` with a scale of this statistic and restriction found anew for each tensor.
QuantSpec live(const QuantSpec& spec, const Statistic& statistic,
               const Restriction& restriction = AnyFloat{});
/// `spec` with a learned scale that begins there; its gradient is Clipped.
QuantSpec learned(const QuantSpec& spec, const Statistic& statistic,
                  const Restriction& restriction = AnyFloat{});
/// As `learned`, from the averages of the first batches.
QuantSpec collected(const QuantSpec& spec, const Statistic& statistic,
                    const Restriction& restriction = AnyFloat{});

/// Powers of two, rounded up: scales of fixed point; and rounded down: of MX.
Restriction power_up();
Restriction power_down();

QuantSpec int_weight(int64_t bits = 8);                           ///< signed, narrow
QuantSpec int_activation(bool is_signed);                         ///< 8 bits
QuantSpec shifted(const Granularity& granularity = PerTensor{});  ///< 8 bits, unsigned, zero point

}  // namespace laconic
