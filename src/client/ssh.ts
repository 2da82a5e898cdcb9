import { spawn } from 'node:child_process';
import { Duplex } from 'node:stream';
import { EngineError } from '../base/errors.ts';
import type { Endpoint } from './endpoint.ts';

/**
 * A connection to the engine of another machine through the `ssh` program, which brings its own configuration, agent
 * and known hosts. There it runs `gantry system dial-stdio`, or docker's where gantry is not installed.
 */
export function connectBySsh(endpoint: Extract<Endpoint, { kind: 'ssh' }>): Duplex {
  const host = endpoint.path === '' ? '' : ` --host ${quote(`unix://${endpoint.path}`)}`;
  const remote = `if command -v gantry >/dev/null 2>&1; then exec gantry${host} system dial-stdio; else exec docker${host} system dial-stdio; fi`;
  const child = spawn(
    'ssh',
    [
      ...(endpoint.user === undefined ? [] : ['-l', endpoint.user]),
      ...(endpoint.port === undefined ? [] : ['-p', endpoint.port]),
      '-o',
      'ConnectTimeout=30',
      '-T',
      '--',
      endpoint.host,
      remote,
    ],
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true }, // its own group: Ctrl-C must not cut the connection under an attached container
  );
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-4096)));
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  child.once('error', (error: NodeJS.ErrnoException) => {
    const words = error.code === 'ENOENT' ? 'the ssh program is not installed' : error.message;
    stream.destroy(new EngineError('unavailable', `error during connect to ${endpoint.url}: ${words}`));
  });
  child.once('exit', (code) => {
    if (code !== 0 && code !== null) {
      stream.destroy(
        new EngineError(
          'unavailable',
          `error during connect: command [ssh ${endpoint.host}] has exited with status ${code}: ${complaint.trim()}`,
        ),
      );
    }
  });
  stream.once('close', () => child.kill());
  return stream;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
