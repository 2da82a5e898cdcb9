import type { Cli } from '../../cli.ts';
import { CommandError } from '../../command.ts';
import { readStream } from '../../output/file.ts';

const MOST_BYTES = 512_000;

/** A secret's value from a file or stdin, in base64. Never more is read than a secret may have. */
export async function readValue(cli: Cli, file: string | undefined): Promise<string> {
  const fromStdin = file === undefined || file === '-';
  if (fromStdin && cli.io.stdinIsTTY && file === undefined)
    throw new CommandError('the value is missing: name a file, or pipe it in (echo -n value | gantry secret … -)');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of readStream(cli, file ?? '-')) {
    size += chunk.byteLength;
    if (size >= MOST_BYTES) throw new CommandError(`a secret has less than ${MOST_BYTES} bytes`);
    chunks.push(Buffer.from(chunk));
  }
  if (size === 0) throw new CommandError(`error reading from ${fromStdin ? 'STDIN' : file}: data is empty`);
  return Buffer.concat(chunks).toString('base64');
}
