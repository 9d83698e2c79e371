# The clang that `./dev setup fuzz` installs: version 16 on Debian 12, the default version on later releases.
find_program(CLANG_COMPILER NAMES clang++-16 clang++ REQUIRED)
set(CMAKE_CXX_COMPILER ${CLANG_COMPILER})
