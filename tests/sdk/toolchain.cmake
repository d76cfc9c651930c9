# clang-cl and lld-link against the Windows SDK of `scripts/setup sdk`, on Linux. HOSTMEM_SDK_ARCH: x64, or x86, for which
# NuGet has no libraries: static libraries only. With Visual Studio nothing of this is needed.
set(CMAKE_SYSTEM_NAME Windows)
unset(ENV{CMAKE_C_COMPILER_LAUNCHER}) # ccache 4.7 does not understand clang-cl
unset(ENV{CMAKE_CXX_COMPILER_LAUNCHER})
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # a try links nothing: not every architecture can
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES HOSTMEM_SDK_ARCH)

set(sdk_processor_x64 x86_64)
set(sdk_processor_x86 i686)
set(CMAKE_SYSTEM_PROCESSOR ${sdk_processor_${HOSTMEM_SDK_ARCH}})

# Debian calls clang-cl by its version only.
execute_process(COMMAND clang -print-resource-dir OUTPUT_VARIABLE clang_resources OUTPUT_STRIP_TRAILING_WHITESPACE)
string(REGEX REPLACE "^.*/clang/([0-9]+)[^/]*$" "\\1" clang_version "${clang_resources}")
find_program(CMAKE_C_COMPILER NAMES clang-cl-${clang_version} clang-cl REQUIRED)
find_program(CMAKE_LINKER NAMES lld-link-${clang_version} lld-link REQUIRED)
find_program(CMAKE_AR NAMES llvm-lib-${clang_version} llvm-lib REQUIRED)
find_program(CMAKE_RC_COMPILER NAMES llvm-rc-${clang_version} llvm-rc REQUIRED)
find_program(CMAKE_MT NAMES llvm-mt-${clang_version} llvm-mt REQUIRED)
set(CMAKE_CXX_COMPILER ${CMAKE_C_COMPILER})
set(CMAKE_C_COMPILER_TARGET ${CMAKE_SYSTEM_PROCESSOR}-pc-windows-msvc)
set(CMAKE_CXX_COMPILER_TARGET ${CMAKE_C_COMPILER_TARGET})

# The overlay knows its folders by their real paths: headers there are found whatever the case. Libraries have small letters.
file(REAL_PATH ${CMAKE_CURRENT_LIST_DIR}/../../build/setup/sdk sdk)
set(sdk_includes "-Xclang -ivfsoverlay -Xclang \"${sdk}/overlay.yaml\"")
foreach(folder ${CMAKE_CURRENT_LIST_DIR}/vcruntime ${sdk}/include/ucrt ${sdk}/include/shared ${sdk}/include/um)
    string(APPEND sdk_includes " -imsvc \"${folder}\"")
endforeach()
set(CMAKE_C_FLAGS_INIT "${sdk_includes} /GS-") # vcruntime/ has no cookie
set(CMAKE_CXX_FLAGS_INIT "${sdk_includes} /GS-")
set(CMAKE_RC_FLAGS_INIT "${sdk_includes}")
foreach(kind EXE SHARED MODULE)
    set(CMAKE_${kind}_LINKER_FLAGS_INIT
        "/libpath:\"${sdk}/lib/${HOSTMEM_SDK_ARCH}\" /nodefaultlib:oldnames /manifest:no")
endforeach()
