import type { Instruction, Stage } from '../../build/dockerfile/instructions.ts';

/** The paths of its context that a Dockerfile takes files from, so that a client need not list more; undefined is all of it. */
export function contextPaths(stages: readonly Stage[]): readonly string[] | undefined {
  const paths = new Set<string>();
  for (const stage of stages) {
    for (const instruction of stage.instructions) {
      const sources = sourcesOf(instruction);
      for (const source of sources) {
        const path = plain(source);
        if (path === undefined) return undefined;
        paths.add(path);
      }
    }
    // What a base image runs in a build on top of it is not known yet.
    if (stage.instructions.some(({ kind }) => kind === 'ONBUILD')) return undefined;
  }
  return [...paths];
}

function sourcesOf(instruction: Instruction): readonly string[] {
  if (instruction.kind === 'COPY' || instruction.kind === 'ADD')
    return instruction.from === undefined ? instruction.sources.filter((source) => !REMOTE.test(source)) : [];
  if (instruction.kind === 'RUN') return instruction.mounts.filter(isContextMount).map(mountSource);
  return [];
}

const REMOTE = /^(https?|git|ssh):\/\/|^git@/;

function isContextMount(mount: string): boolean {
  const fields = mount.split(',');
  const type = fields.find((field) => /^type=/i.test(field))?.slice(5) ?? 'bind';
  return type === 'bind' && !fields.some((field) => /^from=/i.test(field));
}

function mountSource(mount: string): string {
  const source = mount.split(',').find((field) => /^(source|src)=/i.test(field));
  return source?.slice(source.indexOf('=') + 1) ?? '/';
}

/** A path as the client has it; undefined where variables, or the root itself, make it everything. */
function plain(source: string): string | undefined {
  if (/[$"'\\]/.test(source)) return undefined;
  const parts: string[] = [];
  for (const part of source.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return parts.length === 0 ? undefined : parts.join('/');
}
