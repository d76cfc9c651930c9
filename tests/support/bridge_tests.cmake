# The tests of the bridge; included by tests/CMakeLists.txt.

# The bridge, against stand-ins for coreclr.dll and a standalone collector: DLLs beside the tests.
function(bridge_fake name source)
    cmake_parse_arguments(fake "" "VERSION" "DEFINE;LINK" ${ARGN})
    add_library(${name} MODULE ${source})
    if(DEFINED fake_VERSION)
        target_sources(${name} PRIVATE support/bridge_fake.rc)
        target_compile_definitions(${name} PRIVATE FAKE_VERSION=${fake_VERSION})
    endif()
    set_target_properties(${name} PROPERTIES PREFIX "")
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_CURRENT_SOURCE_DIR})
    target_compile_definitions(${name} PRIVATE COBJMACROS= ${fake_DEFINE})
    target_link_libraries(${name} PRIVATE ${fake_LINK})
    target_link_options(${name} PRIVATE -static -Wl,--kill-at)
    list(APPEND bridge_fakes ${name})
    set(bridge_fakes ${bridge_fakes} PARENT_SCOPE)
endfunction()

set(second_import ${CMAKE_CURRENT_BINARY_DIR}/libbridge_twice.a)
add_custom_command(OUTPUT ${second_import}
    COMMAND ${CMAKE_DLLTOOL} -d ${CMAKE_CURRENT_SOURCE_DIR}/support/bridge_twice.def -l ${second_import}
    DEPENDS support/bridge_twice.def VERBATIM)
add_custom_target(bridge_second_import DEPENDS ${second_import})
foreach(version 7 8 9 10 11)
    bridge_fake(fake_coreclr_${version} support/bridge_fake.c VERSION ${version})
endforeach()
bridge_fake(fake_coreclr_none support/bridge_fake.c)
bridge_fake(fake_coreclr_gap support/bridge_fake.c VERSION 10 DEFINE FAKE_WITHOUT_MAP_AT)
bridge_fake(fake_coreclr_twice support/bridge_fake.c VERSION 10 DEFINE FAKE_TWICE LINK ${second_import})
add_dependencies(fake_coreclr_twice bridge_second_import)
bridge_fake(fake_coreclr_more support/bridge_fake.c VERSION 10 DEFINE FAKE_WITH_MORE)
bridge_fake(fake_gc support/bridge_fake.c DEFINE FAKE_COLLECTOR)
bridge_fake(fake_gc_gap support/bridge_fake.c DEFINE FAKE_COLLECTOR FAKE_WITHOUT_FREE)
bridge_fake(fake_plugin support/bridge_plugin.c LINK hostmem_static)

foreach(name bridge bridge_calls bridge_collector bridge_use)
    hostmem_test(test_${name} test_${name}.c support/bridge_host.c)
    add_dependencies(test_${name} ${bridge_fakes})
endforeach()
foreach(name bridge_machine bridge_machine_foreign bridge_job bridge_hard_limit)
    hostmem_test(test_${name} test_${name}.c support/bridge_host.c support/bridge_machine.c)
    add_dependencies(test_${name} ${bridge_fakes})
endforeach()

# The bridge on real runtimes: every collector of .NET 8, 9 and 10, and what pressure and limits do to them.
if(CMAKE_SIZEOF_VOID_P EQUAL 8)
    hostmem_program(test_bridge_runtime test_bridge_runtime.c support/bridge_host.c)
    hostmem_program(test_bridge_pressure test_bridge_pressure.c support/bridge_child.c)
    foreach(name runtime pressure)
        target_include_directories(test_bridge_${name} PRIVATE ${CMOCKA_INCLUDE})
        target_link_libraries(test_bridge_${name} PRIVATE ${CMOCKA_LIBRARY})
        add_test(NAME test_bridge_${name}
            COMMAND ${CMAKE_CROSSCOMPILING_EMULATOR} --expect "[  PASSED  ] 3 test(s)."
                $<TARGET_FILE:test_bridge_${name}> ${CMAKE_SOURCE_DIR}/build/setup/clr)
        set_tests_properties(test_bridge_${name} PROPERTIES LABELS clr TIMEOUT 900)
    endforeach()
endif()
