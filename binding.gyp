# The CPU addon for people without CMake: `npm run build -- --builder gyp`. Same sources, same flags.
{
  'targets': [{
    'target_name': 'winnow',
    'sources': ['<!@(node native/sources.mjs cpu)'],
    'include_dirs': ['native', '<!(node -p "require(\'node-addon-api\').include_dir")'],
    'defines': [
      'NDEBUG',
      'WINNOW_BUILDER="gyp"',
      'WINNOW_VERSION="<!(node -p "require(\'./package.json\').version")"',
    ],
    'cflags!': ['-fno-omit-frame-pointer'],
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': [
      '-std=c++20', '-O3', '-fexceptions', '-frtti', '-fno-math-errno', '-ffp-contract=off',
      '-fvisibility=hidden', '-Wall', '-Wextra', '-pthread',
    ],
    'ldflags': ['-pthread'],
    'libraries': ['-ldl'],
    'xcode_settings': {
      'CLANG_CXX_LANGUAGE_STANDARD': 'c++20',
      'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
      'GCC_ENABLE_CPP_RTTI': 'YES',
      'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
      'OTHER_CPLUSPLUSFLAGS': ['-O3', '-fno-math-errno', '-ffp-contract=off', '-Wall', '-Wextra'],
    },
  }],
}
