import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { EngineError } from '../base/errors.ts';
import type { NetworkNamespace } from './network-namespace.ts';

/**
 * Applies nftables text as one transaction: all of it or nothing. In the network namespace of the engine, or another.
 * Throws `unavailable` when nft is not installed, `internal` with its words.
 */
export async function applyNftables(text: string, namespace?: NetworkNamespace): Promise<void> {
  const command = 'nft';
  const start = (): ChildProcessByStdio<Writable, null, Readable> =>
    spawn(command, ['-f', '-'], { stdio: ['pipe', 'ignore', 'pipe'] });
  const child = namespace ? namespace.run<ReturnType<typeof start>>(start) : start();
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once('error', reject);
  child.once('close', resolve);
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (data: string) => (words = (words + data).slice(0, 2000)));
  // a refused transaction may close its input early; the exit status says what happened
  child.stdin.on('error', () => undefined).end(text);
  let status: number | null;
  try {
    status = await promise;
  } catch (error) {
    throw new EngineError('unavailable', `cannot run ${command}: install the package nftables`, { cause: error });
  }
  if (status !== 0) throw new EngineError('internal', `nftables refused the rules: ${words.trim()}`);
}
