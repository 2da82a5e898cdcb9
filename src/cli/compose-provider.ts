import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { EngineError } from '../base/errors.ts';
import type { RunProvider } from '../compose/project/providers.ts';
import type { Cli } from './cli.ts';

/** Providers of services are programs in the PATH: `docker-TYPE`, or `TYPE`. What they say on stderr is shown as it is. */
export function providerRunner(cli: Cli): RunProvider {
  return async (type, args, onLine) => {
    if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(type))
      throw new EngineError('invalid-argument', `provider ${JSON.stringify(type)} names no program`);
    for (const program of [`docker-${type}`, type]) {
      const code = await attempt(program, args, cli, onLine);
      if (code !== undefined) return code;
    }
    throw new EngineError('not-found', `provider ${type}: there is no program docker-${type} or ${type} in the PATH`);
  };
}

/** Undefined when there is no such program. */
async function attempt(
  program: string,
  args: readonly string[],
  cli: Cli,
  onLine: (line: string) => void,
): Promise<number | undefined> {
  const quiet = args.at(-1) === 'metadata';
  const child = spawn(program, args, { env: cli.env, stdio: ['ignore', 'pipe', quiet ? 'ignore' : 'pipe'] });
  const ended = once(child, 'close') as Promise<[number | null]>;
  ended.catch(() => {}); // a program that is not there is told by the error
  child.stderr?.on('data', (data: Buffer) => cli.io.stderr.write(data));
  try {
    await once(child, 'spawn');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    for await (const line of createInterface({ input: child.stdout! })) onLine(line);
  } catch (error) {
    child.kill();
    await ended;
    throw error;
  }
  const [code] = await ended;
  return code ?? 137;
}
