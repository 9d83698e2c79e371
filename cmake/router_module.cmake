# router_module(NAME dispatch LEVEL 3 DEPENDS base runtime [LIBRARIES absl::time ...])
#
# Makes the current folder a library: every .cpp of the folder, every .h public. A module may depend only on modules of a lower level, except as
# listed in exceptions.txt. Any other dependency stops the configuration, and an #include of a module that is not a direct or indirect dependency
# stops the build (check_includes.cmake). `./dev check` compares levels and dependencies with the picture and the table in docs/architecture.md
# (draw_layers.py). The target `all_verify_interface_header_sets` compiles every header alone.
function(router_module)
  cmake_parse_arguments(MODULE "" "NAME;LEVEL" "DEPENDS;LIBRARIES" ${ARGN})
  set(target router_${MODULE_NAME})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
  if(sources)
    add_library(${target} STATIC ${sources})
    router_precompiled(${target})
    set(scope PUBLIC)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR} FILES ${headers})
  set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  set_property(GLOBAL PROPERTY ROUTER_LEVEL_${MODULE_NAME} ${MODULE_LEVEL})
  set(ROUTER_LEVEL_${MODULE_NAME} ${MODULE_LEVEL} CACHE INTERNAL "for draw_layers.py")
  target_link_libraries(${target} ${scope} router_options ${MODULE_LIBRARIES})
  file(RELATIVE_PATH folders ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  foreach(dependency IN LISTS MODULE_DEPENDS)
    get_property(known GLOBAL PROPERTY ROUTER_LEVEL_${dependency} SET)
    get_property(level GLOBAL PROPERTY ROUTER_LEVEL_${dependency})
    if(NOT known)
      message(FATAL_ERROR "router_module ${MODULE_NAME}: '${dependency}' is not a module that was added before it")
    endif()
    router_is_exception(excepted ${MODULE_NAME} ${dependency})
    if(NOT level LESS MODULE_LEVEL AND NOT excepted)
      message(FATAL_ERROR "router_module ${MODULE_NAME} (level ${MODULE_LEVEL}) may not use '${dependency}' (level ${level}): only lower levels")
    endif()
    target_link_libraries(${target} ${scope} router_${dependency})
    get_property(behind GLOBAL PROPERTY ROUTER_FOLDERS_${dependency})
    list(APPEND folders ${behind})
  endforeach()
  list(REMOVE_DUPLICATES folders)
  set_property(GLOBAL PROPERTY ROUTER_FOLDERS_${MODULE_NAME} ${folders})
  router_check_includes(${target} "${folders}" ${sources} ${headers})
endfunction()

# Whether exceptions.txt allows MODULE to use DEPENDENCY, whatever their levels: `MODULE -> DEPENDENCY | a reason`.
function(router_is_exception result module dependency)
  set(list ${CMAKE_SOURCE_DIR}/cmake/exceptions.txt)
  set(found "")
  if(EXISTS ${list})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${list})
    file(STRINGS ${list} found REGEX "^${module} -> ${dependency} [|] .")
  endif()
  if(found)
    set(${result} TRUE PARENT_SCOPE)
  else()
    set(${result} FALSE PARENT_SCOPE)
  endif()
endfunction()

# Before TARGET is compiled, checks FILES for an #include of a folder that is not among FOLDERS.
function(router_check_includes target folders)  # TARGET FOLDERS FILES...
  set(files "")
  foreach(file IN LISTS ARGN)
    file(RELATIVE_PATH relative ${CMAKE_SOURCE_DIR} ${file})
    list(APPEND files ${relative})
  endforeach()
  list(JOIN folders "," folders)
  list(JOIN files "," files)
  set(script ${CMAKE_SOURCE_DIR}/cmake/check_includes.cmake)
  set(stamp ${CMAKE_CURRENT_BINARY_DIR}/${target}.includes)
  add_custom_command(
    OUTPUT ${stamp}
    COMMAND ${CMAKE_COMMAND} -D MODULE=${target} -D ROOT=${CMAKE_SOURCE_DIR} -D FOLDERS=${folders} -D FILES=${files} -D STAMP=${stamp} -P ${script}
    DEPENDS ${ARGN} ${script}
    COMMENT "Checking what ${target} includes"
    VERBATIM)
  add_custom_target(${target}_includes ALL DEPENDS ${stamp})
  add_dependencies(${target} ${target}_includes)
endfunction()
