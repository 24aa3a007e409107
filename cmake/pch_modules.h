#pragma once
// Shared by the layers that may use torch::nn, and by the tests.
#include <torch/nn/module.h>
#include <ATen/ATen.h>

#include "pch.h"
