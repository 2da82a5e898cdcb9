import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { Client } from '../client/client.ts';
import { parseEndpoint } from '../client/endpoint.ts';
import type { Cli } from './cli.ts';
import { localHost } from './engine-client.ts';
import { answers } from './socket-probe.ts';

export interface EngineProcess {
  readonly host: string;
  readonly socket: string;
  readonly answers: boolean;
  readonly pid?: number | undefined;
  readonly version?: string | undefined;
  readonly containers?: { readonly running: number; readonly all: number } | undefined;
}

/** What can be told of this machine's own engine, without starting it. */
export async function findEngine(cli: Cli): Promise<EngineProcess> {
  const host = localHost(cli);
  const socket = host.replace(/^unix:\/\//, '');
  if (!(await answers(socket))) return { host, socket, answers: false };
  const client = new Client({ endpoint: parseEndpoint(host) });
  try {
    const info = await client.system.info();
    return {
      host,
      socket,
      answers: true,
      pid: pidOf(join(dirname(socket), 'engine.pid')),
      version: typeof info['ServerVersion'] === 'string' ? info['ServerVersion'] : undefined,
      containers: { running: Number(info['ContainersRunning'] ?? 0), all: Number(info['Containers'] ?? 0) },
    };
  } catch {
    return { host, socket, answers: true, pid: pidOf(join(dirname(socket), 'engine.pid')) };
  } finally {
    client.close();
  }
}

/** The process in the engine's pid file, when it is one of ours: a pid may have gone to another program since. */
function pidOf(path: string): number | undefined {
  try {
    const pid = Number.parseInt(fs.readFileSync(path, 'utf8'), 10);
    const words = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return /daemon\/main\.(js|ts)|gantry/.test(words) ? pid : undefined;
  } catch {
    return undefined;
  }
}
