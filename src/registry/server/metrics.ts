import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { BoundSocket } from './registry-server.ts';

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

/** Counts for Prometheus. Labels are of our making: what a client writes is never one. */
export class Metrics {
  readonly #requests = new Map<string, number>();
  readonly #buckets = BUCKETS.map(() => 0);
  #seconds = 0;
  #count = 0;
  #received = 0;
  #sent = 0;
  readonly #gauges = new Map<string, { help: string; type: 'gauge' | 'counter'; read: () => number }>();

  request(seen: { kind: string; method: string; status: number; seconds: number }): void {
    const { kind, method, status, seconds } = seen;
    const key = `method="${METHODS.has(method) ? method : 'other'}",kind="${kind}",status="${status}"`;
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1);
    this.#seconds += seconds;
    this.#count++;
    for (const [index, limit] of BUCKETS.entries()) if (seconds <= limit) this.#buckets[index]!++;
  }

  bytes({ received, sent }: { received: number; sent: number }): void {
    this.#received += received;
    this.#sent += sent;
  }

  add(name: string, help: string, read: () => number, type: 'gauge' | 'counter' = 'gauge'): void {
    this.#gauges.set(name, { help, type, read });
  }

  /** The text format, version 0.0.4. */
  text(): string {
    const lines: string[] = [];
    const family = (name: string, type: string, help: string): void => {
      lines.push(`# HELP gantry_registry_${name} ${help}`, `# TYPE gantry_registry_${name} ${type}`);
    };
    family('requests_total', 'counter', 'Requests that were answered.');
    for (const [labels, count] of this.#requests) lines.push(`gantry_registry_requests_total{${labels}} ${count}`);
    family('request_seconds', 'histogram', 'Time from a request to the end of its answer.');
    for (const [index, limit] of BUCKETS.entries()) {
      lines.push(`gantry_registry_request_seconds_bucket{le="${limit}"} ${this.#buckets[index]}`);
    }
    lines.push(
      `gantry_registry_request_seconds_bucket{le="+Inf"} ${this.#count}`,
      `gantry_registry_request_seconds_sum ${this.#seconds}`,
      `gantry_registry_request_seconds_count ${this.#count}`,
    );
    family('received_bytes_total', 'counter', 'Bytes from clients.');
    lines.push(`gantry_registry_received_bytes_total ${this.#received}`);
    family('sent_bytes_total', 'counter', 'Bytes to clients.');
    lines.push(`gantry_registry_sent_bytes_total ${this.#sent}`);
    for (const [name, { help, type, read }] of this.#gauges) {
      family(name, type, help);
      lines.push(`gantry_registry_${name} ${read()}`);
    }
    return `${lines.join('\n')}\n`;
  }

  /** A door of its own: who may pull need not see this. */
  async serve(address: { host: string; port: number }, bound?: BoundSocket): Promise<Server> {
    const server = createServer((request, response) => {
      if (request.url !== '/metrics') return void response.writeHead(404).end();
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(this.text());
    });
    const target = bound ? { fd: await bound(address.host, address.port) } : address;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject).listen(target, resolve);
    await promise;
    return server;
  }
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE']);
