# A relocatable program and library: bin/, lib/ (static layers), include/laconic, a CMake package.
# With LACONIC_BUNDLE_TORCH the run-time libraries of LibTorch go to lib/laconic, so that the program
# runs wherever the tree is moved; else the program looks where LibTorch was at build time.
include(CMakePackageConfigHelpers)
set(_bundle "${CMAKE_INSTALL_LIBDIR}/laconic")
get_property(_layers GLOBAL PROPERTY LACONIC_LAYERS)

install(TARGETS ${_layers} EXPORT LaconicTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY laconic DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT LaconicTargets NAMESPACE Laconic:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Laconic)

get_property(_programs GLOBAL PROPERTY LACONIC_PROGRAMS)
foreach(program ${_programs})
  if(LACONIC_BUNDLE_TORCH)
    set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/../${_bundle}")
  else()
    set_target_properties(${program} PROPERTIES INSTALL_RPATH "${LACONIC_TORCH_DIR}/lib")
  endif()
  install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endforeach()

# The part that does the work lies beside LibTorch (laconic/cli/main.cpp looks for it there).
if(LACONIC_BUNDLE_TORCH)
  set_target_properties(laconic_core PROPERTIES INSTALL_RPATH "$ORIGIN")
else()
  set_target_properties(laconic_core PROPERTIES INSTALL_RPATH "${LACONIC_TORCH_DIR}/lib")
endif()
install(TARGETS laconic_core RUNTIME DESTINATION ${_bundle})

if(LACONIC_BUNDLE_TORCH)
  # libtorch_cpu's own RPATH ends with $ORIGIN: what lies beside it is found.
  file(GLOB _runtime
    "${LACONIC_TORCH_DIR}/lib/libtorch_cpu.so" "${LACONIC_TORCH_DIR}/lib/libc10.so" "${LACONIC_TORCH_DIR}/lib/libgomp*.so*"
    "${LACONIC_TORCH_DIR}/../nvidia/cu13/lib/libcudart.so.*" "${LACONIC_TORCH_DIR}/../nvidia/cu13/lib/libcupti.so.*")
  install(FILES ${_runtime} DESTINATION ${_bundle})
endif()

configure_package_config_file(cmake/LaconicConfig.cmake.in "${CMAKE_BINARY_DIR}/LaconicConfig.cmake"
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Laconic)
write_basic_package_version_file("${CMAKE_BINARY_DIR}/LaconicConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/LaconicConfig.cmake" "${CMAKE_BINARY_DIR}/LaconicConfigVersion.cmake"
              cmake/LaconicTorch.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Laconic)
