import assert from 'node:assert/strict';
import test from 'node:test';
import { parseDockerfile } from '../dockerfile/parse.ts';
import { lintDockerfile } from './lint.ts';

/** Rules and lines as BuildKit's linter gives them (dockerd 28.5), and our own rules behind. */
const CASES: readonly [dockerfile: string, warnings: readonly string[], ignore?: readonly string[]][] = [
  ['FROM scratch AS Bld', ["StageNameCasing 1 Stage name 'Bld' should be lowercase"]],
  ['FROM scratch as b', ["FromAsCasing 1 'as' and 'FROM' keywords' casing do not match"]],
  ['from scratch AS b', ["FromAsCasing 1 'AS' and 'from' keywords' casing do not match"]],
  ['FROM scratch\nCOPY a.txt \\\n\n /x', ['NoEmptyContinuation 2 Empty continuation line']],
  [
    'FROM scratch\ncopy a.txt /x\nCopy a.txt /y',
    [
      "ConsistentInstructionCasing 2 Command 'copy' should match the case of the command majority (uppercase)",
      "ConsistentInstructionCasing 3 Command 'Copy' should match the case of the command majority (uppercase)",
    ],
  ],
  [
    'FROM scratch AS b\nFROM scratch AS b',
    ['DuplicateStageName 2 Duplicate stage name "b", stage names should be unique'],
  ],
  [
    'FROM scratch AS scratch',
    ['ReservedStageName 1 Stage name should not use the same name as reserved stage "scratch"'],
  ],
  [
    'FROM scratch\nCMD x\nENTRYPOINT y',
    [
      'JSONArgsRecommended 2 JSON arguments recommended for CMD to prevent unintended behavior related to OS signals',
      'JSONArgsRecommended 3 JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals',
    ],
  ],
  ['FROM scratch\nSHELL ["a"]\nCMD x', []],
  [
    'FROM scratch\nMAINTAINER me',
    ['MaintainerDeprecated 2 Maintainer instruction is deprecated in favor of using label'],
  ],
  ['FROM known:${VARIANT}1', ["UndefinedArgInFrom 1 FROM argument 'VARIANT' is not declared"]],
  [
    'FROM scratch\nWORKDIR a/b',
    ['WorkdirRelativePath 2 Relative workdir "a/b" can have unexpected results if the base image changes'],
  ],
  ['FROM scratch\nWORKDIR /a\nWORKDIR b', []],
  ['FROM known:1\nCOPY $foo .', ["UndefinedVar 2 Usage of undefined variable '$foo'"]],
  [
    'FROM known:1\nARG FOO=a.txt\nENV A=$PTH B=$NONE C=${X:-d} D=$FOO',
    [
      "UndefinedVar 3 Usage of undefined variable '$PTH' (did you mean $PATH?)",
      "UndefinedVar 3 Usage of undefined variable '$NONE'",
    ],
  ],
  ['FROM unknown:1\nENV A=$WHO', []],
  ['FROM known:1 AS one\nENV B=1\nFROM one\nENV C=$B', []],
  [
    'FROM scratch\nCMD ["a"]\nCMD ["b"]\nHEALTHCHECK NONE\nHEALTHCHECK CMD x',
    [
      'MultipleInstructionsDisallowed 2 Multiple CMD instructions should not be used in the same stage because only the last one will be used',
      'MultipleInstructionsDisallowed 4 Multiple HEALTHCHECK instructions should not be used in the same stage because only the last one will be used',
    ],
  ],
  [
    'FROM scratch\nENV a b\nLABEL c d',
    [
      'LegacyKeyValueFormat 2 "ENV key=value" should be used instead of legacy "ENV key value" format',
      'LegacyKeyValueFormat 3 "LABEL key=value" should be used instead of legacy "LABEL key value" format',
    ],
  ],
  [
    'FROM --platform=$TARGETPLATFORM scratch',
    [
      'RedundantTargetPlatform 1 Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior',
    ],
  ],
  [
    'FROM --platform=linux/amd64 scratch',
    ['FromPlatformFlagConstDisallowed 1 FROM --platform flag should not use constant value "linux/amd64"'],
  ],
  [
    'FROM scratch\nARG AWS_SECRET_ACCESS_KEY\nENV PUBLIC_KEY=y KEYS=2 apikey=3',
    [
      'SecretsUsedInArgOrEnv 2 Do not use ARG or ENV instructions for sensitive data (ARG "AWS_SECRET_ACCESS_KEY")',
      'SecretsUsedInArgOrEnv 3 Do not use ARG or ENV instructions for sensitive data (ENV "apikey")',
    ],
  ],
  [
    'ARG T\nFROM known:$T',
    ['InvalidDefaultArgInFrom 2 Default value for ARG known:$T results in empty or invalid base image name'],
  ],
  [
    'FROM scratch\nCOPY a.txt /x\nADD ./a.txt /y\nCOPY . /z',
    [
      'CopyIgnoredFile 2 Attempting to Copy file "a.txt" that is excluded by .dockerignore',
      'CopyIgnoredFile 3 Attempting to Add file "./a.txt" that is excluded by .dockerignore',
    ],
    ['a.txt'],
  ],
  [
    'FROM scratch\nEXPOSE 80/TCP',
    ["ExposeProtoCasing 2 Defined protocol '80/TCP' in EXPOSE instruction should be lowercase"],
  ],
  [
    'FROM scratch\nEXPOSE 127.0.0.1:80:80',
    [
      "ExposeInvalidFormat 2 EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
    ],
  ],
  [
    'FROM known:1 # the base\nUSER a',
    [
      'InlineComment 1 comment at the end of an instruction: Docker reads it as arguments; put "# the base" on a line of its own',
    ],
  ],
  ['# check=skip=JSONArgsRecommended\nFROM scratch\nCMD x', []],
  ['# check=skip=all\nFROM scratch\nCMD x', []],
  [
    'FROM known',
    ["UnpinnedBase 1 Base 'known' is whatever is newest on the day of the build: name a version, as in known:1.2"],
  ],
  ['FROM pyton:3', ["BaseTypo 1 Base 'pyton' looks like a mistyped python"]],
  [
    'FROM known:1\nRUN apt-get update && apt-get install -y curl',
    ['AptListsLeftBehind 2 The package lists stay in the layer: end the command with "&& rm -rf /var/lib/apt/lists/*"'],
  ],
  ['FROM known:1\nRUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*', []],
  ['FROM known:1\nRUN --mount=type=cache,target=/var/lib/apt apt-get install -y curl', []],
  [
    'FROM foreign:1',
    [
      'InvalidBaseImagePlatform 1 Base image foreign:1 was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
    ],
  ],
  ['FROM --platform=$BUILDPLATFORM foreign:1', []],
  ['# some words\nFROM scratch AS x', []],
  [
    '# check=experimental=InvalidDefinitionDescription\n\n# some words\nFROM scratch AS x\n# A is it\nARG A\n# b\n\nARG B',
    [
      'InvalidDefinitionDescription 4 Comment for build stage should follow the format: `# x <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.',
    ],
  ],
  [
    'FROM known:1\nWORKDIR /app\nCOPY . .\nRUN npm ci\nCMD ["node", "sever.js"]',
    [
      'MissingCommandFile 5 CMD runs "sever.js", which no instruction brings to /app/sever.js: is it in the build context, and copied there?',
    ],
  ],
  [
    'FROM scratch\nCOPY server.js /srv/\nENTRYPOINT ["/srv/start.sh"]',
    [
      'MissingCommandFile 3 ENTRYPOINT runs "/srv/start.sh", which no instruction brings to /srv/start.sh: is it in the build context, and copied there?',
    ],
  ],
  ['FROM known:1\nWORKDIR /app\nCOPY . .\nCMD ["node", "server.js"]', []],
  ['FROM known:1\nWORKDIR /app\nCOPY src /app/lib\nCMD ["node", "lib/a.py"]', []],
  ['FROM known:1\nWORKDIR /app\nRUN npm run build\nCMD ["node", "dist/index.js"]', []],
  ['FROM known:1\nWORKDIR /app\nCOPY --from=other /x .\nCMD ["python", "x.py"]', []],
  ['FROM known:1\nWORKDIR /app\nCMD ["/docker-entrypoint.sh"]', []],
  ['FROM known:1\nWORKDIR /app\nCOPY server.js main.js\nCMD ["node", "main.js"]', []],
];

