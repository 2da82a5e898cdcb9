import { accessSync, constants } from 'node:fs';
import { basename, join } from 'node:path';
import { EngineError } from '../base/errors.ts';
import type { CgroupFacts } from '../linux/host-facts.ts';
import { seesHybridCgroups } from '../linux/mount-namespace.ts';
import { runTool, TOOL_PATH } from '../linux/tool.ts';
import type { EngineConfig } from './config.ts';

export interface Programs {
  /** Absolute path. */
  readonly conmon: string;
  readonly runtimes: Readonly<Record<string, { readonly path: string; readonly args: readonly string[] }>>;
  readonly defaultRuntime: string;
  /** Their versions, asked for once. */
  readonly components: () => Promise<readonly { readonly name: string; readonly version: string }[]>;
}

/** The programs that run containers. Throws `unavailable`, saying what to install. */
export async function findPrograms(config: EngineConfig, cgroups: CgroupFacts): Promise<Programs> {
  const conmon = findProgram('conmon');
  if (conmon === undefined) throw missing('conmon');
  const runtimes: Record<string, { path: string; args: readonly string[] }> = {};
  for (const [name, { path, args = [] }] of Object.entries(config.runtimes)) {
    const found = findProgram(path);
    if (found !== undefined) runtimes[name] = { path: found, args: [...withoutCgroups(found, cgroups), ...args] };
  }
  const defaultRuntime = chooseRuntime(config.defaultRuntime, runtimes);
  let components: ReturnType<Programs['components']> | undefined;
  return {
    conmon,
    runtimes,
    defaultRuntime,
    components: () => (components ??= versions({ conmon, [defaultRuntime]: runtimes[defaultRuntime]!.path })),
  };
}

/** runc finds out by itself. */
function withoutCgroups(path: string, { driver }: CgroupFacts): string[] {
  return driver === 'none' && basename(path).startsWith('crun') ? ['--cgroup-manager=disabled'] : [];
}

/** crun is several times faster; it refuses hosts that show it both kinds of cgroups. */
function chooseRuntime(wanted: string, found: Readonly<Record<string, unknown>>): string {
  if (wanted !== 'auto') {
    if (Object.hasOwn(found, wanted)) return wanted;
    throw missing(wanted);
  }
  const usable = ['crun', 'runc'].filter((name) => Object.hasOwn(found, name));
  const [first] = seesHybridCgroups() ? usable.filter((name) => name !== 'crun') : usable;
  if (first !== undefined) return first;
  throw missing(usable.length > 0 ? 'runc' : 'crun');
}

function missing(program: string): EngineError {
  return new EngineError(
    'unavailable',
    `${program} is not installed, and containers cannot run without it: install it (Debian: apt-get install ${program})`,
  );
}

/** Absolute path of an executable file; undefined when there is none. */
export function findProgram(name: string): string | undefined {
  const candidates = name.includes('/')
    ? [name]
    : TOOL_PATH.slice('PATH='.length)
        .split(':')
        .map((directory) => join(directory, name));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

async function versions(programs: Readonly<Record<string, string>>): Promise<{ name: string; version: string }[]> {
  return await Promise.all(
    Object.entries(programs).map(async ([name, path]) => {
      try {
        const { stdout } = await runTool(path, ['--version']);
        return { name, version: /\d+\.\d[\w.+~-]*/.exec(stdout.toString('utf8'))?.[0] ?? '' };
      } catch {
        return { name, version: '' };
      }
    }),
  );
}
