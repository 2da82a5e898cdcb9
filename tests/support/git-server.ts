import { spawn } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Git's own smart HTTP server for the repositories below a directory, on a free port. */
export class GitServer {
  readonly url: string;
  /** `Authorization` of each request. */
  readonly authorizations: (string | undefined)[] = [];
  readonly #server: Server;

  private constructor(server: Server, authorizations: (string | undefined)[]) {
    this.#server = server;
    this.authorizations = authorizations;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(directory: string): Promise<GitServer> {
    const authorizations: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      authorizations.push(request.headers.authorization);
      const { pathname, searchParams } = new URL(request.url!, 'http://x');
      const backend = spawn('git', ['http-backend'], {
        env: {
          ...process.env,
          GIT_PROJECT_ROOT: directory,
          GIT_HTTP_EXPORT_ALL: '1',
          GIT_CONFIG_NOSYSTEM: '1',
          GIT_CONFIG_COUNT: '1',
          GIT_CONFIG_KEY_0: 'safe.directory',
          GIT_CONFIG_VALUE_0: '*',
          PATH_INFO: pathname,
          QUERY_STRING: searchParams.toString(),
          REQUEST_METHOD: request.method!,
          CONTENT_TYPE: request.headers['content-type'] ?? '',
          HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
          HTTP_GIT_PROTOCOL: request.headers['git-protocol'] as string | undefined,
          GIT_PROTOCOL: request.headers['git-protocol'] as string | undefined,
          ...(request.headers['content-length'] && { CONTENT_LENGTH: request.headers['content-length'] }),
        },
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      request.pipe(backend.stdin).on('error', () => {});
      let head: Buffer | undefined = Buffer.alloc(0);
      backend.stdout.on('data', (data: Buffer) => {
        if (!head) return void response.write(data);
        head = Buffer.concat([head, data]);
        const cut = head.indexOf('\r\n\r\n');
        if (cut < 0) return;
        const headers = head
          .subarray(0, cut)
          .toString()
          .split('\r\n')
          .map((line) => line.split(': ') as [string, string]);
        const status = headers.find(([name]) => name === 'Status')?.[1];
        response.writeHead(
          status ? Number.parseInt(status) : 200,
          Object.fromEntries(headers.filter(([name]) => name !== 'Status')),
        );
        response.write(head.subarray(cut + 4));
        head = undefined;
      });
      backend.once('close', () => response.end());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new GitServer(server, authorizations);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
