# LibTorch as imported targets of our own. The wheel's TorchConfig asks for a CUDA toolkit; the
# CPU program needs two libraries only.
#   Laconic::c10         libc10
#   Laconic::torch_cpu   libtorch_cpu (and c10)
#   Laconic::gomp        the OpenMP of libtorch_cpu, whose threads our loops use too
#   Laconic::torch_cuda  with LACONIC_CUDA only
# LACONIC_TORCH: a directory with include/ and lib/ (the `torch` folder of the wheel or a LibTorch).
if(NOT DEFINED LACONIC_TORCH)
  set(LACONIC_TORCH "" CACHE PATH "Directory of LibTorch 2.11 (holds include/ and lib/); empty: the one of ./quickstart")
endif()
set(_torch "${LACONIC_TORCH}")
if(NOT _torch)
  file(GLOB _found "${CMAKE_CURRENT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
  list(LENGTH _found _count)
  if(_count EQUAL 0)
    message(FATAL_ERROR "No LibTorch: expected the wheel in .venv (run ./quickstart, which installs it) "
                        "or a directory named by -DLACONIC_TORCH=DIR.")
  endif()
  list(GET _found 0 _torch)
endif()
if(NOT EXISTS "${_torch}/include/ATen/core/Tensor.h" OR NOT EXISTS "${_torch}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "LACONIC_TORCH=${_torch}: expected include/ATen and lib/libtorch_cpu.so in it. "
                      "Name the folder `torch` of the wheel or an unpacked LibTorch.")
endif()

file(STRINGS "${_torch}/include/torch/headeronly/version.h" _version_lines REGEX "define TORCH_VERSION_(MAJOR|MINOR) ")
string(REGEX MATCHALL "[0-9]+" _version_numbers "${_version_lines}")
list(JOIN _version_numbers "." LACONIC_TORCH_VERSION)
if(NOT LACONIC_TORCH_VERSION STREQUAL "2.11" AND NOT LACONIC_UNTESTED_TORCH)
  message(FATAL_ERROR "LibTorch ${LACONIC_TORCH_VERSION} at ${_torch}: Laconic is tested with 2.11.x. "
                      "Install that one, or accept the risk with -DLACONIC_UNTESTED_TORCH=ON.")
endif()
set(LACONIC_TORCH_DIR "${_torch}")

function(_laconic_import name)
  add_library(Laconic::${name} SHARED IMPORTED GLOBAL)
  set_target_properties(Laconic::${name} PROPERTIES
    IMPORTED_LOCATION "${LACONIC_TORCH_DIR}/lib/lib${name}.so"
    INTERFACE_INCLUDE_DIRECTORIES "${LACONIC_TORCH_DIR}/include;${LACONIC_TORCH_DIR}/include/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES "${ARGN}")
endfunction()
_laconic_import(c10)
_laconic_import(torch_cpu Laconic::c10)
# The wheel is built with the C++11 ABI; libcudart and libcupti are found by libtorch_cpu's own RPATH.
set_property(TARGET Laconic::torch_cpu APPEND PROPERTY INTERFACE_LINK_OPTIONS "-Wl,--allow-shlib-undefined")
file(GLOB _gomp "${LACONIC_TORCH_DIR}/lib/libgomp*.so*")
add_library(Laconic::gomp INTERFACE IMPORTED GLOBAL)
set_property(TARGET Laconic::gomp PROPERTY INTERFACE_LINK_LIBRARIES "${_gomp}")
if(LACONIC_CUDA)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 90)
  endif()
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)  # the one that LibTorch has
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 20)
  if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc 13 has it
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  endif()
  find_package(CUDAToolkit 13 REQUIRED)
  _laconic_import(c10_cuda Laconic::c10)
  _laconic_import(torch_cuda Laconic::torch_cpu Laconic::c10_cuda CUDA::cudart)
  # LibTorch finds its CUDA operators when the library is loaded; no symbol of it is named here.
  set_property(TARGET Laconic::torch_cuda APPEND PROPERTY INTERFACE_LINK_OPTIONS
    "LINKER:--push-state,--no-as-needed,${LACONIC_TORCH_DIR}/lib/libtorch_cuda.so,--pop-state")
endif()
message(STATUS "LibTorch ${LACONIC_TORCH_VERSION}: ${LACONIC_TORCH_DIR}")
