import type { ContainerCreateRequest, HostConfig } from '../api/container.ts';
import type { PortBinding } from '../api/network.ts';
import { EngineError, errorCode } from '../base/errors.ts';
import type { EngineServices } from './engine.ts';

/** A container that runs to its end. */
export interface RunRequest {
  readonly image: string;
  /** Instead of the image's own. */
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly name?: string;
  readonly user?: string;
  readonly workingDirectory?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Container port (`80`, `'53/udp'`) → port of the host, or `address:port`; 0 lets the kernel choose. */
  readonly ports?: Readonly<Record<string | number, string | number>>;
  /** As `docker run -v`: `data:/var/lib/data`, `/host/path:/path:ro`. */
  readonly volumes?: readonly string[];
  /** `bridge` (the default), `none`, `host`, `container:NAME`, or a network's name. */
  readonly network?: string;
  /** Bytes. */
  readonly memory?: number;
  readonly cpus?: number;
  readonly readOnly?: boolean;
  /** Fetch the image: when it is not here (the default), each time, or never. */
  readonly pull?: 'missing' | 'always' | 'never';
  /** Everything else, as the Engine API has it. */
  readonly hostConfig?: HostConfig;
  readonly stdin?: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** Called with output as it comes; then none is kept for the result. */
  readonly onOutput?: (stream: 'stdout' | 'stderr', data: Uint8Array) => void;
  /** Bytes of output to keep; more ends the run with `too-large`. Default 16 MiB. */
  readonly maxOutput?: number;
  /** Ends the run by SIGKILL. */
  readonly signal?: AbortSignal;
}

export interface RunResult {
  /** 0–255; 128 + n when signal n ended it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

type Services = Pick<EngineServices, 'containers' | 'images'>;

/**
 * Creates a container, runs it to its end and removes it, with the volumes that it alone had. Throws `not-found` (image),
 * `no-such-command`, `not-executable`, `too-large`, `cancelled`, and what `create` and `start` throw.
 */
export async function runToEnd(services: Services, request: RunRequest): Promise<RunResult> {
  const { containers } = services;
  const { signal } = request;
  signal?.throwIfAborted();
  if (request.pull === 'always') await services.images.pull(request.image, { signal });
  const id = await create(services, request);
  const finished = new AbortController();
  const over = signal ? AbortSignal.any([signal, finished.signal]) : finished.signal;
  try {
    const session = await containers.attach(id, {
      stdin: request.stdin !== undefined,
      stdout: true,
      stderr: true,
      logs: false,
      stream: true,
      signal: over,
    });
    const removed = await containers.wait(id, 'removed', over);
    await containers.start(id);
    const input = feed(session, request.stdin);
    const collected = new Collected(request);
    for await (const { stream, data } of session.output) collected.add(stream, data);
    const { exitCode } = await removed.outcome;
    await input;
    return { exitCode, ...collected.text() };
  } catch (error) {
    if (signal?.aborted)
      throw new EngineError('cancelled', `the run of ${request.image} was cancelled`, { cause: error });
    throw error;
  } finally {
    finished.abort();
    await containers.remove(id, { force: true, volumes: true }).catch((error: unknown) => {
      if (errorCode(error) !== 'not-found') throw error;
    });
  }
}

async function create(services: Services, request: RunRequest): Promise<string> {
  const { containers, images } = services;
  const options = request.name === undefined ? {} : { name: request.name };
  const document = createRequest(request);
  try {
    return (await containers.create(document, options)).Id;
  } catch (error) {
    const absent = errorCode(error) === 'not-found' && (error as Error).message.startsWith('No such image');
    if (!absent || (request.pull ?? 'missing') !== 'missing') throw error;
    await images.pull(request.image, { signal: request.signal });
    return (await containers.create(document, options)).Id;
  }
}

/** The Engine API's document for the short form. */
export function createRequest(request: RunRequest): ContainerCreateRequest {
  const { command, entrypoint, env, labels, ports = {}, stdin } = request;
  const bindings = Object.entries(ports).map(([inside, outside]): [string, PortBinding[]] => {
    const port = inside.includes('/') ? inside : `${inside}/tcp`;
    const [, HostIp = '', HostPort = ''] = /^(?:(.*):)?(\d+)$/.exec(String(outside)) ?? [];
    if (HostPort === '') throw new EngineError('invalid-argument', `ports: ${JSON.stringify(outside)} is no port`);
    return [port, [{ HostIp, HostPort: HostPort === '0' ? '' : HostPort }]];
  });
  return {
    Image: request.image,
    ...(command && { Cmd: [...command] }),
    ...(entrypoint && { Entrypoint: [...entrypoint] }),
    ...(env && { Env: Object.entries(env).map(([name, value]) => `${name}=${value}`) }),
    ...(labels && { Labels: { ...labels } }),
    ...(request.user !== undefined && { User: request.user }),
    ...(request.workingDirectory !== undefined && { WorkingDir: request.workingDirectory }),
    ...(bindings.length > 0 && { ExposedPorts: Object.fromEntries(bindings.map(([port]) => [port, {}])) }),
    ...(stdin !== undefined && { OpenStdin: true, StdinOnce: true, AttachStdin: true }),
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      ...(bindings.length > 0 && { PortBindings: Object.fromEntries(bindings) }),
      ...(request.volumes && { Binds: [...request.volumes] }),
      ...(request.network !== undefined && { NetworkMode: request.network }),
      ...(request.memory !== undefined && { Memory: request.memory }),
      ...(request.cpus !== undefined && { NanoCpus: Math.round(request.cpus * 1e9) }),
      ...(request.readOnly !== undefined && { ReadonlyRootfs: request.readOnly }),
      ...request.hostConfig,
      AutoRemove: true,
    },
  };
}

/** Gives the program its input, then the end of it. */
async function feed(
  session: { write(data: Uint8Array): Promise<unknown>; endInput(): Promise<void> },
  stdin: RunRequest['stdin'],
): Promise<void> {
  if (stdin === undefined) return;
  if (typeof stdin === 'string') await session.write(Buffer.from(stdin));
  else if (stdin instanceof Uint8Array) await session.write(stdin);
  else for await (const chunk of stdin) await session.write(chunk);
  await session.endInput();
}

class Collected {
  readonly #request: RunRequest;
  readonly #chunks = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  #bytes = 0;

  constructor(request: RunRequest) {
    this.#request = request;
  }

  add(stream: 1 | 2, data: Uint8Array): void {
    const { onOutput, maxOutput = 16 << 20 } = this.#request;
    const name = stream === 1 ? 'stdout' : 'stderr';
    if (onOutput) return onOutput(name, data);
    this.#bytes += data.length;
    if (this.#bytes > maxOutput) {
      throw new EngineError('too-large', `the container printed more than ${maxOutput} bytes: take it with onOutput`);
    }
    this.#chunks[name].push(Buffer.from(data)); // the reader may use its buffer again
  }

  text(): { stdout: string; stderr: string } {
    const text = (chunks: Uint8Array[]): string => Buffer.concat(chunks).toString('utf8');
    return { stdout: text(this.#chunks.stdout), stderr: text(this.#chunks.stderr) };
  }
}
