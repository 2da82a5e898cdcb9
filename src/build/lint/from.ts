import { expandWord } from '../dockerfile/expand.ts';
import type { Dockerfile, Stage } from '../dockerfile/instructions.ts';
import { distance } from '../dockerfile/parse.ts';
import { isImageName } from './base-names.ts';
import type { LintOptions } from './lint.ts';
import type { Report } from './warning.ts';

const RESERVED = new Set(['scratch', 'context']);
/** Names that a mistyped base most likely means. */
const COMMON_BASES = [
  'alpine',
  'busybox',
  'debian',
  'fedora',
  'golang',
  'nginx',
  'node',
  'postgres',
  'python',
  'redis',
  'rust',
  'ubuntu',
];

/** FROM lines: names of stages, platforms, what the base is called. */
export function lintFrom(
  { stages, globalArgs, escape }: Dockerfile,
  { platformArgs, platformOf }: Pick<LintOptions, 'platformArgs' | 'platformOf'>,
  report: Report,
): void {
  const defaults = new Map<string, string>();
  const declared = new Set(platformArgs.keys());
  for (const { args } of globalArgs) {
    for (const { name, value } of args) {
      declared.add(name);
      if (value !== undefined)
        defaults.set(
          name,
          expandWord(value, (other) => defaults.get(other) ?? platformArgs.get(other), { escape }),
        );
    }
  }
  const names = new Set<string>();
  for (const stage of stages) {
    lintName(stage, names, report);
    if (stage.name !== undefined) names.add(stage.name);
    lintPlatform(stage, report);
    const base = expandWord(stage.base, (name) => defaults.get(name) ?? platformArgs.get(name), {
      escape,
      onUnset: (name) => {
        if (!declared.has(name)) report('UndefinedArgInFrom', `FROM argument '${name}' is not declared`, stage.range);
      },
    });
    // BuildKit's words, whether or not there is an ARG in it.
    if (!names.has(base.toLowerCase()) && !isImageName(base)) {
      report(
        'InvalidDefaultArgInFrom',
        `Default value for ARG ${stage.base} results in empty or invalid base image name`,
        stage.range,
      );
    } else if (base !== 'scratch' && !names.has(base.toLowerCase())) {
      lintReference(base, stage, report);
      const wanted = expandWord(
        stage.platform ?? '$TARGETPLATFORM',
        (name) => defaults.get(name) ?? platformArgs.get(name),
        {
          escape,
        },
      );
      const found = platformOf?.(base);
      if (found !== undefined && wanted !== '' && found !== wanted) {
        report(
          'InvalidBaseImagePlatform',
          `Base image ${base} was pulled with platform ${JSON.stringify(found)}, expected ${JSON.stringify(wanted)} for current build`,
          stage.range,
        );
      }
    }
  }
}

function lintName(stage: Stage, names: ReadonlySet<string>, report: Report): void {
  const written = /\sas\s+(\S+)\s*$/i.exec(stage.original)?.[1];
  if (written === undefined || stage.name === undefined) return;
  if (written !== stage.name) report('StageNameCasing', `Stage name '${written}' should be lowercase`, stage.range);
  if (RESERVED.has(stage.name)) {
    report(
      'ReservedStageName',
      `Stage name should not use the same name as reserved stage ${JSON.stringify(stage.name)}`,
      stage.range,
    );
  }
  if (names.has(stage.name))
    report(
      'DuplicateStageName',
      `Duplicate stage name ${JSON.stringify(written)}, stage names should be unique`,
      stage.range,
    );
}

function lintPlatform({ platform, range }: Stage, report: Report): void {
  if (platform === undefined) return;
  if (/^\$(\{TARGETPLATFORM\}|TARGETPLATFORM)$/.test(platform)) {
    report(
      'RedundantTargetPlatform',
      `Setting platform to predefined ${platform} in FROM is redundant as this is the default behavior`,
      range,
    );
  } else if (!platform.includes('$')) {
    report(
      'FromPlatformFlagConstDisallowed',
      `FROM --platform flag should not use constant value ${JSON.stringify(platform)}`,
      range,
    );
  }
}

function lintReference(base: string, { range }: Stage, report: Report): void {
  const [, name = '', tag] = /^(.*?)(?::([^:/@]+))?$/.exec(base.replace(/@.*$/, ''))!;
  if (!base.includes('@') && (tag === undefined || tag === 'latest')) {
    report(
      'UnpinnedBase',
      `Base '${base}' is whatever is newest on the day of the build: name a version, as in ${name}:1.2`,
      range,
    );
  }
  const near = COMMON_BASES.find((common) => common !== name && distance(common, name) === 1);
  if (near !== undefined) report('BaseTypo', `Base '${name}' looks like a mistyped ${near}`, range);
}
