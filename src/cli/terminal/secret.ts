import type { Cli } from '../cli.ts';
import { CommandError } from '../command.ts';

/** Asks for a line that is not shown while it is typed. */
export async function readSecret(cli: Cli, prompt: string): Promise<string> {
  const { io } = cli;
  io.stdout.write(prompt);
  io.setRawMode(true);
  try {
    let text = '';
    for await (const chunk of io.stdin().iterator({ destroyOnReturn: false })) {
      for (const char of (chunk as Buffer).toString('utf8')) {
        if (char === '\r' || char === '\n' || char === '\x04') return text;
        if (char === '\x03') throw new CommandError('', 130);
        text = char === '\x7f' || char === '\b' ? text.slice(0, -1) : text + char;
      }
    }
    return text;
  } finally {
    io.setRawMode(false);
    io.stdin().pause();
    io.stdout.write('\n');
  }
}
