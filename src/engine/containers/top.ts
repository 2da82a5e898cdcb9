import type { ContainerTop } from '../../api/container.ts';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import { runTool } from '../../linux/tool.ts';
import { type ContainerContext, findContainer, publishContainerEvent } from './context.ts';
import { runningTask } from './pause.ts';

/** The host's `ps` with the caller's arguments, cut down to the container's processes. Throws `conflict`, `invalid-argument`. */
export async function topOfContainer(
  context: ContainerContext,
  nameOrId: string,
  psArgs = '-ef',
): Promise<ContainerTop> {
  const record = findContainer(context, nameOrId);
  const task = runningTask(context, record);
  const args = (psArgs.trim() === '' ? '-ef' : psArgs).trim().split(/\s+/);
  // ps can be told to read another file as its own; its other options only choose and print
  if (args.some((arg) => /[^\w\-.,:%=+]/.test(arg))) {
    throw new EngineError('invalid-argument', `ps_args fields value ${JSON.stringify(psArgs)} is not allowed`);
  }
  const pids = new Set(await task.processes());
  const { stdout } = await runTool('/bin/ps', args).catch((error: unknown) => {
    // its first line says it; the rest is how to use ps
    const [first = ''] = errorMessage(error).split('\n');
    throw new EngineError(errorCode(error), first.replace(/^ps failed \(exit \d+\): /, 'ps: '), { cause: error });
  });
  const top = parseProcesses(stdout.toString('utf8'), pids);
  publishContainerEvent(context, record, 'top');
  return top;
}

/** Throws `internal` when there is no PID column to choose by. */
export function parseProcesses(text: string, pids: ReadonlySet<number>): ContainerTop {
  const [header = '', ...lines] = text.split('\n').filter((line) => line.trim() !== '');
  const Titles = header.trim().split(/\s+/);
  const pidColumn = Titles.indexOf('PID');
  if (pidColumn < 0) throw new EngineError('internal', "Couldn't find PID field in ps output");
  const Processes: string[][] = [];
  for (const line of lines) {
    const words = line.trim().split(/\s+/);
    if (!pids.has(Number(words[pidColumn]))) continue;
    // the last column is the command, spaces and all
    const last = Titles.length - 1;
    Processes.push([...words.slice(0, last), words.slice(last).join(' ')]);
  }
  return { Titles, Processes };
}
