#pragma once
// Shared by the layers that may use torch::nn, and by the tests.
#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include "pch.h"
