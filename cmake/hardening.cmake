# Flags that make a memory error end the process instead of giving control to an attacker. All builds use them, except those with a
# sanitizer or coverage, which have their own checks. tests/integration/test_hardening.py checks the program for them.
#
# Cost in instructions of one exchange (1 KB POST, plaintext, callgrind, GCC 12): the stack protector 3.7 %, the rest together 0.8 %. Not
# used: landing pads for jumps (-fcf-protection=full), 1.4 %, which no Linux enables for programs; _GLIBCXX_ASSERTIONS, 1.4 %. The shadow
# stack costs no instruction. Its note must be requested explicitly: the start files of Debian's libc lack it, although they are compatible
# with it.
include(CheckCXXCompilerFlag)
include(CheckLinkerFlag)
include(CheckPIESupported)

option(ROUTER_HARDENING "Stack protector, checked library calls, an unwritable table of functions, a random address" ON)

check_pie_supported()  # makes CMAKE_POSITION_INDEPENDENT_CODE apply to programs, too

function(router_harden_compiling flag)
  string(MAKE_C_IDENTIFIER "ROUTER_HAS${flag}" known)
  check_cxx_compiler_flag(${flag} ${known})
  if(${known})
    target_compile_options(router_options INTERFACE ${flag})
  endif()
endfunction()
function(router_harden_linking flag)
  string(MAKE_C_IDENTIFIER "ROUTER_LINKS${flag}" known)
  check_linker_flag(CXX ${flag} ${known})
  if(${known})
    target_link_options(router_options INTERFACE ${flag})
  endif()
endfunction()

if(ROUTER_HARDENING AND NOT ROUTER_SANITIZE AND NOT ROUTER_FUZZ AND NOT ROUTER_COVERAGE)
  router_harden_compiling(-fstack-protector-strong)
  router_harden_compiling(-fstack-clash-protection)
  router_harden_compiling(-fcf-protection=return)  # other processors do not support it
  router_harden_linking(LINKER:-z,relro)
  router_harden_linking(LINKER:-z,now)
  router_harden_linking(LINKER:-z,noexecstack)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    router_harden_linking(LINKER:-z,shstk)
  endif()
  string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
  if("${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${config}}" MATCHES "-O([1-3sgz]|fast)")
    # Without optimisation libc only warns. A glibc or compiler that does not know level 3 treats it as level 2.
    target_compile_options(router_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
endif()
