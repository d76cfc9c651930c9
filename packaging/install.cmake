# What `cmake --install` puts where: libraries, headers, what find_package and pkg-config read, and what people read.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/hostmem)

install(TARGETS hostmem EXPORT hostmem)
install(TARGETS hostmem_static EXPORT hostmem_static)
if(MSVC)
    install(FILES $<TARGET_PDB_FILE:hostmem> TYPE BIN)
endif()
install(DIRECTORY include/hostmem TYPE INCLUDE)
if(HOSTMEM_TOOLS)
    install(TARGETS ${tools})
endif()
if(TARGET hostmem_msvc_import)
    install(FILES ${hostmem_msvc_import} TYPE LIB)
endif()

install(EXPORT hostmem NAMESPACE hostmem:: FILE hostmemTargets.cmake DESTINATION ${package_dir})
install(EXPORT hostmem_static NAMESPACE hostmem:: FILE hostmemStaticTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(packaging/hostmemConfig.cmake.in hostmemConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(hostmemConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/hostmemConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/hostmemConfigVersion.cmake
    DESTINATION ${package_dir})

file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(packaging/hostmem.pc.in hostmem.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/hostmem.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md TYPE DOC)
install(DIRECTORY docs TYPE DOC)
# Headers lie elsewhere than in the sources: links to them follow.
file(RELATIVE_PATH headers /${CMAKE_INSTALL_DOCDIR} /${CMAKE_INSTALL_INCLUDEDIR})
install(CODE "
    set(doc \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DOCDIR}\")
    file(GLOB pages \"\${doc}/*.md\" \"\${doc}/docs/*.md\")
    foreach(page IN LISTS pages)
        file(READ \"\${page}\" text)
        string(REPLACE \"](include/\" \"](${headers}/\" text \"\${text}\")
        string(REPLACE \"](../include/\" \"](../${headers}/\" text \"\${text}\")
        file(WRITE \"\${page}\" \"\${text}\")
    endforeach()")
install(DIRECTORY examples TYPE DOC)
