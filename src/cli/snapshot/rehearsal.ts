import fs from 'node:fs';
import { join } from 'node:path';
import type { Io, Output } from '../io.ts';
import type { runProgram } from '../program.ts';
import { RehearsalEngine } from './rehearsal-engine.ts';

export type Role = 'command' | 'compose';

/**
 * Runs the commands that a snapshot is for, so that what they need is loaded and compiled: in `home`, which they are at
 * home in. Throws when one of them fails.
 */
export async function rehearse(role: Role, run: typeof runProgram, home: string): Promise<void> {
  const engine = new RehearsalEngine();
  try {
    const socket = join(home, 's');
    await engine.listen(socket);
    const file = join(home, 'compose.yaml');
    fs.writeFileSync(file, PROJECT);
    const perform = async (line: string): Promise<void> => {
      const said: string[] = [];
      const words = line.replace('FILE', file).split(' ');
      const code = await run(words, {
        io: quietIo(said),
        env: { GANTRY_HOST: `unix://${socket}`, HOME: home, PATH: process.env['PATH'] },
        root: false,
        self: { node: process.execPath, daemon: '', launcher: '', home },
      });
      if (code !== 0 || engine.unknown.length > 0)
        throw new Error(`gantry ${line}: ${[`exit code ${code}`, ...engine.unknown, ...said].join('\n')}`);
    };
    for (const line of LINES[role]) await perform(line);
  } finally {
    await engine.close();
  }
}

const LINES: Readonly<Record<Role, readonly string[]>> = {
  command: [
    '--version',
    'version',
    'run -d --name web -p 8080:80 -v data:/data -e A=1 busybox sleep 1000',
    'run --rm --network none busybox true',
    'exec web true',
    'ps -a',
    'images',
    'logs web',
    'inspect web',
    'stop web',
    'start web',
    'rm -f web',
  ],
  compose: ['up -d', 'up -d', 'ps', 'down -t 5'].map((words) => `compose -f FILE -p rehearsal ${words}`),
};

const PROJECT = `services:
  db:
    image: busybox
    command: ["sh", "-c", "sleep 1000"]
    volumes: ["data:/data"]
    environment: { A: "1", B: "\${B:-2}" }
    healthcheck: { test: ["CMD", "true"], interval: 5s }
  web:
    image: busybox
    command: sleep 1000
    restart: unless-stopped
    depends_on: [db]
    ports: ["127.0.0.1::80"]
    volumes: ["./:/src:ro"]
volumes:
  data: {}
`;

/** Nobody reads and nobody types. */
function quietIo(said: string[]): Io {
  const output: Output = {
    isTTY: false,
    columns: 80,
    rows: 24,
    write: (data) => void said.push(typeof data === 'string' ? data : Buffer.from(data).toString()),
  };
  return {
    stdout: output,
    stderr: output,
    stdinIsTTY: false,
    stdin: () => {
      throw new Error('a rehearsed command must not read');
    },
    setRawMode: () => {},
    onResize: () => () => {},
    holdScreen: () => {},
    screenIsHeld: false,
    giveScreen: () => {},
  };
}
