/**
 * The library door: a container engine inside a program.
 *
 *     import { Engine } from 'gantry';
 *
 *     await using engine = await Engine.open({ dataRoot: '/var/lib/my-program' });
 *     const { exitCode, stdout } = await engine.run({ image: 'busybox', command: ['uname', '-a'] });
 */
import { buildImage, type BuildImageRequest } from './engine/build.ts';
import type {
  BuildResult,
  BuildService,
  ContainerService,
  EngineServices,
  EventService,
  ExecService,
  ImageService,
  NetworkService,
  RegistryService,
  ScopeService,
  SecretService,
  SystemService,
  TrashService,
  VolumeService,
} from './engine/engine.ts';
import type { EngineOptions } from './engine/config.ts';
import { openEngine } from './engine/open.ts';
import { type RunRequest, type RunResult, runToEnd } from './engine/run.ts';

/**
 * An engine of this process. It owns its data root, which one engine at a time can: another one, or a daemon, on the same
 * root makes `open` throw `unavailable` with its pid. Containers outlive it; the next engine on the root finds them.
 * Needs root, and what `./gantry` sets up: crun or runc, conmon, nftables.
 */
export class Engine implements EngineServices {
  readonly containers: ContainerService;
  readonly execs: ExecService;
  readonly images: ImageService;
  readonly networks: NetworkService;
  readonly volumes: VolumeService;
  readonly secrets: SecretService;
  readonly builder: BuildService;
  readonly system: SystemService;
  readonly events: EventService;
  /** What was removed, while it can be brought back; empty unless `trash` is configured. */
  readonly trash: TrashService;
  /** The images of this engine, served to others. */
  readonly registry: RegistryService;
  /** What a daemon in front of this engine opens further doors for. */
  readonly scopes: ScopeService;
  readonly #services: EngineServices;

  private constructor(services: EngineServices) {
    this.#services = services;
    ({
      containers: this.containers,
      execs: this.execs,
      images: this.images,
      networks: this.networks,
      volumes: this.volumes,
      secrets: this.secrets,
      builder: this.builder,
      system: this.system,
      events: this.events,
      trash: this.trash,
      registry: this.registry,
      scopes: this.scopes,
    } = services);
  }

  /** Opens the engine of `options.dataRoot` (default `/var/lib/gantry`). Throws `unavailable`, `invalid-argument`, `corrupt`. */
  static async open(options: EngineOptions = {}): Promise<Engine> {
    return new Engine(await openEngine(options));
  }

  /** Runs a container to its end and removes it. */
  run(request: RunRequest): Promise<RunResult> {
    return runToEnd(this, request);
  }

  /** Builds an image of a directory or a tar, with an event for each step. */
  build(request: BuildImageRequest): Promise<BuildResult> {
    return buildImage(this, request);
  }

  /** Lets go of everything; containers go on running. */
  close(): Promise<void> {
    return this.#services.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export { EngineError, type ErrorCode } from './base/errors.ts';
export type { EngineOptions, RuntimeConfig } from './engine/config.ts';
export type * from './engine/engine.ts';
export type { BuildEvent, BuildVertex } from './engine/builder/build-event.ts';
export type { BuildImageRequest } from './engine/build.ts';
export type { RunRequest, RunResult } from './engine/run.ts';
