/** The command line run in this process, its output caught: for tests of many lines. */
import { Readable } from 'node:stream';
import type { Io, Output } from '../../src/cli/io.ts';
import { runProgram } from '../../src/cli/program.ts';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runInProcess(
  words: readonly string[],
  options: { env: Readonly<Record<string, string | undefined>>; stdin?: string | Uint8Array; tty?: boolean },
): Promise<Ended> {
  const stdout = new Caught(options.tty === true);
  const stderr = new Caught(options.tty === true);
  const io: Io = {
    stdout,
    stderr,
    stdinIsTTY: options.tty === true,
    stdin: () => Readable.from([Buffer.from(options.stdin ?? '')]) as unknown as NodeJS.ReadStream,
    setRawMode: () => {},
    onResize: () => () => {},
    holdScreen: () => {},
    screenIsHeld: false,
    giveScreen: () => {},
  };
  const code = await runProgram(words, {
    io,
    env: options.env,
    root: true,
    self: { node: process.execPath, daemon: '/nowhere/main.ts', launcher: '/nowhere/gantry', home: '/nowhere' },
  });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

class Caught implements Output {
  readonly isTTY: boolean;
  readonly columns = 80;
  readonly rows = 24;
  readonly #parts: Buffer[] = [];

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  get text(): string {
    return Buffer.concat(this.#parts).toString('utf8');
  }

  write(data: string | Uint8Array): void {
    this.#parts.push(Buffer.from(data));
  }
}
