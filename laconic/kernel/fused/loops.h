#pragma once

#include <cstdint>

#include "laconic/kernel/fused/job.h"

namespace laconic::kernel {

// The loops of one thread.

/// Finds the numbers of the runs [first, last), each of its own, and quantizes with them; writes
/// them too where the job has room. @returns whether all elements were finite, else the results
/// mean nothing.
bool quantize_found_runs(const FusedJob& job, int64_t first, int64_t last);

/// Quantizes the pieces [first, last) with the numbers that the job holds.
void quantize_given_pieces(const FusedJob& job, int64_t first, int64_t last);

/// Extremes of the pieces [first, last), by the job's statistic, into keys[first], ...
void find_piece_keys(const FusedJob& job, int64_t first, int64_t last, RangeKeys* keys);

/// Numbers of the scales whose extremes are given, [scales]. @returns as quantize_found_runs.
bool find_numbers(const FusedJob& job, const RangeKeys* keys);

/// Gradient sums of the pieces [first, last) into sums[first], ...
void sum_piece_gradients(const BackwardJob& job, int64_t first, int64_t last, GradientSums* sums);

/// Gradients of the elements of the runs [first, last), all as long, each with numbers of its own
/// that `rule` made of its extremes.
/// @returns of the codes of scales, where they have some.
CodedScaleSums write_found_gradients(const BackwardJob& job, int64_t first, int64_t last);

/// Gradients of the elements of the pieces [first, last).
void write_input_gradients(const BackwardJob& job, int64_t first, int64_t last);

}  // namespace laconic::kernel
