// Everything a unit needs from outside, included before its target pragma so that no shared inline
// function is compiled for an instruction set the machine may lack.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/attention_shapes.h"
#include "backend/fused_linear.h"
#include "backend/shapes.h"
#include "backend/ops.h"
#include "backend/optimizer_shapes.h"
#include "backend/sampling_checks.h"
#include "base/aligned_memory.h"
#include "base/available_memory.h"
#include "base/matrix_tiles.h"
#include "base/philox.h"