for (const [dockerfile, expected, ignore = []] of CASES) {
  test(`lintDockerfile() ${JSON.stringify(dockerfile)}`, () => {
    const { warnings } = lintDockerfile(parseDockerfile(`${dockerfile}\n`), {
      ignore,
      platformArgs: new Map([
        ['TARGETPLATFORM', 'linux/amd64'],
        ['BUILDPLATFORM', 'linux/arm64'],
      ]),
      text: `${dockerfile}\n`,
      contextHas: (path) => ['server.js', 'src/a.py'].includes(path),
      platformOf: (reference) => (reference === 'foreign:1' ? 'linux/arm64' : undefined),
      environmentOf: (reference) => (reference.startsWith('known') ? ['PATH=/bin'] : undefined),
    });
    assert.deepEqual(
      warnings.map(({ rule, range, message }) => `${rule} ${range.start} ${message}`),
      expected,
    );
  });
}

test('lintDockerfile() makes warnings errors where the file asks for it', () => {
  const options = { ignore: [], platformArgs: new Map(), environmentOf: () => undefined };
  const fails = (text: string): boolean => lintDockerfile(parseDockerfile(text), options).fails;
  assert.equal(fails('# check=error=true\nFROM scratch\nCMD x\n'), true);
  assert.equal(fails('# check=error=true\nFROM scratch\n'), false);
  assert.equal(fails('# check=skip=JSONArgsRecommended;error=true\nFROM scratch\nCMD x\n'), false);
  assert.equal(fails('FROM scratch\nCMD x\n'), false);
});
