# hostmem-check, and the C# assembly that it brings along; included by the main list.  The tests link its objects with
# faults of their own.

# By the SDK's compiler alone: no package is fetched.  Without an SDK there is no assembly, and hostmem-check says so.
set(check_managed ${CMAKE_CURRENT_BINARY_DIR}/hostmem-check-managed.dll)
set(check_source ${CMAKE_CURRENT_SOURCE_DIR}/src/tools/check/managed)
set(check_compiler)
find_program(HOSTMEM_DOTNET dotnet DOC "The .NET SDK, for the C# assembly in hostmem-check")
if(HOSTMEM_DOTNET)
    execute_process(COMMAND ${HOSTMEM_DOTNET} --list-sdks OUTPUT_VARIABLE sdks ERROR_QUIET)
    string(REGEX MATCHALL "[^\r\n]+" sdks "${sdks}")
    foreach(sdk IN LISTS sdks) # "10.0.401 [/usr/share/dotnet/sdk]"
        string(REGEX REPLACE "^([^ ]+) \\[(.+)\\]$" "\\2/\\1/Roslyn/bincore/csc.dll" compiler "${sdk}")
        if(EXISTS "${compiler}")
            set(check_compiler "${compiler}")
        endif()
    endforeach()
endif()
if(check_compiler)
    set(check_csc ${HOSTMEM_DOTNET} exec ${check_compiler} -nologo -nostdlib -noconfig -nosdkpath -target:library
        -deterministic -optimize -runtimemetadataversion:v2.0.50727)
    add_custom_command(OUTPUT ${check_managed} VERBATIM
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/reference
        COMMAND ${check_csc} -publicsign -keyfile:${check_source}/ecma.snk
            -out:${CMAKE_CURRENT_BINARY_DIR}/reference/mscorlib.dll ${check_source}/mscorlib.cs
        COMMAND ${check_csc} -r:${CMAKE_CURRENT_BINARY_DIR}/reference/mscorlib.dll -out:${check_managed}
            ${check_source}/Check.cs
        DEPENDS ${check_source}/mscorlib.cs ${check_source}/Check.cs ${check_source}/ecma.snk
        COMMENT "C# hostmem-check-managed.dll")
    add_custom_target(hostmem_check_assembly DEPENDS ${check_managed})
    file(CONFIGURE OUTPUT hostmem_check_assembly.rc CONTENT "CHECK_ASSEMBLY RCDATA \"${check_managed}\"\n" @ONLY)
else()
    message(STATUS "hostmem-check is built without its C# assembly: there is no .NET SDK")
endif()

add_library(hostmem_check_objects OBJECT
    src/tools/check/assembly.c
    src/tools/check/component.c
    src/tools/check/hostmem_check.c
    src/tools/check/listener.c
    src/tools/check/part_budget.c
    src/tools/check/part_control.c
    src/tools/check/part_cost.c
    src/tools/check/part_dotnet.c
    src/tools/check/part_framework.c
    src/tools/check/part_machine.c
    src/tools/check/part_manager.c
    src/tools/check/part_windows.c
    src/tools/check/recorder.c
    src/tools/check/rows.c
    src/tools/check/runner.c)
target_include_directories(hostmem_check_objects PRIVATE src include)
target_compile_definitions(hostmem_check_objects PRIVATE COBJMACROS=)

# hostmem_check_program(NAME SOURCES...)
function(hostmem_check_program name)
    add_executable(${name} $<TARGET_OBJECTS:hostmem_check_objects> $<TARGET_OBJECTS:hostmem_tool_objects> ${ARGN})
    if(check_compiler)
        set(resource ${PROJECT_BINARY_DIR}/hostmem_check_assembly.rc)
        target_sources(${name} PRIVATE ${resource})
        set_source_files_properties(${resource} TARGET_DIRECTORY ${name} PROPERTIES OBJECT_DEPENDS ${check_managed})
        add_dependencies(${name} hostmem_check_assembly)
    endif()
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(${name} PRIVATE hostmem_static)
    if(MSVC)
        target_link_options(${name} PRIVATE /manifest:no)
    else()
        target_link_options(${name} PRIVATE -municode -static)
    endif()
endfunction()

hostmem_check_program(hostmem-check src/tools/check/hostmem_check.rc)
