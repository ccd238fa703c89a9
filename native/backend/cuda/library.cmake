# winnow_cuda.so: the kernels and a static CUDA runtime, needing only libc and the driver.
set(WINNOW_CUDA_ARCHITECTURES "80-real;90a-real;80-virtual" CACHE STRING "What nvcc makes code for")
# Older CMakes, 3.25 among them, do not know that nvcc has C++20.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
endif()
add_library(winnow_cuda MODULE ${WINNOW_CUDA_SOURCES})
string(REPLACE ";" " " architectures "${WINNOW_CUDA_ARCHITECTURES}")
set_target_properties(winnow_cuda PROPERTIES PREFIX ""
  CUDA_ARCHITECTURES "${WINNOW_CUDA_ARCHITECTURES}" CUDA_RUNTIME_LIBRARY Static CUDA_STANDARD 20
  LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test/native" CUDA_VISIBILITY_PRESET hidden)
target_include_directories(winnow_cuda PRIVATE native)
target_compile_definitions(winnow_cuda PRIVATE WINNOW_CUDA_ARCHITECTURES="${architectures}")
# -fmad=false: sums must not depend on what the compiler fuses; where it is meant, the kernels write fmaf.
target_compile_options(winnow_cuda PRIVATE -fmad=false -Xcompiler=-fno-exceptions,-fno-rtti)
target_link_options(winnow_cuda PRIVATE -static-libgcc -static-libstdc++)
target_link_libraries(winnow_cuda PRIVATE ${CMAKE_DL_LIBS})
