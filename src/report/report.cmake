# hostmem-report, and the page that it has inside; included by the main list and by that of the native tests.  It knows no
# Windows but for one file.
set(report_dir ${CMAKE_CURRENT_LIST_DIR})
set(report_sources compare.c frames.c json.c json_owned.c json_parts.c load.c misuse.c model.c nettrace.c out.c owned.c regions.c
    schema.c sites.c table.c text.c timeline.c)
list(TRANSFORM report_sources PREPEND ${report_dir}/)

# The page is made of its own files and of uPlot, which npm fetches by the lock file.  Without Node or npm, or when that
# fails, there is no --html.
set(report_page ${report_dir}/no_page.c)
set(page_dir ${CMAKE_CURRENT_BINARY_DIR}/report-page)
option(HOSTMEM_PAGE "Build hostmem-report with its page, for which npm fetches uPlot" ON)
find_program(HOSTMEM_NODE node DOC "Node.js, which puts the page of hostmem-report together")
find_program(HOSTMEM_NPM NAMES npm.cmd npm DOC "npm, which fetches uPlot for the page of hostmem-report") # Windows: not the shell script
if(NOT HOSTMEM_PAGE OR NOT (HOSTMEM_TOOLS OR HOSTMEM_NATIVE))
    message(STATUS "hostmem-report is built without its page: it is not wanted")
elseif(HOSTMEM_NODE AND HOSTMEM_NPM)
    set(uplot ${page_dir}/node_modules/uplot)
    foreach(name package.json package-lock.json)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${report_dir}/page/${name})
    endforeach()
    file(SHA256 ${report_dir}/page/package-lock.json lock)
    set(fetched)
    if(EXISTS ${page_dir}/fetched)
        file(READ ${page_dir}/fetched fetched)
    endif()
    if(NOT fetched STREQUAL lock)
        file(COPY ${report_dir}/page/package.json ${report_dir}/page/package-lock.json DESTINATION ${page_dir})
        execute_process(COMMAND ${HOSTMEM_NPM} ci --ignore-scripts --no-audit --no-fund WORKING_DIRECTORY ${page_dir}
            RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET TIMEOUT 120)
        if(failed)
            message(STATUS "hostmem-report is built without its page: npm could not fetch uPlot")
        else()
            file(WRITE ${page_dir}/fetched ${lock})
            set(fetched ${lock})
        endif()
    endif()
    if(fetched STREQUAL lock)
        set(report_page ${page_dir}/page.c)
        set(page_files build.mjs charts.js format.js map.js page.css page.html page.js tables.js)
        list(TRANSFORM page_files PREPEND ${report_dir}/page/)
        add_custom_command(OUTPUT ${report_page} VERBATIM DEPENDS ${page_files} ${page_dir}/fetched
            COMMAND ${HOSTMEM_NODE} ${report_dir}/page/build.mjs ${uplot} ${report_page}
            COMMENT "The page of hostmem-report")
    endif()
else()
    message(STATUS "hostmem-report is built without its page: there is no Node with npm")
endif()

add_executable(hostmem-report ${report_sources} ${report_dir}/file.c ${report_dir}/hostmem_report.c ${report_dir}/html.c
    ${report_page})
target_include_directories(hostmem-report PRIVATE ${report_dir}/..)
target_compile_definitions(hostmem-report PRIVATE HOSTMEM_REPORT_VERSION="${PROJECT_VERSION}")
