import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { ClassicCase } from './cases.ts';
import { COPY, compressed, context } from './context.ts';

export interface ClassicResult {
  readonly status: number;
  readonly type: string;
  /** Of the answer, or of its last line. */
  readonly error?: string;
  /** Lines `Step n/m : …`. */
  readonly steps?: readonly string[];
  /** What else tells that there is an image: `aux`, `Successfully built`, `Successfully tagged`, an id alone. */
  readonly built?: readonly string[];
}

/** Files and a repository for cases that take their context from elsewhere. */
export class ContextServer implements Disposable {
  readonly #server: Server;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'Dockerfile'), 'FROM scratch\nLABEL from=web\n');
    const other = { name: 'other', content: 'FROM scratch\nLABEL from=other\n' };
    writeFileSync(join(directory, 'context.tar.gz'), compressed.gzip(context(COPY, other)));
    const work = join(directory, 'work');
    mkdirSync(join(work, 'sub'), { recursive: true });
    for (const at of ['.', 'sub']) {
      writeFileSync(join(work, at, 'Dockerfile'), COPY);
      writeFileSync(join(work, at, 'file'), 'content\n');
    }
    const git = (...words: string[]): void => {
      const { status, stderr } = spawnSync('git', ['-C', work, '-c', 'user.name=a', '-c', 'user.email=a@b', ...words]);
      if (status !== 0) throw new Error(`git ${words.join(' ')}: ${stderr.toString()}`);
    };
    git('init', '-q', '-b', 'main');
    git('add', '.');
    git('commit', '-q', '-m', 'all');
    git('clone', '-q', '--bare', '.', join(directory, 'repository.git'));
    // Served as files (gitprotocol-http(5), dumb clients).
    const { status } = spawnSync('git', ['-C', join(directory, 'repository.git'), 'update-server-info']);
    if (status !== 0) throw new Error('git update-server-info failed');
    this.#server = createServer(({ url = '/' }, response) => {
      try {
        response.end(readFileSync(join(this.#directory, new URL(url, 'http://x').pathname)));
      } catch {
        response.writeHead(404).end();
      }
    });
  }

  /** Gives its address. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  [Symbol.dispose](): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

export interface ClassicEngine {
  readonly socketPath: string;
  /** Of a ContextServer. */
  readonly server: string;
  /** What stands for `own0`. */
  readonly prefix: string;
}

export async function runClassicCase(
  { query, body, headers = {} }: ClassicCase,
  { socketPath, server, prefix }: ClassicEngine,
): Promise<ClassicResult> {
  const put = query.replaceAll('own0', prefix).replaceAll('SERVER', encodeURIComponent(server));
  const { status, type, text } = await new Promise<{ status: number; type: string; text: string }>(
    (resolve, reject) => {
      const sent = request(
        {
          socketPath,
          method: 'POST',
          path: `/v1.51/build?${put}`,
          headers: { ...(body && { 'Content-Type': 'application/x-tar' }), ...headers },
          agent: false,
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              type: response.headers['content-type'] ?? '',
              text: Buffer.concat(chunks).toString('utf8'),
            }),
          );
        },
      );
      sent.on('error', reject);
      sent.setTimeout(60_000, () => sent.destroy(new Error(`no answer to ${put}`)));
      sent.end(body);
    },
  );
  // The line of an error, and the lines around it, are told apart from what went wrong.
  const shown = (words: string): string =>
    words
      .replace(/^dockerfile (?:parse error on )?line \d+: /, '')
      .replace(/^failed to parse Dockerfile: /, '')
      .replace(/\n[\w.]+:\d+\n-{10,}\n[^]*$/, '')
      .replaceAll(prefix, 'own0')
      .replaceAll(server, 'SERVER')
      .replace(/127\.0\.0\.1:\d{4,5}\b/g, 'SERVER')
      .replace(/\/\S*\/docker-builder\d+/g, '<context>')
      .replace(/\b[0-9a-f]{64}\b/g, '<id>')
      .replace(/\b[0-9a-f]{12}\b/g, '<id>');
  if (status >= 400) {
    const { message } = JSON.parse(text) as { message: string };
    return { status, type, error: shown(message) };
  }
  const lines = text
    .split('\r\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { stream?: string; error?: string; aux?: { ID?: string } });
  const stream = lines.map((line) => line.stream ?? '').join('');
  const steps = [...stream.matchAll(/^Step \d+\/\d+ : .*$/gm)].map(([step]) => shown(step));
  const built = [
    ...(lines.some(({ aux }) => aux?.ID !== undefined) ? ['aux'] : []),
    ...[...stream.matchAll(/^(?:Successfully .*|sha256:[0-9a-f]{64})$/gm)].map(([line]) => shown(line)),
  ];
  const error = lines.find((line) => line.error !== undefined)?.error;
  return {
    status,
    type,
    ...(error !== undefined && { error: shown(error) }),
    ...(steps.length > 0 && { steps }),
    ...(built.length > 0 && { built }),
  };
}
