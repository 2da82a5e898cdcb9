import { TRASH_HEADER } from '../api/trash.ts';
import { BuilderClient } from './builder.ts';
import { ContainersClient } from './containers.ts';
import type { Endpoint } from './endpoint.ts';
import { ExecsClient } from './execs.ts';
import { ImagesClient } from './images.ts';
import { NetworksClient } from './networks.ts';
import { RegistriesClient } from './registries.ts';
import { type ClientOptions, Requester } from './requester.ts';
import { ScopesClient } from './scopes.ts';
import { SecretsClient } from './secrets.ts';
import { SystemClient } from './system.ts';
import { TrashClient } from './trash.ts';
import { VolumesClient } from './volumes.ts';

/** Speaks the Docker Engine API with one engine. Throws `ResponseError` for what the engine refuses, `EngineError` otherwise. */
export class Client {
  readonly endpoint: Endpoint;
  readonly requester: Requester;
  readonly containers: ContainersClient;
  readonly execs: ExecsClient;
  readonly images: ImagesClient;
  readonly networks: NetworksClient;
  readonly volumes: VolumesClient;
  readonly secrets: SecretsClient;
  readonly registries: RegistriesClient;
  readonly scopes: ScopesClient;
  readonly builder: BuilderClient;
  readonly system: SystemClient;
  readonly trash: TrashClient;

  constructor(options: ClientOptions) {
    const requester = new Requester(options);
    this.endpoint = options.endpoint;
    this.requester = requester;
    this.containers = new ContainersClient(requester);
    this.execs = new ExecsClient(requester);
    this.images = new ImagesClient(requester);
    this.networks = new NetworksClient(requester);
    this.volumes = new VolumesClient(requester);
    this.secrets = new SecretsClient(requester);
    this.registries = new RegistriesClient(requester);
    this.scopes = new ScopesClient(requester);
    this.builder = new BuilderClient(requester);
    this.system = new SystemClient(requester);
    this.trash = new TrashClient(requester);
  }

  /** The API version spoken with this engine: the older of its newest and ours. Asked once. */
  apiVersion(): Promise<string> {
    return this.requester.apiVersion();
  }

  /** What is removed from now on is gone, and not in the trash. */
  withoutTrash(): this {
    this.requester.setHeader(TRASH_HEADER, 'off');
    return this;
  }

  /** Lets go of idle connections. */
  close(): void {
    this.requester.close();
  }
}
