import { posix } from 'node:path';
import type { CopyInstruction, Dockerfile, Instruction, Stage } from '../dockerfile/instructions.ts';
import type { Report } from './warning.ts';

const INTERPRETERS = /^(?:node|deno|bun|python[\d.]*|ruby|perl|php|sh|ash|dash|bash)$/;
const SCRIPT = /\.(?:[cm]?js|ts|py|rb|pl|php|sh|jar)$/;

/**
 * A CMD or ENTRYPOINT of a script that nothing puts into the image: a name that was mistyped, or a file that stayed behind.
 * Only where that is certain: what commands may make, stages and archives may bring, and bases may have is not judged.
 */
export function lintCommandFile(
  { stages }: Dockerfile,
  contextHas: ((path: string) => boolean) | undefined,
  report: Report,
): void {
  if (!contextHas) return;
  for (const stage of stages) {
    const chain = chainOf(stages, stage);
    const steps = chain.flatMap(({ instructions }) => instructions);
    const own = steps.filter(({ kind }) => kind === 'CMD' || kind === 'ENTRYPOINT');
    const command = own.findLast(({ kind }) => kind === 'ENTRYPOINT') ?? own.at(-1);
    if (!command || !stage.instructions.includes(command)) continue;
    if (!('command' in command) || command.command?.form !== 'exec') continue;
    const script = scriptOf(command.command.argv);
    if (script === undefined) continue;
    const workdir = workdirAt(steps);
    if (workdir === undefined || (!script.startsWith('/') && workdir === '/')) continue;
    const path = posix.resolve(workdir, script);
    // Outside of the directory that this file makes, the base may have it.
    if (chain.at(0)!.base !== 'scratch' && posix.relative(workdir, path).startsWith('..')) continue;
    if (mayExist(path, workdir, steps, contextHas)) continue;
    report(
      'MissingCommandFile',
      `${command.kind} runs ${JSON.stringify(script)}, which no instruction brings to ${path}: is it in the build context, and copied there?`,
      command.range,
    );
  }
}

/** The stage with those of the file that it stands on, the lowest first. */
function chainOf(stages: readonly Stage[], stage: Stage): Stage[] {
  const below = stages.slice(0, stages.indexOf(stage)).findLast(({ name }) => name === stage.base.toLowerCase());
  return below ? [...chainOf(stages, below), stage] : [stage];
}

function scriptOf(argv: readonly string[]): string | undefined {
  const [program = '', ...rest] = argv;
  if (argv.some((word) => word.includes('$'))) return undefined;
  if (INTERPRETERS.test(posix.basename(program))) {
    const first = rest.find((word) => !word.startsWith('-'));
    // `-c`, `-m`, `-e` take code or a module.
    if (first === undefined || !SCRIPT.test(first) || rest.some((word) => /^-[cme]$/.test(word))) return undefined;
    return first;
  }
  return SCRIPT.test(program) && (program.startsWith('./') || program.startsWith('/')) ? program : undefined;
}

function workdirAt(steps: readonly Instruction[]): string | undefined {
  let at = '/';
  for (const step of steps) {
    if (step.kind !== 'WORKDIR') continue;
    if (step.text.includes('$')) return undefined;
    at = posix.resolve(at, step.text);
  }
  return at;
}

function mayExist(
  path: string,
  workdir: string,
  steps: readonly Instruction[],
  contextHas: (path: string) => boolean,
): boolean {
  const folder = posix.relative(workdir, path).split('/').slice(0, -1)[0];
  let at = '/';
  for (const step of steps) {
    if (step.kind === 'WORKDIR') at = posix.resolve(at, step.text);
    if (step.kind === 'RUN') {
      const text = [
        step.command.form === 'shell' ? step.command.line : step.command.argv.join(' '),
        ...step.heredocs.map(({ content }) => content),
      ].join('\n');
      // A command may make a folder of results, or the file by its name; a checkout or a download makes anything.
      if (
        folder !== undefined ||
        text.includes(posix.basename(path)) ||
        /\b(?:git|curl|wget|unzip|tar|cp|mv)\b/.test(text)
      )
        return true;
    }
    if ((step.kind === 'COPY' || step.kind === 'ADD') && mayBring(step, path, at, contextHas)) return true;
  }
  return false;
}

function mayBring(
  step: CopyInstruction,
  path: string,
  workdir: string,
  contextHas: (path: string) => boolean,
): boolean {
  const words = [...step.sources, step.destination];
  if (step.from !== undefined || step.kind === 'ADD' || step.parents || words.some((word) => /[$*?[\\]/.test(word)))
    return true;
  const destination = posix.resolve(workdir, step.destination);
  const below = posix.relative(destination, path);
  if (step.heredocs.length > 0) return below === '' || !below.startsWith('..');
  const asDirectory = step.sources.length > 1 || /(?:^|\/)\.{0,2}$/.test(step.destination);
  return step.sources.some((source) => {
    const clean = posix.join('/', source).slice(1);
    // A folder's contents go below the destination; a file becomes it, or goes into it under its own name.
    if (!below.startsWith('..') && below !== '' && contextHas(posix.join(clean, below))) return true;
    if (asDirectory) return below === posix.basename(clean) && contextHas(clean);
    return (below === '' || below === posix.basename(clean)) && contextHas(clean);
  });
}
