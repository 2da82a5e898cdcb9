import { release } from 'node:os';
import type { AuthConfig } from '../../api/auth.ts';
import type { DiskPart } from '../../api/gantry.ts';
import type { DiskUsage, SystemInfo, SystemVersion } from '../../api/system.ts';
import type { Volume } from '../../api/volume.ts';
import { EngineError } from '../../base/errors.ts';
import { VERSION } from '../../base/version.ts';
import type { BuildService, ContainerService, ImageService, SystemService } from '../engine.ts';
import { type InfoParts, systemInfo } from './info.ts';

/** The newest version of the Engine API that our documents are in, and the oldest that the daemon makes of them. */
const API_VERSION = '1.51';
const MIN_API_VERSION = '1.24';
const TYPES = ['container', 'image', 'volume', 'build-cache'];

export interface SystemParts extends InfoParts {
  readonly services: {
    readonly containers: ContainerService;
    readonly images: ImageService & { layersSize(): number };
    readonly volumes: { diskUsage(signal?: AbortSignal): Promise<Volume[]> };
    readonly builder: BuildService;
  };
  readonly onDisk: (signal?: AbortSignal) => Promise<readonly DiskPart[]>;
  /** Programs that do a part of the work, with their versions. */
  readonly components: () => Promise<readonly { readonly name: string; readonly version: string }[]>;
  /** Undefined without a registry client. */
  readonly authenticate: ((config: AuthConfig) => Promise<{ Status: string; IdentityToken: string }>) | undefined;
}

/** The engine as a whole: what it is, what it uses. */
export class System implements SystemService {
  readonly #parts: SystemParts;

  constructor(parts: SystemParts) {
    this.#parts = parts;
  }

  async version(): Promise<SystemVersion> {
    const own = {
      ApiVersion: API_VERSION,
      MinAPIVersion: MIN_API_VERSION,
      GitCommit: '',
      GoVersion: `node ${process.version}`,
      Os: 'linux',
      Arch: this.#parts.host.architecture,
      KernelVersion: release(),
      BuildTime: '',
    };
    const components = await this.#parts.components();
    return {
      Platform: { Name: 'Gantry' },
      Components: [
        { Name: 'Engine', Version: VERSION, Details: { ...own, Experimental: 'false' } },
        ...components.map(({ name, version }) => ({ Name: name, Version: version, Details: { GitCommit: '' } })),
      ],
      Version: VERSION,
      ...own,
    };
  }

  async info(): Promise<SystemInfo> {
    return systemInfo(this.#parts);
  }

  async diskUsage(options: { types?: readonly string[]; signal?: AbortSignal } = {}): Promise<DiskUsage> {
    const { containers, images, volumes, builder } = this.#parts.services;
    const types = options.types ?? [];
    const unknown = types.find((type) => !TYPES.includes(type));
    if (unknown !== undefined) throw new EngineError('invalid-argument', `unknown object type: ${unknown}`);
    const wants = (type: string): boolean => types.length === 0 || types.includes(type);
    const [imageList, containerList, volumeList, buildCache] = await Promise.all([
      wants('image') ? images.list({ sharedSize: true }) : null,
      wants('container') ? containers.list({ all: true, size: true }) : null,
      wants('volume') ? volumes.diskUsage(options.signal) : null,
      wants('build-cache') ? builder.diskUsage() : null,
    ]);
    return {
      LayersSize: wants('image') ? images.layersSize() : 0,
      Images: imageList,
      Containers: containerList,
      Volumes: volumeList,
      BuildCache: buildCache,
    };
  }

  async onDisk(signal?: AbortSignal): Promise<readonly DiskPart[]> {
    return await this.#parts.onDisk(signal);
  }

  async auth(config: AuthConfig): Promise<{ Status: string; IdentityToken: string }> {
    const { authenticate } = this.#parts;
    if (!authenticate) throw new EngineError('unimplemented', 'this engine cannot log in to registries yet');
    return await authenticate(config);
  }
}
