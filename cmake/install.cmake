# Defines what `cmake --install` installs and where (GNUInstallDirs), and the Debian package that `./dev package` makes (CPack). The files
# are in cmake/packaging; docs/install.md describes the result for operators.
include(GNUInstallDirs)

set(packaging ${CMAKE_SOURCE_DIR}/cmake/packaging)
set(made ${CMAKE_BINARY_DIR}/packaging)
set(ROUTER_CONFIG_DIR ${CMAKE_INSTALL_FULL_SYSCONFDIR}/inference-router)

foreach(file inference-router.service inference-router.1 router.yaml endpoints-README)
  configure_file(${packaging}/${file}.in ${made}/${file} @ONLY)
endforeach()

install(TARGETS inference-router RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${made}/inference-router.service ${packaging}/inference-router.socket DESTINATION lib/systemd/system)
install(FILES ${packaging}/sysusers.conf DESTINATION lib/sysusers.d RENAME inference-router.conf)
install(FILES ${packaging}/inference-router.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME inference-router)
install(FILES ${made}/router.yaml DESTINATION ${ROUTER_CONFIG_DIR})
install(FILES ${made}/endpoints-README DESTINATION ${ROUTER_CONFIG_DIR}/endpoints RENAME README)
file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/*.md)
install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_DOCDIR})

option(ROUTER_DEBIAN "Install what only Debian's package has: copyright, changelog, the man page compressed" OFF)
if(NOT ROUTER_DEBIAN)
  install(FILES ${made}/inference-router.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
  return()
endif()

# --- the package -------------------------------------------------------------------------------------------------------------------
file(STRINGS /etc/os-release release REGEX "^VERSION_ID=")
string(REGEX REPLACE "[^0-9]" "" release "${release}")
string(TIMESTAMP ROUTER_CHANGELOG_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
set(CPACK_PACKAGE_NAME inference-router)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_DEBIAN_PACKAGE_RELEASE "1~deb${release}")  # so that the package for the next Debian release is newer
configure_file(${packaging}/debian/changelog.in ${made}/changelog @ONLY)
foreach(file changelog inference-router.1)
  execute_process(COMMAND gzip -9nc ${made}/${file} OUTPUT_FILE ${made}/${file}.gz COMMAND_ERROR_IS_FATAL ANY)
endforeach()
install(FILES ${made}/inference-router.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${made}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME changelog.Debian.gz)
install(FILES ${packaging}/debian/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
file(WRITE ${made}/conffiles "${ROUTER_CONFIG_DIR}/router.yaml\n${ROUTER_CONFIG_DIR}/endpoints/README\n")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CONTACT "Inference router maintainers <maintainers@inference-router.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "HTTP router for machine-learning endpoints")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "The front door of servers of machine-learning models: it reads the YAML of
endpoints and deployments that Azure Machine Learning's CLI takes, ends TLS,
checks keys, splits traffic between deployments, and gives each request to a
replica that has a free slot.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${packaging}/debian/postinst ${packaging}/debian/prerm ${packaging}/debian/postrm ${made}/conffiles)
include(CPack)
